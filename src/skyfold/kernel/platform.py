"""The running cloud, as its parts see it: store, clock, services, and calls in process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from skyfold.base.arn import Arn
from skyfold.base.clock import Clock
from skyfold.base.errors import NotImplementedHere
from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.compute.api import Compute, IsolationRefused
from skyfold.kernel import delivery
from skyfold.kernel.call import Call
from skyfold.kernel.code import CodeStore
from skyfold.kernel.jobs import Job, JobRunner
from skyfold.kernel.logs import LogBuffer
from skyfold.kernel.metering import Meters
from skyfold.kernel.principal import Principal
from skyfold.kernel.service import Mode, Operation, Service
from skyfold.kernel.telemetry import Metrics
from skyfold.store.api import ReadTx, Store, Tx

if TYPE_CHECKING:
    from skyfold.kernel.access.access import Access
    from skyfold.kernel.catalog import Catalog
    from skyfold.store.blobs import Blobs

T = TypeVar("T")


class Platform:
    """What the composition root puts together, once for each process."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        ids: Ids,
        catalog: Catalog,
        access: Access,
        wall: Clock | None = None,
        compute: Callable[[], Awaitable[Compute]] | None = None,
    ) -> None:
        self.settings, self.store, self.blobs = settings, store, blobs
        self.clock, self.ids, self.catalog, self.access = clock, ids, catalog, access
        self.wall = wall or clock
        """The time of the world outside: signatures are judged by it even when ``clock`` moves."""
        self.node = ids.hex(12)
        self.meters = Meters(self.node)
        self.metrics = Metrics(self.node, clock.now)
        store.at_flush(self.meters.take_changed)
        store.at_flush(self.metrics.take_changed)
        self.jobs = JobRunner(self, self._job)
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
        """What work that keeps a core busy should count with."""
        self.code = CodeStore(blobs)
        self.logs = LogBuffer(self)
        self._compute = compute
        self._sandboxes: asyncio.Task[Compute] | None = None
        self._own: dict[type, Any] = {}

    def own(self, kind: Callable[[Platform], T]) -> T:
        """The one ``kind(platform)`` of this process: what a service keeps in memory only."""
        assert isinstance(kind, type)
        if kind not in self._own:
            self._own[kind] = kind(self)
        return self._own[kind]

    async def sandboxes(self) -> Compute:
        """The sandboxes, started when first needed. Raises ComputeError where none can be."""
        if self._sandboxes is None or (self._sandboxes.done() and self._sandboxes.exception()):
            if self._compute is None:
                raise IsolationRefused("This cloud runs no functions.")
            self._sandboxes = asyncio.ensure_future(self._compute())
        return await asyncio.shield(self._sandboxes)

    async def stop_sandboxes(self) -> None:
        """End every function; what is in memory for a service is forgotten with them."""
        task, self._sandboxes = self._sandboxes, None
        self._own.clear()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and task.exception() is None:
                await task.result().stop()

    def call(
        self, principal: Principal, *, account: str = "", region: str = "", operation: str = ""
    ) -> Call:
        """Surroundings for work that no request has begun: jobs, loops."""
        return Call(
            platform=self,
            principal=principal,
            account=account or principal.account,
            region=region or self.settings.region,
            request_id=self.ids.uuid(),
            endpoint=self.settings.endpoint,
            secure=True,  # it never leaves the process
            operation=operation,
        )

    def api(self, service: str, call: Call) -> Client:
        """The operations of ``service`` (its folder's name), called in process as ``call``."""
        return Client(self, service, call)

    async def serve(
        self, service: str, operation: str, request: Mapping[str, Any], call: Call
    ) -> dict[str, Any]:
        """Hops 4 to 6 for a request made in process: check, authorise, run."""
        declared = self.catalog.operation(service, operation)
        if declared is None:
            raise NotImplementedHere(f"{service}:{operation} is not implemented by Skyfold.")
        checked = self.catalog.checked(service, operation, request)
        return await self.run(service, operation, declared, checked, call)

    async def run(
        self,
        service: str,
        operation: str,
        declared: Operation,
        request: Mapping[str, Any],
        call: Call,
    ) -> dict[str, Any]:
        """Hops 5 and 6: authorise, and run in the transaction that the decision was made in."""
        if declared.mode is Mode.LIVE:
            await self.store.read(self._decide, service, operation, declared, request, call)
            return await declared.run(call, request) or {}
        begin = self.store.write if declared.mode is Mode.WRITE else self.store.read
        return await begin(self._attempt, service, operation, declared, request, call)

    async def _attempt(
        self,
        tx: Tx,
        service: str,
        operation: str,
        declared: Operation,
        request: Mapping[str, Any],
        call: Call,
    ) -> dict[str, Any]:
        await self._decide(tx, service, operation, declared, request, call)
        return await declared.run(tx, call, request) or {}

    async def _decide(
        self,
        tx: ReadTx,
        service: str,
        operation: str,
        declared: Operation,
        request: Mapping[str, Any],
        call: Call,
    ) -> None:
        if not declared.open:
            action = f"{self.catalog.prefix(service)}:{declared.action or operation}"
            resource = declared.on(call, request) if declared.on else "*"
            context = declared.conditions(call, request) if declared.conditions else {}
            await self.authorize(tx, call, action, resource, context)
        if declared.also is not None:
            for need in declared.also(call, request):
                await self.authorize(tx, call, need.action, need.resource, need.context)

    async def authorize(
        self, tx: ReadTx, call: Call, action: str, resource: str, context: Mapping[str, Any]
    ) -> None:
        """Raise AccessDenied unless ``call.principal`` may do ``action`` on ``resource``."""
        policy = None
        if resource != "*":
            service = self.catalog.of_resource(resource)
            if service is not None and service.resource_policy is not None:
                policy = await service.resource_policy(tx, resource)
        await self.access.authorize(tx, call, action, resource, context, policy)

    def service_of_arn(self, arn: Arn) -> Service | None:
        return self.catalog.of_arn_name(arn.service)

    def _job(self, kind: str) -> Job | None:
        return delivery.JOB if kind == delivery.KIND else self.catalog.job(kind)

    def packed_principal(self, principal: Principal) -> bytes:
        """For job payloads."""
        return msgspec.msgpack.encode(principal)

    def unpacked_principal(self, packed: bytes) -> Principal:
        return msgspec.msgpack.decode(packed, type=Principal)


class Client:
    """Methods in snake case for each operation: ``await client.send_message(QueueUrl=...)``."""

    def __init__(self, platform: Platform, service: str, call: Call) -> None:
        self._platform, self._service, self._call = platform, service, call

    def __getattr__(self, name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
        operation = self._platform.catalog.operation_named(self._service, name)
        return lambda **request: self._platform.serve(self._service, operation, request, self._call)
