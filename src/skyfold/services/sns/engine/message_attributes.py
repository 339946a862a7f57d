"""Message attributes: what SNS accepts, and how they look in a notification."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from skyfold.services.sns.engine.filter_policies import number
from skyfold.services.sns.errors import InvalidParameterValueException

Attributes = Mapping[str, Mapping[str, Any]]
_NAME: Final = re.compile(r"(?!(aws|amazon)\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.IGNORECASE)
_NAME_MAX: Final = 256


def accepted(attributes: Attributes) -> dict[str, dict[str, Any]]:
    """The attributes of a message, as they are passed on. Raises what SNS would."""
    return {name: _accepted(name, attribute) for name, attribute in attributes.items()}


def _accepted(name: str, attribute: Mapping[str, Any]) -> dict[str, Any]:
    if len(name) > _NAME_MAX or not _NAME.fullmatch(name):
        raise InvalidParameterValueException(
            f"The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, "
            "0-9, underscore (_), hyphen (-), and period (.) characters, cannot begin or end with "
            "a period, and cannot begin with AWS. or Amazon."
        )
    kind = attribute.get("DataType", "")
    if not kind:
        raise InvalidParameterValueException(
            f"The message attribute '{name}' must contain non-empty message attribute type."
        )
    base = kind.partition(".")[0]
    if base not in {"String", "Number", "Binary"}:
        raise InvalidParameterValueException(
            f"The message attribute '{name}' has an invalid message attribute type, the set of "
            "supported type prefixes is Binary, Number, and String."
        )
    member = "BinaryValue" if base == "Binary" else "StringValue"
    if not attribute.get(member):
        raise InvalidParameterValueException(
            f"The message attribute '{name}' must contain non-empty message attribute value for "
            f"message attribute type '{kind}'."
        )
    if set(attribute) - {"DataType", member}:
        raise InvalidParameterValueException(
            f"The message attribute '{name}' with type '{kind}' must use field '{base}'."
        )
    value = attribute[member]
    if base == "Number":
        _check_number(name, value)
    return {"DataType": kind, member: value}


def _check_number(name: str, text: str) -> None:
    try:
        number(text)
    except ValueError as bad:
        raise InvalidParameterValueException(
            f"Could not cast message attribute '{name}' value to number."
        ) from bad


def size(attributes: Attributes) -> int:
    """How many bytes attributes add to a message."""
    total = 0
    for name, attribute in attributes.items():
        value = attribute.get("StringValue")
        data = attribute["BinaryValue"] if value is None else value.encode()
        total += len(name) + len(attribute["DataType"]) + len(data)
    return total


def shown(attributes: Attributes) -> dict[str, dict[str, str]]:
    """As notifications have them: type and value, binary ones in base64."""
    return {
        name: {"Type": attribute["DataType"], "Value": _text(attribute)}
        for name, attribute in attributes.items()
    }


def _text(attribute: Mapping[str, Any]) -> str:
    text = attribute.get("StringValue")
    return b64encode(attribute["BinaryValue"]).decode() if text is None else str(text)


def listed(attributes: Attributes) -> str:
    """As a member of a notification's JSON."""
    lines = (
        f"    {json.dumps(name)} : {json.dumps(value, separators=(',', ':'))}"
        for name, value in shown(attributes).items()
    )
    return "{\n" + ",\n".join(lines) + "\n  }"
