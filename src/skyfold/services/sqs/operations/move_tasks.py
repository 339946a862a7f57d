"""Message move tasks: dead letters on their way back to where they came from, or elsewhere."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import schedule
from skyfold.kernel.service import Request, reply
from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import (
    InvalidParameterValue,
    ResourceNotFoundException,
    UnsupportedOperation,
    invalid,
)
from skyfold.services.sqs.operations import backlog, counts, groups
from skyfold.services.sqs.operations.queues import queue_of_arn
from skyfold.services.sqs.tables import MOVE_TASKS, SOURCES, Message, MoveTask, Queue
from skyfold.store.api import ReadTx, Tx

MOVE_JOB: Final = "sqs.move"
STEP: Final = 100
"""Messages moved in one transaction."""


# --- the API --------------------------------------------------------------------------------------


async def start_message_move_task(call: Call, request: Request) -> Any:
    source = await call.read(_source, request["SourceArn"])
    per_second = request.get("MaxNumberOfMessagesPerSecond", 0)
    if "MaxNumberOfMessagesPerSecond" in request and not (
        1 <= per_second <= limits.MOVED_PER_SECOND_MAX
    ):
        raise invalid(
            per_second,
            "MaxNumberOfMessagesPerSecond",
            f"You must enter a value from 1 to {limits.MOVED_PER_SECOND_MAX}.",
        )
    task = MoveTask(
        source_arn=source.arn,
        newest_first=-call.now,
        id=call.new_id(),
        status="RUNNING",
        destination_arn=request.get("DestinationArn", ""),
        per_second_max=per_second,
        to_move=(await counts.counted(call, source))["visible"],
    )
    await call.write(_start, task)
    return reply(TaskHandle=handle(task))


async def _source(tx: ReadTx, arn: str) -> Queue:
    queue = await queue_of_arn(tx, arn)
    if queue is None:
        raise ResourceNotFoundException(
            "The resource that you specified for the SourceArn parameter doesn't exist."
        )
    if not await SOURCES.scan(tx, arn, limit=1):
        raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
    return queue


async def _start(tx: Tx, task: MoveTask) -> None:
    source = await _source(tx, task.source_arn)
    if task.destination_arn:
        destination = await queue_of_arn(tx, task.destination_arn)
        if destination is None:
            raise ResourceNotFoundException(
                "The resource that you specified for the DestinationArn parameter doesn't exist."
            )
        if (destination.fifo is None) is not (source.fifo is None):
            raise InvalidParameterValue("Source and destination must be queues of the same type.")
        if destination.arn == source.arn:
            raise InvalidParameterValue("Source queue arn and destination queue arn are the same.")
    tasks = await MOVE_TASKS.scan(tx, task.source_arn, limit=100)
    if any(other.status == "RUNNING" for other in tasks):
        raise InvalidParameterValue(
            "There is already a task running. Only one active task is allowed for a source queue "
            "arn at a given time."
        )
    for old in tasks[limits.MOVE_TASKS_LISTED_MAX - 1 :]:
        MOVE_TASKS.delete(tx, old.source_arn, old.newest_first, old.id)
    MOVE_TASKS.put(tx, task)
    payload = {"newest_first": task.newest_first, "id": task.id}
    await schedule(tx, MOVE_JOB, task.source_arn, due_at=task.started_at, payload=payload)


async def cancel_message_move_task(tx: Tx, call: Call, request: Request) -> Any:
    asked = _named(request["TaskHandle"])
    task = await MOVE_TASKS.get(tx, asked["sourceArn"], -asked["startedAt"], asked["taskId"])
    if task is None:
        raise ResourceNotFoundException("Task does not exist.")
    if task.status != "RUNNING":
        raise UnsupportedOperation("Only active tasks can be cancelled.")
    MOVE_TASKS.put(tx, replace(task, status="CANCELLED"))
    return reply(ApproximateNumberOfMessagesMoved=task.moved)


async def list_message_move_tasks(tx: ReadTx, call: Call, request: Request) -> Any:
    if await queue_of_arn(tx, request["SourceArn"]) is None:
        raise ResourceNotFoundException(
            "The resource that you specified for the SourceArn parameter doesn't exist."
        )
    limit = request.get("MaxResults", 1)
    if not 1 <= limit <= limits.MOVE_TASKS_LISTED_MAX:
        raise invalid(
            limit, "MaxResults", f"You must enter a value from 1 to {limits.MOVE_TASKS_LISTED_MAX}."
        )
    tasks = await MOVE_TASKS.scan(tx, request["SourceArn"], limit=limit)
    return reply(Results=[_shown(task) for task in tasks])


def _shown(task: MoveTask) -> dict[str, Any]:
    return reply(
        TaskHandle=handle(task) if task.status == "RUNNING" else None,
        Status=task.status,
        SourceArn=task.source_arn,
        DestinationArn=task.destination_arn or None,
        MaxNumberOfMessagesPerSecond=task.per_second_max or None,
        ApproximateNumberOfMessagesMoved=task.moved,
        ApproximateNumberOfMessagesToMove=task.to_move,
        FailureReason=task.failure or None,
        StartedTimestamp=task.started_at,
    )


def handle(task: MoveTask) -> str:
    named = {"taskId": task.id, "sourceArn": task.source_arn, "startedAt": task.started_at}
    return b64encode(json.dumps(named).encode()).decode()


def arn_of_handle(call: Call, request: Request) -> str:
    return str(_named(request["TaskHandle"])["sourceArn"])


def _named(text: str) -> Mapping[str, Any]:
    try:
        named = json.loads(b64decode(text, validate=True))
        return {
            "taskId": str(named["taskId"]),
            "sourceArn": str(named["sourceArn"]),
            "startedAt": int(named.get("startedAt", 0)),
        }
    except (ValueError, TypeError, KeyError, AttributeError) as bad:
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.") from bad


# --- the work -------------------------------------------------------------------------------------


async def step(tx: Tx, task: MoveTask, now: int, new_id: Any) -> MoveTask:
    """Move the next messages of a running task. The caller keeps the task that is returned."""
    source = await queue_of_arn(tx, task.source_arn)
    if source is None:
        return replace(task, status="FAILED", failure="AWS.SimpleQueueService.NonExistentQueue")
    limit = min(STEP, task.per_second_max or STEP)
    rows = await backlog.claim(tx, source, now, limit)
    moved, failure = 0, ""
    for message, flight in rows:
        destination = await queue_of_arn(tx, task.destination_arn or message.source_arn)
        if destination is None and not failure:
            failure = "CouldNotDetermineMessageSource"
        if destination is None or failure:
            backlog.put_back(tx, source, message, flight)
            continue
        backlog.erase(tx, source, message, flight)
        await _send_again(tx, destination, message, now, new_id())
        moved += 1
    await backlog.settle(tx, source, rows, now)
    status = "FAILED" if failure else "RUNNING" if len(rows) == limit else "COMPLETED"
    return replace(task, moved=task.moved + moved, status=status, failure=failure)


def pause_ms(task: MoveTask) -> int:
    """Until the next step, so that no more is moved in a second than was asked for."""
    if not task.per_second_max:
        return 0
    return 1000 * min(STEP, task.per_second_max) // task.per_second_max


async def _send_again(
    tx: Tx, destination: Queue, message: Message, now: int, message_id: str
) -> None:
    """A redriven message is a new one: its id, its age and its receives begin anew."""
    place = backlog.position(now)
    if destination.fifo is not None:
        place = await groups.behind(tx, destination, message.group, place)
    again = replace(
        message,
        queue_id=destination.id,
        position=place,
        id=message_id,
        sent_at=now,
        visible_from=now + destination.delay_s * 1000,
        source_arn="",
    )
    await backlog.put(tx, destination, again, now)
