"""PutResourcePolicy, GetResourcePolicy and DeleteResourcePolicy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.dynamodb.errors import (
    PolicyNotFoundException,
    ResourceNotFoundException,
    ValidationException,
)
from skyfold.services.dynamodb.limits import POLICY_BYTES_MAX
from skyfold.services.dynamodb.operations.access import find_table
from skyfold.services.dynamodb.tables import POLICIES, PolicyRow
from skyfold.store.api import ReadTx, Tx

_NO_POLICY = "NO_POLICY"
_decode = msgspec.msgpack.Decoder(PolicyRow).decode


def checked_policy(text: str) -> str:
    """A policy document that can be read, in 20 KB at most."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise ValidationException("Resource-based policy exceeds the maximum allowed size of 20 KB")
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        document = None
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(
        isinstance(each, dict)
        and each.get("Effect") in ("Allow", "Deny")
        and ("Principal" in each or "NotPrincipal" in each)
        and ("Action" in each or "NotAction" in each)
        for each in statements
    ):
        raise ValidationException("Resource-based policy document is malformed")
    return text


def new_policy(call: Call, arn: str, policy: str) -> PolicyRow:
    revision = int.from_bytes(call.platform.ids.bytes(7)) % 10**16
    return PolicyRow(arn=arn, policy=policy, revision=str(revision))


async def policy_of(tx: ReadTx, arn: str) -> str | None:
    """The policy that governs a table, its indexes and its items."""
    found = await tx.get(_policy_key(arn))
    return None if found is None else _decode(found).policy


@lru_cache(maxsize=4096)
def _policy_key(arn: str) -> bytes:
    head, _, resource = arn.partition(":table/")
    return POLICIES.prefix(f"{head}:table/{resource.partition('/')[0]}")


async def _table_arn(tx: ReadTx, call: Call, arn: str) -> str:
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "dynamodb":
        raise ValidationException(f"Invalid ResourceArn provided as input {arn}")
    schema = await find_table(tx, call, arn)
    if schema is None or arn != schema.arn:
        raise ResourceNotFoundException(f"Requested resource not found: ResourceArn: {arn}")
    return schema.arn


async def put_resource_policy(tx: Tx, call: Call, request: Request) -> Any:
    arn = await _table_arn(tx, call, request["ResourceArn"])
    policy = checked_policy(request["Policy"])
    present = await POLICIES.get(tx, arn)
    _check_revision(request, present, absent=_NO_POLICY)
    if present is not None and present.policy == policy:
        return {"RevisionId": present.revision}
    row = new_policy(call, arn, policy)
    POLICIES.put(tx, row)
    return {"RevisionId": row.revision}


def _check_revision(request: Request, present: PolicyRow | None, *, absent: str = "") -> None:
    expected = request.get("ExpectedRevisionId")
    if expected is not None and expected != (absent if present is None else present.revision):
        raise PolicyNotFoundException


async def get_resource_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    arn = await _table_arn(tx, call, request["ResourceArn"])
    present = await POLICIES.get(tx, arn)
    if present is None:
        raise PolicyNotFoundException(f"Resource-based policy not found for the provided {arn}")
    return {"Policy": present.policy, "RevisionId": present.revision}


async def delete_resource_policy(tx: Tx, call: Call, request: Request) -> Any:
    arn = await _table_arn(tx, call, request["ResourceArn"])
    present = await POLICIES.get(tx, arn)
    _check_revision(request, present)
    POLICIES.delete(tx, arn)
    return reply(RevisionId=None if present is None else present.revision)
