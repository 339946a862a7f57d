"""Roles and their trust policies."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.tables import (
    INLINE,
    KEY_USES,
    PROFILES_OF,
    ROLES,
    USERS,
    RoleRow,
    UserRow,
)
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags
from skyfold.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    ValidationError,
)
from skyfold.services.iam.limits import TRUST_POLICY_CHARACTERS_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.attachments import refuse_while_attached
from skyfold.services.iam.operations.paging import page, under
from skyfold.store.api import ReadTx, Tx


async def create_role(tx: Tx, call: Call, request: Request) -> Any:
    path = request.get("Path", "/")
    if path.startswith(entities.SERVICE_ROLE_PATH):
        raise ValidationError(
            f"Path {path} is reserved for service-linked roles: use CreateServiceLinkedRole."
        )
    row = RoleRow(
        account=call.account,
        name=request["RoleName"],
        path=path,
        id=entities.new_entity_id(call, "role"),
        created_at=call.now,
        trust=await checked_trust(tx, call, request["AssumeRolePolicyDocument"]),
        description=request.get("Description"),
        session_s_max=request.get("MaxSessionDuration", 3600),
        boundary=request.get("PermissionsBoundary", ""),
    )
    await entities.take_name(tx, call, "role", row.name, row.id)
    await entities.put_boundary(tx, call, row.id, "", row.boundary)
    entities.new_tags(tx, row.arn, request)
    ROLES.put(tx, row)
    made = await _whole(tx, row)
    if "MaxSessionDuration" not in request:
        del made["MaxSessionDuration"]
    return reply(Role=made)


async def checked_trust(tx: ReadTx, call: Call, text: str) -> str:
    """A trust policy that may be stored: of this account it names only who is there."""
    document = validated(text, "trust")
    for statement in document.statements:
        for name in statement.principals.names if statement.principals else ():
            if not await _exists(tx, call, name):
                raise MalformedPolicyDocument(f'Invalid principal in policy: "AWS":"{name}"')
    if len("".join(text.split())) > TRUST_POLICY_CHARACTERS_MAX:
        raise LimitExceededException(
            f"Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_CHARACTERS_MAX}"
        )
    return text


async def _exists(tx: ReadTx, call: Call, name: str) -> bool:
    """Principals of other accounts, and sessions, are taken at their word."""
    arn = parse_arn(name)
    if arn is None or arn.service != "iam" or arn.account != call.account:
        return True
    kind, _, rest = arn.resource.partition("/")
    short = rest.rpartition("/")[2]
    found: UserRow | RoleRow | None
    if kind == "user":
        found = await USERS.get(tx, call.account, short)
    elif kind == "role":
        found = await ROLES.get(tx, call.account, short)
    else:
        return True
    return found is not None and found.arn == name


async def get_role(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.role(tx, call, request["RoleName"])
    return reply(Role={**await _whole(tx, row), "RoleLastUsed": await last_used(tx, row)})


async def list_roles(tx: ReadTx, call: Call, request: Request) -> Any:
    async def scan(after: Any, limit: int) -> list[RoleRow]:
        return await ROLES.scan(tx, call.account, limit=limit, above=after)

    rows, more = await page(
        request,
        "ListRoles",
        scan,
        lambda row: (row.name,),
        under(request.get("PathPrefix", "/")),
    )
    return reply(Roles=[shown(row) for row in rows], **more)


async def update_role(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    changed = msgspec.structs.replace(
        row,
        description=request.get("Description", row.description),
        session_s_max=request.get("MaxSessionDuration", row.session_s_max),
    )
    ROLES.put(tx, changed)


async def update_role_description(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    changed = msgspec.structs.replace(row, description=request["Description"])
    ROLES.put(tx, changed)
    return reply(Role=await _whole(tx, changed))


async def update_assume_role_policy(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    trust = await checked_trust(tx, call, request["PolicyDocument"])
    ROLES.put(tx, msgspec.structs.replace(row, trust=trust))


async def delete_role(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    if await PROFILES_OF.scan(tx, call.account, row.name, limit=1):
        raise DeleteConflictException(
            "Cannot delete entity, must remove roles from instance profile first."
        )
    await refuse_while_attached(tx, row.id)
    if await INLINE.scan(tx, row.id, limit=1):
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    await forget_role(tx, call, row)


async def forget_role(tx: Tx, call: Call, row: RoleRow) -> None:
    await entities.put_boundary(tx, call, row.id, row.boundary, "")
    entities.free_name(tx, call, "role", row.name, row.id)
    forget_tags(tx, row.arn)
    KEY_USES.delete(tx, row.id)
    ROLES.delete(tx, call.account, row.name)


async def put_role_permissions_boundary(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    boundary = request["PermissionsBoundary"]
    await entities.put_boundary(tx, call, row.id, row.boundary, boundary)
    ROLES.put(tx, msgspec.structs.replace(row, boundary=boundary))


async def delete_role_permissions_boundary(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_role(tx, call, request["RoleName"])
    await entities.put_boundary(tx, call, row.id, row.boundary, "")
    ROLES.put(tx, msgspec.structs.replace(row, boundary=""))


def shown(row: RoleRow) -> dict[str, Any]:
    """As lists show a role."""
    return reply(
        Path=row.path,
        RoleName=row.name,
        RoleId=row.id,
        Arn=row.arn,
        CreateDate=row.created_at,
        AssumeRolePolicyDocument=entities.encoded(row.trust),
        Description=row.description,
        MaxSessionDuration=row.session_s_max,
    )


async def _whole(tx: ReadTx, row: RoleRow) -> dict[str, Any]:
    found = shown(row)
    if row.boundary:
        found["PermissionsBoundary"] = entities.shown_boundary(row.boundary)
    if tags := await entities.shown_tags(tx, row.arn):
        found["Tags"] = tags
    return found


async def last_used(tx: ReadTx, row: RoleRow) -> dict[str, Any]:
    use = await KEY_USES.get(tx, row.id)
    return reply(LastUsedDate=use.used_at, Region=use.region) if use else {}
