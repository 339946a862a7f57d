"""HTTP APIs: from a request to a function and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.services.apigatewayv2.engine.routes import Routes, valid_key
from skyfold.services.apigatewayv2.serving import EXECUTE_API
from tests.services.lambda_.shop import make, world_with_role
from tests.support.world import ACCOUNT, World

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"


class Shop:
    """An API whose routes all lead to the function ``f``, which may be invoked by it."""

    def __init__(self, world: World, api_id: str) -> None:
        self.world, self.api_id = world, api_id

    async def ask(
        self, method: str, path: str, body: bytes = b"", query: str = "", **headers: str
    ) -> HttpReply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        host = f"{self.api_id}.execute-api.localhost:4566"
        request = HttpRequest(
            method=method, path=path, query=query, body=body, headers={"host": host, **named}
        )
        assert EXECUTE_API.matches(request)
        return await EXECUTE_API.serve(self.world.platform, request)

    @property
    def events(self) -> list[Any]:
        return [event for _, event in self.world.functions.invoked]


async def shop(*keys: str, version: str = "2.0", **api: Any) -> Shop:
    world = await world_with_role()
    await make(world)
    made = await world.apigatewayv2("CreateApi", Name="a", ProtocolType="HTTP", **api)
    id = made["ApiId"]
    integration = await world.apigatewayv2(
        "CreateIntegration",
        ApiId=id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=FUNCTION,
        PayloadFormatVersion=version,
    )
    target = f"integrations/{integration['IntegrationId']}"
    for key in keys:
        await world.apigatewayv2("CreateRoute", ApiId=id, RouteKey=key, Target=target)
    await world.apigatewayv2("CreateStage", ApiId=id, StageName="$default", AutoDeploy=True)
    await allow(world, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*")
    return Shop(world, id)


async def allow(world: World, source: str) -> None:
    await world.lambda_(
        "AddPermission",
        FunctionName="f",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source,
    )


async def test_a_request_becomes_an_event_of_format_two() -> None:
    api = await shop("POST /orders/{id}")
    await api.ask(
        "POST", "/orders/a%20b", b'{"n":1}', "x=1&x=2&y=%20", content_type="application/json"
    )

    (event,) = api.events
    assert (event["version"], event["routeKey"]) == ("2.0", "POST /orders/{id}")
    assert event["rawPath"] == "/orders/a b"
    assert event["pathParameters"] == {"id": "a b"}
    assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
    assert (event["body"], event["isBase64Encoded"]) == ('{"n":1}', False)
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["sourceIp"]) == ("POST", "/orders/a b", "127.0.0.1")


async def test_a_body_that_is_no_text_comes_in_base64() -> None:
    api = await shop("POST /x")
    await api.ask("POST", "/x", b"\x00\xff", content_type="image/png")
    (event,) = api.events
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == b"\x00\xff"


async def test_cookies_stand_apart_from_headers() -> None:
    api = await shop("GET /x")
    await api.ask("GET", "/x", cookie="a=1; b=2")
    (event,) = api.events
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]


@pytest.mark.parametrize(
    ("returned", "status", "body", "kind"),
    [
        ({"statusCode": 201, "body": "hi"}, 201, b"hi", "text/plain;charset=utf-8"),
        ({"statusCode": "404"}, 404, b"", None),
        ({"hello": "world"}, 200, b'{"hello":"world"}', "application/json"),
        ("text", 200, b"text", "application/json"),
        (None, 200, b"null", "application/json"),
        (
            {"statusCode": 200, "headers": {"Content-Type": "image/png"},
             "isBase64Encoded": True, "body": "AP8="},
            200, b"\x00\xff", "image/png",
        ),
        ({"statusCode": "none"}, 500, b'{"message":"Internal Server Error"}', "application/json"),
    ],
)  # fmt: skip
async def test_what_the_function_returns_becomes_the_answer(
    returned: Any, status: int, body: bytes, kind: str | None
) -> None:
    api = await shop("GET /x")
    api.world.functions.handlers["f"] = lambda event: returned
    reply = await api.ask("GET", "/x")
    assert (reply.status, reply.body) == (status, body)
    assert dict(reply.headers).get("content-type") == kind


async def test_cookies_of_the_answer_are_set_one_by_one() -> None:
    api = await shop("GET /x")
    api.world.functions.handlers["f"] = lambda e: {"statusCode": 200, "cookies": ["a=1", "b=2"]}
    reply = await api.ask("GET", "/x")
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1", "b=2"]


async def test_a_function_that_fails_is_an_internal_server_error() -> None:
    api = await shop("GET /x")

    def fail(event: Any) -> Any:
        raise ValueError

    api.world.functions.handlers["f"] = fail
    assert (await api.ask("GET", "/x")).status == 500


async def test_a_function_that_does_not_allow_the_api_is_not_run() -> None:
    api = await shop("GET /x")
    await api.world.lambda_("RemovePermission", FunctionName="f", StatementId="api")
    assert (await api.ask("GET", "/x")).status == 500
    await allow(api.world, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.api_id}/*/POST/x")
    assert (await api.ask("GET", "/x")).status == 500
    assert api.events == []


async def test_what_no_route_matches_is_not_found() -> None:
    api = await shop("GET /x")
    reply = await api.ask("GET", "/y")
    assert (reply.status, reply.body) == (404, b'{"message":"Not Found"}')
    assert (await api.ask("POST", "/x")).status == 404


async def test_cors_is_answered_by_the_api_itself() -> None:
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60}
    api = await shop("GET /x", CorsConfiguration=cors)
    asked = {"origin": "https://a.example", "access_control_request_method": "GET"}

    reply = await api.ask("OPTIONS", "/x", **asked)
    other = await api.ask("OPTIONS", "/x", **{**asked, "origin": "https://b.example"})
    actual = await api.ask("GET", "/x", origin="https://a.example")

    assert reply.status == other.status == 204
    assert dict(reply.headers) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-methods": "GET",
        "access-control-max-age": "60",
    }
    assert other.headers == []
    assert ("access-control-allow-origin", "https://a.example") in actual.headers


async def test_a_named_stage_is_the_first_step_of_the_path() -> None:
    api = await shop("GET /x")
    create = {"ApiId": api.api_id, "StageName": "prod", "StageVariables": {"a": "b"}}
    await api.world.apigatewayv2("CreateStage", **create)
    assert (await api.ask("GET", "/prod/x")).status == 404  # nothing is deployed to it

    await api.world.apigatewayv2("CreateDeployment", ApiId=api.api_id, StageName="prod")
    assert (await api.ask("GET", "/prod/x")).status == 200
    (event,) = api.events
    assert event["rawPath"] == "/prod/x"
    assert event["stageVariables"] == {"a": "b"}


async def test_a_stage_serves_what_was_deployed_to_it() -> None:
    api = await shop("GET /x")
    await api.world.apigatewayv2("CreateStage", ApiId=api.api_id, StageName="prod")
    await api.world.apigatewayv2("CreateDeployment", ApiId=api.api_id, StageName="prod")
    found = await api.world.apigatewayv2("GetRoutes", ApiId=api.api_id)
    route = found["Items"][0]["RouteId"]
    await api.world.apigatewayv2("DeleteRoute", ApiId=api.api_id, RouteId=route)

    assert (await api.ask("GET", "/x")).status == 404
    assert (await api.ask("GET", "/prod/x")).status == 200


@pytest.mark.parametrize(
    "path", ["/_aws/execute-api/{id}/x", "/restapis/{id}/$default/_user_request_/x"]
)
async def test_path_forms_reach_the_api_too(path: str) -> None:
    api = await shop("GET /x")
    request = HttpRequest(
        method="GET", path=path.format(id=api.api_id), headers={"host": "localhost:4566"}
    )
    assert EXECUTE_API.matches(request)
    assert (await EXECUTE_API.serve(api.world.platform, request)).status == 200


async def test_format_one_has_the_older_shape() -> None:
    api = await shop("GET /x/{id}", version="1.0")
    api.world.functions.handlers["f"] = lambda event: {"statusCode": 200, "body": "hi"}
    reply = await api.ask("GET", "/x/7", query="a=1&a=2")
    (event,) = api.events
    assert event["version"] == "1.0"
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["pathParameters"] == {"id": "7"}
    assert reply.body == b"hi"


async def test_a_route_with_iam_turns_the_unsigned_away() -> None:
    api = await shop("GET /x")
    found = await api.world.apigatewayv2("GetRoutes", ApiId=api.api_id)
    await api.world.apigatewayv2(
        "UpdateRoute",
        ApiId=api.api_id,
        RouteId=found["Items"][0]["RouteId"],
        AuthorizationType="AWS_IAM",
    )
    assert (await api.ask("GET", "/x")).status == 403
    assert api.events == []


async def test_an_openapi_document_becomes_routes_and_integrations() -> None:
    world = await world_with_role()
    await make(world)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
    integration = {
        "type": "aws_proxy", "httpMethod": "POST", "uri": uri, "payloadFormatVersion": "2.0",
    }  # fmt: skip
    document = {
        "openapi": "3.0.1",
        "info": {"title": "imported", "version": "1"},
        "paths": {
            "/a": {"get": {"x-amazon-apigateway-integration": integration}},
            "/b": {
                "x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}
            },
        },
        "x-amazon-apigateway-cors": {"allowOrigins": ["*"]},
    }
    made = await world.apigatewayv2("ImportApi", Body=json.dumps(document))
    routes = await world.apigatewayv2("GetRoutes", ApiId=made["ApiId"])
    integrations = await world.apigatewayv2("GetIntegrations", ApiId=made["ApiId"])

    assert sorted(r["RouteKey"] for r in routes["Items"]) == ["ANY /b", "GET /a"]
    assert len(integrations["Items"]) == 1
    assert made["CorsConfiguration"] == {"AllowOrigins": ["*"]}


async def test_quick_create_leads_everything_to_the_function() -> None:
    world = await world_with_role()
    await make(world)
    made = await world.apigatewayv2("CreateApi", Name="a", ProtocolType="HTTP", Target=FUNCTION)
    await allow(world, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{made['ApiId']}/*")
    assert (await Shop(world, made["ApiId"]).ask("PUT", "/any/where")).status == 200


@pytest.mark.parametrize(
    "members",
    [
        {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"},
        {"CorsConfiguration": {"AllowCredentials": True, "AllowOrigins": ["*"]}},
    ],
)
async def test_what_cannot_be_obeyed_is_refused(members: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(AwsError) as caught:
        await world.apigatewayv2("CreateApi", **{"Name": "a", "ProtocolType": "HTTP", **members})
    assert caught.value.code == "BadRequestException"
    assert (await world.apigatewayv2("GetApis"))["Items"] == []


@pytest.mark.parametrize(
    ("method", "path", "chosen"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/2", "GET /{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("GET", "/", "$default"),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, chosen: str) -> None:
    keys = ["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /{proxy+}", "ANY /{proxy+}", "$default"]
    routes = Routes([{"RouteKey": key} for key in keys])
    found = routes.choose(method, path)
    assert found is not None
    assert found.route["RouteKey"] == chosen


@pytest.mark.parametrize("key", ["GET", "FETCH /a", "GET a", "GET /{a+}/b", "GET /x{a", ""])
def test_a_route_key_that_is_none_is_refused(key: str) -> None:
    assert not valid_key(key)
