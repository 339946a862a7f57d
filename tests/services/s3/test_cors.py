"""CORS rules and preflight requests."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.services.s3 import errors
from skyfold.services.s3.operations import cors
from tests.services.s3.conftest import BUCKET
from tests.support.world import World

RULE = {
    "AllowedOrigins": ["https://localhost:4200", "https://*.example.org"],
    "AllowedMethods": ["GET", "PUT"],
    "AllowedHeaders": ["x-amz-*", "content-type"],
    "ExposeHeaders": ["x-amz-request-id"],
    "MaxAgeSeconds": 3000,
}
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


async def put_rules(world: World, *rules: dict[str, Any]) -> None:
    await world.s3("PutBucketCors", Bucket=BUCKET, CORSConfiguration={"CORSRules": list(rules)})


async def ask(world: World, path: str = f"/{BUCKET}/k", **headers: str) -> HttpReply:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    request = HttpRequest(method="OPTIONS", path=path, headers={"host": "localhost:4566"} | named)
    assert cors.is_preflight(request)
    return await cors.preflight(world.platform, request)


def allowed(reply: HttpReply) -> dict[str, str]:
    return {n: v for n, v in reply.headers if n == "Vary" or n.startswith("Access-Control-")}


async def test_a_preflight_is_answered_by_the_rule_that_lets_it_in(world: World) -> None:
    await put_rules(world, RULE)

    reply = await ask(
        world,
        Origin="https://localhost:4200",
        Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="X-Amz-Date,Content-Type",
    )

    assert reply.status == 200
    assert allowed(reply) == {
        "Access-Control-Allow-Origin": "https://localhost:4200",
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Allow-Headers": "x-amz-date, content-type",
        "Access-Control-Expose-Headers": "x-amz-request-id",
        "Access-Control-Max-Age": "3000",
        "Access-Control-Allow-Credentials": "true",
        "Vary": VARY,
    }


async def test_a_rule_for_everybody_says_so(world: World) -> None:
    await put_rules(world, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]})

    reply = await ask(world, Origin="http://any", Access_Control_Request_Method="GET")

    assert allowed(reply) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Vary": VARY,
    }


@pytest.mark.parametrize(
    ("origin", "method", "headers", "let_in"),
    [
        ("https://a.example.org", "GET", "", True),
        ("https://example.org", "GET", "", False),
        ("http://a.example.org", "GET", "", False),
        ("https://localhost:4200", "DELETE", "", False),
        ("https://localhost:4200", "GET", "authorization", False),
        ("https://localhost:4200", "GET", "X-AMZ-anything", True),
    ],
)
async def test_origin_method_and_headers_must_all_fit_one_rule(
    world: World, origin: str, method: str, headers: str, let_in: bool
) -> None:
    await put_rules(world, RULE)

    reply = await ask(
        world,
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers=headers,
    )

    assert reply.status == (200 if let_in else 403)
    if not let_in:
        body = bytes(reply.body)  # type: ignore[arg-type]  # a refusal is no stream
        assert b"<Code>AccessForbidden</Code>" in body
        assert f"<Method>{method}</Method><ResourceType>OBJECT</ResourceType>".encode() in body


async def test_a_preflight_needs_an_origin_a_bucket_and_rules(world: World) -> None:
    asked = {"Origin": "http://any", "Access_Control_Request_Method": "GET"}

    replies = [
        await ask(world),
        await ask(world, "/nowhere/k", **asked),
        await ask(world, **asked),
    ]

    assert [reply.status for reply in replies] == [400, 404, 403]
    assert [next(c for c in CODES if c in bytes(r.body)) for r in replies] == CODES  # type: ignore[arg-type]  # not streams


CODES = [b"<Code>BadRequest<", b"<Code>NoSuchBucket<", b"CORS is not enabled for this bucket."]


async def test_the_bucket_may_be_in_the_host(world: World) -> None:
    await put_rules(world, RULE)
    request = HttpRequest(
        method="OPTIONS",
        path="/k",
        headers={
            "host": f"{BUCKET}.s3.us-east-1.localhost.localstack.cloud:4566",
            "origin": "https://localhost:4200",
            "access-control-request-method": "GET",
        },
    )

    assert (await cors.preflight(world.platform, request)).status == 200


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", "localhost", "/b/k"),
        ("OPTIONS", "abc.execute-api.localhost", "/b"),
        ("OPTIONS", "localhost", "/_aws/execute-api/abc/b"),
        ("OPTIONS", "localhost", "/restapis/abc/stage/_user_request_/b"),
    ],
)
def test_other_requests_are_no_preflights_of_buckets(method: str, host: str, path: str) -> None:
    assert not cors.is_preflight(HttpRequest(method=method, path=path, headers={"host": host}))


async def test_other_requests_get_the_headers_of_their_rule(world: World) -> None:
    await put_rules(world, RULE)

    def get(origin: str | None) -> HttpRequest:
        headers = {"host": "localhost"} | ({"origin": origin} if origin else {})
        return HttpRequest(method="GET", path=f"/{BUCKET}/k", headers=headers)

    right = await cors.reply_headers(world.platform, get("https://localhost:4200"))

    assert dict(right)["Access-Control-Allow-Origin"] == "https://localhost:4200"
    assert await cors.reply_headers(world.platform, get("https://elsewhere")) == []
    assert await cors.reply_headers(world.platform, get(None)) == []


async def test_rules_come_back_and_can_be_taken_away(world: World) -> None:
    await put_rules(world, RULE)

    assert await world.s3("GetBucketCors", Bucket=BUCKET) == {"CORSRules": [RULE]}
    await world.s3("DeleteBucketCors", Bucket=BUCKET)
    with pytest.raises(errors.NoSuchCORSConfiguration):
        await world.s3("GetBucketCors", Bucket=BUCKET)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"AllowedMethods": ["MYMETHOD"]}, errors.InvalidRequest),
        ({"AllowedOrigins": ["http://*.*"]}, errors.InvalidRequest),
        ({"AllowedHeaders": ["*-*"]}, errors.InvalidRequest),
        ({"ExposeHeaders": ["x-*"]}, errors.InvalidRequest),
        ({"AllowedMethods": []}, errors.MalformedXML),
    ],
)
async def test_rules_must_make_sense(
    world: World, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await put_rules(world, RULE | changed)
