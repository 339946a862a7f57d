"""What SQS keeps.

A sent message is two rows. ``MESSAGES`` holds what was sent and never changes. ``READY`` orders the
messages of a queue by the moment at which they can next be received: a new, a delayed and an
in-flight message differ only in that moment, so nothing has to happen when a visibility timeout
runs out. A message that has been received has a third row: its ``Flight`` says where in READY it
stands, so that a receipt handle, which names the message, finds it.

A message's ``position`` is the moment it was sent (ms) and, behind it, a counter that keeps those
of one millisecond in order. MESSAGES is therefore ordered by age, which makes expiry the deletion
of a range.

In a FIFO queue READY holds no messages but groups, each at the moment its next message can be
received, so that claiming an entry claims the group. ``WAITING`` is the order within each group and
``GROUPS`` says where in READY each group stands. ``SENT`` remembers deduplication ids for five
minutes, and ``ATTEMPTS`` what a receive request attempt was given.

Everything of a queue is keyed by the queue's id, which is new for each queue: what is left of a
deleted queue is unreachable even while it is being swept away.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from skyfold.store.api import ReadTx
from skyfold.store.tables import Index, Table


class Redrive(msgspec.Struct, frozen=True, array_like=True):
    """A redrive policy: where a message goes that was received too often."""

    target: str
    """The ARN of the dead-letter queue."""
    receives_max: int


class Fifo(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What only FIFO queues have."""

    content_based: bool = False
    """Deduplicate by the body where the sender gives no deduplication id."""
    per_group: bool = False
    """Deduplicate within a message group instead of the whole queue."""
    limit_per_group: bool = False


class Queue(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    account: str
    region: str
    name: str
    id: str
    created_at: int
    modified_at: int
    delay_s: int = 0
    bytes_max: int = 1_048_576
    retention_s: int = 345_600
    wait_s: int = 0
    visibility_s: int = 30
    policy: str = ""
    redrive: Redrive | None = None
    redrive_allow: str = ""
    encrypted: bool = True
    """As SqsManagedSseEnabled reports it."""
    fifo: Fifo | None = None
    purged_at: int = 0

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"


class Message(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What was sent."""

    queue_id: str
    position: int
    id: str
    sent_at: int
    visible_from: int
    """When it could first be received: where it stands in READY until it is."""
    sender_id: str
    body: str
    attributes: dict[str, dict[str, Any]] | None = None
    """As in the request: ``{name: {"DataType": ..., "StringValue": ...}}``."""
    trace_header: str = ""
    group: str = ""
    deduplication_id: str = ""
    source_arn: str = ""
    """Of a message in a dead-letter queue: the queue it came from."""


class Flight(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The receives of a message: absent until the first one."""

    queue_id: str
    position: int
    id: str
    visible_at: int
    receives: int
    first_received_at: int
    received_at: int


class Group(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A message group of a FIFO queue, for as long as it has messages."""

    queue_id: str
    name: str
    last_position: int
    """Of the newest message: sequence numbers only rise."""
    ready_at: int
    ready_position: int
    """With ``ready_at``, where the group stands in READY."""


class Sent(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What was answered to the first message with a deduplication id."""

    queue_id: str
    scope: str
    """The group for queues that deduplicate within groups; empty otherwise."""
    deduplication_id: str
    message_id: str
    position: int
    expires_at: int


class Attempt(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What one ReceiveRequestAttemptId was given: the messages, by position, id and receives."""

    queue_id: str
    id: str
    expires_at: int
    messages: list[tuple[int, str, int]]


class MoveTask(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A message move task: dead letters on their way back."""

    source_arn: str
    newest_first: int
    """Minus the moment of the start, so that a scan finds the newest first."""
    id: str
    status: str
    """RUNNING, COMPLETED, CANCELLED or FAILED."""
    destination_arn: str = ""
    per_second_max: int = 0
    """0: as fast as possible."""
    to_move: int = 0
    moved: int = 0
    failure: str = ""

    @property
    def started_at(self) -> int:
        return -self.newest_first


QUEUES = Table("sqs.queues", Queue, key=("account", "region", "name"))
MESSAGES = Table("sqs.messages", Message, key=("queue_id", "position", "id"))
FLIGHTS = Table("sqs.flights", Flight, key=("queue_id", "position", "id"))
READY = Index("sqs.ready", "queue_id", "visible_at", "position", "message_id", "receives")
"""In FIFO queues: ``(queue_id, ready_at, ready_position, group, 0)``."""
SOURCES = Index("sqs.sources", "dead_letter_arn", "account", "region", "name")
"""The queues that name a queue as their dead-letter queue."""
WAITING = Index("sqs.waiting", "queue_id", "group", "position", "message_id")
GROUPS = Table("sqs.groups", Group, key=("queue_id", "name"))
SENT = Table("sqs.sent", Sent, key=("queue_id", "scope", "deduplication_id"))
SENT_EXPIRY = Index("sqs.sent_expiry", "queue_id", "expires_at", "scope", "deduplication_id")
ATTEMPTS = Table("sqs.attempts", Attempt, key=("queue_id", "id"))
MOVE_TASKS = Table("sqs.move_tasks", MoveTask, key=("source_arn", "newest_first", "id"))

OF_A_QUEUE = (MESSAGES, FLIGHTS, READY, WAITING, GROUPS, SENT, SENT_EXPIRY, ATTEMPTS)
"""All that is keyed by a queue's id, and goes with the queue."""
MESSAGES_OF_A_QUEUE = (MESSAGES, FLIGHTS, READY, WAITING, GROUPS, ATTEMPTS)


async def find_queue(tx: ReadTx, account: str, region: str, name: str) -> Queue | None:
    """As ``QUEUES.get``, for every request asks it: keys and rows are packed and unpacked once."""
    found = await tx.get(_queue_key(account, region, name))
    return None if found is None else _queue(found)


_queue_key = functools.lru_cache(maxsize=4096)(QUEUES.prefix)
_queue = functools.lru_cache(maxsize=4096)(msgspec.msgpack.Decoder(Queue).decode)
"""By the row's bytes, so that there is nothing to invalidate."""
