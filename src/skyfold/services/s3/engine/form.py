"""Uploads by browser forms: taking the form apart, and holding it against its policy."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from skyfold.services.s3.errors import (
    AccessDenied,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPolicyDocument,
    MalformedPOSTRequest,
    MalformedXML,
)

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_UNCHECKED = frozenset(("policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"))
"""Fields that a policy need not mention."""


class Form(NamedTuple):
    """The fields before the file, by their names in lower case, and the file."""

    fields: Mapping[str, str]
    file: bytes
    filename: str


def parsed(content_type: str, body: bytes) -> Form:
    """The form in a multipart/form-data body; what follows the file is not looked at."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise MalformedPOSTRequest
    delimiter = b"\r\n--" + (found[1] or found[2]).encode()
    fields: dict[str, str] = {}
    for part in (b"\r\n" + body).split(delimiter)[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        named = {name.lower(): text for name, text in _PARAMETER.findall(_text(head))}
        name = named.get("name", "").lower()
        if name == "file":
            return Form(fields, content, named.get("filename", ""))
        if name in fields:
            raise MalformedPOSTRequest
        fields[name] = _text(content)
    raise MalformedPOSTRequest("POST requires exactly one file upload per request.")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as bad:
        raise MalformedPOSTRequest from bad


def check_policy(encoded: str, form: Form, bucket: str, key: str, now: int) -> None:
    """Refuse a form that its policy does not allow."""
    policy = _policy(encoded)
    if _moment(policy["expiration"]) <= now:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    values = {**form.fields, "bucket": bucket, "key": key}
    mentioned = set()
    for condition in policy["conditions"]:
        if isinstance(condition, dict):
            if len(condition) != 1:
                raise InvalidPolicyDocument(
                    "Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly"
                    " one property specified."
                )
            ((name, value),) = condition.items()
            condition = ["eq", f"${name}", value]
        mentioned.add(_check(condition, values, len(form.file)))
    extra = [
        name
        for name in values
        if name not in mentioned and name not in _UNCHECKED and not name.startswith("x-ignore-")
    ]
    if extra:
        raise AccessDenied(f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _policy(encoded: str) -> dict[str, Any]:
    try:
        policy = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as bad:
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from bad
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing conditions.")
    if not isinstance(policy.get("expiration"), str):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing expiration.")
    return policy


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as bad:
        raise InvalidPolicyDocument(
            f"Invalid Policy: Invalid 'expiration' value: '{text}'"
        ) from bad
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _check(condition: Any, values: Mapping[str, str], size: int) -> str:
    """Hold one condition against the form; the field it is about."""
    if not isinstance(condition, list) or len(condition) != 3:
        raise InvalidPolicyDocument("Invalid Policy: Invalid Condition.")
    operator, name, value = condition
    if operator == "content-length-range":
        _check_size(name, value, size)
        return ""
    field = str(name).lower().removeprefix("$")
    given = values.get(field, "")
    holds = given == value if operator == "eq" else given.startswith(str(value))
    if operator not in ("eq", "starts-with"):
        raise InvalidPolicyDocument(f"Invalid Policy: Invalid Condition: {operator}")
    if not str(name).startswith("$") or not holds:
        shown = json.dumps(condition)
        raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {shown}")
    return field


def _check_size(low: Any, high: Any, size: int) -> None:
    if not str(low).isdecimal() or not str(high).isdecimal():
        raise InvalidPolicyDocument("Invalid Policy: Invalid content-length-range.")
    if size < int(low):
        raise EntityTooSmall(ProposedSize=str(size), MinSizeAllowed=str(low))
    if size > int(high):
        raise EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(high))


def tags_of(document: str) -> list[dict[str, str]]:
    """The tags of the field ``tagging``, which is XML."""
    from xml.etree import ElementTree  # few forms have tags

    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as bad:
        raise MalformedXML from bad
    space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    return [
        {name: tag.findtext(f"{space}{name}") or "" for name in ("Key", "Value")}
        for tag in root.iter(f"{space}Tag")
    ]
