"""Receive request attempts: a FIFO receive that is repeated gets the same messages again."""

from __future__ import annotations

from msgspec.structs import replace

from skyfold.kernel.call import NotYet
from skyfold.services.sqs import limits
from skyfold.services.sqs.operations import backlog, groups
from skyfold.services.sqs.tables import ATTEMPTS, FLIGHTS, MESSAGES, Attempt, Flight, Message, Queue
from skyfold.store.api import Tx


async def take(
    tx: Tx, queue: Queue, attempt: str, now: int, *, limit: int, hidden_ms: int
) -> list[tuple[Message, Flight]] | NotYet:
    """As ``backlog.take``, but what an earlier request with this id got is handed out again.

    Unless any of it was deleted, shown again or received by another since.
    """
    earlier = await ATTEMPTS.get(tx, queue.id, attempt)
    if earlier is not None and earlier.expires_at > now:
        again = await _again(tx, queue, earlier, now, hidden_ms)
        if again:
            return again
    taken = await backlog.take(tx, queue, now, limit=limit, hidden_ms=hidden_ms)
    if not isinstance(taken, NotYet):
        row = Attempt(
            queue_id=queue.id,
            id=attempt,
            expires_at=now + limits.DEDUPLICATION_INTERVAL_MS,
            messages=[(m.position, m.id, flight.receives) for m, flight in taken],
        )
        ATTEMPTS.put(tx, row)
    return taken


async def _again(
    tx: Tx, queue: Queue, earlier: Attempt, now: int, hidden_ms: int
) -> list[tuple[Message, Flight]]:
    found: list[tuple[Message, Flight]] = []
    for position, message_id, receives in earlier.messages:
        message = await MESSAGES.get(tx, queue.id, position, message_id)
        flight = await FLIGHTS.get(tx, queue.id, position, message_id)
        if message is None or flight is None:
            return []
        if flight.receives != receives or flight.visible_at <= now:
            return []
        found.append((message, replace(flight, visible_at=now + hidden_ms)))
    for _, flight in found:
        FLIGHTS.put(tx, flight)
    for group in dict.fromkeys(message.group for message, _ in found):
        await groups.settle(tx, queue, group, now)
    return found


async def expire(tx: Tx, queue: Queue, now: int, limit: int) -> None:
    """Forget attempts that are too old to be repeated."""
    for attempt in await ATTEMPTS.scan(tx, queue.id, limit=limit):
        if attempt.expires_at <= now:
            ATTEMPTS.delete(tx, queue.id, attempt.id)
