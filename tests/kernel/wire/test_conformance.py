"""botocore's protocol cases, written for clients; here the other side of each is served."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.model import ServiceModel

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.models import ServiceWire
from skyfold.kernel.wire.shapes import Model, Shape
from skyfold.kernel.wire.timestamps import from_json
from tests.kernel.wire import clients

CASES = Path(__file__).parents[3] / ".." / "shared" / "conformance-data" / "protocols"
FILES = (
    "json", "json_1_0", "json_1_0-query-compatible", "query", "rest-json", "rest-xml",
    "smithy-rpc-v2-cbor", "smithy-rpc-v2-cbor-query-compatible",
    "smithy-rpc-v2-cbor-non-query-compatible",
)  # fmt: skip

NOT_SERVED = {
    "HostWithPath": "a base path belongs to an endpoint",
    "IdempotencyTokenAutoFill": "clients fill tokens",
    "UnsetUnion": "an absent union and an empty one look the same",
    "ContentEncoding": "these cases have no body",
    "AppendsGzip": "these cases have no body",
    "AppendedGzip": "these cases have no body",
    "QueryPrecedence": "which of two values a client prefers",
    "AllQueryStringTypes": "our maps leave out what other members are bound to",
    "QueryStringEscaping": "our maps leave out what other members are bound to",
    "FloatQueryValues": "our maps leave out what other members are bound to",
    "ZeroAndFalseQueryValues": "our maps leave out what other members are bound to",
    "MediaTypeHeader": "botocore gives the parsed value and takes the text",
    "WithQuotedStringHeaders": "botocore's parser splits quoted texts",
    "OutputWithTimestampHeaders": "botocore's parser splits dates",
    "HttpPrefixHeadersResponse": "the empty prefix matches the request id as well",
    "rest-xml-BodyWithXmlName": "botocore names members by their shapes",
    "XmlLists": "botocore names flattened lists by their items",
}
"""Cases in which botocore is not the other side that the protocol describes, or we differ."""


def read(kind: str) -> Iterator[Any]:
    for name in FILES:
        file = CASES / kind / f"{name}.json"
        if not file.exists():
            continue
        for suite in json.loads(file.read_bytes()):
            for case in suite["cases"]:
                label = f"{name}-{case.get('id') or suite['description']}"
                reasons = [reason for word, reason in NOT_SERVED.items() if word in label]
                marks = [pytest.mark.skip(reason=reasons[0])] if reasons else []
                yield pytest.param(suite, case, id=label, marks=marks)


def wire_of(suite: dict[str, Any], case: dict[str, Any]) -> ServiceWire:
    given = case["given"]
    raw = {
        "metadata": {"serviceId": "Test", "jsonVersion": "1.1", **suite["metadata"]},
        "operations": {given["name"]: given},
        "shapes": suite["shapes"],
    }
    return ServiceWire(Model(raw))


def client_of(suite: dict[str, Any], case: dict[str, Any]) -> ServiceModel:
    given = dict(case["given"])
    if "output" in given and suite["metadata"]["protocol"] == "query":
        given["output"] = {**given["output"], "resultWrapper": f"{given['name']}Result"}
    raw = {
        "metadata": suite["metadata"],
        "operations": {case["given"]["name"]: given},
        "shapes": suite["shapes"],
    }
    return ServiceModel(raw, "test")


def ours(shape: Shape, value: Any) -> Any:
    """A value as the cases write it, as operations have it."""
    if value is None or shape.document or shape.traits.get("jsonvalue"):
        return value
    if shape.type == "structure":
        members = shape.members
        return {k: ours(members[k], v) for k, v in value.items() if v is not None}
    if shape.type == "list":
        return [ours(shape.member, v) for v in value]
    if shape.type == "map":
        return {k: ours(shape.value, v) for k, v in value.items()}
    if shape.type == "timestamp":
        return from_json(value)
    if shape.type == "blob":
        return value.encode() if isinstance(value, str) else value
    if shape.type in ("float", "double") and isinstance(value, str):
        return float(value.replace("Infinity", "inf"))
    return value


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, str) and isinstance(right, float):
        return same(float(left), right)
    if isinstance(left, str) and isinstance(right, bytes):
        return left.encode() == right
    return bool(left == right)


def pruned(value: Any) -> Any:
    """Without what REST headers and query strings cannot carry: empty lists, maps, texts."""
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v not in ([], {}, "", b"")}
    return value


if not CASES.exists():
    pytest.skip("the conformance data is not here", allow_module_level=True)


@pytest.mark.parametrize(("suite", "case"), list(read("input")))
def test_a_request_of_the_cases_is_understood(suite: Any, case: Any) -> None:
    wire = wire_of(suite, case)
    operation = wire.operation(case["given"]["name"])
    serialized = case["serialized"]
    url = urlsplit(serialized["uri"])
    body = serialized.get("body", "")
    protocol = wire.protocol
    headers = {name.lower(): value for name, value in serialized.get("headers", {}).items()}
    raw = _bytes(body, protocol)
    request = HttpRequest(
        method=serialized.get("method", "POST"), path=url.path, query=url.query,
        headers=headers, body=raw,
    )  # fmt: skip
    labels: dict[str, str] = {}
    if protocol.startswith("rest"):
        found = wire.match(request)
        assert found is not None
        assert found[0] == operation.name
        labels = found[1]
    elif protocol != "json" or "x-amz-target" in headers:
        assert wire.operation_of(request, protocol) == operation.name

    params = operation.parse(request, protocol, labels)

    if operation.input is not None:
        expected = ours(operation.input, case.get("params", {}))
        assert same(pruned(params), pruned(expected)), (params, expected)


def _bytes(body: Any, protocol: str) -> bytes:
    if protocol == "smithy-rpc-v2-cbor":
        return base64.b64decode(body or "")
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@pytest.mark.parametrize(("suite", "case"), list(read("output")))
def test_a_reply_of_the_cases_reaches_the_client(suite: Any, case: Any) -> None:
    wire, model = wire_of(suite, case), client_of(suite, case)
    operation = wire.operation(case["given"]["name"])
    described = model.operation_model(operation.name)
    if "error" in case:
        check_error(wire, model, case)
        return
    if operation.output is None:
        reply = operation.reply(wire.protocol, {}, "r")
        assert clients.parsed(described, wire.protocol, reply) == {}
        return
    output = ours(operation.output, case.get("result", {}))

    reply = operation.reply(wire.protocol, output, "r")

    got = clients.parsed(described, wire.protocol, reply)
    if hasattr(got.get("blob"), "read"):
        got["blob"] = got["blob"].read()
    expected = clients.for_client(operation.output, output)
    assert same(pruned(got), pruned(expected)), (got, expected, reply)
    assert reply.status == case["response"]["status_code"]


def check_error(wire: ServiceWire, model: ServiceModel, case: Any) -> None:
    name = case["given"]["errors"][0]["shape"]
    shape = wire.model.errors[name]
    members = {k: v for k, v in ours(shape, case["error"]).items() if k.lower() != "message"}
    kind = type(name, (AwsError,), {})
    error = kind(case.get("errorMessage", ""), **members)

    reply = wire.failure(None, wire.protocol, error, "r", case["given"]["name"])

    described = model.operation_model(case["given"]["name"])
    got = clients.response(described, wire.protocol, reply)
    assert got["Error"]["Code"] == case["errorCode"]
    assert (got["Error"].get("Message") or "") == case.get("errorMessage", "")
    wanted = shape.traits.get("error", {}).get("httpStatusCode", case["response"]["status_code"])
    assert reply.status == wanted
