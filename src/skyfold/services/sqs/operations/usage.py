"""What SQS bills for and measures: requests, one for every 64 KiB, and what moved."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from skyfold.kernel.call import Call
from skyfold.services.sqs import limits
from skyfold.services.sqs.tables import Message, Queue

Run = Callable[..., Awaitable[Any]]
NAMESPACE = "AWS/SQS"


def request(call: Call, queue: Queue, size: int = 0) -> None:
    """Bill one request with a payload of ``size`` bytes."""
    kind = "Requests-Tier1" if queue.fifo is None else "Requests-FIFO-Tier1"
    call.meter(kind, -(-size // limits.REQUEST_BYTES) or 1, resource=queue.name)


def billed(run: Run) -> Run:
    """An operation that is billed as one request, whatever it does: all but those on messages."""

    @functools.wraps(run)
    async def run_and_bill(*args: Any) -> Any:
        answer = await run(*args)
        call: Call = args[-2]
        call.meter("Requests-Tier1")
        return answer

    return run_and_bill


def sent(call: Call, queue: Queue, sizes: Sequence[int]) -> None:
    request(call, queue, sum(sizes))
    for size in sizes:
        call.metric(NAMESPACE, "SentMessageSize", size, "Bytes", QueueName=queue.name)
    _count(call, queue, "NumberOfMessagesSent", len(sizes))


def received(call: Call, queue: Queue, messages: Sequence[Message]) -> None:
    request(call, queue, sum(len(message.body) for message in messages))
    if messages:
        _count(call, queue, "NumberOfMessagesReceived", len(messages))
    else:
        _count(call, queue, "NumberOfEmptyReceives", 1)


def deleted(call: Call, queue: Queue, count: int) -> None:
    request(call, queue)
    _count(call, queue, "NumberOfMessagesDeleted", count)


def _count(call: Call, queue: Queue, name: str, count: int) -> None:
    if count:
        call.metric(NAMESPACE, name, count, "Count", QueueName=queue.name)
