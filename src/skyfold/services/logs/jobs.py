"""Retention: once an hour, what is older than its group keeps is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from skyfold.kernel.jobs import Again, Job, JobRow, schedule, scheduled
from skyfold.kernel.logs import BY_TIME, EVENT_OVERHEAD_BYTES, EVENTS, GROUPS, LogGroup
from skyfold.services.logs import limits

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform
    from skyfold.store.api import ReadTx, Tx

SWEEP = "logs.retention"
HOUR_MS = 3_600_000


async def sweep(platform: Platform, row: JobRow) -> Again | None:
    """Forget expired events, a page of each group at a time."""
    for group in await platform.store.read(_limited):
        while await platform.store.write(_forget_page, group.id, platform.clock.now(), group):
            pass
    return Again(platform.clock.now() + HOUR_MS)


async def _limited(tx: ReadTx) -> list[LogGroup]:
    return [group for group in await GROUPS.scan(tx, limit=1_000_000) if group.retention_days]


async def _forget_page(tx: Tx, group_id: str, now: int, group: LogGroup) -> bool:
    oldest = now - group.retention_days * limits.DAY_MS
    found = await BY_TIME.scan(tx, group_id, limit=limits.SWEEP_EVENTS, below=(oldest,))
    size = 0
    for _, at, stream, sequence in found:
        event = await EVENTS.get(tx, group_id, stream, at, sequence)
        size += len(event.message.encode()) + EVENT_OVERHEAD_BYTES if event else 0
        EVENTS.delete(tx, group_id, stream, at, sequence)
        BY_TIME.delete(tx, group_id, at, stream, sequence)
    current = await GROUPS.get(tx, group.account, group.region, group.name)
    if found and current is not None:
        kept = max(0, current.stored_bytes - size)
        GROUPS.put(tx, msgspec.structs.replace(current, stored_bytes=kept))
    return len(found) == limits.SWEEP_EVENTS


async def begin(platform: Platform) -> None:
    """Have the sweep scheduled, once for the whole cloud."""

    async def ensure(tx: Tx) -> None:
        if await scheduled(tx, SWEEP, "all") is None:
            await schedule(tx, SWEEP, "all", due_at=platform.clock.now() + HOUR_MS)

    await platform.store.write(ensure)


SWEEP_JOB = Job(run=sweep, concurrency=1)
