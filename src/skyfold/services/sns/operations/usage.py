"""What SNS bills for and measures: publishes, one for every 64 KiB, and deliveries."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.services.sns import limits
from skyfold.services.sns.tables import Topic

Run = Callable[..., Awaitable[Any]]
NAMESPACE = "AWS/SNS"


def billed(run: Run) -> Run:
    """An operation that is billed as one request, whatever it does: all but publishing."""

    @functools.wraps(run)
    async def run_and_bill(*args: Any) -> Any:
        answer = await run(*args)
        call: Call = args[-2]
        call.meter("Requests-Tier1")
        return answer

    return run_and_bill


def published(call: Call, topic: Topic, size: int) -> None:
    call.meter("Requests-Tier1", -(-size // limits.REQUEST_BYTES), resource=topic.name)
    _count(call, topic, "NumberOfMessagesPublished", 1)
    call.metric(NAMESPACE, "PublishSize", size, "Bytes", TopicName=topic.name)


def fanned_out(
    call: Call, topic: Topic, delivered: Mapping[str, int], *, failed: int, filtered: int
) -> None:
    for protocol, count in delivered.items():
        call.meter(f"DeliveryAttempts-{protocol.upper()}", count, resource=topic.name)
    _count(call, topic, "NumberOfNotificationsDelivered", sum(delivered.values()))
    _count(call, topic, "NumberOfNotificationsFailed", failed)
    _count(call, topic, "NumberOfNotificationsFilteredOut", filtered)


def redriven(call: Call, topic: Topic) -> None:
    _count(call, topic, "NumberOfNotificationsRedrivenToDlq", 1)


def lost(call: Call, topic: Topic) -> None:
    _count(call, topic, "NumberOfNotificationsFailedToRedriveToDlq", 1)


def _count(call: Call, topic: Topic, name: str, count: int) -> None:
    if count:
        call.metric(NAMESPACE, name, count, "Count", TopicName=topic.name)
