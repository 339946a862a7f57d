"""Serving HTTP APIs: from a request to a route, to its function, to an answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.principal import service_principal
from skyfold.kernel.service import DataPlane
from skyfold.services.apigatewayv2 import limits
from skyfold.services.apigatewayv2.engine import cors, proxy
from skyfold.services.apigatewayv2.engine.proxy import Asked
from skyfold.services.apigatewayv2.engine.routes import Chosen, Routes
from skyfold.services.apigatewayv2.operations.parts import function_in
from skyfold.services.apigatewayv2.tables import APIS, DEPLOYMENT, PARTS, STAGE, WHERE, Api, Part

if TYPE_CHECKING:
    from skyfold.kernel.call import Call
    from skyfold.kernel.platform import Platform
    from skyfold.store.api import ReadTx

_HOST = re.compile(r"^([a-z0-9]+)\.execute-api\.")
_PATH = re.compile(r"^/_aws/execute-api/([a-z0-9]+)(/.*)?$")
_OLD_PATH = re.compile(r"^/restapis/([a-z0-9]+)/([^/]+)/_user_request_(/.*)?$")


class Address(NamedTuple):
    """The API that a request is for, and the path behind it."""

    api_id: str
    path: str
    stage: str | None
    """Set where the address names the stage outside of the path."""


def address(request: HttpRequest) -> Address | None:
    """Host names first, then the path forms for clients that cannot resolve them."""
    if found := _HOST.match(request.host):
        return Address(found[1], request.path or "/", None)
    if not request.path.startswith(("/_aws/execute-api/", "/restapis/")):
        return None
    if found := _PATH.match(request.path):
        return Address(found[1], found[2] or "/", None)
    if found := _OLD_PATH.match(request.path):
        return Address(found[1], found[3] or "/", found[2])
    return None


def matches(request: HttpRequest) -> bool:
    return address(request) is not None


class Serves(NamedTuple):
    """An API's stage as it is deployed."""

    api: Api
    stage: Part
    deployment: Deployed
    path: str
    """What routes see: without the stage's name."""


class Deployed:
    """A deployment, made ready for requests. It never changes."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self.routes = Routes(snapshot["routes"])
        self.integrations: Mapping[str, Mapping[str, Any]] = snapshot["integrations"]
        self.cors: Mapping[str, Any] | None = snapshot["cors"]


@functools.lru_cache(maxsize=1024)
def _deployed(packed: bytes) -> Deployed:
    part = msgspec.msgpack.decode(packed, type=Part)
    assert part.snapshot is not None, "a deployment has a snapshot"
    return Deployed(part.snapshot)


async def _find(tx: ReadTx, at: Address) -> Serves | None:
    where = await WHERE.get(tx, at.api_id)
    api = await APIS.get(tx, where.account, where.region, at.api_id) if where else None
    if api is None:
        return None
    first, _, rest = at.path[1:].partition("/")
    stage = await PARTS.get(tx, api.id, STAGE, at.stage or first or "$default")
    path = at.path if at.stage else f"/{rest}"
    if stage is None:
        stage, path = await PARTS.get(tx, api.id, STAGE, "$default"), at.path
    deployment = stage.members.get("DeploymentId") if stage else None
    if stage is None or deployment is None:
        return None
    packed = await tx.get(PARTS.prefix(api.id, DEPLOYMENT, deployment))
    return Serves(api, stage, _deployed(packed), path) if packed else None


async def serve(platform: Platform, request: HttpRequest) -> HttpReply:
    """One request to an API, answered."""
    at = address(request)
    assert at is not None, "matches() has seen it"
    found = await platform.store.read(_find, at)
    if found is None:
        return _said(404, "Not Found")
    if request.stream is not None:
        length = request.stream.length
        if length is not None and length > limits.PAYLOAD_BYTES_MAX:
            return _said(413, "Request Entity Too Large")
        request.body, request.stream = await request.stream.read(), None
    if len(request.body) > limits.PAYLOAD_BYTES_MAX:
        return _said(413, "Request Entity Too Large")
    began = platform.wall.now()
    reply = await _answer(platform, request, found)
    _account_for(platform, found, request, reply, platform.wall.now() - began)
    return reply


async def _answer(platform: Platform, request: HttpRequest, found: Serves) -> HttpReply:
    rules = found.deployment.cors
    asks_first = "access-control-request-method" in request.headers
    if rules and request.method == "OPTIONS" and asks_first and "origin" in request.headers:
        return HttpReply(status=204, headers=cors.preflight(rules, request.headers))
    chosen = found.deployment.routes.choose(request.method, found.path)
    if chosen is None:
        return _said(404, "Not Found")
    reply = await _routed(platform, request, found, chosen)
    if rules:
        own = {name for name, _ in cors.actual(rules, request.headers)}
        kept = [(n, v) for n, v in reply.headers if n.lower() not in own]
        reply.headers = kept + cors.actual(rules, request.headers)
    return reply


async def _routed(
    platform: Platform, request: HttpRequest, found: Serves, chosen: Chosen
) -> HttpReply:
    route, api = chosen.route, found.api
    key, stage = route["RouteKey"], found.stage.id
    resource = "$default" if key == "$default" else f"{request.method}{key.partition(' ')[2]}"
    source = f"arn:aws:execute-api:{api.region}:{api.account}:{api.id}/{stage}/{resource}"
    who = service_principal("apigateway.amazonaws.com", account=api.account, source_arn=source)
    call = platform.call(who, region=api.region, operation="apigatewayv2:Invoke")
    iam = None
    if route.get("AuthorizationType") == "AWS_IAM":
        try:
            iam = await _signed(call, request, source)
        except AwsError:
            return _said(403, "Forbidden")
    integration = found.deployment.integrations.get(
        route.get("Target", "").removeprefix("integrations/")
    )
    if integration is None:
        return _said(500, "Internal Server Error")
    asked = Asked(
        request=request,
        account=api.account,
        api_id=api.id,
        stage=stage,
        route_key=key,
        path=found.path if stage == "$default" else f"/{stage}{found.path}",
        parameters=chosen.parameters,
        stage_variables=found.stage.members.get("StageVariables", {}),
        request_id=call.request_id,
        now=call.now,
        iam=iam,
    )
    return await _invoked(call, integration, asked)


async def _signed(call: Call, request: HttpRequest, source: str) -> dict[str, Any]:
    """The caller of a route that asks for IAM. Raises AwsError where there is none who may."""
    platform = call.platform
    who = await platform.access.authenticate(
        platform.store, request, platform.wall.now(), service="execute-api"
    )
    principal = who.principal
    there = call.acting_as(principal, account=call.account)
    await call.read(there.allowed, "execute-api:Invoke", source)
    return {
        "accessKey": principal.access_key,
        "accountId": principal.account,
        "callerId": principal.id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": principal.caller_arn,
        "userId": principal.id,
    }


async def _invoked(call: Call, integration: Mapping[str, Any], asked: Asked) -> HttpReply:
    version = integration["PayloadFormatVersion"]
    event = proxy.event_2(asked) if version == "2.0" else proxy.event_1(asked)
    function = function_in(integration["IntegrationUri"])
    for name, value in asked.stage_variables.items():
        function = (function or "").replace("${stageVariables." + name + "}", value)
    try:
        caller = call
        if role := integration.get("CredentialsArn"):
            caller = await _as_role(call, role, asked)
        ran = await caller.api("lambda_").invoke(
            FunctionName=function, Payload=msgspec.json.encode(event)
        )
    except AwsError as refused:
        if refused.status == 429:
            return _said(503, "Service Unavailable")
        return _said(500, "Internal Server Error")
    if "FunctionError" in ran:
        return _said(500, "Internal Server Error")
    try:
        reply = proxy.answer(ran["Payload"], version)
    except proxy.BadAnswer:
        return _said(500, "Internal Server Error")
    reply.headers.append(("apigw-requestid", asked.request_id))
    return reply


async def _as_role(call: Call, role: str, asked: Asked) -> Call:
    platform = call.platform
    issued = await call.write(
        functools.partial(platform.access.assume, service_principal="apigateway.amazonaws.com"),
        call,
        role,
        asked.api_id,
        3600,
    )
    return call.acting_as(issued.principal, account=call.account)


def _said(status: int, message: str) -> HttpReply:
    headers = [("content-type", "application/json")]
    return HttpReply(status=status, headers=headers, body=b'{"message":"%s"}' % message.encode())


def _account_for(
    platform: Platform, found: Serves, request: HttpRequest, reply: HttpReply, took_ms: int
) -> None:
    api = found.api
    who = service_principal("apigateway.amazonaws.com", account=api.account)
    call = platform.call(who, region=api.region, operation="apigatewayv2:Invoke")
    size = len(request.body) + (len(reply.body) if isinstance(reply.body, bytes) else 0)
    chunk = 512 * 1024  # HTTP APIs are billed in steps of 512 KB
    call.meter("ApiGatewayHttpRequest", max(1, -(-size // chunk)), resource=api.id)
    for dimensions in ({"ApiId": api.id}, {"ApiId": api.id, "Stage": found.stage.id}):
        call.metric("AWS/ApiGateway", "Count", 1, "Count", **dimensions)
        call.metric("AWS/ApiGateway", "Latency", took_ms, "Milliseconds", **dimensions)
        if reply.status >= 400:
            kind = "4xx" if reply.status < 500 else "5xx"
            call.metric("AWS/ApiGateway", kind, 1, "Count", **dimensions)


EXECUTE_API = DataPlane(matches=matches, serve=serve)
