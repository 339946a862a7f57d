"""Messages: sending them and receiving them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from skyfold.kernel.call import Call, NotYet
from skyfold.kernel.service import Request, reply
from skyfold.services.sqs import limits
from skyfold.services.sqs.engine import message_attributes, receipts
from skyfold.services.sqs.engine.selection import Selection
from skyfold.services.sqs.errors import (
    BatchRequestTooLong,
    InvalidMessageContents,
    InvalidParameterValue,
    invalid,
    missing,
)
from skyfold.services.sqs.operations import attempts, backlog, deduplication, groups, usage
from skyfold.services.sqs.operations.batches import check_entries, each
from skyfold.services.sqs.operations.queues import queue_at
from skyfold.services.sqs.tables import READY, Flight, Message, Queue
from skyfold.store.api import Tx

NOT_FOR_THIS_TYPE: Final = "The request include parameter that is not valid for this queue type."

# --- sending --------------------------------------------------------------------------------------


async def send_message(tx: Tx, call: Call, request: Request) -> Any:
    queue = await queue_at(tx, call, request["QueueUrl"])
    size = message_size(request)
    sent = await send(tx, call, queue, request, size)
    usage.sent(call, queue, [size])
    return sent


async def send_message_batch(tx: Tx, call: Call, request: Request) -> Any:
    entries = request["Entries"]
    check_entries(entries, "SendMessageBatchRequestEntry")
    sizes = {entry["Id"]: message_size(entry) for entry in entries}
    if (total := sum(sizes.values())) > limits.BATCH_MAX_BYTES:
        raise BatchRequestTooLong(
            f"Batch requests cannot be longer than {limits.BATCH_MAX_BYTES} bytes. "
            f"You have sent {total} bytes."
        )
    queue = await queue_at(tx, call, request["QueueUrl"])
    if queue.fifo is not None:
        for entry in entries:
            deduplication.check(queue, entry)
    answer = await each(entries, lambda entry: send(tx, call, queue, entry, sizes[entry["Id"]]))
    usage.sent(call, queue, [sizes[done["Id"]] for done in answer.get("Successful", ())])
    return answer


def message_size(entry: Mapping[str, Any]) -> int:
    """What counts against the limits: the body and the message attributes, in bytes."""
    body: str = entry["MessageBody"]
    size = len(body) if body.isascii() else len(body.encode("utf-8", "surrogatepass"))
    attributes = entry.get("MessageAttributes")
    return size + message_attributes.size(attributes) if attributes else size


async def send(
    tx: Tx, call: Call, queue: Queue, entry: Mapping[str, Any], size: int
) -> dict[str, Any]:
    """Put one message into the queue. ``entry`` has the members of a SendMessage request."""
    body: str = entry["MessageBody"]
    _check_body(queue, body, size)
    delay_s = _delay_s(queue, entry)
    answer = {"MD5OfMessageBody": md5(body)}
    if attributes := entry.get("MessageAttributes") or None:
        attributes = message_attributes.accepted(attributes)
        answer["MD5OfMessageAttributes"] = message_attributes.md5(attributes)
    trace_header = call.headers.get("x-amzn-trace-id", "")
    if system := entry.get("MessageSystemAttributes"):
        trace_header = message_attributes.trace_header(system)
        answer["MD5OfMessageSystemAttributes"] = message_attributes.md5(system)
    now = call.now
    message = Message(
        queue_id=queue.id,
        position=backlog.position(now),
        id=call.new_id(),
        sent_at=now,
        visible_from=now + delay_s * 1000,
        sender_id=call.principal.id or call.principal.name,
        body=body,
        attributes=attributes,
        trace_header=trace_header,
        group=groups.name_in(entry) if "MessageGroupId" in entry else "",
    )
    if queue.fifo is not None:
        message = await deduplication.in_its_group(tx, queue, entry, message)
        first = await deduplication.first_of(tx, queue, message)
        answer |= {"MessageId": first.message_id, "SequenceNumber": f"{first.position:020d}"}
        if first.message_id != message.id:
            return answer
    elif entry.get("MessageDeduplicationId"):
        raise invalid(entry["MessageDeduplicationId"], "MessageDeduplicationId", NOT_FOR_THIS_TYPE)
    await backlog.put(tx, queue, message, now)
    answer["MessageId"] = message.id
    return answer


def _check_body(queue: Queue, body: str, size: int) -> None:
    if not body:
        raise missing("MessageBody")
    plain = body.isascii() and body.isprintable()  # most are, and it is quicker than to search
    if not plain and limits.FORBIDDEN_CHARACTER.search(body):
        raise InvalidMessageContents
    if size > queue.bytes_max:
        raise InvalidParameterValue(
            "One or more parameters are invalid. "
            f"Reason: Message must be shorter than {queue.bytes_max} bytes."
        )


def _delay_s(queue: Queue, entry: Mapping[str, Any]) -> int:
    delay_s: int | None = entry.get("DelaySeconds")
    if delay_s is None:
        return queue.delay_s
    if not 0 <= delay_s <= limits.DELAY_MAX_S:
        raise invalid(
            delay_s, "DelaySeconds", f"DelaySeconds must be >= 0 and <= {limits.DELAY_MAX_S}."
        )
    if queue.fifo is None:
        return delay_s
    if delay_s:  # a FIFO queue delays all of its messages alike
        raise invalid(delay_s, "DelaySeconds", NOT_FOR_THIS_TYPE)
    return queue.delay_s


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# --- receiving ------------------------------------------------------------------------------------


async def receive_message(call: Call, request: Request) -> Any:
    limit = request.get("MaxNumberOfMessages", 1)
    if not 1 <= limit <= limits.RECEIVE_MAX:
        raise invalid(
            limit,
            "MaxNumberOfMessages",
            f"Must be between 1 and {limits.RECEIVE_MAX}, if provided.",
        )
    queue = await call.read(queue_at, call, request["QueueUrl"])
    wait_s = _within(request, "WaitTimeSeconds", limits.WAIT_MAX_S, queue.wait_s)
    hidden_s = _within(request, "VisibilityTimeout", limits.VISIBILITY_MAX_S, queue.visibility_s)
    selection = Selection.of(request)
    attempt = request.get("ReceiveRequestAttemptId", "")
    if attempt and queue.fifo is None:
        raise invalid(attempt, "ReceiveRequestAttemptId", NOT_FOR_THIS_TYPE)

    async def take(tx: Tx) -> list[tuple[Message, Flight]] | NotYet:
        if attempt:
            return await attempts.take(
                tx, queue, attempt, call.now, limit=limit, hidden_ms=hidden_s * 1000
            )
        return await backlog.take(tx, queue, call.now, limit=limit, hidden_ms=hidden_s * 1000)

    taken = await call.poll(take, until=call.now + wait_s * 1000, watch=READY.prefix(queue.id))
    shown = [_shown(message, flight, selection) for message, flight in taken or ()]
    usage.received(call, queue, [message for message, _ in taken or ()])
    return reply(Messages=shown or None)


def _within(request: Request, name: str, high: int, default: int) -> int:
    value: int = request.get(name, default)
    if not 0 <= value <= high:
        raise invalid(value, name, f"Must be >= 0 and <= {high}, if provided.")
    return value


def _shown(message: Message, flight: Flight, selection: Selection) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": receipts.handle(
            message.queue_id, message.position, message.id, flight.receives
        ),
        "MD5OfBody": md5(message.body),
        "Body": message.body,
    }
    if selection.system and (system := selection.system_attributes(message, flight)):
        shown["Attributes"] = system
    if selection.names and message.attributes:
        chosen = message_attributes.selected(message.attributes, selection.names)
        if chosen:
            shown["MD5OfMessageAttributes"] = message_attributes.md5(chosen)
            shown["MessageAttributes"] = chosen
    return shown
