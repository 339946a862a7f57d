"""One request from HTTP to HTTP: route, prove who asks, parse, decide, run, answer."""

from __future__ import annotations

import logging
import re
from collections import Counter

import msgspec

from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.access.errors import AccessError
from skyfold.kernel.bodies import opened
from skyfold.kernel.call import Call
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.routing import Route, Router
from skyfold.kernel.service import DataPlane, Operation
from skyfold.kernel.wire.models import OperationWire, ServiceWire, UnknownOperation
from skyfold.store.api import StoreUnavailable

log = logging.getLogger("skyfold.gateway")

LOOPBACK = frozenset({"127.0.0.1", "::1"})


class InternalFailure(AwsError):
    status = 500
    message = "An internal error occurred. The log of the server has the details."


class ServiceUnavailable(AwsError):
    status = 503


class Gateway:
    """The one door. ``handle`` never raises: what goes wrong becomes the protocol's error."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._catalog = platform.catalog
        self._router = Router({name: s.model for name, s in self._catalog.services.items()})
        self._planes = [p for s in self._catalog.services.values() for p in s.data_planes]
        self.refused: Counter[str] = Counter()
        """How often which operation was asked for that is not implemented."""

    async def handle(self, request: HttpRequest) -> HttpReply:
        for plane in self._planes:
            if plane.matches(request):
                return await self._on_plane(plane, request)
        route = self._router.route(request)
        reply = await self._answer(request, route)
        if "origin" in request.headers and route.declared:
            more = self._catalog.services[route.service].cross_origin
            reply.headers += await more(self._platform, request) if more else []
        return reply

    async def _answer(self, request: HttpRequest, route: Route) -> HttpReply:
        request_id = self._platform.ids.uuid()
        wire = self._wire(route)
        if wire is None:
            return self._unknown_service(request, route, request_id)
        protocol = wire.protocol_of(request)
        if protocol == "ec2":
            return self._refused_in_ec2_words(request, route, request_id)
        name: str | None = None
        error: AwsError
        try:
            if route.path is not request.path:
                routed = msgspec.structs.replace(request, path=route.path)
            else:
                routed = request
            found = wire.match(routed) if protocol.startswith("rest") else None
            if found is None:
                labels: dict[str, str] = {}
                name = wire.operation_of(request, protocol)
            else:
                name, labels = found
            declared, operation = self._operation(request, route, wire, name)
            return await self._serve(
                request, routed, route, protocol, labels, declared, operation, request_id
            )
        except AccessError as refused:
            model = self._catalog.services[route.service].model if route.declared else ""
            error = refused.spoken(model, protocol)
        except AwsError as raised:
            error = raised
        except StoreUnavailable as full:
            log.error("%s:%s: %s", route.service, name, full)
            error = ServiceUnavailable(str(full))
        except Exception:
            log.exception("%s:%s failed", route.service, name)
            error = InternalFailure()
        return wire.failure(request, protocol, error, request_id, name)

    async def _on_plane(self, plane: DataPlane, request: HttpRequest) -> HttpReply:
        """Planes answer what goes wrong in words of their own; what is left is the platform's."""
        try:
            return await plane.serve(self._platform, request)
        except StoreUnavailable as full:
            log.error("%s %s: %s", request.method, request.path, full)
            return _said(503, "Service Unavailable")
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _said(500, "Internal Server Error")

    async def _serve(
        self,
        request: HttpRequest,
        routed: HttpRequest,
        route: Route,
        protocol: str,
        labels: dict[str, str],
        declared: Operation,
        operation: OperationWire,
        request_id: str,
    ) -> HttpReply:
        platform, service = self._platform, route.service
        who = await platform.access.authenticate(
            platform.store,
            request,
            platform.wall.now(),
            service=self._catalog.signing_name(service),
            platform_now=platform.clock.now(),
        )
        # A signature that covers a streamed body has read it.
        routed.body, routed.stream = request.body, request.stream
        if routed.stream is not None or "x-amz-content-sha256" in request.headers:
            await opened(routed, who, streaming=operation.streams_input)
        params = operation.parse(routed, protocol, labels)
        call = Call(
            platform=platform,
            principal=who.principal,
            account=who.principal.account or platform.settings.account,
            region=route.region or platform.settings.region,
            request_id=request_id,
            endpoint=f"{request.scheme}://{request.host}",
            source_ip=request.client,
            user_agent=request.headers.get("user-agent", ""),
            # What never leaves the machine is as safe from listeners as TLS makes it.
            secure=request.scheme == "https" or request.client in LOOPBACK,
            operation=f"{service}:{operation.name}",
            headers=request.headers,
            gone=request.gone,
        )
        output = await platform.run(service, operation.name, declared, params, call)
        return operation.reply(protocol, output, request_id)

    def _operation(
        self, request: HttpRequest, route: Route, wire: ServiceWire, name: str | None
    ) -> tuple[Operation, OperationWire]:
        if name is None:
            raise UnknownOperation(f"Unknown operation: {_shown(request)}")
        operation = wire.operation(name)
        declared = self._catalog.operation(route.service, name)
        if declared is None:
            raise self._not_implemented(route.service, name)
        return declared, operation

    def _wire(self, route: Route) -> ServiceWire | None:
        """The declared service's wire; else AWS's own model, to refuse in its words."""
        if route.declared:
            return self._catalog.wire(route.service)
        return self._catalog.undeclared(route.service)

    def _not_implemented(self, service: str, operation: str) -> NotImplementedHere:
        name = f"{service}:{operation}"
        self.refused[name] += 1
        if self.refused[name] == 1:
            log.warning("%s is not implemented: answered 501 (logged once)", name)
        return NotImplementedHere(f"{name} is not implemented by Skyfold.")

    def _unknown_service(self, request: HttpRequest, route: Route, request_id: str) -> HttpReply:
        target = request.headers.get("x-amz-target", "")
        operation = target.rpartition(".")[2] or _shown(request)
        service = route.service or target.rpartition(".")[0] or "unknown"
        refused = self._not_implemented(service, operation)
        body = msgspec.json.encode({"__type": refused.code, "message": refused.text})
        headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("x-amzn-ErrorType", refused.code),
            ("x-amzn-RequestId", request_id),
        ]
        return HttpReply(status=501, headers=headers, body=body)

    def _refused_in_ec2_words(
        self, request: HttpRequest, route: Route, request_id: str
    ) -> HttpReply:
        """EC2 has a protocol of its own, for which we have no other use than this."""
        action = re.search(r"(?:^|&)Action=(\w+)", request.query or request.body.decode("latin-1"))
        refused = self._not_implemented(route.service, action[1] if action else "unknown")
        body = (
            f"<Response><Errors><Error><Code>{refused.code}</Code><Message>{refused.text}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
        return HttpReply(status=501, headers=[("Content-Type", "text/xml")], body=body.encode())


def _said(status: int, message: str) -> HttpReply:
    headers = [("content-type", "application/json")]
    return HttpReply(status=status, headers=headers, body=msgspec.json.encode({"message": message}))


def _shown(request: HttpRequest) -> str:
    return f"{request.method} {request.path[:200]}"
