"""A service as its botocore model describes it: what the gateway asks to speak with clients."""

from __future__ import annotations

import functools
import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire.bodies import Bodies, CborBodies, JsonBodies, XmlBodies
from skyfold.kernel.wire.constraints import (
    Checks,
    SerializationException,
    ValidationError,
    ValidationException,
    Violation,
    worded,
)
from skyfold.kernel.wire.failures import Failures
from skyfold.kernel.wire.operation import OperationWire, query_pairs
from skyfold.kernel.wire.query_codec import QueryReaders
from skyfold.kernel.wire.routing import Router
from skyfold.kernel.wire.shapes import Model, load, metadata

__all__ = ["OperationWire", "ServiceWire", "metadata"]


class UnknownOperation(AwsError, LookupError):
    """An operation that the model does not have."""

    code = "UnknownOperationException"
    status = 404


CBOR = "smithy-rpc-v2-cbor"


class ServiceWire:
    """All operations of one service; the model is read, and each compiled, when first needed."""

    def __init__(
        self,
        model: str | Model,
        validation_error: Callable[[Sequence[Violation]], Exception | None] | None = None,
    ) -> None:
        self._given = model
        self._validation_error = validation_error
        self._operations: dict[str, OperationWire] = {}
        self._bodies: dict[str, Bodies] = {}
        self.metadata = metadata(model) if isinstance(model, str) else model.metadata
        protocols = self.metadata.get("protocols") or [self.metadata["protocol"]]
        self.protocols = frozenset(protocols)
        self.protocol: str = self.metadata["protocol"]
        """What a request is taken for that shows no sign of any protocol."""
        self.checks = Checks()
        self.query_readers = QueryReaders()

    @functools.cached_property
    def model(self) -> Model:
        return load(self._given) if isinstance(self._given, str) else self._given

    @property
    def operation_names(self) -> list[str]:
        return list(self.model.operations)

    def operation(self, name: str) -> OperationWire:
        """Raises UnknownOperation (a LookupError) where the model does not have it."""
        found = self._operations.get(name)
        if found is None:
            if name not in self.model.operations:
                raise UnknownOperation(f"Unknown operation: {name}")
            found = self._operations[name] = OperationWire(self, name)
        return found

    # --- which protocol, which operation -------------------------------------------------------

    def protocol_of(self, request: HttpRequest) -> str:
        """The protocol that ``request`` speaks, among those that the service does."""
        protocols = self.protocols
        if len(protocols) == 1:
            return self.protocol
        headers = request.headers
        if CBOR in protocols and (
            headers.get("smithy-protocol") == "rpc-v2-cbor" or "/operation/" in request.path
        ):
            return CBOR
        if "json" in protocols and "x-amz-target" in headers:
            return "json"
        content_type = headers.get("content-type", "")
        if "query" in protocols and (
            content_type.startswith("application/x-www-form-urlencoded")
            or "Action=" in request.query
        ):
            return "query"
        if "json" in protocols and content_type.startswith("application/x-amz-json"):
            return "json"
        return self.protocol

    def operation_of(self, request: HttpRequest, protocol: str) -> str | None:
        """The operation that an RPC request names, known or not; None where it names none."""
        if protocol == "json":
            return request.headers.get("x-amz-target", "").rpartition(".")[2] or None
        if protocol == CBOR:
            return request.path.rpartition("/operation/")[2].strip("/") or None
        if protocol == "query":
            for name, value in query_pairs(request):
                if name == "Action":
                    return value or None
        return None

    @functools.cached_property
    def _router(self) -> Router:
        return Router(self.model)

    def match(self, request: HttpRequest) -> tuple[str, dict[str, str]] | None:
        """The operation at a REST request's method and path, and the path's decoded labels."""
        try:
            return self._router.match(request)
        except SerializationException as error:
            raise self.malformed(error) from error

    # --- failures ------------------------------------------------------------------------------

    @functools.cached_property
    def _failures(self) -> Failures:
        return Failures(self)

    def failure(
        self,
        request: HttpRequest | None,
        protocol: str,
        error: AwsError,
        request_id: str,
        operation: str | None = None,
    ) -> HttpReply:
        """``error`` as ``protocol`` sends it."""
        return self._failures.reply(request, protocol, error, request_id)

    def refuse(self, found: Sequence[Violation]) -> None:
        """Raise this service's error for violations of its model, unless it takes them itself."""
        if self._validation_error is not None:
            error = self._validation_error(found)
            if error is None:
                return
            raise error
        for violation in found:
            if violation.kind == "type":
                raise SerializationException(str(violation))
        if (code := self.metadata.get("validationCode")) is not None:
            raise _error(code)(worded(found))
        raise (ValidationError if "query" in self.protocols else ValidationException)(worded(found))

    def malformed(self, error: SerializationException) -> AwsError:
        """The service's own words for a request that cannot be read."""
        own = self.metadata.get("malformed")
        if own is None:
            return error
        return _error(own["code"])(own["message"])

    # --- what operations and failures share ----------------------------------------------------

    def bodies(self, protocol: str) -> Bodies:
        found = self._bodies.get(protocol)
        if found is None:
            found = self._bodies[protocol] = self._make_bodies(protocol)
        return found

    def _make_bodies(self, protocol: str) -> Bodies:
        if protocol == CBOR:
            return CborBodies(self.checks)
        if protocol == "json":
            version = self.metadata.get("jsonVersion", "1.0")
            return JsonBodies(self.checks, f"application/x-amz-json-{version}")
        if protocol == "rest-json":
            return JsonBodies(self.checks, "application/json")
        return self.xml_bodies

    @functools.cached_property
    def xml_bodies(self) -> XmlBodies:
        return XmlBodies(self.model)

    @functools.cached_property
    def namespace(self) -> str:
        """The XML namespace of the service."""
        found = self.metadata.get("xmlNamespace", "")
        return found.get("uri", "") if isinstance(found, dict) else found

    def id_headers(self, request_id: str) -> list[tuple[str, str]]:
        """The headers that name a request in the protocols bound to HTTP."""
        name = self.metadata.get("requestIdHeader", "x-amzn-RequestId")
        if name == "x-amz-request-id":
            return [(name, request_id), ("x-amz-id-2", self.host_id(request_id))]
        return [(name, request_id)]

    def host_id(self, request_id: str) -> str:
        """S3's second id of a request: opaque, and the same wherever it is shown."""
        return b64encode(hashlib.blake2b(request_id.encode(), digest_size=48).digest()).decode()


@functools.cache
def _error(code: str) -> type[AwsError]:
    return type(code, (AwsError,), {"code": code})
