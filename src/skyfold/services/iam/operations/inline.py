"""Policies that are part of one user, group or role."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.access.tables import INLINE, InlineRow
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.errors import LimitExceededException, NoSuchEntityException
from skyfold.services.iam.limits import COUNTED_MAX, INLINE_CHARACTERS_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page
from skyfold.store.api import ReadTx, Tx


async def put_user_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    await _put(tx, "user", owner, request)


async def put_group_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    await _put(tx, "group", owner, request)


async def put_role_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.own_role(tx, call, request["RoleName"])
    await _put(tx, "role", owner, request)


async def get_user_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    return reply(UserName=owner.name, **await _got(tx, "user", owner.id, request))


async def get_group_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    return reply(GroupName=owner.name, **await _got(tx, "group", owner.id, request))


async def get_role_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.role(tx, call, request["RoleName"])
    return reply(RoleName=owner.name, **await _got(tx, "role", owner.id, request))


async def delete_user_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    await _delete(tx, "user", owner.id, request)


async def delete_group_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    await _delete(tx, "group", owner.id, request)


async def delete_role_policy(tx: Tx, call: Call, request: Request) -> Any:
    owner = await entities.own_role(tx, call, request["RoleName"])
    await _delete(tx, "role", owner.id, request)


async def list_user_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.user(tx, call, request["UserName"])
    return await _listed(tx, request, "ListUserPolicies", owner.id)


async def list_group_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.group(tx, call, request["GroupName"])
    return await _listed(tx, request, "ListGroupPolicies", owner.id)


async def list_role_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    owner = await entities.role(tx, call, request["RoleName"])
    return await _listed(tx, request, "ListRolePolicies", owner.id)


async def _put(tx: Tx, kind: str, owner: entities.Owner, request: Request) -> None:
    text, name = request["PolicyDocument"], request["PolicyName"]
    validated(text)
    others = [row for row in await documents(tx, owner.id) if row.name != name]
    size = sum(len("".join(row.document.split())) for row in others) + len("".join(text.split()))
    allowed = INLINE_CHARACTERS_MAX[kind]
    if size > allowed:
        raise LimitExceededException(
            f"Maximum policy size of {allowed} bytes exceeded for {kind} {owner.name}"
        )
    INLINE.put(tx, InlineRow(owner=owner.id, name=name, document=text))


async def _found(tx: ReadTx, kind: str, owner_id: str, request: Request) -> InlineRow:
    name = request["PolicyName"]
    row = await INLINE.get(tx, owner_id, name)
    if row is None:
        raise NoSuchEntityException(f"The {kind} policy with name {name} cannot be found.")
    return row


async def _got(tx: ReadTx, kind: str, owner_id: str, request: Request) -> dict[str, Any]:
    row = await _found(tx, kind, owner_id, request)
    return {"PolicyName": row.name, "PolicyDocument": entities.encoded(row.document)}


async def _delete(tx: Tx, kind: str, owner_id: str, request: Request) -> None:
    row = await _found(tx, kind, owner_id, request)
    INLINE.delete(tx, owner_id, row.name)


async def _listed(tx: ReadTx, request: Request, purpose: str, owner_id: str) -> Any:
    async def scan(after: Any, limit: int) -> list[InlineRow]:
        return await INLINE.scan(tx, owner_id, limit=limit, above=after)

    rows, more = await page(request, purpose, scan, lambda row: (row.name,))
    return reply(PolicyNames=[row.name for row in rows], **more)


async def documents(tx: ReadTx, owner_id: str) -> list[InlineRow]:
    """All inline policies of an entity."""
    return await INLINE.scan(tx, owner_id, limit=COUNTED_MAX)
