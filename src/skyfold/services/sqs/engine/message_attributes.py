"""Message attributes: what SQS accepts, how it sums them up, and which a receiver asked for."""

from __future__ import annotations

import functools
import hashlib
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import (
    InvalidMessageContents,
    InvalidParameterValue,
    UnsupportedOperation,
)

Attributes = Mapping[str, Mapping[str, Any]]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NUMBER_MAX: Final = Decimal(10) ** 126
_DIGITS_MAX: Final = 38
_length: Final = struct.Struct(">I").pack


def accepted(attributes: Attributes) -> dict[str, dict[str, Any]]:
    """The attributes of a message as they are kept. Raises what SQS would."""
    if len(attributes) > limits.MESSAGE_ATTRIBUTES_MAX:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum "
            f"[{limits.MESSAGE_ATTRIBUTES_MAX}]."
        )
    return {name: _accepted(name, attribute) for name, attribute in attributes.items()}


def _accepted(name: str, attribute: Mapping[str, Any]) -> dict[str, Any]:
    _check_name(name)
    kind = attribute.get("DataType", "")
    if not kind:
        raise InvalidParameterValue(
            f"The message attribute '{name}' must contain a non-empty message attribute type."
        )
    base = kind.partition(".")[0]
    if base not in {"String", "Number", "Binary"} or len(kind) > limits.ATTRIBUTE_TYPE_MAX:
        raise InvalidParameterValue(
            f"The message attribute '{name}' has an invalid message attribute type, the set of "
            "supported type prefixes is Binary, Number, and String."
        )
    if "StringListValues" in attribute or "BinaryListValues" in attribute:
        raise UnsupportedOperation("Message attribute list values are not supported.")
    member = "BinaryValue" if base == "Binary" else "StringValue"
    other = "StringValue" if base == "Binary" else "BinaryValue"
    value = attribute.get(member)
    if not value:
        raise InvalidParameterValue(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'."
        )
    if attribute.get(other):
        raise InvalidParameterValue(
            f"Message (user) attribute '{name}' has a value of another type than '{base}'."
        )
    if base == "Number":
        _check_number(name, value)
    elif base == "String" and limits.FORBIDDEN_CHARACTER.search(value):
        raise InvalidMessageContents
    return {"DataType": kind, member: value}


def _check_name(name: str) -> None:
    if len(name) > limits.ATTRIBUTE_NAME_MAX or not _NAME.fullmatch(name):
        raise InvalidParameterValue(
            f"The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, "
            "0-9, underscore (_), hyphen (-), and period (.) characters."
        )
    if name.lower().startswith(("aws.", "amazon.")):
        raise InvalidParameterValue(
            f"The message attribute name '{name}' is invalid. Attribute name cannot start with "
            "reserved prefixes AWS. or Amazon."
        )


def _check_number(name: str, value: str) -> None:
    try:
        number = Decimal(value)
        fits = len(number.as_tuple().digits) <= _DIGITS_MAX and abs(number) <= _NUMBER_MAX
    except InvalidOperation:
        fits = False
    if not fits:
        raise InvalidParameterValue(
            f"Can't cast the value of message (user) attribute '{name}' to a number."
        )


def trace_header(system: Attributes) -> str:
    """The one system attribute that a sender may give. Raises for any other."""
    for name, attribute in system.items():
        if name != "AWSTraceHeader":
            raise InvalidParameterValue(
                f"Message system attribute name '{name}' is invalid. Valid values: AWSTraceHeader."
            )
        if attribute.get("DataType") != "String" or not attribute.get("StringValue"):
            raise InvalidParameterValue(
                f"Message (system) attribute '{name}' must contain a non-empty value of type "
                "'String'."
            )
        return str(attribute["StringValue"])
    return ""


def size(attributes: Attributes) -> int:
    """How many bytes attributes add to a message: names, types and values."""
    total = 0
    for name, attribute in attributes.items():
        total += len(name) + len(attribute["DataType"]) + len(_value(attribute)[1])
    return total


def md5(attributes: Attributes) -> str:
    """The checksum that SDKs compare: over name, type and value of each, by name."""
    summed = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        transport, value = _value(attribute)
        for part in (name.encode(), str(attribute["DataType"]).encode()):
            summed.update(_length(len(part)) + part)
        summed.update(transport + _length(len(value)) + value)
    return summed.hexdigest()


def _value(attribute: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The kind of the value, as a byte of the checksum, and the value."""
    text = attribute.get("StringValue")
    return (b"\x02", attribute["BinaryValue"]) if text is None else (b"\x01", text.encode())


def selected(attributes: Attributes, names: Sequence[str]) -> Attributes:
    """The attributes that a receiver asked for: names, ``prefix.*``, or ``All``."""
    if not names:
        return {}
    wanted = _selector(tuple(names))
    return {name: value for name, value in attributes.items() if wanted(name)}


@functools.lru_cache(maxsize=256)
def _selector(names: tuple[str, ...]) -> Callable[[str], bool]:
    if "All" in names or ".*" in names:
        return lambda _name: True
    exact = frozenset(names)
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return lambda name: name in exact or name.startswith(prefixes)
