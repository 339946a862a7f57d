"""Stack policies: which resources an update may touch, and how."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from skyfold.services.cloudformation.errors import ValidationError

_ACTIONS = frozenset({"Update:Modify", "Update:Replace", "Update:Delete", "Update:*"})


def check_policy(text: str) -> None:
    """Raise ValidationError unless ``text`` is a stack policy."""
    invalid = ValidationError("Error validating stack policy: Invalid stack policy")
    try:
        body = json.loads(text)
    except ValueError:
        raise invalid from None
    if not isinstance(body, dict):
        raise invalid
    if not body:
        return
    statements = body.get("Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise invalid
        if statement.get("Principal", "*") not in ("*", {"AWS": "*"}):
            raise invalid
        if ("Action" in statement) == ("NotAction" in statement):
            raise invalid
        for action in _listed(statement.get("Action", statement.get("NotAction"))):
            if action not in _ACTIONS:
                raise invalid
        for resource in _listed(statement.get("Resource", statement.get("NotResource", []))):
            if not isinstance(resource, str) or not (
                resource == "*" or resource.startswith("LogicalResourceId/")
            ):
                raise invalid


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(text: str | None, action: str, logical_id: str, kind: str) -> bool:
    """Whether the policy lets an update do ``action`` (Update:Modify, ...) to a resource."""
    body = json.loads(text) if text else {}
    if not body:
        return True
    decided = False
    for statement in _listed(body.get("Statement", [])):
        if not _applies(statement, action, logical_id, kind):
            continue
        if statement["Effect"] == "Deny":
            return False
        decided = True
    return decided


def _applies(statement: Mapping[str, Any], action: str, logical_id: str, kind: str) -> bool:
    if "NotAction" in statement:
        if any(_covers(a, action) for a in _listed(statement["NotAction"])):
            return False
    elif not any(_covers(a, action) for a in _listed(statement["Action"])):
        return False
    name = f"LogicalResourceId/{logical_id}"
    if "NotResource" in statement:
        if any(_like(name, r) for r in _listed(statement["NotResource"])):
            return False
    elif not any(_like(name, r) for r in _listed(statement.get("Resource", "*"))):
        return False
    for operator, keys in (statement.get("Condition") or {}).items():
        wanted = _listed(keys.get("ResourceType", []))
        like = operator.endswith("StringLike")
        if not any(_like(kind, w) if like else kind == w for w in wanted):
            return False
    return True


def _covers(granted: str, action: str) -> bool:
    return granted in ("Update:*", action)


def _like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
