"""Groups, and who is in them."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.access.tables import (
    GROUPS,
    GROUPS_OF,
    IDS,
    INLINE,
    MEMBERS,
    NAMES,
    USERS,
    GroupRow,
    IdRow,
)
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.errors import (
    DeleteConflictException,
    EntityAlreadyExistsException,
    LimitExceededException,
)
from skyfold.services.iam.limits import COUNTED_MAX, GROUPS_PER_USER_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.attachments import refuse_while_attached
from skyfold.services.iam.operations.paging import page, page_of, under
from skyfold.services.iam.operations.users import shown as shown_user
from skyfold.store.api import ReadTx, Tx


async def create_group(tx: Tx, call: Call, request: Request) -> Any:
    row = GroupRow(
        account=call.account,
        name=request["GroupName"],
        path=request.get("Path", "/"),
        id=entities.new_entity_id(call, "group"),
        created_at=call.now,
    )
    await entities.take_name(tx, call, "group", row.name, row.id)
    GROUPS.put(tx, row)
    return reply(Group=shown(row))


async def get_group(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.group(tx, call, request["GroupName"])
    ids = [member[1] for member in await MEMBERS.scan(tx, row.id, limit=COUNTED_MAX)]
    members, more = page_of(request, "GetGroup", await entities.names_of(tx, ids))
    users = [await USERS.get(tx, call.account, member.name) for member in members]
    return reply(Group=shown(row), Users=[shown_user(user) for user in users if user], **more)


async def list_groups(tx: ReadTx, call: Call, request: Request) -> Any:
    async def scan(after: Any, limit: int) -> list[GroupRow]:
        return await GROUPS.scan(tx, call.account, limit=limit, above=after)

    rows, more = await page(
        request,
        "ListGroups",
        scan,
        lambda row: (row.name,),
        under(request.get("PathPrefix", "/")),
    )
    return reply(Groups=[shown(row) for row in rows], **more)


async def update_group(tx: Tx, call: Call, request: Request) -> Any:
    old = await entities.group(tx, call, request["GroupName"])
    new = msgspec.structs.replace(
        old, name=request.get("NewGroupName", old.name), path=request.get("NewPath", old.path)
    )
    renamed = new.name.lower() != old.name.lower()
    if renamed and await NAMES.has(tx, call.account, "group", new.name.lower()):
        raise EntityAlreadyExistsException(f"Group with name {new.name} already exists.")
    entities.free_name(tx, call, "group", old.name, old.id)
    NAMES.put(tx, call.account, "group", new.name.lower())
    IDS.put(tx, IdRow(id=old.id, account=call.account, kind="group", name=new.name))
    GROUPS.delete(tx, call.account, old.name)
    GROUPS.put(tx, new)


async def delete_group(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.group(tx, call, request["GroupName"])
    if await MEMBERS.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
    await refuse_while_attached(tx, row.id)
    if await INLINE.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    entities.free_name(tx, call, "group", row.name, row.id)
    GROUPS.delete(tx, call.account, row.name)


async def add_user_to_group(tx: Tx, call: Call, request: Request) -> Any:
    group = await entities.group(tx, call, request["GroupName"])
    user = await entities.user(tx, call, request["UserName"])
    joined = await GROUPS_OF.scan(tx, user.id, limit=COUNTED_MAX)
    if len(joined) >= GROUPS_PER_USER_MAX and (user.id, group.id) not in joined:
        raise LimitExceededException(
            f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}"
        )
    MEMBERS.put(tx, group.id, user.id)
    GROUPS_OF.put(tx, user.id, group.id)


async def remove_user_from_group(tx: Tx, call: Call, request: Request) -> Any:
    group = await entities.group(tx, call, request["GroupName"])
    user = await entities.user(tx, call, request["UserName"])
    MEMBERS.delete(tx, group.id, user.id)
    GROUPS_OF.delete(tx, user.id, group.id)


async def list_groups_for_user(tx: ReadTx, call: Call, request: Request) -> Any:
    user = await entities.user(tx, call, request["UserName"])
    found, more = page_of(request, "ListGroupsForUser", await joined(tx, user.id))
    groups = [await GROUPS.get(tx, call.account, entity.name) for entity in found]
    return reply(Groups=[shown(row) for row in groups if row], **more)


async def joined(tx: ReadTx, user_id: str) -> list[IdRow]:
    """The groups of a user, by name."""
    ids = [row[1] for row in await GROUPS_OF.scan(tx, user_id, limit=COUNTED_MAX)]
    return await entities.names_of(tx, ids)


def shown(row: GroupRow) -> dict[str, Any]:
    return reply(
        Path=row.path,
        GroupName=row.name,
        GroupId=row.id,
        Arn=row.arn,
        CreateDate=row.created_at,
    )
