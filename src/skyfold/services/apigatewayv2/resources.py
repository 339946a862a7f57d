"""CloudFormation: AWS::ApiGatewayV2::Api, ::Route, ::Integration, ::Stage and ::Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType

Attributes = Mapping[str, Any]


def _numbered(want: Properties, *numbers: str) -> dict[str, Any]:
    return {k: int(v) if k in numbers else v for k, v in want.items()}


def _body(want: Properties) -> str:
    """The OpenAPI document, with what the template says beside it written into it."""
    document = msgspec.json.decode(msgspec.json.encode(want["Body"]))
    info = document.setdefault("info", {})
    if "Name" in want:
        info["title"] = want["Name"]
    if "Description" in want:
        info["description"] = want["Description"]
    if "Version" in want:
        info["version"] = want["Version"]
    return msgspec.json.encode(document).decode()


async def create_api(provision: Provision) -> Provisioned:
    want, api = provision.want, provision.api("apigatewayv2")
    if "BodyS3Location" in want:
        raise AwsError("BodyS3Location: Skyfold reads Body only yet.")
    if "Body" in want:
        made = await api.import_api(Body=_body(want))
        await _after_import(provision, made["ApiId"])
        arn = f"arn:aws:apigateway:{provision.region}::/apis/{made['ApiId']}"
        if tags := want.get("Tags"):
            await api.tag_resource(ResourceArn=arn, Tags=tags)
    else:
        request = {k: v for k, v in want.items() if k != "FailOnWarnings"}
        made = await api.create_api(**{"ProtocolType": "HTTP", **request})
    return _api(made["ApiId"], made["ApiEndpoint"])


async def update_api(provision: Provision) -> Provisioned:
    want, had, id = provision.want, provision.had, provision.physical_id
    api = provision.api("apigatewayv2")
    if "Body" in want:
        await api.reimport_api(ApiId=id, Body=_body(want))
        await _after_import(provision, id)
    else:
        skipped = ("FailOnWarnings", "ProtocolType", "Tags", "Target", "RouteKey", "CredentialsArn")
        await api.update_api(ApiId=id, **{k: v for k, v in want.items() if k not in skipped})
        if "CorsConfiguration" in had and "CorsConfiguration" not in want:
            await api.delete_cors_configuration(ApiId=id)
    arn = f"arn:aws:apigateway:{provision.region}::/apis/{id}"
    before, after = had.get("Tags") or {}, want.get("Tags") or {}
    if gone := [key for key in before if key not in after]:
        await api.untag_resource(ResourceArn=arn, TagKeys=gone)
    if after:
        await api.tag_resource(ResourceArn=arn, Tags=after)
    made = await api.get_api(ApiId=id)
    return _api(id, made["ApiEndpoint"])


async def _after_import(provision: Provision, id: str) -> None:
    """What a template says beside the document, and wins over it."""
    members = ("CorsConfiguration", "DisableExecuteApiEndpoint")
    beside = {m: provision.want[m] for m in members if m in provision.want}
    if beside:
        await provision.api("apigatewayv2").update_api(ApiId=id, **beside)


def _api(id: str, endpoint: str) -> Provisioned:
    return Provisioned(physical_id=id, attributes={"ApiId": id, "ApiEndpoint": endpoint})


async def delete_api(provision: Provision) -> None:
    await _unless_gone(provision.api("apigatewayv2").delete_api(ApiId=provision.physical_id))


async def create_route(provision: Provision) -> Provisioned:
    made = await provision.api("apigatewayv2").create_route(**provision.want)
    return Provisioned(physical_id=made["RouteId"], attributes={"RouteId": made["RouteId"]})


async def update_route(provision: Provision) -> Provisioned:
    id = provision.physical_id
    await provision.api("apigatewayv2").update_route(RouteId=id, **provision.want)
    return Provisioned(physical_id=id, attributes={"RouteId": id})


async def delete_route(provision: Provision) -> None:
    api = provision.api("apigatewayv2")
    where = provision.had["ApiId"]
    await _unless_gone(api.delete_route(ApiId=where, RouteId=provision.physical_id))


async def create_integration(provision: Provision) -> Provisioned:
    want = _numbered(provision.want, "TimeoutInMillis")
    made = await provision.api("apigatewayv2").create_integration(**want)
    id = made["IntegrationId"]
    return Provisioned(physical_id=id, attributes={"IntegrationId": id})


async def update_integration(provision: Provision) -> Provisioned:
    id, want = provision.physical_id, _numbered(provision.want, "TimeoutInMillis")
    await provision.api("apigatewayv2").update_integration(IntegrationId=id, **want)
    return Provisioned(physical_id=id, attributes={"IntegrationId": id})


async def delete_integration(provision: Provision) -> None:
    api = provision.api("apigatewayv2")
    where = provision.had["ApiId"]
    await _unless_gone(api.delete_integration(ApiId=where, IntegrationId=provision.physical_id))


def _stage(want: Properties) -> dict[str, Any]:
    kept = {k: v for k, v in want.items() if k != "AccessPolicyId"}
    if "AutoDeploy" in kept:
        kept["AutoDeploy"] = str(kept["AutoDeploy"]).lower() == "true"
    return kept


async def create_stage(provision: Provision) -> Provisioned:
    want = _stage(provision.want)
    try:
        await provision.api("apigatewayv2").create_stage(**want)
    except AwsError as exists:
        if exists.code != "ConflictException" or want["StageName"] != "$default":
            raise
        want.pop("Tags", None)
        await provision.api("apigatewayv2").update_stage(**want)
    return Provisioned(physical_id=want["StageName"])


async def update_stage(provision: Provision) -> Provisioned:
    want, api = _stage(provision.want), provision.api("apigatewayv2")
    after = want.pop("Tags", None) or {}
    await api.update_stage(**want)
    where = f"apis/{want['ApiId']}/stages/{want['StageName']}"
    arn = f"arn:aws:apigateway:{provision.region}::/{where}"
    if gone := [key for key in provision.had.get("Tags") or {} if key not in after]:
        await api.untag_resource(ResourceArn=arn, TagKeys=gone)
    if after:
        await api.tag_resource(ResourceArn=arn, Tags=after)
    return Provisioned(physical_id=want["StageName"])


async def delete_stage(provision: Provision) -> None:
    api, where = provision.api("apigatewayv2"), provision.had["ApiId"]
    await _unless_gone(api.delete_stage(ApiId=where, StageName=provision.physical_id))


async def create_deployment(provision: Provision) -> Provisioned:
    made = await provision.api("apigatewayv2").create_deployment(**provision.want)
    id = made["DeploymentId"]
    return Provisioned(physical_id=id, attributes={"DeploymentId": id})


async def update_deployment(provision: Provision) -> Provisioned:
    raise AwsError("Skyfold cannot change the description of a deployment yet.")


async def delete_deployment(provision: Provision) -> None:
    api, where = provision.api("apigatewayv2"), provision.had["ApiId"]
    await _unless_gone(api.delete_deployment(ApiId=where, DeploymentId=provision.physical_id))


async def _unless_gone(deleting: Any) -> None:
    try:
        await deleting
    except AwsError as gone:
        if gone.code != "NotFoundException":
            raise


TYPES = [
    ResourceType(
        name="AWS::ApiGatewayV2::Api", create=create_api, update=update_api, delete=delete_api
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::Route",
        create=create_route,
        update=update_route,
        delete=delete_route,
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::Integration",
        create=create_integration,
        update=update_integration,
        delete=delete_integration,
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::Stage",
        create=create_stage,
        update=update_stage,
        delete=delete_stage,
    ),
    ResourceType(
        name="AWS::ApiGatewayV2::Deployment",
        create=create_deployment,
        update=update_deployment,
        delete=delete_deployment,
    ),
]
