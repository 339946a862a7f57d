"""The pattern language: tables of what matches, and laws that hold for any value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.services.sns.engine import patterns
from skyfold.services.sns.engine.filter_policies import attributes_event, matcher
from skyfold.services.sns.engine.patterns import PatternError

ALL = patterns.Dialect(
    operators=patterns.OPERATORS,
    anything_but=frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard"}),
    number_max=1e9,
)


def matches(condition: Any, value: Any) -> bool:
    return patterns.compiled({"key": [condition]}, ALL)({"key": value})


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("a", ["a", ["b", "a"]], ["A", "ab", ["b"], 1, None, {"a": 1}, []]),
        (300, [300, 300.0, 3.0e2, [1, 300]], [301, "300", True]),
        (True, [True], [1, "true", False]),
        (1, [1], [True, "1"]),
        (None, [None], ["null", 0, False]),
        ({"prefix": "eu-"}, ["eu-", "eu-west", ["us", "eu-x"]], ["EU-x", "xeu-", 1, None]),
        ({"prefix": {"equals-ignore-case": "Eu-"}}, ["eU-west"], ["us"]),
        ({"suffix": ".png"}, ["a.png", ".png"], ["a.PNG", "a.png.gif", 1]),
        ({"suffix": {"equals-ignore-case": ".PNG"}}, ["a.png"], ["a.gif"]),
        ({"equals-ignore-case": "TeNNis"}, ["tennis", "TENNIS"], ["tennis "]),
        ({"anything-but": "a"}, ["b", 1, None, ["a", "b"]], ["a", [], ["a"]]),
        ({"anything-but": ["a", "b"]}, ["c", ["a", "c"]], ["a", "b", ["a", "b"]]),
        ({"anything-but": [1, 2]}, [3, "1"], [1, 2.0]),
        ({"anything-but": {"prefix": "a"}}, ["b"], ["a", "ab", 1]),
        ({"anything-but": {"prefix": ["a", "b"]}}, ["c"], ["ab", "ba"]),
        ({"anything-but": {"suffix": "a"}}, ["ab"], ["ba"]),
        ({"anything-but": {"equals-ignore-case": ["A"]}}, ["b"], ["a"]),
        ({"numeric": ["=", 5]}, [5, 5.0], [6, "5", True]),
        ({"numeric": [">", 5]}, [5.1], [5, 4]),
        ({"numeric": ["<=", -1]}, [-1, -2], [0]),
        ({"numeric": [">=", 0, "<", 10]}, [0, 9.99], [10, -0.1]),
        ({"wildcard": "a*c"}, ["ac", "abc", "abbc"], ["abcd", "a"]),
        ({"wildcard": "*"}, ["", "x\ny"], [1]),
        ({"wildcard": "a\\*c"}, ["a*c"], ["abc"]),
        ({"cidr": "10.0.0.0/24"}, ["10.0.0.7"], ["10.0.1.7", "x", 1]),
        ({"cidr": "2001:db8::/32"}, ["2001:db8::1"], ["10.0.0.1"]),
        ({"exists": True}, ["a", None, 0, [1]], [[], {"a": 1}]),
        ({"exists": False}, [[], {"a": 1}], ["a", None]),
    ],
)
def test_a_condition_matches_these_values_and_not_those(
    condition: Any, yes: list[Any], no: list[Any]
) -> None:
    assert [value for value in yes if not matches(condition, value)] == []
    assert [value for value in no if matches(condition, value)] == []


def test_a_field_that_is_missing_matches_nothing_but_its_absence() -> None:
    conditions: list[Any] = ["a", 1, None, {"prefix": ""}, {"anything-but": "a"}, {"exists": True}]

    assert [c for c in conditions if patterns.compiled({"key": [c]}, ALL)({})] == []
    assert patterns.compiled({"key": [{"exists": False}]}, ALL)({})
    assert patterns.compiled({"a": {"b": [{"exists": False}]}}, ALL)({})


def test_all_fields_and_any_of_their_conditions_have_to_match() -> None:
    match = patterns.compiled({"a": ["x", {"prefix": "y"}], "b": {"c": [1]}}, ALL)

    assert match({"a": "x", "b": {"c": 1}, "d": 5})
    assert match({"a": "yes", "b": {"c": [0, 1]}})
    assert not match({"a": "z", "b": {"c": 1}})
    assert not match({"a": "x", "b": {"c": 2}})
    assert not match({"a": "x", "b": 1})


def test_fields_of_objects_in_an_array_match_within_one_of_them() -> None:
    match = patterns.compiled({"items": {"kind": ["a"], "size": [1]}}, ALL)

    assert match({"items": [{"kind": "b", "size": 1}, {"kind": "a", "size": 1}]})
    assert not match({"items": [{"kind": "a", "size": 2}, {"kind": "b", "size": 1}]})


def test_or_matches_where_one_of_its_patterns_does() -> None:
    match = patterns.compiled({"a": [1], "$or": [{"b": [1]}, {"c": [1], "d": [1]}]}, ALL)

    assert match({"a": 1, "b": 1})
    assert match({"a": 1, "c": 1, "d": 1})
    assert not match({"a": 1, "c": 1})
    assert not match({"b": 1})


@pytest.mark.parametrize(
    "pattern",
    [
        {"a": []},
        {"a": {}},
        {"a": 1},
        {"a": [[1]]},
        {"a": [{}]},
        {"a": [{"numeric": []}]},
        {"a": [{"numeric": ["!", 1]}]},
        {"a": [{"numeric": [">", "1"]}]},
        {"a": [{"numeric": ["<", 1, ">", 2]}]},
        {"a": [{"numeric": [">", 2, "<", 1]}]},
        {"a": [{"numeric": ["=", 1e10]}]},
        {"a": [1e10]},
        {"a": [{"anything-but": []}]},
        {"a": [{"anything-but": [1, "a"]}]},
        {"a": [{"anything-but": None}]},
        {"a": [{"anything-but": {"numeric": ["=", 1]}}]},
        {"a": [{"wildcard": "a**b"}]},
        {"a": [{"wildcard": "a\\b"}]},
        {"a": [{"cidr": "10.0.0.0/99"}]},
        {"a": [{"prefix": 1}]},
        {"a": [{"prefix": {"suffix": "x"}}]},
        {"$or": [{"a": 1}, {"b": [1]}]},
    ],
)
def test_what_is_no_pattern_is_refused(pattern: dict[str, Any]) -> None:
    with pytest.raises(PatternError):
        patterns.compiled(pattern, ALL)


scalars = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=6)


@given(scalars)
def test_every_value_matches_itself(value: Any) -> None:
    assert matches(value, value)


@given(scalars, scalars)
def test_two_values_match_exactly_when_they_are_the_same_json(one: Any, other: Any) -> None:
    same = one == other and isinstance(one, bool) == isinstance(other, bool)

    assert matches(one, other) == same


@given(st.text(max_size=6), st.text(max_size=6))
def test_anything_but_is_the_opposite_of_exact(one: str, other: str) -> None:
    assert matches({"anything-but": one}, other) != matches(one, other)


@given(st.text("ab*\\", max_size=8), st.text("ab*\\", max_size=8))
def test_an_escaped_text_is_a_wildcard_for_itself_alone(one: str, other: str) -> None:
    escaped = one.replace("\\", "\\\\").replace("*", "\\*")

    assert matches({"wildcard": escaped}, other) == (one == other)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-60, 60))
def test_a_numeric_range_is_what_python_says(low: int, high: int, value: int) -> None:
    if low >= high:
        return

    assert matches({"numeric": [">=", low, "<", high]}, value) == (low <= value < high)


def _attribute(kind: str, value: Any) -> dict[str, Any]:
    return {"DataType": kind, "BinaryValue" if kind == "Binary" else "StringValue": value}


@pytest.mark.parametrize(
    ("policy", "kind", "value", "expected"),
    [
        ('{"a":["1"]}', "String", "1", True),
        ('{"a":[1]}', "String", "1", False),
        ('{"a":[1]}', "Number", "1.0", True),
        ('{"a":["1"]}', "Number", "1", False),
        ('{"a":["x"]}', "String.Array", '["y","x"]', True),
        ('{"a":["x"]}', "String.Array", "x", True),
        ('{"a":[true]}', "String.Array", "[true]", True),
        ('{"a":[{"exists":true}]}', "Binary", b"x", False),
        ('{"a":[{"numeric":[">",1e2]}]}', "Number.int", "101", True),
    ],
)
def test_attributes_are_seen_by_their_types(
    policy: str, kind: str, value: Any, expected: bool
) -> None:
    assert matcher(policy, body=False)(attributes_event({"a": _attribute(kind, value)})) is expected
