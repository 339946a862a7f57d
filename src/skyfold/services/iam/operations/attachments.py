"""Managed policies attached to users, groups and roles."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.access.tables import ATTACHED, ATTACHED_TO
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
)
from skyfold.services.iam.limits import ATTACHED_POLICIES_MAX, COUNTED_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page_of
from skyfold.store.api import ReadTx, Tx


async def attach_user_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    await attach(tx, call, owner.id, request["PolicyArn"], "PoliciesPerUser")


async def attach_group_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    await attach(tx, call, owner.id, request["PolicyArn"], "PoliciesPerGroup")


async def attach_role_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.own_role(tx, call, request["RoleName"])
    await attach(tx, call, owner.id, request["PolicyArn"], "PoliciesPerRole")


async def detach_user_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    await _detach(tx, call, owner.id, request["PolicyArn"])


async def detach_group_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    await _detach(tx, call, owner.id, request["PolicyArn"])


async def detach_role_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.own_role(tx, call, request["RoleName"])
    await _detach(tx, call, owner.id, request["PolicyArn"])


async def list_attached_user_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    return await _listed(tx, call, request, "ListAttachedUserPolicies", owner.id)


async def list_attached_group_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    return await _listed(tx, call, request, "ListAttachedGroupPolicies", owner.id)


async def list_attached_role_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.role(tx, call, request["RoleName"])
    return await _listed(tx, call, request, "ListAttachedRolePolicies", owner.id)


async def attach(tx: Tx, call: Call, owner_id: str, arn: str, quota: str) -> None:
    entities.check_arn(arn)
    if await entities.find_policy(tx, call, arn) is None:
        raise NoSuchEntityException(f"Policy {arn} does not exist or is not attachable.")
    held = await attached(tx, owner_id)
    if arn not in held and len(held) >= ATTACHED_POLICIES_MAX:
        raise LimitExceededException(f"Cannot exceed quota for {quota}: {ATTACHED_POLICIES_MAX}")
    ATTACHED.put(tx, owner_id, arn)
    ATTACHED_TO.put(tx, call.account, arn, owner_id)


async def _detach(tx: Tx, call: Call, owner_id: str, arn: str) -> None:
    entities.check_arn(arn)
    if not await ATTACHED.has(tx, owner_id, arn):
        raise NoSuchEntityException(f"Policy {arn} was not found.")
    ATTACHED.delete(tx, owner_id, arn)
    ATTACHED_TO.delete(tx, call.account, arn, owner_id)


async def _listed(tx: ReadTx, call: Call, request: Request, purpose: str, owner_id: str) -> Any:
    prefix = request.get("PathPrefix", "/")
    rows = []
    for arn in await attached(tx, owner_id):
        row = await entities.find_policy(tx, call, arn)
        if row is not None and row.path.startswith(prefix):
            rows.append(row)
    shown, more = page_of(request, purpose, rows)
    policies = [reply(PolicyName=row.name, PolicyArn=row.arn) for row in shown]
    return reply(AttachedPolicies=policies, **more)


async def attached(tx: ReadTx, owner_id: str) -> list[str]:
    """The ARNs of the managed policies of an entity."""
    return [row[1] for row in await ATTACHED.scan(tx, owner_id, limit=COUNTED_MAX)]


async def refuse_while_attached(tx: ReadTx, owner_id: str) -> None:
    if await attached(tx, owner_id):
        raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
