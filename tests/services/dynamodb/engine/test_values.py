"""Attribute values: what is one, what it weighs, when two are equal."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.dynamodb.engine.values import clean, clean_item, item_size, value_size
from skyfold.services.dynamodb.errors import ValidationException


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one"),
        ({"S": "a", "N": "1"}, "Supplied AttributeValue has more than one datatypes set"),
        ({"SS": []}, "An string set  may not be empty"),
        ({"NS": []}, "An number set  may not be empty"),
        ({"BS": []}, "Binary sets should not be empty"),
        ({"SS": ["a", ""]}, "An string set may not have a empty string as a member"),
        ({"SS": ["a", "a"]}, r"Input collection \[a, a\] contains duplicates"),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        ({"BS": [b"a", b"a"]}, r"Input collection \[YQ==, YQ==\]of type BS contains duplicates"),
        ({"L": [{"M": {"x": {"SS": []}}}]}, "An string set  may not be empty"),
    ],
)
def test_malformed_values_are_refused_in_dynamodbs_words(value: Any, problem: str) -> None:
    with pytest.raises(ValidationException, match=problem):
        clean(value)


def test_sets_are_equal_whatever_order_they_come_in() -> None:
    assert clean({"NS": ["10", "9", "1e1"[:1]]})[0] == clean({"NS": ["1", "9.0", "10"]})[0]
    assert clean({"SS": ["b", "a"]})[0] == clean({"SS": ["a", "b"]})[0]


def test_a_null_that_is_false_becomes_true() -> None:
    assert clean({"NULL": False})[0] == {"NULL": True}


def nested(levels: int) -> Any:
    value: Any = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def test_documents_nest_32_levels_and_no_more() -> None:
    assert clean(nested(32))[0] == nested(32)
    with pytest.raises(ValidationException, match="Nesting Levels have exceeded supported limits"):
        clean(nested(33))


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "héllo"}, 6),
        ({"S": ""}, 0),
        ({"B": b"abc"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "22"]}, 4),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": True}]}, 3 + 2 + 3),
        ({"M": {"key": {"S": "v"}}}, 3 + 1 + 3 + 1),
    ],
)
def test_values_weigh_what_dynamodb_says(value: Any, size: int) -> None:
    cleaned, measured = clean(value)

    assert measured == size
    assert value_size(cleaned) == size


def test_an_item_weighs_its_names_and_its_values() -> None:
    item, size = clean_item({"pk": {"S": "abc"}, "ä": {"N": "1"}})

    assert size == (2 + 3) + (2 + 2)
    assert item_size(item) == size
