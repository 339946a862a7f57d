"""APIs: creating, importing, describing, changing, deleting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel import pages, tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.apigatewayv2 import limits
from skyfold.services.apigatewayv2.engine.openapi import BadDocument, Imported, imported, parsed
from skyfold.services.apigatewayv2.errors import BadRequestException, NotFoundException
from skyfold.services.apigatewayv2.operations import parts
from skyfold.services.apigatewayv2.tables import APIS, PARTS, STAGE, WHERE, Api, Where
from skyfold.store.api import ReadTx, Tx

KEPT = (
    "CorsConfiguration",
    "Description",
    "DisableExecuteApiEndpoint",
    "Name",
    "Version",
)
"""Members of CreateApi and UpdateApi that an HTTP API obeys or shows."""
WEBSOCKET_ONLY = ("ApiKeySelectionExpression", "DisableSchemaValidation")


async def create_api(tx: Tx, call: Call, request: Request) -> Any:
    if request["ProtocolType"] != "HTTP":
        raise BadRequestException("Skyfold has APIs of ProtocolType HTTP only yet.")
    if request.get("RouteKey") and not request.get("Target"):
        raise BadRequestException("Target must be specified when RouteKey is specified")
    api = _new_api(tx, call, _members(request))
    tags.put_tags(tx, api.arn, request.get("Tags", {}))
    if request.get("Target"):
        api = await _quick_create(tx, call, api, request)
    return await described(tx, call, api)


def _new_api(tx: Tx, call: Call, members: Mapping[str, Any]) -> Api:
    api = Api(
        account=call.account,
        region=call.region,
        id=call.platform.ids.lower(10),
        created_at=call.now,
        members={"ProtocolType": "HTTP", **members},
    )
    APIS.put(tx, api)
    WHERE.put(tx, Where(api_id=api.id, account=api.account, region=api.region))
    return api


async def _quick_create(tx: Tx, call: Call, api: Api, request: Request) -> Api:
    """An integration, a catch-all route and a default stage that deploys by itself."""
    api = msgspec.structs.replace(api, quick_target=request["Target"])
    APIS.put(tx, api)
    integration = {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": request["Target"],
        "PayloadFormatVersion": "2.0",
    }
    if "CredentialsArn" in request:
        integration["CredentialsArn"] = request["CredentialsArn"]
    made = parts.new_integration(tx, call, api.id, integration, managed=True)
    key = request.get("RouteKey", "$default")
    route = {"RouteKey": key, "Target": f"integrations/{made.id}"}
    parts.new_route(tx, call, api.id, route, managed=True)
    stage = {"StageName": "$default", "AutoDeploy": True}
    parts.new_stage(tx, call, api, stage, managed=True)
    await parts.deploy_automatically(tx, call, api)
    return api


async def import_api(tx: Tx, call: Call, request: Request) -> Any:
    found = _imported(request)
    if not found.name:
        raise BadRequestException("API name must be specified (info.title)")
    api = _new_api(tx, call, _imported_members(found))
    tags.put_tags(tx, api.arn, found.tags)
    await _put_imported(tx, call, api, found)
    return await described(tx, call, api)


async def reimport_api(tx: Tx, call: Call, request: Request) -> Any:
    api, found = await api_of(tx, call, request), _imported(request)
    members = {**api.members, **_imported_members(found)}
    if found.cors is None:
        members.pop("CorsConfiguration", None)
    api = msgspec.structs.replace(api, members=members)
    APIS.put(tx, api)
    for kind in ("route", "integration"):
        PARTS.delete_all(tx, api.id, kind)
    await _put_imported(tx, call, api, found)
    return await described(tx, call, api)


def _imported(request: Request) -> Imported:
    if request.get("Basepath", "ignore") != "ignore":
        raise BadRequestException("Skyfold imports with Basepath ignore only yet.")
    try:
        return imported(parsed(request["Body"]))
    except BadDocument as bad:
        raise BadRequestException(str(bad)) from bad


def _imported_members(found: Imported) -> dict[str, Any]:
    members: dict[str, Any] = {"Name": found.name}
    if found.version:
        members["Version"] = found.version
    if found.description:
        members["Description"] = found.description
    if found.cors is not None:
        members["CorsConfiguration"] = _checked_cors(found.cors)
    return members


async def _put_imported(tx: Tx, call: Call, api: Api, found: Imported) -> None:
    made: dict[bytes, str] = {}
    for route, integration in zip(found.routes, found.integrations, strict=True):
        shape = msgspec.json.encode(integration)
        if shape not in made:  # routes with the same integration share it
            made[shape] = parts.new_integration(tx, call, api.id, integration).id
        parts.new_route(tx, call, api.id, {**route, "Target": f"integrations/{made[shape]}"})
    await parts.deploy_automatically(tx, call, api)


async def update_api(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    if any(member in request for member in ("RouteKey", "Target", "CredentialsArn")):
        raise BadRequestException("Skyfold changes what quick create made by its parts only.")
    api = msgspec.structs.replace(api, members={**api.members, **_members(request)})
    APIS.put(tx, api)
    await parts.deploy_automatically(tx, call, api)
    return await described(tx, call, api)


async def delete_cors_configuration(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    members = {key: value for key, value in api.members.items() if key != "CorsConfiguration"}
    api = msgspec.structs.replace(api, members=members)
    APIS.put(tx, api)
    await parts.deploy_automatically(tx, call, api)


async def get_api(tx: ReadTx, call: Call, request: Request) -> Any:
    return await described(tx, call, await api_of(tx, call, request))


async def get_apis(tx: ReadTx, call: Call, request: Request) -> Any:
    size, above = page_of(request, "apigatewayv2.apis")
    found = await APIS.scan(tx, call.account, call.region, limit=size + 1, above=above)
    more = len(found) > size
    return reply(
        Items=[await described(tx, call, api) for api in found[:size]],
        NextToken=pages.token("apigatewayv2.apis", found[size - 1].id) if more else None,
    )


async def delete_api(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    for stage in await PARTS.scan(tx, api.id, STAGE, limit=1000):
        tags.forget_tags(tx, parts.stage_arn(api, stage.id))
    PARTS.delete_all(tx, api.id)
    APIS.delete(tx, api.account, api.region, api.id)
    WHERE.delete(tx, api.id)
    tags.forget_tags(tx, api.arn)


def _members(request: Request) -> dict[str, Any]:
    for member in WEBSOCKET_ONLY:
        if member in request:
            raise BadRequestException(f"{member} is not supported for HTTP APIs")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise BadRequestException("Skyfold serves APIs over ipv4.")
    if request.get("RouteSelectionExpression") not in (
        None,
        "$request.method $request.path",
        "${request.method} ${request.path}",
    ):
        raise BadRequestException(
            "RouteSelectionExpression must be $request.method $request.path for HTTP APIs"
        )
    members = {member: request[member] for member in KEPT if member in request}
    if "CorsConfiguration" in members:
        members["CorsConfiguration"] = _checked_cors(members["CorsConfiguration"])
    return members


def _checked_cors(cors: Mapping[str, Any]) -> dict[str, Any]:
    if cors.get("AllowCredentials") and "*" in cors.get("AllowOrigins", ()):
        raise BadRequestException(
            "Invalid CORS configuration: allowCredentials cannot be true when allowOrigins is *"
        )
    for origin in cors.get("AllowOrigins", ()):
        if origin != "*" and "://" not in origin:
            raise BadRequestException(f"Invalid format for origin {origin}")
    return dict(cors)


def page_of(request: Request, purpose: str) -> tuple[int, tuple[Any, ...] | None]:
    """How many, and behind what, a paged request asks for."""
    text = str(request.get("MaxResults") or limits.PAGE_DEFAULT)
    if not text.isdecimal() or not 1 <= int(text) <= limits.PAGE_MAX:
        raise BadRequestException(f"Invalid value for maxResults: {text}")
    if not request.get("NextToken"):
        return int(text), None
    try:
        return int(text), pages.position(purpose, request["NextToken"])
    except pages.BadToken:
        raise BadRequestException("Invalid nextToken") from None


async def api_of(tx: ReadTx, call: Call, request: Request) -> Api:
    found = await APIS.get(tx, call.account, call.region, request["ApiId"])
    if found is None:
        raise NotFoundException("API", request["ApiId"])
    return found


def endpoint_of(call: Call, api_id: str) -> str:
    """Where the API is reached: under the name that the caller knows the platform by."""
    scheme, _, host = call.endpoint.partition("://")
    name, colon, port = host.partition(":")
    if name.endswith("amazonaws.com"):
        return f"https://{api_id}.execute-api.{call.region}.amazonaws.com"
    domain = name if name.endswith("localhost.localstack.cloud") else "localhost"
    return f"{scheme}://{api_id}.execute-api.{domain}{colon}{port}"


async def described(tx: ReadTx, call: Call, api: Api) -> Any:
    shown = {key: value for key, value in api.members.items() if value not in (None, "")}
    return reply(
        **{
            "DisableExecuteApiEndpoint": False,
            **shown,
            "ApiEndpoint": endpoint_of(call, api.id),
            "ApiId": api.id,
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "CreatedDate": api.created_at,
            "IpAddressType": "ipv4",
            "RouteSelectionExpression": "$request.method $request.path",
            "Tags": await tags.tags_of(tx, api.arn),
        }
    )
