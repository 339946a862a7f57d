"""Whether a bucket policy is public: whether it lets in somebody whom it does not fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIXED_KEYS = frozenset(
    key.lower()
    for key in (
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceIp",
        "aws:SourceOrgID",
        "aws:SourceOrgPaths",
        "aws:SourceOwner",
        "aws:SourceVpc",
        "aws:SourceVpce",
        "aws:userid",
        "aws:PrincipalArn",
        "aws:PrincipalAccount",
        "aws:PrincipalOrgID",
        "aws:PrincipalOrgPaths",
        "aws:VpcSourceIp",
        "s3:DataAccessPointAccount",
        "s3:DataAccessPointArn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)
_FIXING_OPERATORS = ("stringequals", "stringlike", "arnequals", "arnlike", "ipaddress")


def as_list(value: Any) -> list[Any]:
    """A policy's element, which may be one or a list of them."""
    return value if isinstance(value, list) else [value]


def is_public(policy: Mapping[str, Any]) -> bool:
    return any(_lets_in_anybody(statement) for statement in as_list(policy.get("Statement", [])))


def _lets_in_anybody(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    values = principal.values() if isinstance(principal, Mapping) else [principal]
    named = [one for value in values for one in as_list(value)]
    return "*" in named and not _is_fixed(statement.get("Condition") or {})


def _is_fixed(condition: Mapping[str, Any]) -> bool:
    """Whether a condition narrows "everybody" to fixed values, as S3 counts them."""
    for operator, tests in condition.items():
        name = operator.lower().rpartition(":")[2]
        if not name.startswith(_FIXING_OPERATORS) or name.endswith("ifexists"):
            continue
        for key, values in tests.items():
            texts = [str(value) for value in as_list(values)]
            if key.lower() in _FIXED_KEYS and all(_is_narrow(key, text) for text in texts):
                return True
    return False


def _is_narrow(key: str, text: str) -> bool:
    if key.lower() in ("aws:sourceip", "aws:vpcsourceip"):
        bits = text.rpartition("/")[2] if "/" in text else "32"
        return bits.isdigit() and int(bits) >= (32 if ":" in text else 8)
    return "*" not in text and "${" not in text
