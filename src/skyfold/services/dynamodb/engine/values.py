"""Attribute values in wire shape (``{"S": "..."}``): checked, made canonical, measured, compared.

Canonical means that equal values are equal dictionaries: numbers are canonical text, sets are
sorted, ``NULL`` is true.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from skyfold.services.dynamodb.engine import numbers
from skyfold.services.dynamodb.errors import ValidationException, invalid
from skyfold.services.dynamodb.limits import NESTING_LEVELS_MAX

Value = dict[str, Any]
Item = dict[str, Value]

TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"})
SETS = frozenset({"SS", "NS", "BS"})
ORDERED = frozenset({"S", "N", "B"})
_DOCUMENT_BYTES = 3


def kind_of(value: Mapping[str, Any]) -> str:
    """The type of a value: ``S``, ``N``, ..."""
    for kind in value:
        return kind
    return ""


def text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def clean_item(item: Mapping[str, Mapping[str, Any]]) -> tuple[Item, int]:
    """The item, canonical, and its size in bytes by DynamoDB's rules."""
    out: Item = {}
    size = 0
    for name, value in item.items():
        text = value.get("S")
        if text is not None and len(value) == 1:  # as clean does it, for the commonest type
            out[name] = value  # type: ignore[assignment]  # values are never changed in place
            size += len(text) if text.isascii() else text_bytes(text)
        else:
            out[name], value_size = clean(value)
            size += value_size
        size += len(name) if name.isascii() else text_bytes(name)
    return out, size


def clean(value: Mapping[str, Any], depth: int = 0) -> tuple[Value, int]:
    """The value, canonical, and its size. Raises ValidationException for what is none."""
    if len(value) != 1:
        raise _not_one_type(value)
    for kind, raw in value.items():
        if raw is None:
            break
        if kind == "S":
            return {"S": raw}, len(raw) if raw.isascii() else text_bytes(raw)
        if kind == "N":
            number = numbers.canonical(raw)
            return {"N": number}, numbers.size(number)
        if kind == "BOOL":
            return {"BOOL": raw}, 1
        if kind == "B":
            return {"B": raw}, len(raw)
        if kind == "NULL":
            return {"NULL": True}, 1
        if kind in SETS:
            return _clean_set(kind, raw)
        if kind == "M" or kind == "L":
            return _clean_document(kind, raw, depth + 1)
    raise _not_one_type({})


def _not_one_type(value: Mapping[str, Any]) -> ValidationException:
    problem = "is empty" if not value else "has more than one datatypes set"
    return ValidationException(
        f"Supplied AttributeValue {problem}, must contain exactly one of the supported datatypes"
    )


def _clean_document(kind: str, raw: Any, depth: int) -> tuple[Value, int]:
    if depth > NESTING_LEVELS_MAX:
        raise ValidationException("Nesting Levels have exceeded supported limits")
    size = _DOCUMENT_BYTES + len(raw)
    if kind == "L":
        members = []
        for member in raw:
            cleaned, member_size = clean(member, depth)
            members.append(cleaned)
            size += member_size
        return {"L": members}, size
    fields: Item = {}
    for name, field in raw.items():
        fields[name], field_size = clean(field, depth)
        size += text_bytes(name) + field_size
    return {"M": fields}, size


def _clean_set(kind: str, raw: list[Any]) -> tuple[Value, int]:
    if not raw:
        raise invalid(
            "Binary sets should not be empty"
            if kind == "BS"
            else f"An {'string' if kind == 'SS' else 'number'} set  may not be empty"
        )
    if kind == "NS":
        found = {numbers.canonical(number) for number in raw}
        if len(found) != len(raw):
            raise ValidationException("Input collection contains duplicates")
        ordered = sorted(found, key=numbers.encode)
        return {"NS": ordered}, sum(map(numbers.size, ordered))
    if not all(raw):
        raise invalid(
            "An string set may not have a empty string as a member"
            if kind == "SS"
            else "Binary sets may not contain null or empty values"
        )
    unique = set(raw)
    if len(unique) != len(raw):
        raise invalid(_duplicates(kind, raw))
    measure = text_bytes if kind == "SS" else len
    return {kind: sorted(unique)}, sum(map(measure, unique))


def _duplicates(kind: str, raw: list[Any]) -> str:
    if kind == "SS":
        return f"Input collection [{', '.join(raw)}] contains duplicates."
    shown = ", ".join(base64.b64encode(member).decode() for member in raw)
    return f"Input collection [{shown}]of type BS contains duplicates."


def sorted_set(kind: str, members: set[Any]) -> Value:
    """A set value in canonical form."""
    return {kind: sorted(members, key=numbers.encode if kind == "NS" else None)}


def value_size(value: Mapping[str, Any]) -> int:
    """The size of a canonical value."""
    for kind, raw in value.items():
        if kind == "S":
            return text_bytes(raw)
        if kind == "N":
            return numbers.size(raw)
        if kind == "B":
            return len(raw)
        if kind == "SS":
            return sum(map(text_bytes, raw))
        if kind == "NS":
            return sum(map(numbers.size, raw))
        if kind == "BS":
            return sum(map(len, raw))
        if kind == "L":
            return _DOCUMENT_BYTES + len(raw) + sum(map(value_size, raw))
        if kind == "M":
            return _DOCUMENT_BYTES + len(raw) + item_size(raw)
    return 1


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of a canonical item."""
    return sum(text_bytes(name) + value_size(value) for name, value in item.items())


def too_deep(value: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether a value that an update has put together nests further than is allowed."""
    inner = value.get("L") if "L" in value else list(value["M"].values()) if "M" in value else None
    if inner is None:
        return False
    return depth + 1 > NESTING_LEVELS_MAX or any(too_deep(each, depth + 1) for each in inner)


def shown(value: Mapping[str, Any]) -> str:
    """A scalar as text: for policies and for error messages."""
    for raw in value.values():
        return base64.b64encode(raw).decode() if isinstance(raw, bytes) else str(raw)
    return ""


def order(left: Value | None, right: Value | None) -> int | None:
    """Below, at or above zero as ``left`` sorts; None where the two have no order."""
    if left is None or right is None:
        return None
    for kind, raw in left.items():
        other = right.get(kind)
        if other is None or kind not in ORDERED:
            return None
        if raw == other:
            return 0
        if kind == "N":
            raw, other = Decimal(raw), Decimal(other)
        return -1 if raw < other else 1
    return None
