"""What SQS does on a timer: forgetting expired messages, and moving dead letters."""

from __future__ import annotations

from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.services.sqs.operations import attempts, backlog, deduplication, move_tasks
from skyfold.services.sqs.operations.queues import EXPIRY_INTERVAL_MS, EXPIRY_JOB
from skyfold.services.sqs.tables import MOVE_TASKS, find_queue
from skyfold.store.api import Tx

EXPIRED_AT_ONCE = 500


async def _expire(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """Make room. Nobody ever sees an expired message; this only takes it off the disk."""
    of, now = row.payload, platform.clock.now()
    queue = await find_queue(tx, of["account"], of["region"], of["name"])
    if queue is None or queue.id != row.key:
        return None
    expired = await backlog.expire(tx, queue, now, EXPIRED_AT_ONCE)
    if queue.fifo is not None:
        await attempts.expire(tx, queue, now, EXPIRED_AT_ONCE)
        await deduplication.expire(tx, queue, now, EXPIRED_AT_ONCE)
    return Again(now if expired == EXPIRED_AT_ONCE else now + EXPIRY_INTERVAL_MS)


async def _move(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    now = platform.clock.now()
    task = await MOVE_TASKS.get(tx, row.key, row.payload["newest_first"], row.payload["id"])
    if task is None or task.status != "RUNNING":
        return None
    task = await move_tasks.step(tx, task, now, platform.ids.uuid)
    MOVE_TASKS.put(tx, task)
    if task.status != "RUNNING":
        return None
    return Again(now + move_tasks.pause_ms(task))


JOBS = {EXPIRY_JOB: Job(tx=_expire), move_tasks.MOVE_JOB: Job(tx=_move)}
