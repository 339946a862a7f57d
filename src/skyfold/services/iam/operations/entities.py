"""Finding entities by the names in requests, naming them in replies, and making their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from skyfold.kernel.access.managed import managed
from skyfold.kernel.access.rights import AWS
from skyfold.kernel.access.tables import (
    ATTACHED_TO,
    BOUNDARY_OF,
    GROUPS,
    IDS,
    NAMES,
    POLICIES,
    PROFILES,
    ROLES,
    USERS,
    EntityKind,
    GroupRow,
    IdRow,
    PolicyRow,
    ProfileRow,
    RoleRow,
    UserRow,
)
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.kernel.tags import put_tags, tags_of
from skyfold.services.iam.errors import (
    EntityAlreadyExistsException,
    InvalidInputException,
    NoSuchEntityException,
    UnmodifiableEntityException,
    ValidationError,
)
from skyfold.services.iam.limits import COUNTED_MAX, TAGS_MAX
from skyfold.store.api import ReadTx, Tx

Owner = UserRow | GroupRow | RoleRow
"""Whatever policies hang on."""
ID_PREFIXES: Mapping[EntityKind, str] = {
    "user": "AIDA",
    "role": "AROA",
    "group": "AGPA",
    "instance-profile": "AIPA",
    "policy": "ANPA",
}
SERVICE_ROLE_PATH = "/aws-service-role/"


def new_entity_id(call: Call, kind: EntityKind) -> str:
    return ID_PREFIXES[kind] + call.platform.ids.upper(17)


async def user(tx: ReadTx, call: Call, name: str) -> UserRow:
    found = await USERS.get(tx, call.account, name)
    if found is None:
        raise NoSuchEntityException(f"The user with name {name} cannot be found.")
    return found


async def user_or_caller(tx: ReadTx, call: Call, request: Request) -> UserRow:
    """The user named, or the one that asks."""
    name = request.get("UserName")
    if name is None:
        if call.principal.kind != "user":
            raise ValidationError("Must specify userName when calling with non-User credentials")
        name = call.principal.name
    return await user(tx, call, name)


async def group(tx: ReadTx, call: Call, name: str) -> GroupRow:
    found = await GROUPS.get(tx, call.account, name)
    if found is None:
        raise NoSuchEntityException(f"The group with name {name} cannot be found.")
    return found


async def role(tx: ReadTx, call: Call, name: str) -> RoleRow:
    found = await ROLES.get(tx, call.account, name)
    if found is None:
        raise NoSuchEntityException(f"The role with name {name} cannot be found.")
    return found


async def own_role(tx: ReadTx, call: Call, name: str) -> RoleRow:
    """A role that the account may change: not one that a service owns."""
    found = await role(tx, call, name)
    if found.service:
        raise UnmodifiableEntityException(
            f"Cannot perform the operation on the protected role '{name}' - "
            "this role is only modifiable by AWS"
        )
    return found


async def profile(tx: ReadTx, call: Call, name: str) -> ProfileRow:
    found = await PROFILES.get(tx, call.account, name)
    if found is None:
        raise NoSuchEntityException(f"Instance Profile {name} cannot be found.")
    return found


async def policy(tx: ReadTx, call: Call, arn: str) -> PolicyRow:
    """A managed policy that the account can see: its own, or one of AWS's."""
    check_arn(arn)
    found = await find_policy(tx, call, arn)
    if found is None:
        raise NoSuchEntityException(f"Policy {arn} was not found.")
    return found


async def own_policy(tx: ReadTx, call: Call, arn: str) -> PolicyRow:
    """A managed policy that the account may change."""
    found = await policy(tx, call, arn)
    if found.account == AWS:
        raise InvalidInputException(f"Policy {arn} is managed by AWS and cannot be changed.")
    return found


async def find_policy(tx: ReadTx, call: Call, arn: str) -> PolicyRow | None:
    account = arn.split(":")[4]
    if account == AWS:
        entry = managed().get(arn)
        return None if entry is None else aws_policy(arn, entry)
    return await POLICIES.get(tx, call.account, arn) if account == call.account else None


def aws_policy(arn: str, entry: Mapping[str, Any]) -> PolicyRow:
    """A policy that AWS manages, as a row. It has had one version for all that is known here."""
    return PolicyRow(
        account=AWS,
        arn=arn,
        name=entry["name"],
        path=entry["path"],
        id=entry["id"],
        created_at=0,
        updated_at=0,
        description=entry["description"],
    )


def check_arn(arn: str) -> None:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "iam" or not parts[5]:
        raise ValidationError("Invalid ARN:  Could not be parsed!")


async def take_name(
    tx: Tx, call: Call, kind: EntityKind, name: str, entity_id: str, taken: str = ""
) -> None:
    """Reserve a name, whose case does not tell it from another."""
    if await NAMES.has(tx, call.account, kind, name.lower()):
        raise EntityAlreadyExistsException(
            taken or f"{kind.capitalize()} with name {name} already exists."
        )
    NAMES.put(tx, call.account, kind, name.lower())
    IDS.put(tx, IdRow(id=entity_id, account=call.account, kind=kind, name=name))


def free_name(tx: Tx, call: Call, kind: EntityKind, name: str, entity_id: str) -> None:
    NAMES.delete(tx, call.account, kind, name.lower())
    IDS.delete(tx, entity_id)


async def names_of(tx: ReadTx, ids: Iterable[str]) -> list[IdRow]:
    """The entities with these ids, in the order of their names."""
    found = [row for entity_id in ids if (row := await IDS.get(tx, entity_id)) is not None]
    return sorted(found, key=lambda row: row.name)


def encoded(document: str) -> str:
    """Policy documents are percent-encoded in every reply of IAM."""
    return quote(document, safe="-_.~")


def new_tags(tx: Tx, arn: str, request: Request) -> None:
    """Store the tags of a request that makes something."""
    tags = request.get("Tags", [])
    keys = [tag["Key"].lower() for tag in tags]
    if len(set(keys)) != len(keys):
        raise InvalidInputException(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if len(tags) > TAGS_MAX:
        raise ValidationError(
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
            f"Member must have length less than or equal to {TAGS_MAX}"
        )
    put_tags(tx, arn, {tag["Key"]: tag["Value"] for tag in tags})


async def shown_tags(tx: ReadTx, arn: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (await tags_of(tx, arn)).items()]


def shown_boundary(arn: str) -> dict[str, str] | None:
    if not arn:
        return None
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


async def attachments(tx: ReadTx, account: str, arn: str) -> list[str]:
    """The ids of the account's entities that a policy is attached to."""
    return [row[2] for row in await ATTACHED_TO.scan(tx, account, arn, limit=COUNTED_MAX)]


async def bounded(tx: ReadTx, account: str, arn: str) -> list[str]:
    """The ids of the account's entities whose permissions boundary a policy is."""
    return [row[2] for row in await BOUNDARY_OF.scan(tx, account, arn, limit=COUNTED_MAX)]


async def put_boundary(tx: Tx, call: Call, owner_id: str, old: str, arn: str) -> None:
    """Note that ``arn`` (a policy, or empty) is from now on the boundary of an entity."""
    if arn:
        check_arn(arn)
        if await find_policy(tx, call, arn) is None:
            raise NoSuchEntityException(f"Scope ARN: {arn} does not exist or is not attachable.")
    if old:
        BOUNDARY_OF.delete(tx, call.account, old, owner_id)
    if arn:
        BOUNDARY_OF.put(tx, call.account, arn, owner_id)
