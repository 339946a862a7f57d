"""A whole cloud in memory, on a virtual clock, for tests: no sockets, no processes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from skyfold.base.clock import VirtualClock
from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.kernel.access.access import Access
from skyfold.kernel.call import Call
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.platform import Platform
from skyfold.kernel.principal import Principal, root_of
from skyfold.server.discovery import discover
from skyfold.store.api import Store
from skyfold.store.blobs import Blobs
from skyfold.store.engines.memory import MemoryStore
from tests.support.compute import FakeCompute

ACCOUNT = "123456789012"


class World:
    """``await world.sqs("SendMessage", QueueUrl=..., MessageBody=...)`` as the account's root."""

    def __init__(self, store: Store | None = None) -> None:
        self.clock = VirtualClock()
        self.functions = FakeCompute()
        self.folder = Path(tempfile.mkdtemp(prefix="skyfold-test-"))
        self.platform = Platform(
            settings=Settings(account=ACCOUNT),
            store=store or MemoryStore(),
            blobs=Blobs(self.folder / "blobs"),
            clock=self.clock,
            ids=Ids(seed=1),
            catalog=Catalog(discover()),
            access=Access(),
            compute=self._start_compute,
        )

    async def _start_compute(self) -> FakeCompute:
        return self.functions

    def call(self, principal: Principal | None = None) -> Call:
        return self.platform.call(principal or root_of(ACCOUNT))

    async def serve(
        self, service: str, operation: str, *, by: Principal | None = None, **request: Any
    ) -> dict[str, Any]:
        """One operation in process, everything but HTTP and signatures included."""
        return await self.platform.serve(service, operation, request, self.call(by))

    def __getattr__(self, service: str) -> Any:
        async def serve(operation: str, by: Principal | None = None, **request: Any) -> Any:
            return await self.serve(service, operation, by=by, **request)

        return serve

    async def advance(self, seconds: float) -> None:
        """Move the clock and run every job that falls due on the way, in order."""
        until = self.clock.now() + int(seconds * 1000)
        await self.platform.jobs.settle()
        while (due := await self.platform.jobs.next_due()) is not None and due <= until:
            self.clock.advance(max(0, due - self.clock.now()) / 1000)
            await self.platform.jobs.settle()
        self.clock.advance((until - self.clock.now()) / 1000)
