"""What one service sends another: a parcel to an ARN, in the sender's own transaction.

A service declares what its resources do with a parcel. Where that is a function of ``tx`` (a queue
puts a message, a function queues an asynchronous invocation) the parcel is handed over in the
transaction that sends it. Where it has to be done live (HTTP), it becomes an outbox row: a job that
is retried as its sender's policy says and ends in a dead-letter queue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skyfold.base.arn import Arn, parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.jobs import Again, Job, JobRow, schedule
from skyfold.store.api import Tx

if TYPE_CHECKING:
    from skyfold.kernel.call import Call
    from skyfold.kernel.platform import Platform

KIND = "kernel.delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is delivered. Each receiver takes from it what it has a place for."""

    body: str
    """The message, event or payload, as text (JSON for most)."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Message attributes, shaped as SQS's: ``{name: {"DataType": ..., "StringValue": ...}}``."""
    group_id: str = ""
    deduplication_id: str = ""
    subject: str = ""


class Undeliverable(AwsError):
    """The receiver does not exist, refuses, or may not be sent to. ``retryable`` says if later
    could be better."""

    def __init__(self, message: str, *, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason, self.retryable = code, retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """What the resources of a service do with a parcel.

    ``tx(tx, call, arn, parcel)`` within the sender's transaction, or ``live(call, arn, parcel)``.
    Either raises Undeliverable (or an AwsError). ``action`` is what the receiver's resource policy
    has to allow: ``sqs:SendMessage``.
    """

    action: str
    tx: Callable[[Tx, Call, Arn, Parcel], Awaitable[None]] | None = None
    live: Callable[[Call, Arn, Parcel], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How an outbox row is tried again: seconds before each further attempt, then given up."""

    waits_s: tuple[int, ...] = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600)
    dead_letters: str = ""
    """The ARN of the queue (or topic) that gets what is given up."""


async def deliver(
    tx: Tx, call: Call, to: str, parcel: Parcel, *, retry: Retry | None = None
) -> None:
    """Send ``parcel`` to the resource with ARN ``to``, as ``call.principal``.

    The principal is a service (``call.as_service("sns", source_arn=topic)``), who needs the
    receiver's resource policy, or a role. Raises Undeliverable where the receiver does not exist
    or its policy does not allow it; the sender decides what that means (SNS: the dead-letter
    queue of the subscription).
    """
    arn = parse_arn(to)
    service = call.platform.service_of_arn(arn) if arn else None
    if arn is None or service is None or service.accepts is None:
        raise Undeliverable(f"Nothing can be delivered to {to}", code="InvalidTarget")
    there = call.acting_as(call.principal, account=arn.account or call.account, region=arn.region)
    await there.allowed(tx, service.accepts.action, to)
    if service.accepts.tx is not None:
        await service.accepts.tx(tx, there, arn, parcel)
        return
    retry = retry or Retry()
    await schedule(
        tx, KIND, call.new_id(), due_at=call.now, payload=_packed(there, to, parcel, retry)
    )


def _packed(call: Call, to: str, parcel: Parcel, retry: Retry) -> dict[str, Any]:
    return {
        "to": to,
        "principal": call.platform.packed_principal(call.principal),
        "account": call.account,
        "region": call.region,
        "body": parcel.body,
        "attributes": dict(parcel.attributes),
        "group_id": parcel.group_id,
        "deduplication_id": parcel.deduplication_id,
        "subject": parcel.subject,
        "waits_s": list(retry.waits_s),
        "dead_letters": retry.dead_letters,
    }


async def _run(platform: Platform, row: JobRow) -> Again | None:
    packed = row.payload
    parcel = Parcel(
        body=packed["body"],
        attributes=packed["attributes"],
        group_id=packed["group_id"],
        deduplication_id=packed["deduplication_id"],
        subject=packed["subject"],
    )
    call = platform.call(
        platform.unpacked_principal(packed["principal"]),
        account=packed["account"],
        region=packed["region"],
    )
    arn = parse_arn(packed["to"])
    service = platform.service_of_arn(arn) if arn else None
    try:
        if arn is None or service is None or service.accepts is None or not service.accepts.live:
            raise Undeliverable(f"No such target: {packed['to']}", code="InvalidTarget")
        await service.accepts.live(call, arn, parcel)
        return None
    except AwsError as failure:
        waits = packed["waits_s"]
        lasting = isinstance(failure, Undeliverable) and not failure.retryable
        if not lasting and row.attempt <= len(waits):
            return Again(platform.clock.now() + waits[row.attempt - 1] * 1000)
        if packed["dead_letters"]:
            await platform.store.write(deliver, call, packed["dead_letters"], parcel)
        return None


JOB = Job(run=_run)
