"""CORS configurations, and the preflight requests that browsers ask about them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.cors import CorsRule, Headers, answer_to, checked
from skyfold.services.s3.errors import (
    AccessForbidden,
    BadRequest,
    NoSuchBucket,
    NoSuchCORSConfiguration,
)
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.operations.events import host_id
from skyfold.services.s3.operations.versions import replace
from skyfold.services.s3.tables import BUCKETS, SETTINGS, Setting, setting
from skyfold.store.api import ReadTx, Tx

SETTING = "cors"
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of"
    " Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are"
    " not whitelisted by the resource's CORS spec."
)
_VIRTUAL_HOST = re.compile(
    r"(?P<bucket>.+?)(?:\.s3(?:[.-][a-z0-9-]+)?\.(?:amazonaws\.com|localhost\.localstack\.cloud"
    r"|localhost)|\.localhost)(?::\d+)?"
)
_OTHER_HOST = re.compile(r"(?:^|\.)(?:execute-api|lambda-url)[.-]")


async def put_bucket_cors(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketCORS")
    rules = checked((request.get("CORSConfiguration") or {}).get("CORSRules") or [])
    kept = msgspec.to_builtins(rules)
    SETTINGS.put(tx, Setting(bucket=bucket.name, name=SETTING, value=kept))
    BUCKETS.put(tx, replace(bucket, has_cors=True))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_bucket_cors(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketCORS")
    rules = await rules_of(tx, bucket.name)
    if not rules:
        raise NoSuchCORSConfiguration(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"CORSRules": [_shown(rule) for rule in rules]}


def _shown(rule: CorsRule) -> dict[str, Any]:
    return reply(
        ID=rule.id,
        AllowedHeaders=list(rule.headers) or None,
        AllowedMethods=list(rule.methods),
        AllowedOrigins=list(rule.origins),
        ExposeHeaders=list(rule.exposed) or None,
        MaxAgeSeconds=rule.max_age,
    )


async def delete_bucket_cors(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketCORS")
    SETTINGS.delete(tx, bucket.name, SETTING)
    BUCKETS.put(tx, replace(bucket, has_cors=False))
    return {}


async def rules_of(tx: ReadTx, bucket: str) -> list[CorsRule]:
    return msgspec.convert(await setting(tx, bucket, SETTING) or [], list[CorsRule])


def is_preflight(request: HttpRequest) -> bool:
    """Whether a request is a browser's question about a bucket."""
    return request.method == "OPTIONS" and is_for_buckets(request)


def is_for_buckets(request: HttpRequest) -> bool:
    """Whether host and path are none of those that other services serve without signatures."""
    return (
        not request.path.startswith(("/_", "/restapis/"))
        and _OTHER_HOST.search(request.host) is None
    )


def bucket_of(request: HttpRequest) -> tuple[str, bool]:
    """The bucket a request names by host or path, and whether it names an object in it."""
    found = _VIRTUAL_HOST.fullmatch(request.host.lower())
    if found is not None and found["bucket"] != "s3":
        return found["bucket"], len(request.path) > 1
    bucket, _, key = request.path.removeprefix("/").partition("/")
    return unquote(bucket), bool(key)


async def preflight(platform: Platform, request: HttpRequest) -> HttpReply:
    """Answer an OPTIONS request by the rules of its bucket."""
    request_id = platform.ids.uuid()
    try:
        found = await _preflight(platform, request)
    except AwsError as error:
        wire = platform.catalog.wire("s3")
        return wire.failure(request, "rest-xml", error, request_id)
    return HttpReply(headers=[*_ids(platform, request_id), *found])


async def _preflight(platform: Platform, request: HttpRequest) -> Headers:
    origin = request.headers.get("origin")
    if origin is None:
        raise BadRequest("Insufficient information. Origin request header needed.")
    name, of_object = bucket_of(request)
    method = request.headers.get("access-control-request-method", "")
    if await platform.store.read(BUCKETS.get, name) is None:
        raise NoSuchBucket(BucketName=name)
    about = {"Method": method, "ResourceType": "OBJECT" if of_object else "BUCKET"}
    rules = await platform.store.read(rules_of, name)
    if not rules:
        raise AccessForbidden(_NOT_ENABLED, **about)
    asked = request.headers.get("access-control-request-headers", "")
    headers = [name.strip() for name in asked.split(",") if name.strip()]
    found = answer_to(rules, origin, method, headers)
    if found is None:
        raise AccessForbidden(_NOT_ALLOWED, **about)
    return found


def _ids(platform: Platform, request_id: str) -> Headers:
    return [("x-amz-request-id", request_id), ("x-amz-id-2", host_id(platform, request_id))]


async def reply_headers(platform: Platform, request: HttpRequest) -> Headers:
    """What the bucket's rules add to the reply to a request that is no preflight."""
    origin = request.headers.get("origin")
    if origin is None:
        return []
    rules = await platform.store.read(rules_of, bucket_of(request)[0])
    return answer_to(rules, origin, request.method) or []
