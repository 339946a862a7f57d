"""Work that is due at a moment: timers, retries, outbox rows, steps of long operations.

A job is one row, scheduled in the transaction that makes it necessary. One loop claims what is
due, in order, and runs it: at least once, and again when the node that ran it has died.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from skyfold.base.waiting import first_of
from skyfold.store.api import ReadTx, Tx
from skyfold.store.tables import SCAN_MAX, Index, Table

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform

log = logging.getLogger("skyfold.jobs")

BATCH = 64
LEASE_MS = 30_000
"""A node that has not renewed the lease of a job for so long is taken for dead."""
RENEW_MS = 10_000
FAILED_RETRY_MS = (1_000, 5_000, 30_000, 120_000, 600_000)
"""Waits after a job raised something that is a bug; the last one repeats."""


class JobRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    kind: str
    key: str
    due_at: int
    payload: Mapping[str, Any]
    attempt: int = 0
    """How often it has been started before."""
    version: int = 0
    """Rises with every (re)scheduling, so that a runner notices that its job was replaced."""
    leased: bool = False
    """A node is running it; ``due_at`` is when that node is given up, unless it renews."""


JOBS = Table("kernel.jobs", JobRow, key=("kind", "key"))
DUE = Index("kernel.due", "due_at", "kind", "key")


@dataclass(frozen=True, slots=True)
class Again:
    """What a job returns to run again: at a moment, with another payload if one is given."""

    at: int
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How one kind of job runs.

    ``run(platform, row)`` does live work; ``tx(tx, platform, row)`` changes state only, in the
    transaction that ends the job. Exactly one of them is given. Either returns None when done or
    ``Again``. An exception is a bug: it is logged, and the job is tried again later.
    """

    run: Callable[[Platform, JobRow], Awaitable[Again | None]] | None = None
    tx: Callable[[Tx, Platform, JobRow], Awaitable[Again | None]] | None = None
    concurrency: int = 64
    """How many of this kind run at once on a node."""
    per_core: bool = False
    """``concurrency`` is for each core: for work that keeps one busy."""

    def most(self, cores: int) -> int:
        return self.concurrency * cores if self.per_core else self.concurrency


async def schedule(
    tx: Tx, kind: str, key: str, *, due_at: int, payload: Mapping[str, Any] | None = None
) -> None:
    """Have the job ``kind``/``key`` run at ``due_at``; an earlier schedule of it is replaced."""
    old = await JOBS.get(tx, kind, key)
    if old is not None:
        DUE.delete(tx, old.due_at, kind, key)
    version = 0 if old is None else old.version + 1
    row = JobRow(kind=kind, key=key, due_at=due_at, payload=payload or {}, version=version)
    JOBS.put(tx, row)
    DUE.put(tx, due_at, kind, key)


async def cancel(tx: Tx, kind: str, key: str) -> None:
    """Forget the job; nothing happens where there is none."""
    old = await JOBS.get(tx, kind, key)
    if old is not None:
        DUE.delete(tx, old.due_at, kind, key)
        JOBS.delete(tx, kind, key)


async def scheduled(tx: ReadTx, kind: str, key: str) -> JobRow | None:
    return await JOBS.get(tx, kind, key)


class JobRunner:
    """The loop of one node."""

    def __init__(self, platform: Platform, kinds: Callable[[str], Job | None]) -> None:
        self._platform, self._kinds = platform, kinds
        self._running: dict[asyncio.Task[None], JobRow] = {}
        self._count: dict[str, int] = {}
        self._freed = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many jobs are running now."""
        return len(self._running)

    async def run_forever(self) -> None:
        while True:
            with self._platform.store.watch(DUE.prefix()) as watching:
                claimed = await self.run_due()
                if claimed:
                    continue
                next_due = await self.next_due()
                self._freed.clear()
                waits = [watching.changed()]
                if next_due is not None and next_due > self._platform.clock.now():
                    waits.append(self._platform.clock.sleep_until(next_due))
                elif next_due is not None:  # due, but of a kind that is at its limit
                    waits.append(self._wait_freed())
                await first_of(*waits)

    async def _wait_freed(self) -> None:
        await self._freed.wait()

    async def run_due(self) -> int:
        """Start what is due now; how many were started."""
        started = await self._platform.store.write(self._claim)
        for row, job in started:
            self._count[row.kind] = self._count.get(row.kind, 0) + 1
            task = asyncio.ensure_future(self._run(row, job))
            self._running[task] = row
            task.add_done_callback(self._running.pop)
        return len(started)

    async def renew_forever(self) -> None:
        """Keep the leases of what runs here."""
        while True:
            await self._platform.wall.sleep_until(self._platform.wall.now() + RENEW_MS)
            for row in [*self._running.values()]:
                await self._platform.store.write(self._renew, row)

    async def _renew(self, tx: Tx, row: JobRow) -> None:
        held = await JOBS.get(tx, row.kind, row.key)
        if held is not None and (held.version, held.attempt) == (row.version, row.attempt):
            due_at = self._platform.clock.now() + LEASE_MS
            _move(tx, held, msgspec.structs.replace(held, due_at=due_at))

    async def recover(self) -> int:
        """Make what a dead process was running due now: for a store that only we have open."""
        return await self._platform.store.write(self._recover)

    async def _recover(self, tx: Tx) -> int:
        now, found = self._platform.clock.now(), 0
        for row in await JOBS.scan(tx, limit=SCAN_MAX):
            if row.leased:
                _move(tx, row, msgspec.structs.replace(row, due_at=now, leased=False))
                found += 1
        return found

    async def next_due(self) -> int | None:
        """The moment at which the next job is due, if there is one."""
        return await self._platform.store.read(_first_due)

    async def settle(self) -> int:
        """Run what is due and wait, until nothing is due any more: for a clock that is moved.

        Returns how many jobs were started.
        """
        total = 0
        while (started := await self.run_due()) or self._running:
            total += started
            if self._running:
                await asyncio.wait([*self._running])
        return total

    async def stop(self) -> None:
        """Cancel what runs; the leases see to it that it runs again."""
        for task in [*self._running]:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _claim(self, tx: Tx) -> list[tuple[JobRow, Job]]:
        now = self._platform.clock.now()
        started: list[tuple[JobRow, Job]] = []
        starting: dict[str, int] = {}
        for due_at, kind, key in await DUE.claim(tx, limit=BATCH, below=(now + 1,)):
            job, row = self._kinds(kind), await JOBS.get(tx, kind, key)
            if row is None or row.due_at != due_at:
                DUE.delete(tx, due_at, kind, key)
                continue
            if job is None:  # a kind this program no longer knows: leave it for one that does
                _move(tx, row, msgspec.structs.replace(row, due_at=now + 3_600_000))
                continue
            if self._count.get(kind, 0) + starting.get(kind, 0) >= job.most(self._platform.cores):
                continue
            starting[kind] = starting.get(kind, 0) + 1
            leased = msgspec.structs.replace(
                row, due_at=now + LEASE_MS, attempt=row.attempt + 1, leased=True
            )
            _move(tx, row, leased)
            started.append((leased, job))
        return started

    async def _run(self, row: JobRow, job: Job) -> None:
        store = self._platform.store
        try:
            if job.tx is not None:
                await store.write(self._in_transaction, job.tx, row)
            elif job.run is not None:
                await store.write(_finish, row, await job.run(self._platform, row))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("job %s/%s failed", row.kind, row.key)
            wait_ms = FAILED_RETRY_MS[min(row.attempt, len(FAILED_RETRY_MS)) - 1]
            await store.write(_finish, row, Again(self._platform.clock.now() + wait_ms))
        finally:
            self._count[row.kind] -= 1
            self._freed.set()

    async def _in_transaction(
        self, tx: Tx, run: Callable[..., Awaitable[Again | None]], row: JobRow
    ) -> None:
        if await _current(tx, row):
            await _finish(tx, row, await run(tx, self._platform, row))


async def _first_due(tx: ReadTx) -> int | None:
    first = await DUE.scan(tx, limit=1)
    return first[0][0] if first else None


async def _current(tx: ReadTx, row: JobRow) -> bool:
    found = await JOBS.get(tx, row.kind, row.key)
    return found is not None and (found.version, found.attempt) == (row.version, row.attempt)


async def _finish(tx: Tx, row: JobRow, again: Again | None) -> None:
    """End a run: forget the job or move it, unless it was rescheduled or cancelled meanwhile."""
    if not await _current(tx, row):
        return
    if again is None:
        await cancel(tx, row.kind, row.key)
        return
    payload = row.payload if again.payload is None else again.payload
    held = await JOBS.get(tx, row.kind, row.key)
    assert held is not None, "a current job has a row"
    _move(tx, held, msgspec.structs.replace(row, due_at=again.at, payload=payload, leased=False))


def _move(tx: Tx, old: JobRow, new: JobRow) -> None:
    DUE.delete(tx, old.due_at, old.kind, old.key)
    DUE.put(tx, new.due_at, new.kind, new.key)
    JOBS.put(tx, new)
