"""Errors as each protocol sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire import cbor_codec, json_codec
from skyfold.kernel.wire.bindings import RestOutput
from skyfold.kernel.wire.json_codec import wire_name
from skyfold.kernel.wire.shapes import Shape
from skyfold.kernel.wire.xml_codec import escape

if TYPE_CHECKING:
    from skyfold.kernel.wire.models import ServiceWire

_CORAL = "com.amazon.coral.service"
_CORAL_VALIDATION = "com.amazon.coral.validate"


class Failures:
    """How one service's errors look on the wire."""

    def __init__(self, service: ServiceWire) -> None:
        self._service = service
        metadata = service.metadata
        self._query_compatible = "awsQueryCompatible" in metadata
        self._query_errors: Mapping[str, str] = metadata.get("queryErrors", {})
        self._query_codes = {shape: code for code, shape in self._query_errors.items()}
        self._namespace: str = metadata.get("errorNamespace", "")
        self._generic: str = metadata.get("genericErrorNamespace", "")
        self._detail = bool(metadata.get("errorDetail"))
        self._bare = bool(metadata.get("bareError"))

    def reply(
        self, request: HttpRequest | None, protocol: str, error: AwsError, request_id: str
    ) -> HttpReply:
        shape = self._service.model.errors.get(error.code) or self._service.model.errors.get(
            type(error).__name__
        )
        status = error.status
        if shape is not None and type(error).status == AwsError.status:
            default = 500 if shape.traits.get("fault") else status
            status = shape.traits.get("error", {}).get("httpStatusCode", default)
        if protocol == "query":
            reply = self._query(error, shape, status, request_id)
        elif protocol == "json":
            reply = self._json(error, shape, status, request_id)
        elif protocol == "smithy-rpc-v2-cbor":
            reply = self._cbor(error, shape, status, request_id)
        elif protocol == "rest-xml":
            reply = self._rest_xml(error, shape, status, request_id)
        else:
            reply = self._rest_json(error, shape, status, request_id)
        if (request is not None and request.method == "HEAD") or status in (204, 304):
            reply.body = b""
        return reply

    def _names(self, error: AwsError, shape: Shape | None) -> tuple[str, str]:
        """The error's name in JSON and CBOR, and its code in XML and for query clients."""
        if shape is not None:
            return shape.name, str(shape.traits.get("error", {}).get("code") or shape.name)
        if error.code in self._query_errors:
            return self._query_errors[error.code], error.code
        return error.code, self._query_codes.get(error.code, error.code)

    def _message(self, error: AwsError, shape: Shape | None) -> dict[str, str]:
        """The message under the name that the error's shape has for it."""
        name = "message"
        if shape is not None:
            members = shape.members
            name = next((wire_name(m, s) for m, s in members.items() if m.lower() == name), name)
        elif self._generic and error.code == "AccessDeniedException":
            name = "Message"
        return {name: error.text} if error.text and name not in error.members else {}

    def _typed(self, error: AwsError, shape: Shape | None) -> str:
        name = self._names(error, shape)[0]
        if shape is None and self._generic:
            validation = name == "ValidationException"
            return f"{_CORAL_VALIDATION if validation else _CORAL}#{name}"
        return f"{self._namespace}#{name}" if self._namespace else name

    def _rpc_headers(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> list[tuple[str, str]]:
        headers = [("x-amzn-RequestId", request_id)]
        if self._query_compatible:
            code = self._names(error, shape)[1]
            headers.append(("x-amzn-query-error", f"{code};{_fault(status)}"))
        return headers

    def _json(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> HttpReply:
        bodies = self._service.bodies("json")
        members = error.members
        if shape is not None and members:
            members = orjson.loads(bodies.writer(shape, "")(members))
        body = json_codec.dumps(
            {"__type": self._typed(error, shape), **members, **self._message(error, shape)}
        )
        headers = [("Content-Type", bodies.content_type)]
        headers += self._rpc_headers(error, shape, status, request_id)
        return HttpReply(status=status, headers=headers, body=body)

    def _cbor(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> HttpReply:
        members = error.members
        if shape is not None and members:
            bodies = self._service.bodies("smithy-rpc-v2-cbor")
            members = cbor_codec.loads(bodies.writer(shape, "")(members))
        body = cbor_codec.dumps(
            {"__type": self._typed(error, shape), **members, **self._message(error, shape)}
        )
        headers = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        headers += self._rpc_headers(error, shape, status, request_id)
        return HttpReply(status=status, headers=headers, body=body)

    def _rest_json(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> HttpReply:
        bodies = self._service.bodies("rest-json")
        reply = HttpReply(status=status)
        members = dict(error.members)
        if shape is not None:
            if "Type" in shape.members:
                members.setdefault("Type", "User" if status < 500 else "Service")
            reply = RestOutput(shape, status, bodies).write(members)
            assert isinstance(reply.body, bytes)
            members = orjson.loads(reply.body or b"{}")
            reply.headers = [h for h in reply.headers if h[0] != "Content-Type"]
        reply.body = json_codec.dumps({**members, **self._message(error, shape)})
        reply.headers.append(("Content-Type", bodies.content_type))
        reply.headers += [
            ("x-amzn-ErrorType", self._names(error, shape)[0]), ("x-amzn-RequestId", request_id),
        ]  # fmt: skip
        return reply

    def _query(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> HttpReply:
        uri = self._service.namespace
        namespace = f' xmlns="{uri}"' if uri else ""
        inner = self._error_xml(error, shape, status)
        body = (
            f'<?xml version="1.0"?>\n<ErrorResponse{namespace}>{inner}'
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
        return HttpReply(status=status, headers=headers, body=body.encode())

    def _error_xml(self, error: AwsError, shape: Shape | None, status: int) -> str:
        code = self._names(error, shape)[1]
        detail = "<Detail/>" if self._detail else ""
        return (
            f"<Error><Type>{_fault(status)}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(error.text)}</Message>{detail}"
            f"{self._members_xml(error, shape)}</Error>"
        )

    def _members_xml(self, error: AwsError, shape: Shape | None) -> str:
        if shape is None:
            return _plain_xml(error.members)
        known = {n: v for n, v in error.members.items() if n in shape.members}
        rest = {n: v for n, v in error.members.items() if n not in shape.members}
        return self._service.xml_bodies.fragment(shape)(known) + _plain_xml(rest)

    def _rest_xml(
        self, error: AwsError, shape: Shape | None, status: int, request_id: str
    ) -> HttpReply:
        headers = [("Content-Type", "application/xml"), *self._service.id_headers(request_id)]
        if not self._bare:
            reply = self._query(error, shape, status, request_id)
            reply.headers = headers
            return reply
        code = self._names(error, shape)[1]
        host_id = f"<HostId>{self._service.host_id(request_id)}</HostId>"
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
            f"<Message>{escape(error.text)}</Message>{self._members_xml(error, shape)}"
            f"<RequestId>{request_id}</RequestId>{host_id}</Error>"
        )
        return HttpReply(status=status, headers=headers, body=body.encode())


def _fault(status: int) -> str:
    return "Receiver" if status >= 500 else "Sender"


def _plain_xml(members: Mapping[str, Any]) -> str:
    """Members that no shape describes: S3's ``BucketName``, ``Key`` and the like."""
    return "".join(
        f"<{name}>{escape(str(value))}</{name}>"
        for name, value in members.items()
        if value is not None
    )
