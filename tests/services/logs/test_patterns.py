"""Filter patterns: terms, columns and JSON selectors, as the guide documents them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.services.logs.engine.patterns import BadPattern, compiled

REQUEST = '127.0.0.1 - frank [10/Oct/2000:13:25:19 -0700] "GET /a.gif HTTP/1.0" 404 1534'
EVENT = '{"level":"ERROR","ms":120,"user":{"id":7,"name":null},"tags":["a","b"],"ok":true}'


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR disk", "disk ERROR", True),
        ("ERROR disk", "ERROR only", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "all is well", False),
        ("ERROR -disk", "ERROR net", True),
        ("ERROR -disk", "ERROR disk", False),
        ('"two words"', "has two words in it", True),
        ('"two words"', "two other words", False),
        ("%[45]0\\d%", "status 404", True),
        ("%[45]0\\d%", "status 200", False),
        ("[ip, id, user, time, request, status, bytes]", REQUEST, True),
        ("[ip, id, user, time, request, status=4*, bytes>1000]", REQUEST, True),
        ("[ip, id, user, time, request, status=5*, bytes]", REQUEST, False),
        ("[..., status=404, bytes]", REQUEST, True),
        ("[ip, ...]", REQUEST, True),
        ("[ip, id]", REQUEST, False),
        ("[ip, id, user, time, request, status=404 || status=410, bytes]", REQUEST, True),
        ('{ $.level = "ERROR" }', EVENT, True),
        ('{ $.level = "E*" }', EVENT, True),
        ('{ $.level != "ERROR" }', EVENT, False),
        ("{ $.ms > 100 && $.ms < 200 }", EVENT, True),
        ("{ ($.ms > 500) || ($.user.id = 7) }", EVENT, True),
        ("{ $.user.name IS NULL }", EVENT, True),
        ("{ $.missing NOT EXISTS }", EVENT, True),
        ("{ $.ok IS TRUE }", EVENT, True),
        ("{ $.ok IS FALSE }", EVENT, False),
        ('{ $.tags[1] = "b" }', EVENT, True),
        ('{ $.tags[*] = "b" }', EVENT, True),
        ("{ $.ms = 120 }", "no json", False),
    ],
)
def test_patterns_match_as_documented(pattern: str, message: str, matches: bool) -> None:
    assert compiled(pattern)(message) is matches


@pytest.mark.parametrize(
    "pattern", ["{ $.a", "{ a = 1 }", "[a, b", "{ $.a > x }", "%[%", "{ $.a IS x }", "{ ($.a = 1 }"]
)
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        compiled(pattern)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        match = compiled(pattern)
    except BadPattern:
        return
    assert match(message) in (True, False)


@given(st.from_regex(r"[a-zA-Z0-9]+", fullmatch=True), st.text(max_size=20))
def test_a_word_matches_every_message_that_holds_it(word: str, around: str) -> None:
    assert compiled(word)(around + word + around)
