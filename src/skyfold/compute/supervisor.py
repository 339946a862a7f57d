"""The sandboxes: finds a cell for each invocation, runs it there, and keeps cells warm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from skyfold.base.clock import Clock, SystemClock, stopwatch
from skyfold.compute import levels, outcomes
from skyfold.compute.api import (
    ComputeError,
    FunctionSpec,
    OnGateway,
    Outcome,
    Phase,
    RuntimeChoice,
)
from skyfold.compute.cells import Cell, Reply
from skyfold.compute.cgroups import Hierarchies
from skyfold.compute.factory import Factory
from skyfold.compute.inside import frames
from skyfold.compute.levels import Isolation
from skyfold.compute.logs import Record
from skyfold.compute.runtimes import Runtimes, discover
from skyfold.compute.warm import Warm

INIT_TIMEOUT_S = 10.0
IDLE_S = 300.0
_EXPIRY_MARGIN_MS = 60_000
_WATCH_S = 0.1
"""How often the memory of busy cells is looked at, where only that can limit it exactly."""
_MEMORY_SLACK_MB = 32
"""The runtime's own share, which the limit of a function does not count."""


class _Request(NamedTuple):
    """One invocation, on its way."""

    spec: FunctionSpec
    header: dict[str, Any]
    event: bytes
    deadline_ms: int | None
    record: Record
    on_phase: Callable[[Phase], None] | None

    def enter(self, phase: Phase) -> None:
        if self.on_phase is not None:
            self.on_phase(phase)


class Supervisor:
    """All sandboxes of one platform process. Implements ``api.Compute``."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        roots: tuple[Path, ...] = (),
        isolation: str = "",
        gateway_port: int = 0,
        on_gateway: OnGateway | None = None,
        idle_s: float = IDLE_S,
        warm_mb: int = 0,
        clock: Clock | None = None,
        runtimes: Runtimes | None = None,
        init_timeout_s: float = INIT_TIMEOUT_S,
        level_most: int = 3,
    ) -> None:
        """``folder`` is for its own files (default: a temporary one). ``roots``: folders below
        which code and layers lie (others are found as they come, at the price of a new spawner).
        ``gateway_port``: where functions find the platform, at 127.0.0.1 in their sandbox;
        ``on_gateway`` serves it. ``isolation`` as in the settings. ``warm_mb``: how much memory
        idle cells may hold together (default: a quarter of the machine's). ``level_most``: do not
        use more isolation than that, to see how a lesser machine behaves."""
        self._given, self._given_roots = folder, roots
        self._folder = folder or Path()
        self._wanted = isolation
        self._port, self._on_gateway = gateway_port, on_gateway
        self._idle_s, self._clock = idle_s, clock or SystemClock()
        self._init_timeout_s = init_timeout_s
        self._level_most = level_most
        self._runtimes = runtimes
        self._isolation: Isolation | None = None
        self._factory: Factory | None = None
        self._warm = Warm(warm_mb or _quarter_of_memory_mb())
        self._busy: dict[Cell, float] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._dropped: set[str] = set()
        self._sweeper: asyncio.Task[None] | None = None

    # -------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Find out what this machine can do. No process stays behind before ``prepare``."""
        if self._given is None:
            self._folder = Path(tempfile.mkdtemp(prefix="skyfold-compute-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        isolation, runtimes = await asyncio.gather(
            levels.find(self._folder, self._wanted, self._level_most),
            asyncio.to_thread(lambda: self._runtimes or discover()),
        )
        name = f"skyfold-{os.getpid()}-{secrets.token_hex(3)}"
        groups = await asyncio.to_thread(Hierarchies.find, name)
        self._isolation = isolation.with_groups(groups)
        self._runtimes = runtimes
        self._factory = Factory(
            self._folder,
            self._given_roots,
            runtimes,
            isolation.level,
            groups,
            gateway_port=self._port,
            on_gateway=self._on_gateway,
        )
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if self._watch is not None:
            self._watch.cancel()
        if self._factory is not None:
            await self._factory.close()
            self._factory = None
        if self._given is None and self._isolation is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def _made(self) -> Factory:
        if self._factory is None:
            raise ComputeError("The sandboxes are not running.")
        return self._factory

    def choose(self, runtime: str) -> RuntimeChoice:
        if self._runtimes is None:
            raise ComputeError("The sandboxes have not been started.")
        return self._runtimes.choose(runtime)

    def available_runtimes(self) -> Mapping[str, RuntimeChoice]:
        return self._runtimes.available() if self._runtimes else {}

    @property
    def level(self) -> int:
        return self._isolation.level if self._isolation else 0

    def describe(self) -> list[str]:
        return self._isolation.describe() if self._isolation else ["Sandboxes: not running"]

    async def prepare(self, runtime: str, spec: FunctionSpec | None = None) -> RuntimeChoice:
        choice = self.choose(runtime)
        await self._made.prepare(runtime, spec)
        return choice

    async def drop(self, key: str) -> None:
        self._warm.end_key(key)
        if any(cell.spec is not None and cell.spec.key == key for cell in self._busy):
            self._dropped.add(key)

    # -------------------------------------------------------------------------------- invocations

    async def invoke(
        self,
        spec: FunctionSpec,
        event: bytes,
        *,
        request_id: str,
        deadline_ms: int | None = None,
        client_context: str | None = None,
        cognito_identity: str | None = None,
        trace_id: str | None = None,
        invoked_arn: str = "",
        on_log: Callable[[bytes], None] | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> Outcome:
        header: dict[str, Any] = {"id": request_id, "arn": invoked_arn or spec.arn}
        if client_context is not None:
            header["client"] = client_context
        if cognito_identity is not None:
            header["identity"] = cognito_identity
        if trace_id is not None:
            header["trace"] = trace_id
        request = _Request(spec, header, event, deadline_ms, Record(on_log), on_phase)
        cell = self._take_warm(spec)
        if cell is None:
            return await self._invoke_cold(request)
        self._busy[cell] = stopwatch()
        cell.log.begin(request.record)
        return await self._invoke_in(cell, request, None, spec.timeout_s)

    async def _invoke_cold(self, request: _Request) -> Outcome:
        """Init in a new cell; when that fails once more, within the time of the invocation."""
        request.enter("init")
        spec, record = request.spec, request.record
        cell, reply, init_ms = await self._init(request, self._init_timeout_s)
        if reply.kind == frames.READY:
            return await self._invoke_in(cell, request, init_ms, spec.timeout_s)
        outcomes.note_failed_init(spec, reply, init_ms, record, "init")
        request.enter("invoke")
        cell, reply, again_ms = await self._init(request, spec.timeout_s)
        if reply.kind == frames.READY:
            left_s = max(spec.timeout_s - again_ms / 1000, 0.001)
            return await self._invoke_in(cell, request, init_ms, left_s, spent_ms=again_ms)
        outcomes.note_failed_init(spec, reply, again_ms, record, "invoke")
        return outcomes.of_init(spec, request.header["id"], reply, again_ms, init_ms, record, cell)

    async def _init(self, request: _Request, timeout_s: float) -> tuple[Cell, Reply, float]:
        """A new cell, and how the loading of the code went in it."""
        note = self.choose(request.spec.runtime).note
        cell: Cell | None = None

        def on_made(made: Cell) -> None:
            nonlocal cell
            cell = made
            self._busy[made] = stopwatch()
            made.on_end.append(lambda: self._forget(made))
            made.log.begin(request.record)
            if note:
                request.record.add(note.encode())

        try:
            made = await self._made.make(request.spec, on_made)
            began = stopwatch()
            reply = await made.reply(timeout_s)
        except BaseException:
            if cell is not None:
                cell.kill()
            raise
        took_ms = (stopwatch() - began) * 1000
        if reply.kind != frames.READY:
            made.log.finish()
            made.kill()
        return made, reply, took_ms

    async def _invoke_in(
        self,
        cell: Cell,
        request: _Request,
        init_ms: float | None,
        timeout_s: float,
        spent_ms: float = 0.0,
    ) -> Outcome:
        """Hand over the event, wait for the answer. ``spent_ms`` have gone to a second init."""
        if not spent_ms:
            request.enter("invoke")
        now_ms = time.time_ns() // 1_000_000
        deadline_ms = request.deadline_ms or now_ms + round(timeout_s * 1000)
        began = stopwatch()
        try:
            cell.invoke({**request.header, "deadline": deadline_ms}, request.event)
            self._watch_memory()
            reply = await cell.reply(min(timeout_s, max(deadline_ms - now_ms, 1) / 1000))
        except BaseException:
            cell.kill()  # nobody waits for it any more
            raise
        duration_ms = (stopwatch() - began) * 1000 + spent_ms
        outcome = outcomes.of_invocation(
            request.spec, request.header["id"], reply, duration_ms, init_ms, request.record, cell
        )
        self._release(cell, request.spec.key, reply)
        return outcome

    def _take_warm(self, spec: FunctionSpec) -> Cell | None:
        while (cell := self._warm.take(spec.key)) is not None:
            if not self._expires(cell, spec):
                return cell
            cell.kill()
        return None

    def _expires(self, cell: Cell, spec: FunctionSpec) -> bool:
        """Whether its credentials end soon: then a new cell gets new ones, as on AWS."""
        if cell.expires_ms is None:
            return False
        return cell.expires_ms - self._clock.now() < spec.timeout_s * 1000 + _EXPIRY_MARGIN_MS

    def _release(self, cell: Cell, key: str, reply: Reply) -> None:
        """After an invocation: keep the cell warm, unless it is of no more use."""
        self._busy.pop(cell, None)
        if reply.kind not in outcomes.REUSABLE or not cell.alive or key in self._dropped:
            cell.kill()
        else:
            self._warm.put(cell, key)

    def _forget(self, cell: Cell) -> None:
        self._busy.pop(cell, None)
        self._warm.remove(cell)
        key = cell.spec.key if cell.spec else ""
        if key in self._dropped and not any(
            one.spec is not None and one.spec.key == key for one in self._busy
        ):
            self._dropped.discard(key)

    # -------------------------------------------------------------------------------- upkeep

    def _watch_memory(self) -> None:
        if self._watch is None:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(_WATCH_S, self._look_at_memory)

    def _look_at_memory(self) -> None:
        """End cells that hold more memory than their function may have."""
        self._watch = None
        now = stopwatch()
        for cell, since in list(self._busy.items()):
            if now - since < _WATCH_S or cell.spec is None:
                continue
            resident_kib = cell.resident_kib()
            cell.peak_kib = max(cell.peak_kib, resident_kib)
            if resident_kib > (cell.spec.memory_mb + _MEMORY_SLACK_MB) * 1024:
                cell.over_memory = True
                cell.kill()
        if self._busy:
            self._watch_memory()

    async def _sweep(self) -> None:
        """Let go what has not been used for a while."""
        while True:
            await asyncio.sleep(max(0.05, min(self._idle_s / 4, 15)))
            self._warm.end_older(self._idle_s)
            self._made.sweep()


def _quarter_of_memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 >> 20
