"""Managed policies and their versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from skyfold.kernel.access.managed import managed, managed_document
from skyfold.kernel.access.rights import AWS
from skyfold.kernel.access.tables import (
    ATTACHED_TO,
    POLICIES,
    VERSIONS,
    IdRow,
    PolicyRow,
    VersionRow,
)
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags
from skyfold.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
    ValidationError,
)
from skyfold.services.iam.limits import (
    COUNTED_MAX,
    MANAGED_POLICY_CHARACTERS_MAX,
    VERSIONS_PER_POLICY_MAX,
)
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page, page_of
from skyfold.store.api import ReadTx, Tx


async def create_policy(tx: Tx, call: Call, request: Request) -> Any:
    name, path = request["PolicyName"], request.get("Path", "/")
    document = _checked(request["PolicyDocument"])
    row = PolicyRow(
        account=call.account,
        arn=f"arn:aws:iam::{call.account}:policy{path}{name}",
        name=name,
        path=path,
        id=entities.new_entity_id(call, "policy"),
        created_at=call.now,
        updated_at=call.now,
        description=request.get("Description"),
    )
    taken = f"A policy called {name} already exists. Duplicate names are not allowed."
    await entities.take_name(tx, call, "policy", name, row.id, taken)
    entities.new_tags(tx, row.arn, request)
    POLICIES.put(tx, row)
    VERSIONS.put(tx, _version(row, 1, document, call.now))
    made = await shown(tx, call, row)
    if request.get("Tags"):
        made["Tags"] = await entities.shown_tags(tx, row.arn)
    return reply(Policy=made)


async def get_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.policy(tx, call, request["PolicyArn"])
    found = await shown(tx, call, row)
    if row.description is not None:
        found["Description"] = row.description
    return reply(Policy={**found, "Tags": await entities.shown_tags(tx, row.arn)})


async def delete_policy(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_policy(tx, call, request["PolicyArn"])
    if await entities.attachments(tx, call.account, row.arn) or await entities.bounded(
        tx, call.account, row.arn
    ):
        raise DeleteConflictException("Cannot delete a policy attached to entities.")
    if len(await VERSIONS.scan(tx, row.account, row.arn, limit=2)) > 1:
        raise DeleteConflictException(
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy."
        )
    VERSIONS.delete_all(tx, row.account, row.arn)
    forget_tags(tx, row.arn)
    entities.free_name(tx, call, "policy", row.name, row.id)
    POLICIES.delete(tx, row.account, row.arn)


async def list_policies(tx: ReadTx, call: Call, request: Request) -> Any:
    scope, prefix = request.get("Scope", "All"), request.get("PathPrefix", "/")
    wanted = await _attached_only(tx, call, request)
    usage = request.get("PolicyUsageFilter")

    async def scan(after: tuple[Any, ...] | None, limit: int) -> list[PolicyRow]:
        """The account's own first, then AWS's."""
        owner, arn = after or (call.account, "")
        rows: list[PolicyRow] = []
        if owner == call.account and scope in ("All", "Local"):
            above = (arn,) if arn else None
            rows = await POLICIES.scan(tx, call.account, limit=limit, above=above)
        if len(rows) < limit and scope in ("All", "AWS"):
            start = arn if owner == AWS else ""
            rows = [*rows, *_aws_policies(start)]
        return rows[:limit]

    def keep(row: PolicyRow) -> bool:
        if wanted is not None and row.arn not in wanted:
            return False
        return row.path.startswith(prefix)

    rows, more = await page(request, "ListPolicies", scan, lambda row: (row.account, row.arn), keep)
    if usage == "PermissionsBoundary":
        rows = [row for row in rows if await entities.bounded(tx, call.account, row.arn)]
    return reply(Policies=[await shown(tx, call, row) for row in rows], **more)


async def _attached_only(tx: ReadTx, call: Call, request: Request) -> set[str] | None:
    """The ARNs of the policies in use, where only those are asked for."""
    if not request.get("OnlyAttached"):
        return None
    rows = await ATTACHED_TO.scan(tx, call.account, limit=COUNTED_MAX)
    return {row[1] for row in rows}


def _aws_policies(after: str) -> list[PolicyRow]:
    known = managed()
    return [entities.aws_policy(arn, known[arn]) for arn in sorted(known) if arn > after]


async def create_policy_version(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_policy(tx, call, request["PolicyArn"])
    document = _checked(request["PolicyDocument"])
    if len(await VERSIONS.scan(tx, row.account, row.arn, limit=10)) >= VERSIONS_PER_POLICY_MAX:
        raise LimitExceededException(
            f"A managed policy can have up to {VERSIONS_PER_POLICY_MAX} versions. "
            "Before you create a new version, you must delete an existing version."
        )
    number = row.last_version + 1
    default = number if request.get("SetAsDefault") else row.default_version
    changed = msgspec.structs.replace(
        row, last_version=number, default_version=default, updated_at=call.now
    )
    version = _version(row, number, document, call.now)
    POLICIES.put(tx, changed)
    VERSIONS.put(tx, version)
    return reply(PolicyVersion=_shown_version(version, changed))


async def get_policy_version(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.policy(tx, call, request["PolicyArn"])
    version = await _found(tx, row, request["VersionId"])
    return reply(PolicyVersion=with_document(version, row))


async def list_policy_versions(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.policy(tx, call, request["PolicyArn"])
    versions = await all_versions(tx, row)
    listed, more = page_of(request, "ListPolicyVersions", versions)
    return reply(Versions=[_shown_version(version, row) for version in listed], **more)


async def set_default_policy_version(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_policy(tx, call, request["PolicyArn"])
    version = await _found(tx, row, request["VersionId"])
    changed = msgspec.structs.replace(row, default_version=version.number, updated_at=call.now)
    POLICIES.put(tx, changed)


async def delete_policy_version(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.own_policy(tx, call, request["PolicyArn"])
    version = await _found(tx, row, request["VersionId"])
    if version.number == row.default_version:
        raise DeleteConflictException("Cannot delete the default version of a policy.")
    VERSIONS.delete(tx, row.account, row.arn, version.number)


async def list_entities_for_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.policy(tx, call, request["PolicyArn"])
    usage = request.get("PolicyUsageFilter")
    users_of = entities.bounded if usage == "PermissionsBoundary" else entities.attachments
    ids = await users_of(tx, call.account, row.arn)
    kind = {"User": "user", "Role": "role", "Group": "group"}.get(request.get("EntityFilter", ""))
    found = [entity for entity in await entities.names_of(tx, ids) if kind in (None, entity.kind)]
    listed, more = page_of(request, "ListEntitiesForPolicy", found)
    return reply(
        PolicyGroups=_holders(listed, "group", "Group"),
        PolicyUsers=_holders(listed, "user", "User"),
        PolicyRoles=_holders(listed, "role", "Role"),
        **more,
    )


def _holders(found: Iterable[IdRow], kind: str, word: str) -> list[dict[str, str]]:
    return [
        {f"{word}Name": entity.name, f"{word}Id": entity.id}
        for entity in found
        if entity.kind == kind
    ]


def _checked(text: str) -> str:
    validated(text)
    if len("".join(text.split())) > MANAGED_POLICY_CHARACTERS_MAX:
        raise LimitExceededException(
            f"Cannot exceed quota for PolicySize: {MANAGED_POLICY_CHARACTERS_MAX}"
        )
    return text


def _version(row: PolicyRow, number: int, document: str, now: int) -> VersionRow:
    return VersionRow(
        account=row.account, arn=row.arn, number=number, document=document, created_at=now
    )


async def _found(tx: ReadTx, row: PolicyRow, version_id: str) -> VersionRow:
    if not version_id.startswith("v") or not version_id[1:].split(".")[0].isdecimal():
        raise ValidationError(f"Value '{version_id}' at 'versionId' is not a version of a policy.")
    number = int(version_id[1:].split(".")[0])
    for version in await all_versions(tx, row):
        if version.number == number:
            return version
    raise NoSuchEntityException(
        f"Policy {row.arn} version {version_id} does not exist or is not attachable."
    )


async def all_versions(tx: ReadTx, row: PolicyRow) -> list[VersionRow]:
    """The newest first."""
    if row.account == AWS:
        return [_version(row, 1, managed_document(row.arn) or "", row.created_at)]
    return await VERSIONS.scan(tx, row.account, row.arn, limit=COUNTED_MAX, reverse=True)


def _shown_version(version: VersionRow, row: PolicyRow) -> dict[str, Any]:
    return reply(
        VersionId=f"v{version.number}",
        IsDefaultVersion=version.number == row.default_version,
        CreateDate=version.created_at,
    )


def with_document(version: VersionRow, row: PolicyRow) -> dict[str, Any]:
    return {**_shown_version(version, row), "Document": entities.encoded(version.document)}


async def shown(tx: ReadTx, call: Call, row: PolicyRow) -> dict[str, Any]:
    """As lists show a policy."""
    return reply(
        PolicyName=row.name,
        PolicyId=row.id,
        Arn=row.arn,
        Path=row.path,
        DefaultVersionId=f"v{row.default_version}",
        AttachmentCount=len(await entities.attachments(tx, call.account, row.arn)),
        PermissionsBoundaryUsageCount=len(await entities.bounded(tx, call.account, row.arn)),
        IsAttachable=True,
        CreateDate=row.created_at,
        UpdateDate=row.updated_at,
    )
