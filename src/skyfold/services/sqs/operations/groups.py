"""Message groups: what makes a FIFO queue first in, first out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import invalid
from skyfold.services.sqs.tables import (
    FLIGHTS,
    GROUPS,
    MESSAGES,
    READY,
    WAITING,
    Flight,
    Group,
    Message,
    Queue,
)
from skyfold.store.api import Tx


def name_in(entry: Mapping[str, Any]) -> str:
    """The group that a sender names. Raises what SQS would for one that is none.

    Standard queues carry it to the receiver, and promise no more than to try to be fair.
    """
    name: str = entry["MessageGroupId"]
    if name and not limits.GROUP_ID.fullmatch(name):
        raise invalid(
            name,
            "MessageGroupId",
            "MessageGroupId can only include alphanumeric and punctuation characters. "
            "1 to 128 in length.",
        )
    return name


async def behind(tx: Tx, queue: Queue, group: str, position: int) -> int:
    """``position``, or the next behind the group's newest where the clock has gone back."""
    found = await GROUPS.get(tx, queue.id, group)
    return position if found is None else max(position, found.last_position + 1)


async def join(tx: Tx, queue: Queue, message: Message, now: int) -> None:
    """Put a message, at a position from ``behind``, at the end of its group."""
    WAITING.put(tx, queue.id, message.group, message.position, message.id)
    group = await GROUPS.get(tx, queue.id, message.group)
    if group is None:
        await settle(tx, queue, message.group, now)
    else:  # it stands where its first message lets it
        GROUPS.put(tx, replace(group, last_position=message.position))


async def claim(tx: Tx, queue: Queue, now: int, limit: int) -> list[tuple[Message, Flight | None]]:
    """Messages that may be received now, in the order of their groups.

    Groups are claimed whole, and only those of which nothing is in flight. Who then changes any
    of the messages settles their groups.
    """
    found: list[tuple[Message, Flight | None]] = []
    for _, _, _, group, _ in await READY.claim(tx, queue.id, limit=limit, below=(now + 1,)):
        room = limit - len(found)
        for _, _, position, message_id in await WAITING.scan(tx, queue.id, group, limit=room):
            message, flight = await _row(tx, queue, position, message_id)
            if visible_at(message, flight) > now:
                break
            found.append((message, flight))
        if len(found) >= limit:
            break
    return found


async def settle(tx: Tx, queue: Queue, name: str, now: int) -> None:
    """Let the group stand in READY at the moment its next message can be received.

    That is when none of its messages is in flight any more. Those in flight are always among the
    first ten: a receive takes from the front, and only from groups that have nothing in flight.
    """
    group = await GROUPS.get(tx, queue.id, name)
    if group is not None:
        READY.delete(tx, queue.id, group.ready_at, group.ready_position, name, 0)
    front = await WAITING.scan(tx, queue.id, name, limit=limits.RECEIVE_MAX)
    if not front:
        GROUPS.delete(tx, queue.id, name)
        return
    rows = [await _row(tx, queue, position, message_id) for _, _, position, message_id in front]
    ready_at = visible_at(*rows[0])
    for _, flight in rows:
        if flight is not None and flight.visible_at > now:
            ready_at = max(ready_at, flight.visible_at)
    first = rows[0][0].position
    last = front[-1][2] if group is None else group.last_position
    stands = Group(
        queue_id=queue.id, name=name, last_position=last, ready_at=ready_at, ready_position=first
    )
    GROUPS.put(tx, stands)
    READY.put(tx, queue.id, ready_at, first, name, 0)


def visible_at(message: Message, flight: Flight | None) -> int:
    """When a message can next be received."""
    return message.visible_from if flight is None else flight.visible_at


async def _row(
    tx: Tx, queue: Queue, position: int, message_id: str
) -> tuple[Message, Flight | None]:
    message = await MESSAGES.get(tx, queue.id, position, message_id)
    assert message is not None, "a WAITING entry outlived its message"
    return message, await FLIGHTS.get(tx, queue.id, position, message_id)
