"""Filter patterns: unstructured terms, space-delimited fields and JSON selectors.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
A pattern is compiled once into a function of the message.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

Match = Callable[[str], bool]


class BadPattern(Exception):
    """The pattern is none. The text is AWS's for an invalid pattern."""


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> Match:
    """What tells whether a message matches. Raises BadPattern."""
    text = pattern.strip()
    if not text or text == '""':
        return lambda message: True
    if text.startswith("{"):
        return _Json(text).match
    if text.startswith("["):
        return _fields(text)
    return _terms(text)


def _regex(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except re.error as bad:
        raise BadPattern(f"Invalid regular expression: {source}") from bad


_TERM = re.compile(
    r'\s*(?P<sign>[-?]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]+)%|(?P<bare>\S+))'
)


def _terms(text: str) -> Match:
    """All plain terms, at least one ``?optional`` term where there are only such, no ``-term``."""
    wanted: list[Match] = []
    optional: list[Match] = []
    excluded: list[Match] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TERM.match(text, at)
        if found is None:
            raise BadPattern("Invalid filter pattern")
        at = found.end()
        match = _term(found)
        group = {"": wanted, "?": optional, "-": excluded}[found["sign"]]
        group.append(match)
    # AWS ignores ?terms beside plain ones.
    needed = optional if optional and not wanted else []

    def matches(message: str) -> bool:
        return (
            all(match(message) for match in wanted)
            and (not needed or any(match(message) for match in needed))
            and not any(match(message) for match in excluded)
        )

    return matches


def _term(found: re.Match[str]) -> Match:
    if found["regex"] is not None:
        search = _regex(found["regex"]).search
        return lambda message: search(message) is not None
    quoted = found["quoted"]
    word = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found["bare"]
    return lambda message: word in message


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _test(operator: str, wanted: str, quoted: bool) -> Callable[[Any], bool]:
    """The comparison of one value with one operand, ``*`` in it being a wildcard."""
    number = None if quoted else _number(wanted)
    if number is not None:
        compare = _COMPARE[operator]

        def numeric(value: Any) -> bool:
            have = _number(value)
            return operator == "!=" if have is None else compare(have, number)

        return numeric
    if operator not in ("=", "!="):
        raise BadPattern(f"Operator {operator} takes a number")
    if wanted.startswith("%") and wanted.endswith("%") and len(wanted) > 2:
        source = wanted[1:-1]
    else:
        source = "^" + ".*".join(re.escape(part) for part in wanted.split("*")) + "$"
    search = _regex(source).search
    equal = operator == "="

    def textual(value: Any) -> bool:
        if isinstance(value, dict | list) or value is None:
            return not equal
        text = msgspec.json.encode(value).decode() if not isinstance(value, str) else value
        return (search(text) is not None) == equal

    return textual


# Space-delimited fields: [ip, user, ..., status = 4*, bytes > 1000]

_FIELD = re.compile(
    r'^\s*(?P<name>[A-Za-z_]\w*)?\s*(?:(?P<op>!=|>=|<=|=|>|<)\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s]+)))?\s*$'
)
_WORD = re.compile(r'"([^"]*)"|\[([^\]]*)\]|(\S+)')


def _fields(text: str) -> Match:
    if not text.endswith("]"):
        raise BadPattern("Invalid filter pattern: missing ]")
    tests: list[Callable[[str], bool] | None] = []
    rest_at: int | None = None
    for column in text[1:-1].split(","):
        if column.strip() == "...":
            if rest_at is not None:
                raise BadPattern("Invalid filter pattern: two ellipses")
            rest_at = len(tests)
            continue
        tests.append(_column(column))

    def matches(message: str) -> bool:
        words = [q or b or w for q, b, w in _WORD.findall(message)]
        if rest_at is None:
            if len(words) != len(tests):
                return False
            return all(test is None or test(w) for test, w in zip(tests, words, strict=True))
        behind = len(tests) - rest_at
        if len(words) < len(tests):
            return False
        chosen = [*words[:rest_at], *(words[-behind:] if behind else [])]
        return all(test is None or test(w) for test, w in zip(tests, chosen, strict=True))

    return matches


def _column(column: str) -> Callable[[str], bool] | None:
    """``name``, ``name op value``; several conditions on one name joined by && and ||."""
    alternatives = []
    for alternative in column.split("||"):
        needed = []
        for condition in alternative.split("&&"):
            found = _FIELD.match(condition)
            if found is None:
                raise BadPattern(f"Invalid field: {condition.strip()}")
            if found["op"]:
                quoted = found["quoted"] is not None
                operand = found["quoted"] if quoted else found["bare"]
                needed.append(_test(found["op"], operand, quoted))
        alternatives.append(needed)
    if not any(alternatives):
        return None
    return lambda word: any(all(test(word) for test in needed) for needed in alternatives)


# JSON: { ($.level = "ERROR") && ($.ms > 100 || $.user IS NULL) }

_JSON_TOKEN = re.compile(
    r"\s*(?:(?P<select>\$(?:\.[\w\-]+|\[\d+\]|\[\*\]|\.\*|\['[^']*'\]|\[\"[^\"]*\"\])+)"
    r"|(?P<op>&&|\|\||!=|>=|<=|=|>|<|\(|\))"
    r"|(?P<word>(?:IS|NOT|EXISTS|NULL|TRUE|FALSE)\b)"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<regex>%[^%]+%)|(?P<bare>[^\s()&|]+))'
)


class _Token(NamedTuple):
    kind: str
    text: str


class _Json:
    """A recursive-descent parser whose result is a function of the decoded message."""

    def __init__(self, text: str) -> None:
        if not text.endswith("}"):
            raise BadPattern("Invalid filter pattern: missing }")
        self._tokens = self._split(text[1:-1])
        self._at = 0
        self._test = self._either()
        if self._at != len(self._tokens):
            raise BadPattern(f"Unexpected {self._tokens[self._at].text}")

    @staticmethod
    def _split(text: str) -> list[_Token]:
        tokens, at, end = [], 0, len(text.rstrip())
        while at < end:
            found = _JSON_TOKEN.match(text, at)
            if found is None:
                raise BadPattern(f"Invalid character(s) in term '{text[at:].strip()}'")
            kind = found.lastgroup or ""
            tokens.append(_Token(kind, found[kind]))
            at = found.end()
        return tokens

    def match(self, message: str) -> bool:
        try:
            value = msgspec.json.decode(message)
        except msgspec.DecodeError:
            return False
        return isinstance(value, dict | list) and self._test(value)

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "end")

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _either(self) -> Callable[[Any], bool]:
        tests = [self._both()]
        while self._peek() == ("op", "||"):
            self._take()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _both(self) -> Callable[[Any], bool]:
        tests = [self._one()]
        while self._peek() == ("op", "&&"):
            self._take()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _one(self) -> Callable[[Any], bool]:
        token = self._take()
        if token == ("op", "("):
            inner = self._either()
            if self._take() != ("op", ")"):
                raise BadPattern("Invalid filter pattern: missing )")
            return inner
        if token.kind != "select":
            raise BadPattern(f"Expected a selector, not {token.text}")
        path = _path(token.text)
        operator = self._take()
        if operator.kind == "word":
            return self._word_test(path, operator.text)
        if operator.kind != "op" or operator.text not in _COMPARE:
            raise BadPattern(f"Expected an operator, not {operator.text}")
        operand = self._take()
        if operand.kind not in ("quoted", "bare", "regex", "word"):
            raise BadPattern(f"Expected a value, not {operand.text}")
        test = _test(operator.text, operand.text, operand.kind == "quoted")
        return lambda value: any(test(found) for found in _select(value, path))

    def _word_test(self, path: tuple[Any, ...], word: str) -> Callable[[Any], bool]:
        if word == "NOT" and self._take() == ("word", "EXISTS"):
            return lambda value: not _select(value, path)
        kind = self._take().text if word == "IS" else ""
        constants = {"NULL": None, "TRUE": True, "FALSE": False}
        if kind not in constants:
            raise BadPattern(
                f"Expected IS NULL, IS TRUE, IS FALSE or NOT EXISTS, not {word} {kind}"
            )
        wanted = constants[kind]
        return lambda value: any(found is wanted for found in _select(value, path))


def _path(text: str) -> tuple[Any, ...]:
    steps: list[Any] = []
    for dotted, index, single, double in re.findall(
        r"\.([\w\-]+|\*)|\[(\d+|\*)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]", text
    ):
        if index.isdigit():
            steps.append(int(index))
        else:
            steps.append(dotted or index or single or double)
    return tuple(steps)


def _select(value: Any, path: tuple[Any, ...]) -> list[Any]:
    found = [value]
    for step in path:
        following: list[Any] = []
        for each in found:
            if step == "*":
                following += (
                    each.values()
                    if isinstance(each, dict)
                    else each
                    if isinstance(each, list)
                    else []
                )
            elif isinstance(step, int):
                following += each[step : step + 1] if isinstance(each, list) else []
            elif isinstance(each, dict) and step in each:
                following.append(each[step])
        found = following
    return found
