"""One running node: the parts put together, started, reset and stopped."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyfold.base.clock import AdjustableClock, SystemClock
from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.compute.api import Compute, FunctionSpec
from skyfold.kernel.access.access import Access
from skyfold.kernel.access.credentials import put_key
from skyfold.kernel.access.tables import KEYS, KEYS_OF
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.gateway import Gateway
from skyfold.kernel.platform import Platform
from skyfold.server.discovery import discover
from skyfold.store.api import Store, StoreUnavailable, Tx
from skyfold.store.blobs import Blobs

if TYPE_CHECKING:
    from skyfold.store import snapshot

log = logging.getLogger("skyfold")

FLUSH_SECONDS = 1.0
COLLECT_SECONDS = 600.0
COLLECT_AGE_MS = 3_600_000


class Node:
    """A platform with its loops. ``start`` before the first request, ``stop`` after the last."""

    def __init__(self, settings: Settings, store: Store, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.clock = AdjustableClock()
        self.platform = Platform(
            settings=settings,
            store=store,
            blobs=Blobs(folder / "blobs"),
            clock=self.clock,
            ids=Ids(),
            catalog=Catalog(discover()),
            access=Access(),
            wall=SystemClock(),
            compute=self._start_compute,
        )
        self.gateway = Gateway(self.platform)
        self.root_key: tuple[str, str] | None = None
        """The random root key, when ``test`` is not one; shown once at the first start."""
        self.door: Callable[[socket.socket], Callable[[], None]] | None = None
        """Serves this node on one more socket: on those that functions find it at."""
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises StoreUnavailable for a store that was only half loaded from a snapshot."""
        from skyfold.store import snapshot

        platform = self.platform
        if await snapshot.interrupted(platform.store):
            raise StoreUnavailable(
                f"The state in {self.folder} is half of a snapshot whose loading was interrupted. "
                "Remove the folder, start again, and load the snapshot once more."
            )
        made = await platform.store.write(
            platform.access.seed, self.settings, platform.ids, platform.wall.now()
        )
        self.root_key = (made.id, made.secret) if made else None
        if self.settings.engine != "postgres":  # nobody else can be running anything
            await platform.jobs.recover()
        self._start_loops()

    async def _start_compute(self) -> Compute:
        from skyfold.compute.supervisor import Supervisor

        self.platform.code.root.mkdir(parents=True, exist_ok=True)
        supervisor = Supervisor(
            self.folder / "compute",
            roots=(self.platform.code.root,),
            isolation=self.settings.isolation,
            gateway_port=self.settings.port,
            on_gateway=self._serve_sandbox,
        )
        await supervisor.start()
        return supervisor

    def _serve_sandbox(self, listener: socket.socket, function: FunctionSpec) -> Callable[[], None]:
        assert self.door is not None, "functions run only while the node is served"
        return self.door(listener)

    def _start_loops(self) -> None:
        platform = self.platform
        loops: list[tuple[str, Awaitable[None]]] = [
            ("jobs", platform.jobs.run_forever()),
            ("leases", platform.jobs.renew_forever()),
            ("logs", platform.logs.run_forever()),
            ("flush", self._every(FLUSH_SECONDS, platform.store.flush)),
            ("collect", self._every(COLLECT_SECONDS, self._collect)),
        ]
        for name, service in platform.catalog.services.items():
            loops += [(name, loop(platform)) for loop in service.loops]
        self._loops = [asyncio.create_task(_kept_alive(name, loop)) for name, loop in loops]

    async def _every(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        wall = self.platform.wall
        while True:
            await wall.sleep_until(wall.now() + int(seconds * 1000))
            try:
                await work()
            except Exception:
                log.exception("%s failed; it is tried again", work)

    async def _stop_loops(self) -> None:
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.platform.jobs.stop()
        await self.platform.stop_sandboxes()

    async def _collect(self) -> None:
        platform = self.platform
        await platform.blobs.collect(platform.store, platform.wall.now(), COLLECT_AGE_MS)

    async def reset(self) -> None:
        """Forget everything: every account, resource, object and running function."""
        await self._stop_loops()
        await self.platform.store.write(_forget_everything, self.settings.account)
        await self._collect_all()
        await self.start()

    async def replace_state(self, file: Path) -> snapshot.Progress:
        """Put the state in a snapshot in the place of this one, with nothing running meanwhile.

        Raises SnapshotDamaged, having changed nothing, for a file that is no snapshot.
        """
        from skyfold.store import snapshot

        await self._stop_loops()
        try:
            return await snapshot.load(file, self.platform.store, self.platform.blobs)
        finally:
            await self.start()

    async def _collect_all(self) -> None:
        await self.platform.blobs.collect(self.platform.store, self.platform.wall.now(), 0)

    async def advance(self, seconds: float) -> None:
        """Move the clock on, stopping at each job that falls due on the way to run it."""
        clock, jobs = self.clock, self.platform.jobs
        until = clock.now() + int(seconds * 1000)
        while (due := await jobs.next_due()) is not None and due <= until:
            clock.move_to(max(due, clock.now()))
            if not await jobs.settle():
                break
        clock.move_to(max(until, clock.now()))

    async def stop(self) -> None:
        await self._stop_loops()
        await self.platform.store.close()


async def _forget_everything(tx: Tx, account: str) -> None:
    """All but the root keys of the platform's account: whoever asked must be able to go on."""
    found = await KEYS_OF.scan(tx, account, limit=100)
    rows = [await KEYS.get(tx, parts[-1]) for parts in found]
    tx.delete_range(b"", b"\xff" * 8)
    for row in rows:
        if row is not None:
            put_key(tx, row)


async def _kept_alive(name: str, loop: Awaitable[None]) -> None:
    try:
        await loop
    except Exception:
        log.exception("the loop of %s ended", name)


def open_store(settings: Settings, folder: Path) -> Store:
    """The engine that ``settings`` names, opened. Raises StoreInUse for a folder in use."""
    if settings.engine == "memory":
        from skyfold.store.engines.memory import MemoryStore

        return MemoryStore()
    if settings.engine == "postgres":
        from skyfold.store.engines.postgres import PostgresStore

        return PostgresStore(settings.postgres)
    from skyfold.store.engines.rocks import RocksStore

    return RocksStore(folder / "store", durability=settings.durability)


class Ephemeral:
    """A folder that goes away with the process, for a cloud that is to leave nothing."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="skyfold-"))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
