"""Exactly-once publishing to FIFO topics: a message is taken once for each deduplication id."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from skyfold.services.sns import limits
from skyfold.services.sns.engine.envelopes import Notification
from skyfold.services.sns.tables import SENT, SENT_EXPIRY, SEQUENCES, Sent, Sequence, Topic
from skyfold.store.api import Tx

SWEPT_PER_PUBLISH = 2
"""Each publish forgets up to so many ids that have expired, so that they cannot pile up."""


def of_content(message: str) -> str:
    """The deduplication id of a message whose publisher gives none."""
    return hashlib.sha256(message.encode("utf-8", "surrogatepass")).hexdigest()


async def first_of(tx: Tx, topic: Topic, notification: Notification) -> Notification:
    """``notification`` with its sequence number, or what was answered to the first of its kind."""
    scope = notification.group if topic.fifo and topic.fifo.per_group else ""
    name, now = notification.deduplication_id, notification.at
    await _expire(tx, topic, now)
    known = await SENT.get(tx, topic.arn, scope, name)
    if known is not None and known.expires_at > now:
        return replace(
            notification, message_id=known.message_id, sequence=sequence_number(known.sequence)
        )
    if known is not None:
        SENT_EXPIRY.delete(tx, topic.arn, known.expires_at, scope, name)
    last = await SEQUENCES.get(tx, topic.arn)
    sequence = last.last + 1 if last else 1
    SEQUENCES.put(tx, Sequence(topic_arn=topic.arn, last=sequence))
    sent = Sent(
        topic_arn=topic.arn,
        scope=scope,
        deduplication_id=name,
        message_id=notification.message_id,
        sequence=sequence,
        expires_at=now + limits.DEDUPLICATION_INTERVAL_MS,
    )
    SENT.put(tx, sent)
    SENT_EXPIRY.put(tx, topic.arn, sent.expires_at, scope, name)
    return replace(notification, sequence=sequence_number(sequence))


def sequence_number(sequence: int) -> str:
    """Twenty digits, as AWS has them."""
    return str(10**19 + sequence)


async def _expire(tx: Tx, topic: Topic, now: int) -> None:
    for _, expires_at, *key in await SENT_EXPIRY.scan(
        tx, topic.arn, below=(now + 1,), limit=SWEPT_PER_PUBLISH
    ):
        SENT_EXPIRY.delete(tx, topic.arn, expires_at, *key)
        SENT.delete(tx, topic.arn, *key)
