"""Event patterns: JSON that says which JSON it matches, compiled to functions.

The language of SNS filter policies and, but for a few words, of EventBridge. It knows nothing of
either: what a user of the language leaves out or limits is said in ``Dialect``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Matcher = Callable[[Mapping[str, Any]], bool]
"""Whether an event (a JSON object) matches."""
Test = Callable[[Any], bool]
"""Whether a value, which is no object and no array, matches."""


class PatternError(Exception):
    """What is wrong with a pattern, in AWS's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a service allows of the language."""

    operators: frozenset[str]
    anything_but: frozenset[str]
    """Operators inside ``anything-but``."""
    number_max: float


def compiled(pattern: Mapping[str, Any], dialect: Dialect) -> Matcher:
    """The matcher of ``pattern``. Raises PatternError."""
    parts: list[Matcher] = []
    for key, wanted in pattern.items():
        if is_or(key, wanted):
            parts.append(_any_of([compiled(alternative, dialect) for alternative in wanted]))
        elif isinstance(wanted, Mapping):
            if not wanted:
                raise PatternError("Empty objects are not allowed")
            parts.append(_inside(key, compiled(wanted, dialect)))
        elif isinstance(wanted, list):
            parts.append(_field(key, wanted, dialect))
        else:
            raise PatternError(f'"{key}" must be an object or an array')
    if len(parts) == 1:
        return parts[0]
    return lambda event: all(part(event) for part in parts)


def is_or(key: str, wanted: Any) -> bool:
    """``$or`` is an operator where it holds two patterns or more; otherwise a key like any."""
    return (
        key == "$or"
        and isinstance(wanted, list)
        and len(wanted) > 1
        and all(isinstance(item, Mapping) and item for item in wanted)
        and not any(item.keys() <= OPERATORS for item in wanted)
    )


def _any_of(alternatives: Sequence[Matcher]) -> Matcher:
    return lambda event: any(alternative(event) for alternative in alternatives)


def _inside(key: str, inner: Matcher) -> Matcher:
    def matches(event: Mapping[str, Any]) -> bool:
        value = event.get(key)
        if isinstance(value, Mapping):
            return inner(value)
        if isinstance(value, list):  # all of a pattern has to match in one element
            return any(inner(item) for item in _objects(value))
        return inner({})

    return matches


def _objects(values: list[Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for value in values:
        if isinstance(value, Mapping):
            found.append(value)
        elif isinstance(value, list):
            found += _objects(value)
    return found


# --- one field ------------------------------------------------------------------------------------


def _field(key: str, wanted: list[Any], dialect: Dialect) -> Matcher:
    if not wanted:
        raise PatternError("Empty arrays are not allowed")
    exact: set[tuple[str, Any]] = set()
    tests: list[Test] = []
    present = absent = False
    for condition in wanted:
        if not isinstance(condition, Mapping):
            exact.add(_typed(condition, dialect))
            continue
        operator, operand = _only(condition)
        if operator not in dialect.operators:
            raise PatternError(f"Unrecognized match type {operator}")
        if operator == "exists":
            if not isinstance(operand, bool):
                raise PatternError("exists match pattern must be either true or false.")
            present, absent = present or operand, absent or not operand
        else:
            tests.append(_TESTS[operator](operand, dialect))

    def matches(event: Mapping[str, Any]) -> bool:
        values = _leaves(event[key]) if key in event else ()
        if not values:
            return absent
        if present:
            return True
        return any(tag(v) in exact or any(test(v) for test in tests) for v in values)

    return matches


def _leaves(value: Any) -> Sequence[Any]:
    """The values at a field: an array stands for each of its elements, an object for none."""
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return () if isinstance(value, Mapping) else (value,)


def _only(condition: Mapping[str, Any]) -> tuple[str, Any]:
    if len(condition) != 1:
        raise PatternError(
            "Only one key allowed in match expression" if condition else "Empty match expression"
        )
    return next(iter(condition.items()))


def tag(value: Any) -> tuple[str, Any]:
    """A value so that values of different JSON types differ, and equal numbers do not."""
    if isinstance(value, str):
        return "s", value
    if isinstance(value, bool):
        return "b", value
    return ("n", value) if isinstance(value, (int, float)) else ("0", None)


def _typed(value: Any, dialect: Dialect) -> tuple[str, Any]:
    if isinstance(value, list):
        raise PatternError("Match value must be String, number, true, false, or null")
    kind, plain = tag(value)
    if kind == "n" and abs(plain) > dialect.number_max:
        raise PatternError(
            f"Value must be between -{dialect.number_max:.0f} and {dialect.number_max:.0f}"
        )
    return kind, plain


# --- operators ------------------------------------------------------------------------------------


def _text(operator: str, operand: Any) -> str:
    if not isinstance(operand, str):
        raise PatternError(f"{operator} match pattern must be a string")
    return operand


def _affix(operator: str, operand: Any, on: Callable[[str, str], bool]) -> Test:
    if isinstance(operand, Mapping):
        inner, folded = _only(operand)
        if inner != "equals-ignore-case":
            raise PatternError(f"Unsupported {operator} pattern: {inner}")
        wanted = _text("equals-ignore-case", folded).lower()
        return lambda value: isinstance(value, str) and on(value.lower(), wanted)
    text = _text(operator, operand)
    return lambda value: isinstance(value, str) and on(value, text)


def _prefix(operand: Any, dialect: Dialect) -> Test:
    return _affix("prefix", operand, str.startswith)


def _suffix(operand: Any, dialect: Dialect) -> Test:
    return _affix("suffix", operand, str.endswith)


def _equals_ignore_case(operand: Any, dialect: Dialect) -> Test:
    wanted = _text("equals-ignore-case", operand).lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _wildcard(operand: Any, dialect: Dialect) -> Test:
    text = _text("wildcard", operand)
    parts, at = [], 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
            if text[at : at + 1] not in ("*", "\\"):
                raise PatternError("Invalid escape character in wildcard match pattern")
            parts.append(re.escape(text[at]))
        elif character == "*":
            if parts and parts[-1] == ".*":
                raise PatternError("Consecutive wildcard characters in wildcard match pattern")
            parts.append(".*")
        else:
            parts.append(re.escape(character))
        at += 1
    matches = re.compile("".join(parts), re.DOTALL).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def _cidr(operand: Any, dialect: Dialect) -> Test:
    try:
        network = ipaddress.ip_network(_text("cidr", operand), strict=False)
    except ValueError as bad:
        raise PatternError("Malformed CIDR, one '/' required") from bad

    def contains(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return contains


_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Any, dialect: Dialect) -> Test:
    if not isinstance(operand, list) or not operand:
        raise PatternError("Value of numeric must be an array.")
    words, bounds = operand[::2], operand[1::2]
    for word in words:
        if word not in _COMPARISONS:
            raise PatternError(f"Unrecognized numeric range operator: {word}")
    if len(bounds) != len(words) or not all(tag(bound)[0] == "n" for bound in bounds):
        raise PatternError(f"Value of {words[-1]} must be numeric")
    for bound in bounds:
        _typed(bound, dialect)
    if len(words) > 2 or (len(words) == 2 and (words[0][0] != ">" or words[1][0] != "<")):
        raise PatternError("Too many elements in numeric expression")
    if len(words) == 2 and not bounds[0] < bounds[1]:
        raise PatternError("Bottom must be less than top")
    compare = [(_COMPARISONS[word], bound) for word, bound in zip(words, bounds, strict=True)]
    return lambda value: tag(value)[0] == "n" and all(ok(value, bound) for ok, bound in compare)


def _anything_but(operand: Any, dialect: Dialect) -> Test:
    if isinstance(operand, Mapping):
        operator, inner = _only(operand)
        if operator not in dialect.anything_but:
            raise PatternError(f"Unsupported anything-but pattern: {operator}")
        tests = [
            _TESTS[operator](item, dialect)
            for item in (inner if isinstance(inner, list) else [inner])
        ]
        return lambda value: isinstance(value, str) and not any(test(value) for test in tests)
    listed = operand if isinstance(operand, list) else [operand]
    if not listed:
        raise PatternError("Empty arrays are not allowed")
    excluded = {_typed(item, dialect) for item in listed}
    if excluded & {("0", None), ("b", True), ("b", False)} or len({k for k, _ in excluded}) > 1:
        raise PatternError(
            "Inside anything but list, either all values are number or string, mixed type is not "
            "supported"
        )
    return lambda value: tag(value) not in excluded


_TESTS: Final[Mapping[str, Callable[[Any, Dialect], Test]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}
OPERATORS: Final = frozenset((*_TESTS, "exists"))
