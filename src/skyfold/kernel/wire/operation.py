"""One operation of a model: requests to parameters, parameters checked, outputs to replies."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire import cbor_codec, constraints, query_codec
from skyfold.kernel.wire.bindings import RestInput, RestOutput
from skyfold.kernel.wire.bodies import Bodies, CborBodies, JsonBodies, present
from skyfold.kernel.wire.constraints import (
    NotOfItsType,
    SerializationException,
    Violation,
)
from skyfold.kernel.wire.events import EventReader, EventWriter
from skyfold.kernel.wire.eventstream import CONTENT_TYPE as EVENT_STREAM

if TYPE_CHECKING:
    from skyfold.kernel.wire.models import ServiceWire

Parse = Callable[[HttpRequest, Mapping[str, str]], dict[str, Any]]
Reply = Callable[[Mapping[str, Any], str], HttpReply]
_UNPACKED_BYTES_MAX = 64 * 1024 * 1024


class OperationWire:
    """Compiled for each protocol when a request in it comes for the first time."""

    def __init__(self, service: ServiceWire, name: str) -> None:
        self.name = name
        self._service = service
        raw = service.model.operations[name]
        self.http: Mapping[str, Any] = raw.get("http", {})
        self.input = service.model.resolve(raw["input"]) if "input" in raw else None
        self.output = service.model.resolve(raw["output"]) if "output" in raw else None
        self.checksum: Mapping[str, Any] = raw.get("httpChecksum", {})
        """The model's ``httpChecksum`` trait: which checksums requests and replies may have."""
        self._result_wrapper: str = raw.get("output", {}).get("resultWrapper") or f"{name}Result"
        self._right = service.checks.test(self.input) if self.input is not None else None
        self._parses: dict[str, Parse] = {}
        self._replies: dict[str, Reply] = {}

    @property
    def streams_input(self) -> bool:
        """Whether a body larger than memory may be handed on as a stream."""
        payload = self.input.traits.get("payload") if self.input is not None else None
        if self.input is None or payload is None:
            return False
        shape = self.input.members[payload]
        return shape.streaming or bool(shape.traits.get("eventstream"))

    # --- requests ------------------------------------------------------------------------------

    def parse(
        self, request: HttpRequest, protocol: str, labels: Mapping[str, str]
    ) -> dict[str, Any]:
        """The parameters of ``request``, checked. Raises what the client is to be told."""
        parse = self._parses.get(protocol)
        if parse is None:
            parse = self._parses[protocol] = self._compile_parse(protocol)
        try:
            return parse(request, labels)
        except RecursionError as error:
            raise SerializationException("The request is nested too deeply.") from error
        except NotOfItsType as error:
            self._service.refuse([error.violation])
            raise self._service.malformed(error) from error
        except SerializationException as error:
            raise self._service.malformed(error) from error

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise the service's validation error for whatever the model does not allow."""
        if self._right is None or self.input is None:
            return
        try:
            if self._right(params):
                return
            found = constraints.violations(self.input, params)
        except RecursionError as error:
            raise SerializationException("The request is nested too deeply.") from error
        if found and self._service.metadata.get("bodyPathPrefix"):
            found = [self._prefixed(violation) for violation in found]
        if found:
            self._service.refuse(found)

    def _prefixed(self, violation: Violation) -> Violation:
        """API Gateway names a body after the operation, but not what stands in the path."""
        assert self.input is not None
        top = violation.path.partition(".")[0]
        for name, member in self.input.members.items():
            if constraints.lower_first(name) == top and member.location is None:
                prefix = f"{constraints.lower_first(self.name)}Input."
                return violation._replace(path=prefix + violation.path)
        return violation

    def _compile_parse(self, protocol: str) -> Parse:
        shape = self.input
        if shape is None:
            return lambda request, labels: {}
        bodies = self._service.bodies(protocol)
        if protocol == "query":
            return self._query_parse()
        if protocol in ("json", "smithy-rpc-v2-cbor"):
            assert isinstance(bodies, JsonBodies)
            read = bodies.checked_reader(shape, self.check)
            return lambda request, labels: read(_body(request))
        rest = RestInput(shape, bodies)
        check = self.check
        reader = None
        if rest.payload is not None and shape.members[rest.payload].traits.get("eventstream"):
            reader = EventReader(shape.members[rest.payload], bodies)

        def parse(request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
            body = request.body if self.streams_input else _body(request)
            params = rest.read(request, labels, body)
            if reader is not None and rest.payload is not None:
                chunks = request.stream if request.stream is not None else _once(request.body)
                params[rest.payload] = reader.events(chunks)
            check(params)
            return params

        return parse

    def _query_parse(self) -> Parse:
        assert self.input is not None
        read = self._service.query_readers.compile(self.input)
        check = self.check
        path_member = self._service.metadata.get("queryPathMember")
        if path_member not in self.input.members:
            path_member = None

        def parse(request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
            pairs = query_pairs(request)
            params = read(query_codec.tree_of(pairs))
            if (
                path_member is not None
                and path_member not in params
                and request.path.count("/") > 1
            ):
                params[path_member] = f"{request.scheme}://{request.host}{request.path}"
            check(params)
            return params

        return parse

    # --- replies -------------------------------------------------------------------------------

    def reply(self, protocol: str, output: Mapping[str, Any], request_id: str) -> HttpReply:
        """``output`` as ``protocol`` sends it."""
        reply = self._replies.get(protocol)
        if reply is None:
            reply = self._replies[protocol] = self._compile_reply(protocol)
        return reply(output, request_id)

    def _compile_reply(self, protocol: str) -> Reply:
        bodies = self._service.bodies(protocol)
        if protocol == "query":
            return self._query_reply()
        if protocol in ("json", "smithy-rpc-v2-cbor"):
            assert isinstance(bodies, JsonBodies)
            return self._rpc_reply(bodies)
        return self._rest_reply(bodies)

    def _rpc_reply(self, bodies: JsonBodies) -> Reply:
        content_type = ("Content-Type", bodies.content_type)
        extra = [("smithy-protocol", "rpc-v2-cbor")] if isinstance(bodies, CborBodies) else []
        if self.output is None:
            empty = cbor_codec.dumps({}) if extra else b""
            return lambda output, request_id: HttpReply(
                headers=[content_type, ("x-amzn-RequestId", request_id), *extra], body=empty
            )
        if (event_member := self.output.event_member) is not None:
            return self._event_reply(bodies, event_member)
        write = bodies.writer(self.output, "")
        if self._service.metadata.get("bodyChecksum"):

            def checksummed(output: Mapping[str, Any], request_id: str) -> HttpReply:
                body = write(output)
                checksum = ("x-amz-crc32", str(zlib.crc32(body)))
                named = ("x-amzn-RequestId", request_id)
                return HttpReply(headers=[content_type, named, checksum], body=body)

            return checksummed
        return lambda output, request_id: HttpReply(
            headers=[content_type, ("x-amzn-RequestId", request_id), *extra], body=write(output)
        )

    def _event_reply(self, bodies: JsonBodies, member: str) -> Reply:
        assert self.output is not None
        events = EventWriter(self.output.members[member], bodies)
        initial = bodies.writer(self.output, "")

        def reply(output: Mapping[str, Any], request_id: str) -> HttpReply:
            first = initial(present({**output, member: None}))
            return HttpReply(
                headers=[("Content-Type", EVENT_STREAM), ("x-amzn-RequestId", request_id)],
                body=events.frames(output[member], first),
            )

        return reply

    def _query_reply(self) -> Reply:
        uri = self._service.namespace
        namespace = f' xmlns="{uri}"' if uri else ""
        start = f'<?xml version="1.0"?>\n<{self.name}Response{namespace}>'
        end = f"</RequestId></ResponseMetadata></{self.name}Response>"
        middle = "<ResponseMetadata><RequestId>"
        content_type = ("Content-Type", "text/xml")
        if self.output is None:
            return lambda output, request_id: HttpReply(
                headers=[content_type, ("x-amzn-RequestId", request_id)],
                body=f"{start}{middle}{request_id}{end}".encode(),
            )
        start += f"<{self._result_wrapper}>"
        middle = f"</{self._result_wrapper}>{middle}"
        content = self._service.xml_bodies.fragment(self.output)
        return lambda output, request_id: HttpReply(
            headers=[content_type, ("x-amzn-RequestId", request_id)],
            body=f"{start}{content(output)}{middle}{request_id}{end}".encode(),
        )

    def _rest_reply(self, bodies: Bodies) -> Reply:
        id_headers = self._service.id_headers
        status = self.http.get("responseCode", 200)
        if self.output is None:
            return lambda output, request_id: HttpReply(
                status=status, headers=id_headers(request_id)
            )
        rest = RestOutput(self.output, status, bodies)
        member = self.output.event_member
        events = EventWriter(self.output.members[member], bodies) if member else None
        partial = self.http.get("partialMember")

        def reply(output: Mapping[str, Any], request_id: str) -> HttpReply:
            if events is not None and member is not None:
                stream = events.frames(output[member])
                answer = rest.write({**output, member: None})
                answer.body = stream
                answer.headers.append(("Content-Type", EVENT_STREAM))
            else:
                answer = rest.write(output)
                if partial is not None and output.get(partial) is not None:
                    answer.status = 206
            answer.headers.extend(id_headers(request_id))
            return answer

        return reply


def _body(request: HttpRequest) -> bytes:
    """The body, unpacked where the client compressed it."""
    encoding = request.headers.get("content-encoding")
    if encoding is None or "gzip" not in encoding or not request.body:
        return request.body
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = unpack.decompress(request.body, _UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise SerializationException("The body is not gzip") from error
    if unpack.unconsumed_tail or not unpack.eof:
        raise SerializationException("The compressed body is too large or cut short")
    return body


def query_pairs(request: HttpRequest) -> list[tuple[str, str]]:
    """The parameters of a query request, from the query string and from the body."""
    pairs = query_codec.parse_pairs(request.query) if request.query else []
    if request.body:
        try:
            text = _body(request).decode()
        except UnicodeDecodeError as error:
            raise query_codec.MalformedQueryString("The body is not UTF-8") from error
        pairs += query_codec.parse_pairs(text.strip())
    return pairs


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
