"""The messages of a queue: putting in, taking, hiding, removing. Nothing else writes their rows."""

from __future__ import annotations

import itertools
from typing import Final

from msgspec.structs import replace

from skyfold.base.arn import parse_arn
from skyfold.kernel.call import NotYet
from skyfold.services.sqs import limits
from skyfold.services.sqs.engine.receipts import Receipt
from skyfold.services.sqs.errors import MessageNotInflight, invalid
from skyfold.services.sqs.operations import groups
from skyfold.services.sqs.tables import (
    FLIGHTS,
    MESSAGES,
    READY,
    WAITING,
    Flight,
    Message,
    Queue,
    Redrive,
    find_queue,
)
from skyfold.store.api import ReadTx, Tx

ROUNDS_MAX: Final = 20
"""How often one receive looks again where all it found had expired or went to the dead letters."""
RETRY_MS: Final = 20
"""Until a receiver looks again for what another one has claimed but not taken."""
_COUNTER_BITS: Final = 20
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1
_order = itertools.count()

Row = tuple[Message, Flight | None]


def position(now: int) -> int:
    """A place in the order of sending. The counter only parts what is sent in one millisecond."""
    return now << _COUNTER_BITS | next(_order) & _COUNTER_MASK


def oldest_alive(queue: Queue, now: int) -> int:
    """The first position whose message has not outlived the retention period."""
    return (now - queue.retention_s * 1000 + 1) << _COUNTER_BITS


async def put(
    tx: Tx, queue: Queue, message: Message, now: int, flight: Flight | None = None
) -> None:
    """Put in a message, with the receives that it had in another queue, if any."""
    MESSAGES.put(tx, message)
    if flight is not None:
        FLIGHTS.put(tx, flight)
    if queue.fifo is None:
        READY.put(tx, queue.id, *standing(message, flight))
    else:
        await groups.join(tx, queue, message, now)


def standing(message: Message, flight: Flight | None) -> tuple[int, int, str, int]:
    """Where a message of a standard queue stands in READY, behind the queue's id."""
    if flight is None:
        return message.visible_from, message.position, message.id, 0
    return flight.visible_at, message.position, message.id, flight.receives


async def take(
    tx: Tx, queue: Queue, now: int, *, limit: int, hidden_ms: int
) -> list[tuple[Message, Flight]] | NotYet:
    """Take up to ``limit`` messages that are due and hide each for ``hidden_ms``.

    What has expired is removed on the way, and what was received too often goes to the dead-letter
    queue.
    """
    taken: list[tuple[Message, Flight]] = []
    for _ in range(ROUNDS_MAX):
        found = await claim(tx, queue, now, limit)
        for message, flight in found:
            if message.position < oldest_alive(queue, now):
                erase(tx, queue, message, flight)
            elif not await _bury(tx, queue, message, flight, now):
                flight = _received(message, flight, now, hidden_ms)
                FLIGHTS.put(tx, flight)
                if queue.fifo is None:
                    READY.put(tx, queue.id, *standing(message, flight))
                taken.append((message, flight))
        await settle(tx, queue, found, now)
        if taken:
            return taken
        if not found:
            break
    return NotYet(max(await _next_moment(tx, queue, now), now + RETRY_MS))


async def claim(tx: Tx, queue: Queue, now: int, limit: int) -> list[Row]:
    """Messages that can be received now, withdrawn from READY: the caller puts or erases each."""
    if queue.fifo is not None:
        return await groups.claim(tx, queue, now, limit)
    found: list[Row] = []
    for entry in await READY.claim(tx, queue.id, limit=limit, below=(now + 1,)):
        queue_id, _, place, message_id, receives = entry
        READY.delete(tx, *entry)
        message = await MESSAGES.get(tx, queue_id, place, message_id)
        assert message is not None, "a READY entry outlived its message"
        flight = await FLIGHTS.get(tx, queue_id, place, message_id) if receives else None
        found.append((message, flight))
    return found


def put_back(tx: Tx, queue: Queue, message: Message, flight: Flight | None) -> None:
    """Undo what ``claim`` did to a message."""
    if queue.fifo is None:
        READY.put(tx, queue.id, *standing(message, flight))


async def settle(tx: Tx, queue: Queue, changed: list[Row], now: int) -> None:
    """After ``claim`` and what became of it: let the groups of a FIFO queue stand right."""
    if queue.fifo is not None:
        for group in dict.fromkeys(message.group for message, _ in changed):
            await groups.settle(tx, queue, group, now)


def erase(tx: Tx, queue: Queue, message: Message, flight: Flight | None) -> None:
    """Forget a message that ``claim`` has withdrawn."""
    MESSAGES.delete(tx, message.queue_id, message.position, message.id)
    if flight is not None:
        FLIGHTS.delete(tx, message.queue_id, message.position, message.id)
    if queue.fifo is not None:
        WAITING.delete(tx, message.queue_id, message.group, message.position, message.id)


def _received(message: Message, before: Flight | None, now: int, hidden_ms: int) -> Flight:
    return Flight(
        queue_id=message.queue_id,
        position=message.position,
        id=message.id,
        visible_at=now + hidden_ms,
        receives=before.receives + 1 if before else 1,
        first_received_at=before.first_received_at if before else now,
        received_at=now,
    )


async def _next_moment(tx: ReadTx, queue: Queue, now: int) -> int:
    first = await READY.scan(tx, queue.id, limit=1)
    return first[0][1] if first else now + limits.WAIT_MAX_S * 1000


async def _bury(tx: Tx, queue: Queue, message: Message, flight: Flight | None, now: int) -> bool:
    """Move a message that was received too often to the dead-letter queue, if there is one."""
    redrive = queue.redrive
    if redrive is None or flight is None or flight.receives < redrive.receives_max:
        return False
    target = await dead_letter_queue(tx, redrive)
    if target is None or (target.fifo is None) is not (queue.fifo is None):
        return False
    erase(tx, queue, message, flight)
    place, sent_at = message.position, message.sent_at
    if target.fifo is not None:  # where the retention period begins anew
        place, sent_at = await groups.behind(tx, target, message.group, position(now)), now
    letter = replace(
        message,
        queue_id=target.id,
        position=place,
        sent_at=sent_at,
        visible_from=now,
        source_arn=queue.arn,
    )
    known = replace(flight, queue_id=target.id, position=place, visible_at=now)
    await put(tx, target, letter, now, known)
    return True


async def dead_letter_queue(tx: ReadTx, redrive: Redrive) -> Queue | None:
    arn = parse_arn(redrive.target)
    return None if arn is None else await find_queue(tx, arn.account, arn.region, arn.resource)


async def remove(tx: Tx, queue: Queue, receipt: Receipt, text: str, now: int) -> None:
    """Delete a received message; nothing happens where it is gone.

    Any handle that a message of a standard queue was given deletes it. In a FIFO queue the handle
    has to be of a receive that is not over.
    """
    key = receipt.position, receipt.message_id
    flight = await FLIGHTS.get(tx, queue.id, *key)
    if flight is None:
        return
    if queue.fifo is None:
        READY.delete(tx, queue.id, flight.visible_at, *key, flight.receives)
        MESSAGES.delete(tx, queue.id, *key)
        FLIGHTS.delete(tx, queue.id, *key)
        return
    if flight.receives != receipt.receives or flight.visible_at <= now:
        raise invalid(text, "ReceiptHandle", "The receipt handle has expired.")
    message = await MESSAGES.get(tx, queue.id, *key)
    assert message is not None, "a flight outlived its message"
    erase(tx, queue, message, flight)
    await groups.settle(tx, queue, message.group, now)


async def hide(tx: Tx, queue: Queue, receipt: Receipt, text: str, now: int, seconds: int) -> None:
    """Let a message that is in flight be received again ``seconds`` from now."""
    key = receipt.position, receipt.message_id
    flight = await FLIGHTS.get(tx, queue.id, *key)
    if flight is None:
        raise invalid(
            text,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        )
    if flight.visible_at <= now:
        raise MessageNotInflight
    if queue.fifo is not None and flight.receives != receipt.receives:
        raise invalid(text, "ReceiptHandle", "The receipt handle has expired.")
    if now + seconds * 1000 > flight.received_at + limits.VISIBILITY_MAX_S * 1000:
        raise invalid(
            seconds,
            "VisibilityTimeout",
            "Total VisibilityTimeout for the message is beyond the limit "
            f"[{limits.VISIBILITY_MAX_S} seconds]",
        )
    moved = replace(flight, visible_at=now + seconds * 1000)
    FLIGHTS.put(tx, moved)
    if queue.fifo is None:
        READY.delete(tx, queue.id, flight.visible_at, *key, flight.receives)
        READY.put(tx, queue.id, moved.visible_at, *key, moved.receives)
        return
    message = await MESSAGES.get(tx, queue.id, *key)
    assert message is not None, "a flight outlived its message"
    await groups.settle(tx, queue, message.group, now)


async def expire(tx: Tx, queue: Queue, now: int, limit: int) -> int:
    """Remove up to ``limit`` messages that have outlived the retention period; how many."""
    old = await MESSAGES.scan(tx, queue.id, below=(oldest_alive(queue, now),), limit=limit)
    rows: list[Row] = []
    for message in old:
        flight = await FLIGHTS.get(tx, queue.id, message.position, message.id)
        if queue.fifo is None:
            READY.delete(tx, queue.id, *standing(message, flight))
        erase(tx, queue, message, flight)
        rows.append((message, flight))
    await settle(tx, queue, rows, now)
    return len(old)
