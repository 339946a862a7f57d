"""botocore as the other side of the wire: its serializers and parsers, without sockets."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.compat import HTTPHeaders
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire.shapes import Shape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@functools.cache
def service_model(model: str) -> ServiceModel:
    """botocore's model as it is published, without the customisations of botocore's own client."""
    loader = Loader(include_default_extras=False)
    return ServiceModel(loader.load_service_model(model, "service-2"), model)


def request_of(operation: OperationModel, protocol: str, params: Mapping[str, Any]) -> HttpRequest:
    """What botocore sends for ``params`` (as botocore takes them)."""
    serializer = create_serializer(protocol, include_validation=False)
    return sent(serializer.serialize_to_request(params, operation))


def sent(serialized: dict[str, Any]) -> HttpRequest:
    serialized.pop("host_prefix", None)
    prepare_request_dict(serialized, endpoint_url="http://localhost:4566", context={})
    prepared = create_request_object(serialized).prepare()
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    if hasattr(body, "read"):
        body = body.read()
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
    }
    return HttpRequest(
        method=prepared.method,
        path=url.path,
        query=url.query,
        headers={"host": "localhost:4566", **headers},
        body=body.encode() if isinstance(body, str) else body,
    )


def parsed(operation: OperationModel, protocol: str, reply: HttpReply) -> dict[str, Any]:
    """What botocore makes of ``reply``, without its metadata."""
    found = response(operation, protocol, reply)
    found.pop("ResponseMetadata", None)
    return found


def response(operation: OperationModel, protocol: str, reply: HttpReply) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    headers = HTTPHeaders()
    for name, value in reply.headers:
        headers[name] = value
    body: Any = reply.body
    if operation.has_streaming_output and reply.status < 300:
        body = io.BytesIO(reply.body)
    given = {"status_code": reply.status, "headers": headers, "body": body, "context": {}}
    return create_parser(protocol).parse(given, operation.output_shape)


def for_client(shape: Shape, value: Any) -> Any:
    """Our parameters as botocore takes and gives them: timestamps are datetimes."""
    if value is None or shape.document or shape.traits.get("jsonvalue"):
        return value
    if shape.type == "structure":
        return {name: for_client(shape.members[name], item) for name, item in value.items()}
    if shape.type == "list":
        return [for_client(shape.member, item) for item in value]
    if shape.type == "map":
        return {name: for_client(shape.value, item) for name, item in value.items()}
    if shape.type == "timestamp":
        return _EPOCH + timedelta(milliseconds=value)
    return value
