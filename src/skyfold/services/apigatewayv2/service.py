"""Amazon API Gateway V2, declared."""

from __future__ import annotations

from skyfold.kernel.call import Call
from skyfold.kernel.service import Arn, Request, Service, read, write
from skyfold.services.apigatewayv2 import resources, serving
from skyfold.services.apigatewayv2.operations import apis, routes, stages
from skyfold.services.apigatewayv2.tables import DEPLOYMENT, INTEGRATION, ROUTE, STAGE

# IAM decides on API Gateway by HTTP method and path: apigateway:POST on .../apis/ID/routes.


def at(*steps: str) -> Arn:
    """The ARN of a path; a step in braces is a member of the request."""

    def arn(call: Call, request: Request) -> str:
        named = [str(request[s[1:-1]]) if s.startswith("{") else s for s in steps]
        return f"arn:aws:apigateway:{call.region}::/{'/'.join(named)}"

    return arn


def tagged(call: Call, request: Request) -> str:
    return str(request["ResourceArn"])


API = ("apis", "{ApiId}")

SERVICE = Service(
    model="apigatewayv2",
    prefix="apigateway",
    operations={
        "CreateApi": write(apis.create_api, on=at("apis"), action="POST"),
        "CreateDeployment": write(
            stages.create_deployment, on=at(*API, "deployments"), action="POST"
        ),
        "CreateIntegration": write(
            routes.create_integration, on=at(*API, "integrations"), action="POST"
        ),
        "CreateRoute": write(routes.create_route, on=at(*API, "routes"), action="POST"),
        "CreateStage": write(stages.create_stage, on=at(*API, "stages"), action="POST"),
        "DeleteApi": write(apis.delete_api, on=at(*API), action="DELETE"),
        "DeleteCorsConfiguration": write(
            apis.delete_cors_configuration, on=at(*API, "cors"), action="DELETE"
        ),
        "DeleteDeployment": write(
            stages.delete_deployment, on=at(*API, "deployments", "{DeploymentId}"), action="DELETE"
        ),
        "DeleteIntegration": write(
            routes.delete_integration,
            on=at(*API, "integrations", "{IntegrationId}"),
            action="DELETE",
        ),
        "DeleteRoute": write(
            routes.delete_route, on=at(*API, "routes", "{RouteId}"), action="DELETE"
        ),
        "DeleteStage": write(
            stages.delete_stage, on=at(*API, "stages", "{StageName}"), action="DELETE"
        ),
        "GetApi": read(apis.get_api, on=at(*API), action="GET"),
        "GetApis": read(apis.get_apis, on=at("apis"), action="GET"),
        "GetDeployment": read(
            routes.getter(DEPLOYMENT, "DeploymentId"),
            on=at(*API, "deployments", "{DeploymentId}"),
            action="GET",
        ),
        "GetDeployments": read(routes.lister(DEPLOYMENT), on=at(*API, "deployments"), action="GET"),
        "GetIntegration": read(
            routes.getter(INTEGRATION, "IntegrationId"),
            on=at(*API, "integrations", "{IntegrationId}"),
            action="GET",
        ),
        "GetIntegrations": read(
            routes.lister(INTEGRATION), on=at(*API, "integrations"), action="GET"
        ),
        "GetRoute": read(
            routes.getter(ROUTE, "RouteId"), on=at(*API, "routes", "{RouteId}"), action="GET"
        ),
        "GetRoutes": read(routes.lister(ROUTE), on=at(*API, "routes"), action="GET"),
        "GetStage": read(
            routes.getter(STAGE, "StageName"), on=at(*API, "stages", "{StageName}"), action="GET"
        ),
        "GetStages": read(routes.lister(STAGE), on=at(*API, "stages"), action="GET"),
        "GetTags": read(stages.get_tags, on=tagged, action="GET"),
        "ImportApi": write(apis.import_api, on=at("apis"), action="PUT"),
        "ReimportApi": write(apis.reimport_api, on=at(*API), action="PUT"),
        "TagResource": write(stages.tag_resource, on=tagged, action="POST"),
        "UntagResource": write(stages.untag_resource, on=tagged, action="DELETE"),
        "UpdateApi": write(apis.update_api, on=at(*API), action="PATCH"),
        "UpdateIntegration": write(
            routes.update_integration,
            on=at(*API, "integrations", "{IntegrationId}"),
            action="PATCH",
        ),
        "UpdateRoute": write(
            routes.update_route, on=at(*API, "routes", "{RouteId}"), action="PATCH"
        ),
        "UpdateStage": write(
            stages.update_stage, on=at(*API, "stages", "{StageName}"), action="PATCH"
        ),
    },
    data_planes=[serving.EXECUTE_API],
    resource_types=resources.TYPES,
)
