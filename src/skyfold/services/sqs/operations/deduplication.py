"""Exactly-once sending to FIFO queues: a message is taken once for each deduplication id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import InvalidParameterValue, invalid, missing
from skyfold.services.sqs.operations import groups
from skyfold.services.sqs.tables import SENT, SENT_EXPIRY, Message, Queue, Sent
from skyfold.store.api import Tx

SWEPT_PER_SEND = 2
"""Each send forgets up to so many ids that have expired, so that they cannot pile up."""


def check(queue: Queue, entry: Mapping[str, Any]) -> None:
    """Raise what SQS would for what a FIFO queue demands of every message."""
    if not entry.get("MessageGroupId"):
        raise missing("MessageGroupId")
    given = entry.get("MessageDeduplicationId")
    if given and not limits.GROUP_ID.fullmatch(given):
        raise invalid(
            given,
            "MessageDeduplicationId",
            "MessageDeduplicationId can only include alphanumeric and punctuation characters. "
            "1 to 128 in length.",
        )
    if not given and not (queue.fifo and queue.fifo.content_based):
        raise InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )


async def in_its_group(tx: Tx, queue: Queue, entry: Mapping[str, Any], message: Message) -> Message:
    """``message`` with its deduplication id, behind the others of its group."""
    check(queue, entry)
    given = entry.get("MessageDeduplicationId")
    return replace(
        message,
        deduplication_id=given or hashlib.sha256(message.body.encode()).hexdigest(),
        position=await groups.behind(tx, queue, message.group, message.position),
    )


async def first_of(tx: Tx, queue: Queue, message: Message) -> Sent:
    """The first message with this deduplication id in the last five minutes: maybe this one."""
    now, scope = message.sent_at, message.group if queue.fifo and queue.fifo.per_group else ""
    await expire(tx, queue, now, SWEPT_PER_SEND)
    known = await SENT.get(tx, queue.id, scope, message.deduplication_id)
    if known is not None:
        if known.expires_at > now:
            return known
        SENT_EXPIRY.delete(tx, queue.id, known.expires_at, scope, message.deduplication_id)
    first = Sent(
        queue_id=queue.id,
        scope=scope,
        deduplication_id=message.deduplication_id,
        message_id=message.id,
        position=message.position,
        expires_at=now + limits.DEDUPLICATION_INTERVAL_MS,
    )
    SENT.put(tx, first)
    SENT_EXPIRY.put(tx, queue.id, first.expires_at, scope, message.deduplication_id)
    return first


async def expire(tx: Tx, queue: Queue, now: int, limit: int) -> None:
    """Forget deduplication ids that may be used again."""
    for _, expires_at, *key in await SENT_EXPIRY.scan(tx, queue.id, below=(now + 1,), limit=limit):
        SENT_EXPIRY.delete(tx, queue.id, expires_at, *key)
        SENT.delete(tx, queue.id, *key)
