"""Instance profiles: the wrapping in which machines get a role."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.access.tables import PROFILES, PROFILES_OF, ROLES, ProfileRow
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags
from skyfold.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
)
from skyfold.services.iam.limits import COUNTED_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page, page_of, under
from skyfold.services.iam.operations.roles import shown as shown_role
from skyfold.store.api import ReadTx, Tx


async def create_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = ProfileRow(
        account=call.account,
        name=request["InstanceProfileName"],
        path=request.get("Path", "/"),
        id=entities.new_entity_id(call, "instance-profile"),
        created_at=call.now,
    )
    taken = f"Instance Profile {row.name} already exists."
    await entities.take_name(tx, call, "instance-profile", row.name, row.id, taken)
    entities.new_tags(tx, row.arn, request)
    PROFILES.put(tx, row)
    return reply(InstanceProfile=await _whole(tx, row))


async def get_instance_profile(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    return reply(InstanceProfile=await _whole(tx, row))


async def list_instance_profiles(tx: ReadTx, call: Call, request: Request) -> Any:
    async def scan(after: Any, limit: int) -> list[ProfileRow]:
        return await PROFILES.scan(tx, call.account, limit=limit, above=after)

    rows, more = await page(
        request,
        "ListInstanceProfiles",
        scan,
        lambda row: (row.name,),
        under(request.get("PathPrefix", "/")),
    )
    return reply(InstanceProfiles=[await shown(tx, row) for row in rows], **more)


async def list_instance_profiles_for_role(tx: ReadTx, call: Call, request: Request) -> Any:
    role = await entities.role(tx, call, request["RoleName"])
    found, more = page_of(request, "ListInstanceProfilesForRole", await having(tx, role.name, call))
    return reply(InstanceProfiles=[await shown(tx, row) for row in found], **more)


async def delete_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    if row.role:
        raise DeleteConflictException(
            "Cannot delete entity, must remove roles from instance profile first."
        )
    entities.free_name(tx, call, "instance-profile", row.name, row.id)
    forget_tags(tx, row.arn)
    PROFILES.delete(tx, call.account, row.name)


async def add_role_to_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    role = await entities.own_role(tx, call, request["RoleName"])
    if row.role:
        raise LimitExceededException(
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
        )
    PROFILES.put(tx, msgspec.structs.replace(row, role=role.name))
    PROFILES_OF.put(tx, call.account, role.name, row.name)


async def remove_role_from_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    role = await entities.role(tx, call, request["RoleName"])
    if row.role != role.name:
        raise NoSuchEntityException(
            f"Role {role.name} in instance profile {row.name} cannot be found."
        )
    PROFILES.put(tx, msgspec.structs.replace(row, role=""))
    PROFILES_OF.delete(tx, call.account, role.name, row.name)


async def having(tx: ReadTx, role: str, call: Call) -> list[ProfileRow]:
    """The instance profiles with this role."""
    names = [row[2] for row in await PROFILES_OF.scan(tx, call.account, role, limit=COUNTED_MAX)]
    found = [await PROFILES.get(tx, call.account, name) for name in names]
    return [row for row in found if row is not None]


async def shown(tx: ReadTx, row: ProfileRow) -> dict[str, Any]:
    role = await ROLES.get(tx, row.account, row.role) if row.role else None
    return reply(
        Path=row.path,
        InstanceProfileName=row.name,
        InstanceProfileId=row.id,
        Arn=row.arn,
        CreateDate=row.created_at,
        Roles=[shown_role(role)] if role else [],
    )


async def _whole(tx: ReadTx, row: ProfileRow) -> dict[str, Any]:
    found = await shown(tx, row)
    if tags := await entities.shown_tags(tx, row.arn):
        found["Tags"] = tags
    return found
