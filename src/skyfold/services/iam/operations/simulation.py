"""The policy simulator's operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel.access.context import account_of
from skyfold.kernel.access.credentials import principal_of_user
from skyfold.kernel.access.rights import document_of
from skyfold.kernel.access.tables import USERS, GroupRow, RoleRow, UserRow
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.principal import Principal, root_of
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import tags_of
from skyfold.services.iam.engine.documents import context_keys
from skyfold.services.iam.engine.simulation import Case, Source, evaluated
from skyfold.services.iam.errors import InvalidInputException, NoSuchEntityException
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.attachments import attached
from skyfold.services.iam.operations.groups import joined
from skyfold.services.iam.operations.inline import documents
from skyfold.services.iam.operations.paging import page_of
from skyfold.store.api import ReadTx


async def simulate_custom_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    _refuse_unknown(request)
    principal = await _caller(tx, call, request, root_of(call.account))
    case = Case(
        principal=principal,
        policies=_given(request, "PolicyInputList"),
        boundary=_given(request, "PermissionsBoundaryPolicyInputList") or None,
        resource_policy=_resource_policy(request),
        given=_context(request),
        tags={},
        same_account=_same_account(call, request),
    )
    return _results(request, "SimulateCustomPolicy", case)


async def simulate_principal_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    _refuse_unknown(request)
    entity = await _source(tx, call, request["PolicySourceArn"])
    boundary = _given(request, "PermissionsBoundaryPolicyInputList") or None
    if boundary is None and not isinstance(entity, GroupRow) and entity.boundary:
        text = await document_of(tx, entity.boundary)
        boundary = [Source(entity.boundary.rpartition("/")[2], text)] if text else []
    held = await _policies(tx, call, entity)
    case = Case(
        principal=await _caller(tx, call, request, _principal(entity)),
        policies=[*held, *_given(request, "PolicyInputList")],
        boundary=boundary,
        resource_policy=_resource_policy(request),
        given=_context(request),
        tags=await tags_of(tx, entity.arn),
        same_account=_same_account(call, request),
    )
    return _results(request, "SimulatePrincipalPolicy", case)


async def get_context_keys_for_custom_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    return reply(ContextKeyNames=_keys(_given(request, "PolicyInputList")))


async def get_context_keys_for_principal_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    entity = await _source(tx, call, request["PolicySourceArn"])
    sources = [*await _policies(tx, call, entity), *_given(request, "PolicyInputList")]
    return reply(ContextKeyNames=_keys(sources))


def _keys(sources: Iterable[Source]) -> list[str]:
    found = {key.lower(): key for source in sources for key in context_keys(source.text)}
    return [found[key] for key in sorted(found)]


def _refuse_unknown(request: Request) -> None:
    for member in ("ResourceHandlingOption", "PolicyExclusionList"):
        if member in request:
            raise InvalidInputException(f"{member} is not supported by Skyfold.")


def _results(request: Request, purpose: str, case: Case) -> Any:
    named = "ResourceArns" in request
    results = [
        evaluated(case, action, resource, per_resource=named)
        for action in request["ActionNames"]
        for resource in request.get("ResourceArns", ["*"])
    ]
    shown, more = page_of(request, purpose, results)
    return reply(EvaluationResults=shown, **more)


def _given(request: Request, member: str) -> list[Source]:
    texts = request.get(member, [])
    for text in texts:
        validated(text)
    return [Source(f"{member}.{number}", text) for number, text in enumerate(texts, 1)]


def _resource_policy(request: Request) -> str | None:
    text: str | None = request.get("ResourcePolicy")
    if text is not None:
        validated(text, "resource")
    return text


def _context(request: Request) -> dict[str, Any]:
    return {
        entry["ContextKeyName"]: list(entry["ContextKeyValues"])
        for entry in request.get("ContextEntries", [])
        if entry.get("ContextKeyName") and entry.get("ContextKeyValues")
    }


def _same_account(call: Call, request: Request) -> bool:
    owner = request.get("ResourceOwner")
    return owner is None or account_of(owner, owner) == call.account


async def _caller(tx: ReadTx, call: Call, request: Request, otherwise: Principal) -> Principal:
    arn = request.get("CallerArn")
    if arn is None:
        return otherwise
    parsed = parse_arn(arn)
    if parsed is None or not parsed.resource.startswith("user/"):
        raise InvalidInputException(f"CallerArn {arn} must be the ARN of a user.")
    user = await USERS.get(tx, parsed.account, parsed.resource.rpartition("/")[2])
    if user is None or user.arn != arn:
        raise NoSuchEntityException(f"The user with name {arn} cannot be found.")
    return principal_of_user(user)


async def _source(tx: ReadTx, call: Call, arn: str) -> entities.Owner:
    entities.check_arn(arn)
    parsed = parse_arn(arn)
    if parsed is None or parsed.account != call.account:
        raise InvalidInputException(f"Invalid Entity Arn: {arn} does not clearly define entity")
    kind, _, rest = parsed.resource.partition("/")
    name = rest.rpartition("/")[2]
    if kind == "user":
        return await entities.user(tx, call, name)
    if kind == "role":
        return await entities.role(tx, call, name)
    if kind == "group":
        return await entities.group(tx, call, name)
    raise InvalidInputException(f"Invalid Entity Arn: {arn} does not clearly define entity")


def _principal(entity: entities.Owner) -> Principal:
    if isinstance(entity, UserRow):
        return principal_of_user(entity)
    return Principal(
        kind="role" if isinstance(entity, RoleRow) else "user",
        account=entity.account,
        arn=entity.arn,
        id=entity.id,
        name=entity.name,
    )


async def _policies(tx: ReadTx, call: Call, entity: entities.Owner) -> list[Source]:
    """All that applies to an entity; of a user, what its groups give it as well."""
    kind = {UserRow: "user", RoleRow: "role", GroupRow: "group"}[type(entity)]
    found = await _owned(tx, kind, entity.name, entity.id)
    if isinstance(entity, UserRow):
        for held in await joined(tx, entity.id):
            found += await _owned(tx, "group", held.name, held.id)
    return found


async def _owned(tx: ReadTx, kind: str, name: str, owner_id: str) -> list[Source]:
    found = [
        Source(f"{kind}_{name}_{row.name}", row.document) for row in await documents(tx, owner_id)
    ]
    for arn in await attached(tx, owner_id):
        text = await document_of(tx, arn)
        if text is not None:
            found.append(Source(arn.rpartition("/")[2], text))
    return found
