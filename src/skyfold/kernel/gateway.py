"""One request from HTTP to HTTP: route, prove who asks, parse, decide, run, answer."""

from __future__ import annotations

import logging
from collections import Counter

import msgspec

from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.bodies import opened
from skyfold.kernel.call import Call
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.routing import Route, Router
from skyfold.kernel.service import Operation
from skyfold.kernel.wire.models import OperationWire, ServiceWire
from skyfold.store.api import StoreUnavailable

log = logging.getLogger("skyfold.gateway")


class InternalFailure(AwsError):
    status = 500
    message = "An internal error occurred. The log of the server has the details."


class ServiceUnavailable(AwsError):
    status = 503


class UnknownOperation(AwsError):
    code = "UnknownOperationException"
    status = 404


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
                return await plane.serve(self._platform, request)
        request_id = self._platform.ids.uuid()
        route = self._router.route(request)
        wire = self._wire(route)
        if wire is None:
            return self._unknown_service(request, route, request_id)
        protocol = wire.protocol_of(request)
        name: str | None = None
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
        except AwsError as error:
            return wire.failure(request, protocol, error, request_id, name)
        except StoreUnavailable as full:
            log.error("%s:%s: %s", route.service, name, full)
            error = ServiceUnavailable(str(full))
            return wire.failure(request, protocol, error, request_id, name)
        except Exception:
            log.exception("%s:%s failed", route.service, name)
            return wire.failure(request, protocol, InternalFailure(), request_id, name)

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
            platform.store, request, self._platform.wall.now(), service=service
        )
        if request.stream is not None or "x-amz-content-sha256" in request.headers:
            await opened(routed, who.chunk_verifier, streaming=operation.streams_input)
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
            secure=request.scheme == "https",
            operation=f"{service}:{operation.name}",
            headers=request.headers,
            gone=request.gone,
        )
        output = await platform.run(service, operation.name, declared, params, call)
        return operation.reply(protocol, output, request_id)

    def _operation(
        self, request: HttpRequest, route: Route, wire: ServiceWire, name: str | None
    ) -> tuple[Operation, OperationWire]:
        operation = wire.operation(name) if name else None
        if operation is None or name is None:
            raise UnknownOperation(f"Unknown operation: {name or _shown(request)}")
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


def _shown(request: HttpRequest) -> str:
    return f"{request.method} {request.path[:200]}"
