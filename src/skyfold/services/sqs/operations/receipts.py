"""Receipts: deleting what was received, and changing for how long it stays hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.services.sqs import limits
from skyfold.services.sqs.engine.receipts import receipt
from skyfold.services.sqs.errors import invalid, missing
from skyfold.services.sqs.operations import backlog, usage
from skyfold.services.sqs.operations.batches import check_entries, each
from skyfold.services.sqs.operations.queues import queue_at
from skyfold.services.sqs.tables import Queue
from skyfold.store.api import Tx


async def delete_message(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    await _delete(tx, call, queue, request)
    usage.deleted(call, queue, 1)


async def delete_message_batch(tx: Tx, call: Call, request: Request) -> Any:
    entries = request["Entries"]
    check_entries(entries, "DeleteMessageBatchRequestEntry")
    queue = await queue_at(tx, call, request["QueueUrl"])
    answer = await each(entries, lambda entry: _delete(tx, call, queue, entry))
    usage.deleted(call, queue, len(answer.get("Successful", ())))
    return answer


async def _delete(tx: Tx, call: Call, queue: Queue, entry: Mapping[str, Any]) -> None:
    text = entry["ReceiptHandle"]
    await backlog.remove(tx, queue, receipt(text, queue.id), text, call.now)


async def change_message_visibility(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    await _hide(tx, call, queue, request)
    usage.request(call, queue)


async def change_message_visibility_batch(tx: Tx, call: Call, request: Request) -> Any:
    entries = request["Entries"]
    check_entries(entries, "ChangeMessageVisibilityBatchRequestEntry")
    queue = await queue_at(tx, call, request["QueueUrl"])
    answer = await each(entries, lambda entry: _hide(tx, call, queue, entry))
    usage.request(call, queue)
    return answer


async def _hide(tx: Tx, call: Call, queue: Queue, entry: Mapping[str, Any]) -> None:
    if (seconds := entry.get("VisibilityTimeout")) is None:
        raise missing("VisibilityTimeout")
    if not 0 <= seconds <= limits.VISIBILITY_MAX_S:
        raise invalid(
            seconds,
            "VisibilityTimeout",
            f"VisibilityTimeout must be an integer between 0 and {limits.VISIBILITY_MAX_S}",
        )
    text = entry["ReceiptHandle"]
    await backlog.hide(tx, queue, receipt(text, queue.id), text, call.now, seconds)
