"""The event that a function gets from a queue, and what its answer says of the batch."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Message = Mapping[str, Any]


def event(messages: Sequence[Message], queue_arn: str) -> dict[str, Any]:
    """Messages as ReceiveMessage gave them, in the shape of an SQS event."""
    region = queue_arn.split(":")[3]
    return {"Records": [_record(message, queue_arn, region) for message in messages]}


def _record(message: Message, queue_arn: str, region: str) -> dict[str, Any]:
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    shown["stringListValues"] = []
    shown["binaryListValues"] = []
    shown["dataType"] = value["DataType"]
    return shown


def failed_items(answer: bytes, sent: Sequence[Message]) -> set[str] | None:
    """The ids of the messages to keep, by ReportBatchItemFailures; None: the whole batch failed.

    An empty or null answer, or an empty list, is success; an id that was not in the batch, an empty
    id or any other shape fails the whole batch, as AWS documents it.
    """
    try:
        value = msgspec.json.decode(answer) if answer else None
    except msgspec.DecodeError:
        return None
    if not isinstance(value, dict) or value.get("batchItemFailures") is None:
        return set()
    failures, known = value["batchItemFailures"], {message["MessageId"] for message in sent}
    if not isinstance(failures, list):
        return None
    failed: set[str] = set()
    for failure in failures:
        found = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(found, str) or found not in known:
            return None
        failed.add(found)
    return failed
