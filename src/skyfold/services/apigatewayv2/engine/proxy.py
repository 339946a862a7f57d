"""The event that a function gets from an HTTP API, and the HTTP answer that it gives back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_plus

import msgspec

from skyfold.kernel.http import HttpReply, HttpRequest

TEXT_TYPES = ("application/json", "application/xml", "application/javascript")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class Asked(NamedTuple):
    """One request, as the API understood it."""

    request: HttpRequest
    account: str
    api_id: str
    stage: str
    route_key: str
    path: str
    """Raw, with the stage in front where the address has it."""
    parameters: Mapping[str, str]
    stage_variables: Mapping[str, str]
    request_id: str
    now: int
    iam: Mapping[str, Any] | None = None
    """The caller, where the route asks for IAM."""


class BadAnswer(Exception):
    """What the function returned is no HTTP answer."""


def _is_text(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        not kind
        or kind.startswith("text/")
        or kind in TEXT_TYPES
        or kind.endswith(("+json", "+xml"))
    )


def _body(asked: Asked) -> tuple[str | None, bool]:
    raw = asked.request.body
    if not raw:
        return None, False
    if _is_text(asked.request.headers):
        try:
            return raw.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(raw).decode(), True


def _time(now: int) -> str:
    return f"{datetime.fromtimestamp(now / 1000, UTC):%d/%b/%Y:%H:%M:%S} +0000"


def event_2(asked: Asked) -> dict[str, Any]:
    """Payload format 2.0."""
    request = asked.request
    host = request.host.partition(":")[0]
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": asked.route_key,
        "rawPath": unquote(asked.path),
        "rawQueryString": request.query,
    }
    if cookie := request.headers.get("cookie"):
        event["cookies"] = [part.strip() for part in cookie.split(";") if part.strip()]
    event["headers"] = headers
    if query := _joined(request.query):
        event["queryStringParameters"] = query
    context: dict[str, Any] = {
        "accountId": asked.account,
        "apiId": asked.api_id,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": unquote(asked.path),
            "protocol": "HTTP/1.1",
            "sourceIp": request.client,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": asked.request_id,
        "routeKey": asked.route_key,
        "stage": asked.stage,
        "time": _time(asked.now),
        "timeEpoch": asked.now,
    }
    if asked.iam is not None:
        context["authorizer"] = {"iam": asked.iam}
    event["requestContext"] = context
    if asked.parameters:
        event["pathParameters"] = {k: unquote(v) for k, v in asked.parameters.items()}
    if asked.stage_variables:
        event["stageVariables"] = dict(asked.stage_variables)
    body, encoded = _body(asked)
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = encoded
    return event


def _joined(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def event_1(asked: Asked) -> dict[str, Any]:
    """Payload format 1.0."""
    request = asked.request
    many_headers: dict[str, list[str]] = {}
    for raw_name, raw_value in request.raw_headers:
        name = raw_name.decode("latin-1")
        many_headers.setdefault(name, []).append(raw_value.decode("latin-1"))
    many: dict[str, list[str]] = {}
    for pair in filter(None, request.query.split("&")):
        name, _, value = pair.partition("=")
        many.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    host = request.host.partition(":")[0]
    body, encoded = _body(asked)
    resource = asked.route_key.partition(" ")[2] or asked.route_key
    return {
        "version": "1.0",
        "resource": resource,
        "path": unquote(asked.path),
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in many_headers.items()},
        "multiValueHeaders": many_headers,
        "queryStringParameters": {n: v[-1] for n, v in many.items()} or None,
        "multiValueQueryStringParameters": many or None,
        "requestContext": {
            "accountId": asked.account,
            "apiId": asked.api_id,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": asked.request_id,
            "httpMethod": request.method,
            "identity": {
                "sourceIp": request.client,
                "userAgent": request.headers.get("user-agent", ""),
            },
            "path": unquote(asked.path),
            "protocol": "HTTP/1.1",
            "requestId": asked.request_id,
            "requestTime": _time(asked.now),
            "requestTimeEpoch": asked.now,
            "resourceId": asked.route_key,
            "resourcePath": resource,
            "stage": asked.stage,
        },
        "pathParameters": {k: unquote(v) for k, v in asked.parameters.items()} or None,
        "stageVariables": dict(asked.stage_variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }


def answer(payload: bytes, version: str) -> HttpReply:
    """The function's return value as HTTP. Raises BadAnswer."""
    try:
        value = msgspec.json.decode(payload) if payload else None
    except msgspec.DecodeError as bad:
        raise BadAnswer(str(bad)) from bad
    shaped = isinstance(value, dict) and "statusCode" in value
    if version == "2.0" and not shaped:
        # A bare value is the body of a 200, as JSON; bare text stays text.
        body = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
        return HttpReply(headers=[("content-type", "application/json")], body=body)
    if not isinstance(value, dict) or not shaped:
        raise BadAnswer("no statusCode")
    return _shaped(value)


def _shaped(value: dict[str, Any]) -> HttpReply:
    try:
        status = int(value["statusCode"])
    except (TypeError, ValueError) as bad:
        raise BadAnswer("statusCode is no number") from bad
    if not 100 <= status <= 599:
        raise BadAnswer("statusCode is none of HTTP's")
    headers = _headers(value)
    body = value.get("body")
    if body is None:
        raw = b""
    elif value.get("isBase64Encoded"):
        try:
            raw = base64.b64decode(body, validate=True)
        except (TypeError, ValueError, binascii.Error) as bad:
            raise BadAnswer("body is not base64") from bad
    else:
        raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    if not any(name == "content-type" for name, _ in headers) and raw:
        headers.append(("content-type", "text/plain;charset=utf-8"))
    return HttpReply(status=status, headers=headers, body=raw)


def _headers(value: dict[str, Any]) -> list[tuple[str, str]]:
    single, many = value.get("headers") or {}, value.get("multiValueHeaders") or {}
    cookies = value.get("cookies") or []
    if not (isinstance(single, dict) and isinstance(many, dict) and isinstance(cookies, list)):
        raise BadAnswer("headers are no mapping")
    headers = [(str(name).lower(), _text(text)) for name, text in single.items()]
    for name, texts in many.items():
        if not isinstance(texts, list):
            raise BadAnswer("multiValueHeaders hold no lists")
        headers += [(str(name).lower(), _text(text)) for text in texts]
    headers += [("set-cookie", _text(cookie)) for cookie in cookies]
    return [
        (name, text)
        for name, text in headers
        if name not in HOP_BY_HOP and name != "content-length" and "\n" not in text + name
    ]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text.replace("\r", "")
