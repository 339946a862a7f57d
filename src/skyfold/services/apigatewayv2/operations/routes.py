"""Routes and integrations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from skyfold.kernel import pages
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.apigatewayv2 import limits
from skyfold.services.apigatewayv2.errors import (
    BadRequestException,
    ConflictException,
    NotFoundException,
)
from skyfold.services.apigatewayv2.operations import parts
from skyfold.services.apigatewayv2.operations.apis import api_of, page_of
from skyfold.services.apigatewayv2.tables import INTEGRATION, PARTS, ROUTE, Part
from skyfold.store.api import ReadTx, Tx


async def create_route(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    await parts.unless_taken(tx, api, request["RouteKey"])
    if len(await PARTS.scan(tx, api.id, ROUTE, limit=limits.ROUTES_MAX)) == limits.ROUTES_MAX:
        raise BadRequestException("Maximum number of Routes for this Api has been reached.")
    await _target_exists(tx, api.id, request)
    route = parts.new_route(tx, call, api.id, request)
    await parts.deploy_automatically(tx, call, api)
    return shown(route)


async def update_route(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    old = await part_of(tx, api.id, ROUTE, request["RouteId"])
    wanted = {**old.members, **_changes(request, "RouteId")}
    managed = wanted.pop("ApiGatewayManaged", None)
    await parts.unless_taken(tx, api, wanted["RouteKey"], but=old.id)
    await _target_exists(tx, api.id, wanted)
    members = parts.checked_route(wanted)
    return shown(await _changed(tx, call, request, old, members, managed))


async def _target_exists(tx: ReadTx, api_id: str, members: Request) -> None:
    target = members.get("Target", "")
    if target and not target.startswith("integrations/"):
        raise BadRequestException(f"Invalid target format specified {target}")
    if target:
        await part_of(tx, api_id, INTEGRATION, target.removeprefix("integrations/"))


async def create_integration(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    return shown(parts.new_integration(tx, call, api.id, request))


async def update_integration(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    old = await part_of(tx, api.id, INTEGRATION, request["IntegrationId"])
    wanted = {**old.members, **_changes(request, "IntegrationId")}
    managed = wanted.pop("ApiGatewayManaged", None)
    members = parts.checked_integration(wanted)
    return shown(await _changed(tx, call, request, old, members, managed))


def _changes(request: Request, id_member: str) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in ("ApiId", id_member)}


async def _changed(
    tx: Tx, call: Call, request: Request, old: Part, members: dict[str, Any], managed: Any
) -> Part:
    if managed:
        members["ApiGatewayManaged"] = True
    new = msgspec.structs.replace(old, members=members)
    PARTS.put(tx, new)
    await parts.deploy_automatically(tx, call, await api_of(tx, call, request))
    return new


async def delete_integration(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    found = await part_of(tx, api.id, INTEGRATION, request["IntegrationId"])
    target = f"integrations/{found.id}"
    for route in await PARTS.scan(tx, api.id, ROUTE, limit=limits.ROUTES_MAX * 10):
        if route.members.get("Target") == target:
            raise ConflictException(
                f"Cannot delete Integration '{found.id}' due to it being referenced by Route "
                f"'{route.id}'"
            )
    PARTS.delete(tx, api.id, INTEGRATION, found.id)


async def delete_route(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    found = await part_of(tx, api.id, ROUTE, request["RouteId"])
    PARTS.delete(tx, api.id, ROUTE, found.id)
    await parts.deploy_automatically(tx, call, api)


def getter(kind: str, member: str) -> Callable[..., Awaitable[Any]]:
    """The operation that gets one part; ``member`` of the request has its id."""

    async def get(tx: ReadTx, call: Call, request: Request) -> Any:
        api = await api_of(tx, call, request)
        return shown(await part_of(tx, api.id, kind, request[member]))

    return get


def lister(kind: str) -> Callable[..., Awaitable[Any]]:
    """The operation that lists the parts of a kind."""
    purpose = f"apigatewayv2.{kind}"

    async def get(tx: ReadTx, call: Call, request: Request) -> Any:
        api = await api_of(tx, call, request)
        size, above = page_of(request, purpose)
        found = await PARTS.scan(tx, api.id, kind, limit=size + 1, above=above)
        more = len(found) > size
        return reply(
            Items=[shown(part) for part in found[:size]],
            NextToken=pages.token(purpose, found[size - 1].id) if more else None,
        )

    return get


async def part_of(tx: ReadTx, api_id: str, kind: str, id: str) -> Part:
    found = await PARTS.get(tx, api_id, kind, id)
    if found is None:
        raise NotFoundException(kind.capitalize(), id)
    return found


IDS = {"route": "RouteId", "integration": "IntegrationId", "deployment": "DeploymentId"}


def shown(part: Part) -> Any:
    """A part as the API answers it."""
    if part.kind in IDS:
        return {**part.members, IDS[part.kind]: part.id}
    return dict(part.members)
