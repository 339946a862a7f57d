"""Queues: creating, finding, listing, emptying and deleting them, and their attributes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import cancel, schedule
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags, put_tags
from skyfold.services.sqs import limits
from skyfold.services.sqs.engine import queue_attributes
from skyfold.services.sqs.engine.tags import check_tags
from skyfold.services.sqs.errors import (
    InvalidAddress,
    InvalidParameterValue,
    PurgeQueueInProgress,
    QueueDoesNotExist,
    QueueNameExists,
    invalid,
    missing,
)
from skyfold.services.sqs.operations import counts
from skyfold.services.sqs.operations.backlog import dead_letter_queue
from skyfold.services.sqs.tables import (
    MESSAGES_OF_A_QUEUE,
    MOVE_TASKS,
    OF_A_QUEUE,
    QUEUES,
    SOURCES,
    Fifo,
    Queue,
    find_queue,
)
from skyfold.store.api import ReadTx, Tx

EXPIRY_JOB: Final = "sqs.expiry"
EXPIRY_INTERVAL_MS: Final = 3_600_000


# --- names ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def account_and_name(url: str) -> tuple[str, str]:
    """The queue that a queue URL names, whatever host it comes with."""
    _, _, path = url.rpartition("://")
    parts = path.rsplit("/", 2)
    if len(parts) != 3 or not parts[1] or not parts[2]:
        if not url:
            raise missing("QueueUrl")
        raise InvalidAddress(f"The address {url} is not valid for this endpoint.")
    return parts[1], parts[2]


def arn_of(call: Call, request: Request) -> str:
    account, name = account_and_name(request["QueueUrl"])
    return f"arn:aws:sqs:{call.region}:{account}:{name}"


async def queue_at(tx: ReadTx, call: Call, url: str) -> Queue:
    """The queue at ``url``. Raises QueueDoesNotExist."""
    account, name = account_and_name(url)
    queue = await find_queue(tx, account, call.region, name)
    if queue is None:
        raise QueueDoesNotExist
    return queue


def url_of(call: Call, queue: Queue) -> str:
    return f"{call.endpoint}/{queue.account}/{queue.name}"


async def queue_of_arn(tx: ReadTx, arn: str) -> Queue | None:
    parts = arn.split(":")
    return await find_queue(tx, parts[4], parts[3], parts[5]) if len(parts) == 6 else None


async def policy_of(tx: ReadTx, arn: str) -> str | None:
    """The policy attached to the queue with this ARN, for the kernel's decisions."""
    queue = await queue_of_arn(tx, arn)
    return queue.policy or None if queue else None


# --- life -----------------------------------------------------------------------------------------


async def create_queue(tx: Tx, call: Call, request: Request) -> Any:
    name, asked = request["QueueName"], dict(request.get("Attributes", {}))
    fifo = _fifo(name, asked)
    wanted = queue_attributes.fields(asked, fifo)
    tags = request.get("tags", {})
    check_tags({}, tags, name)
    queue = await find_queue(tx, call.account, call.region, name)
    if queue is not None:
        _check_same(queue, asked, wanted)
        return reply(QueueUrl=url_of(call, queue))
    queue = Queue(
        account=call.account,
        region=call.region,
        name=name,
        id=call.platform.ids.lower(12),
        created_at=call.now,
        modified_at=call.now,
        **wanted,
    )
    await _link(tx, None, queue, asked)
    QUEUES.put(tx, queue)
    put_tags(tx, queue.arn, tags)
    await schedule(
        tx,
        EXPIRY_JOB,
        queue.id,
        due_at=call.now + EXPIRY_INTERVAL_MS,
        payload={"account": queue.account, "region": queue.region, "name": queue.name},
    )
    return reply(QueueUrl=url_of(call, queue))


def _fifo(name: str, asked: Mapping[str, str]) -> Fifo | None:
    """Whether a queue of this name and these attributes is a FIFO queue: both have to say so."""
    text = asked.get("FifoQueue", "")
    if text and text.lower() not in {"true", "false"}:
        raise queue_attributes.refused("FifoQueue")
    fifo = text.lower() == "true"
    if fifo and not limits.FIFO_NAME.fullmatch(name):
        raise InvalidParameterValue("The name of a FIFO queue can only include alphanumeric "
                                    "characters, hyphens, or underscores, must end with .fifo "
                                    "suffix and be 1 to 80 in length.")  # fmt: skip
    if not fifo and not limits.QUEUE_NAME.fullmatch(name):
        raise InvalidParameterValue(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    return Fifo() if fifo else None


def _check_same(queue: Queue, asked: Mapping[str, str], wanted: Mapping[str, Any]) -> None:
    """Creating a queue again is fine as long as nothing that is asked for differs."""
    if (queue.fifo is None) is not (wanted.get("fifo") is None):
        differs = "FifoQueue"
    else:
        differing = replace(queue, **wanted)
        mine = queue_attributes.shown(queue, asked)
        other = queue_attributes.shown(differing, asked)
        differs = next((name for name in asked if mine.get(name) != other.get(name)), "")
    if differs:
        raise QueueNameExists(
            "A queue already exists with the same name and a different value for attribute "
            f"{differs}"
        )


async def delete_queue(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    QUEUES.delete(tx, queue.account, queue.region, queue.name)
    for table in OF_A_QUEUE:
        table.delete_all(tx, queue.id)
    if queue.redrive:
        SOURCES.delete(tx, queue.redrive.target, queue.account, queue.region, queue.name)
    MOVE_TASKS.delete_all(tx, queue.arn)
    forget_tags(tx, queue.arn)
    await cancel(tx, EXPIRY_JOB, queue.id)


async def purge_queue(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    if queue.purged_at and call.now < queue.purged_at + limits.PURGE_INTERVAL_MS:
        raise PurgeQueueInProgress(
            f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
        )
    for table in MESSAGES_OF_A_QUEUE:
        table.delete_all(tx, queue.id)
    QUEUES.put(tx, replace(queue, purged_at=call.now))


async def get_queue_url(tx: ReadTx, call: Call, request: Request) -> Any:
    account = request.get("QueueOwnerAWSAccountId", call.account)
    queue = await find_queue(tx, account, call.region, request["QueueName"])
    if queue is None:
        raise QueueDoesNotExist
    return reply(QueueUrl=url_of(call, queue))


async def list_queues(tx: ReadTx, call: Call, request: Request) -> Any:
    prefix, limit = request.get("QueueNamePrefix", ""), page_size(request)
    after = position_in("ListQueues", request)
    if prefix > after:
        after = prefix
        first = await find_queue(tx, call.account, call.region, prefix)
    else:
        first = None
    found = [first] if first else []
    found += await QUEUES.scan(
        tx,
        call.account,
        call.region,
        above=(after,) if after else None,
        limit=limit + 1 - len(found),
    )
    urls = [url_of(call, queue) for queue in found if queue.name.startswith(prefix)]
    more = len(urls) > limit and "MaxResults" in request
    return reply(
        QueueUrls=urls[:limit] or None,
        NextToken=token("ListQueues", found[limit - 1].name) if more else None,
    )


async def list_dead_letter_source_queues(tx: ReadTx, call: Call, request: Request) -> Any:
    queue, limit = await queue_at(tx, call, request["QueueUrl"]), page_size(request)
    after = position_in("ListDeadLetterSourceQueues", request)
    found = await SOURCES.scan(
        tx,
        queue.arn,
        queue.account,
        queue.region,
        above=(after,) if after else None,
        limit=limit + 1,
    )
    names = [entry[3] for entry in found]
    more = len(names) > limit and "MaxResults" in request
    return reply(
        queueUrls=[f"{call.endpoint}/{queue.account}/{name}" for name in names[:limit]],
        NextToken=token("ListDeadLetterSourceQueues", names[limit - 1]) if more else None,
    )


def page_size(request: Request) -> int:
    size = request.get("MaxResults", limits.LISTED_MAX)
    if not 1 <= size <= limits.LISTED_MAX:
        raise InvalidParameterValue(
            f"Value {size} for parameter MaxResults is invalid. "
            "Reason: MaxResults must be an integer between 1 and 1000."
        )
    return int(size)


def position_in(operation: str, request: Request) -> str:
    """The name behind which the page that NextToken asks for begins."""
    text = request.get("NextToken")
    if not text:
        return ""
    if "MaxResults" not in request:
        raise InvalidParameterValue("MaxResults must be set when NextToken is set.")
    try:
        (name,) = position(operation, text)
    except (BadToken, ValueError) as bad:
        raise InvalidParameterValue("Invalid or expired next token.") from bad
    return str(name)


# --- attributes -----------------------------------------------------------------------------------


async def set_queue_attributes(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    asked = request["Attributes"]
    if "FifoQueue" in asked and (queue.fifo is None or asked["FifoQueue"].lower() != "true"):
        raise queue_attributes.unknown("FifoQueue")
    changed = replace(queue, **queue_attributes.fields(asked, queue.fifo), modified_at=call.now)
    await _link(tx, queue, changed, asked)
    QUEUES.put(tx, changed)


async def get_queue_attributes(call: Call, request: Request) -> Any:
    names = queue_attributes.wanted(request.get("AttributeNames", ()))
    queue = await call.read(queue_at, call, request["QueueUrl"])
    shown = queue_attributes.shown(queue, names)
    if not names.isdisjoint(queue_attributes.COUNTS):
        counted = await counts.counted(call, queue)
        for name, state in queue_attributes.COUNTS.items():
            if name in names:
                shown[name] = str(counted[state])
    return reply(Attributes=shown or None)


async def _link(tx: Tx, before: Queue | None, after: Queue, asked: Mapping[str, str]) -> None:
    """Check a redrive policy that is being set and keep track of whose dead letters go where."""
    had = before.redrive if before else None
    wanted = after.redrive
    if wanted == had:
        return
    if had is not None:
        SOURCES.delete(tx, had.target, after.account, after.region, after.name)
    if wanted is None:
        return
    target, text = await dead_letter_queue(tx, wanted), asked["RedrivePolicy"]
    if target is None:
        raise invalid(text, "RedrivePolicy", "Dead letter target does not exist.")
    if (target.account, target.region) != (after.account, after.region):
        raise invalid(text, "RedrivePolicy", "Dead-letter queue must be in the same account and "
                      "region as the source.")  # fmt: skip
    if (target.fifo is None) is not (after.fifo is None):
        raise invalid(
            text, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source."
        )
    if target.arn == after.arn:
        raise invalid(text, "RedrivePolicy", "A queue cannot be its own dead-letter queue.")
    if not queue_attributes.may_use(target, after.arn):
        raise invalid(
            text,
            "RedrivePolicy",
            f"Queue {after.arn} is not allowed to use {target.arn} as its dead-letter queue.",
        )
    SOURCES.put(tx, target.arn, after.account, after.region, after.name)
