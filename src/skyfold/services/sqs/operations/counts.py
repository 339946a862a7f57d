"""How many messages a queue has, counted: exact at every moment, and no sender pays for it."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from skyfold.kernel.call import Call
from skyfold.services.sqs.operations.backlog import oldest_alive
from skyfold.services.sqs.tables import FLIGHTS, MESSAGES, READY, Queue
from skyfold.store.api import ReadTx
from skyfold.store.keys import after, pack

PAGE: Final = 5_000
"""Keys read at a time; between pages, other requests run."""
_NUMBER_BYTES: Final = len(pack(0))
_NEVER_RECEIVED: Final = pack(0)

State = Literal["visible", "in_flight", "delayed"]


async def counted(call: Call, queue: Queue) -> Counter[State]:
    """The messages of a queue that have not expired, by what a receive would do with them."""
    total: Counter[State] = Counter()
    if queue.fifo is None:
        start = READY.prefix(queue.id)
        while start:
            page, start = await call.read(_ready_page, queue, call.now, start)
            total += page
        return total
    place = (oldest_alive(queue, call.now), "")
    while place[0]:
        page, place = await call.read(_message_page, queue, call.now, place)
        total += page
    return total


async def _ready_page(
    tx: ReadTx, queue: Queue, now: int, start: bytes
) -> tuple[Counter[State], bytes]:
    """Looks at the keys of READY as they lie: unpacking them would take most of the time."""
    prefix = READY.prefix(queue.id)
    pairs = await tx.scan(start, after(prefix), limit=PAGE)
    later, alive = READY.prefix(queue.id, now + 1), pack(oldest_alive(queue, now))
    begin = len(prefix) + _NUMBER_BYTES
    end = begin + _NUMBER_BYTES
    count: Counter[State] = Counter()
    for key, _ in pairs:
        if key[begin:end] < alive:
            continue
        if key < later:
            count["visible"] += 1
        else:
            count["delayed" if key.endswith(_NEVER_RECEIVED) else "in_flight"] += 1
    return count, pairs[-1][0] + b"\0" if len(pairs) == PAGE else b""


async def _message_page(
    tx: ReadTx, queue: Queue, now: int, above: tuple[int, str]
) -> tuple[Counter[State], tuple[int, str]]:
    """For FIFO queues, whose READY holds groups."""
    messages = await MESSAGES.scan(tx, queue.id, above=above, limit=PAGE // 10)
    count: Counter[State] = Counter()
    for message in messages:
        flight = await FLIGHTS.get(tx, queue.id, message.position, message.id)
        if flight is not None:
            count["in_flight" if flight.visible_at > now else "visible"] += 1
        else:
            count["delayed" if message.visible_from > now else "visible"] += 1
    more = len(messages) == PAGE // 10
    return count, (messages[-1].position, messages[-1].id) if more else (0, "")
