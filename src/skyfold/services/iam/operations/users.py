"""Users."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.access.tables import (
    GROUPS_OF,
    IDS,
    INLINE,
    KEYS_OF,
    LOGINS,
    NAMES,
    USERS,
    IdRow,
    UserRow,
)
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags, put_tags, tags_of
from skyfold.services.iam.errors import DeleteConflictException, EntityAlreadyExistsException
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.attachments import refuse_while_attached
from skyfold.services.iam.operations.paging import page, under
from skyfold.store.api import ReadTx, Tx


async def create_user(tx: Tx, call: Call, request: Request) -> Any:
    row = UserRow(
        account=call.account,
        name=request["UserName"],
        path=request.get("Path", "/"),
        id=entities.new_entity_id(call, "user"),
        created_at=call.now,
        boundary=request.get("PermissionsBoundary", ""),
    )
    await entities.take_name(tx, call, "user", row.name, row.id)
    await entities.put_boundary(tx, call, row.id, "", row.boundary)
    entities.new_tags(tx, row.arn, request)
    USERS.put(tx, row)
    return reply(User=await _whole(tx, row))


async def get_user(tx: ReadTx, call: Call, request: Request) -> Any:
    if "UserName" not in request and call.principal.kind == "root":
        root = call.principal
        return reply(User={"UserId": root.id, "Arn": root.arn, "CreateDate": 0})
    row = await entities.user_or_caller(tx, call, request)
    return reply(User=await _whole(tx, row))


async def list_users(tx: ReadTx, call: Call, request: Request) -> Any:
    async def scan(after: Any, limit: int) -> list[UserRow]:
        return await USERS.scan(tx, call.account, limit=limit, above=after)

    rows, more = await page(
        request,
        "ListUsers",
        scan,
        lambda row: (row.name,),
        under(request.get("PathPrefix", "/")),
    )
    return reply(Users=[shown(row) for row in rows], **more)


async def update_user(tx: Tx, call: Call, request: Request) -> Any:
    old = await entities.user(tx, call, request["UserName"])
    new = msgspec.structs.replace(
        old, name=request.get("NewUserName", old.name), path=request.get("NewPath", old.path)
    )
    if new.name.lower() != old.name.lower():
        taken = f"User with name {new.name} already exists."
        if await NAMES.has(tx, call.account, "user", new.name.lower()):
            raise EntityAlreadyExistsException(taken)
    entities.free_name(tx, call, "user", old.name, old.id)
    NAMES.put(tx, call.account, "user", new.name.lower())
    IDS.put(tx, IdRow(id=old.id, account=call.account, kind="user", name=new.name))
    tags = await tags_of(tx, old.arn)
    forget_tags(tx, old.arn)
    put_tags(tx, new.arn, tags)
    USERS.delete(tx, call.account, old.name)
    USERS.put(tx, new)


async def delete_user(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.user(tx, call, request["UserName"])
    if await KEYS_OF.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
    if await LOGINS.get(tx, row.id):
        raise DeleteConflictException("Cannot delete entity, must delete login profile first.")
    if await GROUPS_OF.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
    await refuse_while_attached(tx, row.id)
    if await INLINE.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    await entities.put_boundary(tx, call, row.id, row.boundary, "")
    entities.free_name(tx, call, "user", row.name, row.id)
    forget_tags(tx, row.arn)
    USERS.delete(tx, call.account, row.name)


async def put_user_permissions_boundary(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.user(tx, call, request["UserName"])
    boundary = request["PermissionsBoundary"]
    await entities.put_boundary(tx, call, row.id, row.boundary, boundary)
    USERS.put(tx, msgspec.structs.replace(row, boundary=boundary))


async def delete_user_permissions_boundary(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.user(tx, call, request["UserName"])
    await entities.put_boundary(tx, call, row.id, row.boundary, "")
    USERS.put(tx, msgspec.structs.replace(row, boundary=""))


def shown(row: UserRow) -> dict[str, Any]:
    """As lists show a user."""
    return reply(
        Path=row.path,
        UserName=row.name,
        UserId=row.id,
        Arn=row.arn,
        CreateDate=row.created_at,
        PasswordLastUsed=row.password_used_at or None,
    )


async def _whole(tx: ReadTx, row: UserRow) -> dict[str, Any]:
    found = shown(row)
    if row.boundary:
        found["PermissionsBoundary"] = entities.shown_boundary(row.boundary)
    if tags := await entities.shown_tags(tx, row.arn):
        found["Tags"] = tags
    return found
