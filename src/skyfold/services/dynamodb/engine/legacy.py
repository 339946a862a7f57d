"""The parameters that expressions replaced, translated into what expressions compile to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skyfold.services.dynamodb.engine import comparisons
from skyfold.services.dynamodb.engine.matchers import Values
from skyfold.services.dynamodb.engine.updates import Action, apply
from skyfold.services.dynamodb.engine.values import SETS, Item, Value, clean, kind_of, order
from skyfold.services.dynamodb.errors import ValidationException, invalid

Match = Callable[[Mapping[str, Value]], bool]
_COUNTS = {"NULL": (0, 0), "NOT_NULL": (0, 0), "BETWEEN": (2, 2), "IN": (1, 1_000_000)}
_SCALAR = frozenset({"S", "N", "B"})
_ALLOWED = {
    "LE": _SCALAR,
    "LT": _SCALAR,
    "GE": _SCALAR,
    "GT": _SCALAR,
    "CONTAINS": _SCALAR,
    "NOT_CONTAINS": _SCALAR,
    "BEGINS_WITH": frozenset({"S", "B"}),
    "IN": _SCALAR,
    "BETWEEN": _SCALAR,
}
_PLAIN: dict[str, Callable[[Value | None, Value | None], bool]] = {
    "EQ": comparisons.equal,
    "NE": comparisons.differs,
    "LT": comparisons.below,
    "LE": comparisons.at_most,
    "GT": comparisons.above,
    "GE": comparisons.at_least,
    "BEGINS_WITH": comparisons.begins_with,
    "CONTAINS": comparisons.contains,
    "NOT_CONTAINS": lambda value, member: (
        value is not None and not comparisons.contains(value, member)
    ),
}


class LegacyTest(NamedTuple):
    """One attribute's condition: ``operator`` as the API spells it."""

    operator: str
    values: tuple[Value, ...]

    def holds(self, value: Value | None) -> bool:
        if self.operator == "NULL":
            return value is None
        if self.operator == "NOT_NULL":
            return value is not None
        if self.operator == "IN":
            return value is not None and value in self.values
        if self.operator == "BETWEEN":
            return comparisons.between(value, *self.values)
        return _PLAIN[self.operator](value, self.values[0])


def tests_of(conditions: Mapping[str, Mapping[str, Any]]) -> dict[str, LegacyTest]:
    """KeyConditions, QueryFilter or ScanFilter, checked."""
    return {
        name: _test(each["ComparisonOperator"], each.get("AttributeValueList") or [])
        for name, each in conditions.items()
    }


def match_of(tests: Mapping[str, LegacyTest], operator: str | None) -> Match:
    """All of the tests, or with ``OR`` any of them."""
    pairs = tuple(tests.items())
    if operator == "OR":
        return lambda item: any(test.holds(item.get(name)) for name, test in pairs)
    return lambda item: all(test.holds(item.get(name)) for name, test in pairs)


def _test(operator: str, given: list[Any]) -> LegacyTest:
    values = tuple(clean(value)[0] for value in given)
    least, most = _COUNTS.get(operator, (1, 1))
    if not least <= len(values) <= most:
        raise invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    if len({kind_of(value) for value in values}) > 1:
        raise invalid("AttributeValues inside AttributeValueList must be of same type")
    allowed = _ALLOWED.get(operator)
    for value in values:
        if allowed is not None and kind_of(value) not in allowed:
            raise invalid(
                f"ComparisonOperator {operator} is not valid for {kind_of(value)} "
                "AttributeValue type"
            )
    if operator == "BETWEEN" and (order(values[0], values[1]) or 0) > 0:
        raise ValidationException(
            "The BETWEEN condition was provided a range where the lower bound is greater than "
            "the upper bound"
        )
    return LegacyTest(operator, values)


def expected_tests(expected: Mapping[str, Mapping[str, Any]]) -> dict[str, LegacyTest]:
    """Expected, in both of its forms: Value with Exists, and ComparisonOperator."""
    return {name: _expectation(name, each) for name, each in expected.items()}


def _expectation(name: str, each: Mapping[str, Any]) -> LegacyTest:
    operator, value = each.get("ComparisonOperator"), each.get("Value")
    listed, exists = each.get("AttributeValueList"), each.get("Exists")
    if listed is not None and value is not None:
        raise invalid(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
    if operator is not None:
        if exists is not None:
            raise invalid(
                f"Exists and ComparisonOperator cannot be used together for Attribute: {name}"
            )
        if listed is None and value is None and operator not in ("NULL", "NOT_NULL"):
            raise invalid(
                "Value or AttributeValueList must be used with ComparisonOperator: "
                f"{operator} for Attribute: {name}"
            )
        return _test(operator, listed if listed is not None else [value] if value else [])
    if listed is not None:
        raise invalid(
            f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
        )
    if exists is False:
        if value is not None:
            raise invalid(f"Value cannot be used when Exists is false for Attribute: {name}")
        return _test("NULL", [])
    if value is None:
        shown = "null" if exists is None else "true"
        raise invalid(f"Value must be provided when Exists is {shown} for Attribute: {name}")
    return _test("EQ", [value])


class LegacyUpdate:
    """AttributeUpdates, in the clothes of an Update."""

    def __init__(self, updates: Mapping[str, Mapping[str, Any]]) -> None:
        self.actions = tuple(_action(name, each) for name, each in updates.items())
        self.paths = tuple(action.path for action in self.actions)
        self.heads = frozenset(updates)
        self.nested: frozenset[str] = frozenset()

    def apply(self, old: Mapping[str, Value], values: Values) -> Item:
        try:
            return apply(self.actions, old, values)
        except ValidationException as bad:
            if "incorrect data type" in bad.text:
                raise ValidationException("Type mismatch for attribute to update") from None
            raise


def _action(name: str, each: Mapping[str, Any]) -> Action:
    wanted, given = each.get("Action", "PUT"), each.get("Value")
    path = (name,)
    if given is None:
        if wanted != "DELETE":
            raise invalid("Only DELETE action is allowed when no attribute value is specified")
        return Action("REMOVE", path, None, "")
    value = clean(given)[0]
    kind = kind_of(value)
    if wanted == "DELETE":
        if kind not in SETS:
            raise invalid(f"DELETE action with value is not supported for the type {kind}")
        return Action("DELETE", path, lambda item, values: value, "")
    if wanted == "PUT":
        return Action("SET", path, lambda item, values: value, "")
    if kind == "L":
        return Action("SET", path, lambda item, values: _extended(item.get(name), value), "")
    if kind not in SETS and kind != "N":
        raise invalid(f"ADD action is not supported for the type {kind}")
    return Action("ADD", path, lambda item, values: value, "")


def _extended(existing: Value | None, added: Value) -> Value:
    if existing is None:
        return added
    if "L" not in existing:
        raise ValidationException("Type mismatch for attribute to update")
    return {"L": [*existing["L"], *added["L"]]}
