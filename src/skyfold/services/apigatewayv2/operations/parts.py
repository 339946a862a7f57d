"""Routes, integrations, stages and deployments: the parts of an API, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel import tags
from skyfold.kernel.call import Call
from skyfold.services.apigatewayv2 import limits
from skyfold.services.apigatewayv2.engine.routes import valid_key
from skyfold.services.apigatewayv2.errors import BadRequestException, ConflictException
from skyfold.services.apigatewayv2.tables import (
    DEPLOYMENT,
    INTEGRATION,
    PARTS,
    ROUTE,
    STAGE,
    Api,
    Part,
)
from skyfold.store.api import ReadTx, Tx

ROUTE_MEMBERS = (
    "ApiKeyRequired",
    "AuthorizationType",
    "OperationName",
    "RouteKey",
    "Target",
)
INTEGRATION_MEMBERS = (
    "ConnectionType",
    "CredentialsArn",
    "Description",
    "IntegrationMethod",
    "IntegrationType",
    "IntegrationUri",
    "PayloadFormatVersion",
    "TimeoutInMillis",
)
STAGE_MEMBERS = ("AutoDeploy", "DeploymentId", "Description", "StageName", "StageVariables")


def new_route(
    tx: Tx, call: Call, api_id: str, members: Mapping[str, Any], *, managed: bool = False
) -> Part:
    """The caller has seen that no other route has the key."""
    return _put(tx, call, api_id, ROUTE, checked_route(members), managed)


def checked_route(members: Mapping[str, Any]) -> dict[str, Any]:
    kept = _kept(members, ROUTE_MEMBERS, "routes")
    key = kept["RouteKey"]
    if not valid_key(key):
        raise BadRequestException(f"The provided route key is not formatted properly for HTTP "
                                  f"protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" "
                                  f"or \"$default\": {key}")  # fmt: skip
    if kept.get("AuthorizationType", "NONE") not in ("NONE", "AWS_IAM"):
        raise BadRequestException(
            "AuthorizationType: Skyfold has NONE and AWS_IAM for HTTP APIs yet."
        )
    if kept.get("ApiKeyRequired"):
        raise BadRequestException("ApiKeyRequired is not currently supported for HTTP APIs")
    return {"ApiKeyRequired": False, "AuthorizationType": "NONE", **kept}


def new_integration(
    tx: Tx, call: Call, api_id: str, members: Mapping[str, Any], *, managed: bool = False
) -> Part:
    return _put(tx, call, api_id, INTEGRATION, checked_integration(members), managed)


def checked_integration(members: Mapping[str, Any]) -> dict[str, Any]:
    kept = _kept(members, INTEGRATION_MEMBERS, "integrations")
    if kept["IntegrationType"] != "AWS_PROXY":
        raise BadRequestException(
            "IntegrationType: Skyfold has AWS_PROXY (Lambda functions) for HTTP APIs yet."
        )
    if kept.get("ConnectionType", "INTERNET") != "INTERNET":
        raise BadRequestException("ConnectionType: Skyfold has no VPC links.")
    uri = kept.get("IntegrationUri", "")
    if function_in(uri) is None:
        raise BadRequestException(f"Invalid integration URI specified: {uri}")
    version = kept.get("PayloadFormatVersion")
    if version not in ("1.0", "2.0"):
        raise BadRequestException("PayloadFormatVersion is a required parameter for integration")
    timeout = kept.get("TimeoutInMillis", limits.INTEGRATION_MS_DEFAULT)
    if not limits.INTEGRATION_MS_MIN <= timeout <= limits.INTEGRATION_MS_MAX:
        raise BadRequestException("Timeout should be between 50 ms and 30000 ms")
    return {
        "ConnectionType": "INTERNET",
        "IntegrationMethod": "POST",
        "TimeoutInMillis": timeout,
        **kept,
    }


def function_in(uri: str) -> str | None:
    """The function's ARN in an integration URI, which is that ARN or an invocation path."""
    if ":lambda:path/" in uri and "/functions/" in uri:
        uri = uri.partition("/functions/")[2].removesuffix("/invocations")
    return uri if uri.startswith("arn:") and ":function:" in uri else None


def new_stage(
    tx: Tx, call: Call, api: Api, members: Mapping[str, Any], *, managed: bool = False
) -> Part:
    stage = checked_stage(members)
    stamps = {"CreatedDate": call.now, "LastUpdatedDate": call.now}
    if managed:
        stamps["ApiGatewayManaged"] = True
    part = Part(api_id=api.id, kind=STAGE, id=stage["StageName"], members={**stage, **stamps})
    PARTS.put(tx, part)
    tags.put_tags(tx, stage_arn(api, part.id), members.get("Tags", {}))
    return part


def checked_stage(members: Mapping[str, Any]) -> dict[str, Any]:
    kept = _kept(members, (*STAGE_MEMBERS, "Tags"), "stages")
    kept.pop("Tags", None)
    name = kept["StageName"]
    if name != "$default" and not all(c.isalnum() or c in "_-" for c in name):
        raise BadRequestException(
            "Stage name only allows a-zA-Z0-9_- characters and the name $default"
        )
    if kept.get("AutoDeploy") and kept.get("DeploymentId"):
        raise BadRequestException("Deployment ID cannot be set on stage with AutoDeploy enabled")
    return {"AutoDeploy": False, "StageVariables": {}, **kept}


def _kept(members: Mapping[str, Any], names: tuple[str, ...], what: str) -> dict[str, Any]:
    """The members we obey; one that we cannot is refused, unless it asks for nothing."""
    for member, value in members.items():
        if member not in names and member != "ApiId" and not _empty(value):
            raise BadRequestException(f"{member}: Skyfold cannot obey it for {what} yet.")
    return {name: members[name] for name in names if members.get(name) is not None}


def _empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_empty(each) for each in value.values())
    return value in (None, False, "", 0, [], "OFF")


def _put(
    tx: Tx, call: Call, api_id: str, kind: str, members: Mapping[str, Any], managed: bool
) -> Part:
    shown = {**members, "ApiGatewayManaged": True} if managed else dict(members)
    part = Part(api_id=api_id, kind=kind, id=call.platform.ids.lower(7), members=shown)
    PARTS.put(tx, part)
    return part


async def deploy(tx: Tx, call: Call, api: Api, *, automatic: bool, description: str = "") -> Part:
    """Keep the routes and integrations of this moment as a deployment."""
    routes = await PARTS.scan(tx, api.id, ROUTE, limit=limits.ROUTES_MAX * 10)
    integrations = await PARTS.scan(tx, api.id, INTEGRATION, limit=limits.ROUTES_MAX * 10)
    if not routes and not automatic:
        raise BadRequestException("At least one route is required before deploying the Api.")
    members: dict[str, Any] = {
        "AutoDeployed": automatic,
        "CreatedDate": call.now,
        "DeploymentStatus": "DEPLOYED",
    }
    if description:
        members["Description"] = description
    snapshot = {
        "routes": [route.members for route in routes],
        "integrations": {part.id: part.members for part in integrations},
        "cors": api.members.get("CorsConfiguration"),
    }
    part = Part(
        api_id=api.id,
        kind=DEPLOYMENT,
        id=call.platform.ids.lower(6),
        members=members,
        snapshot=snapshot,
    )
    PARTS.put(tx, part)
    return part


async def deploy_automatically(tx: Tx, call: Call, api: Api) -> None:
    """After a change: stages that deploy by themselves get a new deployment."""
    stages = [s for s in await PARTS.scan(tx, api.id, STAGE, limit=1000) if s.members["AutoDeploy"]]
    if not stages:
        return
    made = await deploy(
        tx, call, api, automatic=True, description="Automatic deployment triggered by changes to "
        "the Api configuration"
    )  # fmt: skip
    for stage in stages:
        old = stage.members.get("DeploymentId")
        put_stage(tx, call, stage, {"DeploymentId": made.id})
        await _forget_unless_used(tx, api, old)


async def _forget_unless_used(tx: Tx, api: Api, deployment: str | None) -> None:
    """Automatic deployments that no stage serves any more are not kept."""
    found = await PARTS.get(tx, api.id, DEPLOYMENT, deployment) if deployment else None
    if found is None or not found.members["AutoDeployed"]:
        return
    stages = await PARTS.scan(tx, api.id, STAGE, limit=1000)
    if all(stage.members.get("DeploymentId") != deployment for stage in stages):
        PARTS.delete(tx, api.id, DEPLOYMENT, found.id)


def put_stage(tx: Tx, call: Call, stage: Part, changes: Mapping[str, Any]) -> Part:
    members = {**stage.members, **changes, "LastUpdatedDate": call.now}
    changed = msgspec.structs.replace(stage, members=members)
    PARTS.put(tx, changed)
    return changed


async def unless_taken(tx: ReadTx, api: Api, key: str, but: str = "") -> None:
    """Refuse a route key that another route of the API has."""
    for route in await PARTS.scan(tx, api.id, ROUTE, limit=limits.ROUTES_MAX * 10):
        if route.members["RouteKey"] == key and route.id != but:
            raise ConflictException(f"Route with key {key} already exists for this API")


def stage_arn(api: Api, stage: str) -> str:
    return f"{api.arn}/stages/{stage}"
