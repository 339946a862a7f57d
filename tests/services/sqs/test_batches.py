"""Batches: rules for the whole, and an answer for each entry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.sqs.conftest import Queues, QueueUser


def entries(*bodies: str) -> list[dict[str, Any]]:
    return [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]


async def test_each_entry_of_a_batch_is_answered(queue: QueueUser) -> None:
    answer = await queue.ask(
        "SendMessageBatch", Entries=[*entries("a"), {"Id": "bad", "MessageBody": "\x00"}]
    )

    assert [done["Id"] for done in answer["Successful"]] == ["0"]
    assert answer["Failed"] == [
        {
            "Id": "bad",
            "SenderFault": True,
            "Code": "InvalidMessageContents",
            "Message": answer["Failed"][0]["Message"],
        }
    ]
    assert await queue.bodies() == ["a"]


async def test_a_batch_that_is_fine_answers_no_failures(queue: QueueUser) -> None:
    assert "Failed" not in await queue.ask("SendMessageBatch", Entries=entries("a", "b"))


BATCHES = {
    "SendMessageBatch": {"MessageBody": "x"},
    "DeleteMessageBatch": {"ReceiptHandle": "x"},
    "ChangeMessageVisibilityBatch": {"ReceiptHandle": "x", "VisibilityTimeout": 1},
}


@pytest.mark.parametrize("operation", BATCHES)
@pytest.mark.parametrize(
    ("ids", "code", "message"),
    [
        ([], "EmptyBatchRequest", "There should be at least one {operation}RequestEntry in the"),
        (
            [str(n) for n in range(20)],
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 20.",
        ),
        (["a", "a"], "BatchEntryIdsNotDistinct", "Id a repeated."),
        (["not ok"], "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric"),
        (["x" * 81], "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric"),
    ],
)
async def test_a_batch_that_breaks_a_rule_is_refused_whole(
    queue: QueueUser, operation: str, ids: list[str], code: str, message: str
) -> None:
    asked = [{"Id": name, **BATCHES[operation]} for name in ids]

    refused = await queue.refused(operation, Entries=asked)

    assert refused.code == code
    assert refused.text.startswith(message.format(operation=operation))
    assert await queue.counts() == (0, 0, 0)


async def test_a_batch_is_a_mebibyte_at_the_most(queue: QueueUser) -> None:
    fits = entries("x" * 1_048_575, "x")
    await queue.ask("SendMessageBatch", Entries=fits)

    refused = await queue.refused("SendMessageBatch", Entries=entries("x" * 1_048_575, "xx"))

    assert refused.code == "BatchRequestTooLong"
    assert refused.text == (
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."
    )


async def test_a_batch_of_receipts_deletes_what_it_can(queue: QueueUser) -> None:
    await queue.ask("SendMessageBatch", Entries=entries("a", "b"))
    handles = [message["ReceiptHandle"] for message in await queue.receive()]

    answer = await queue.ask(
        "DeleteMessageBatch",
        Entries=[
            {"Id": "one", "ReceiptHandle": handles[0]},
            {"Id": "none", "ReceiptHandle": "garbage"},
        ],
    )

    assert answer["Successful"] == [{"Id": "one"}]
    assert [failed["Code"] for failed in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert await queue.counts() == (0, 1, 0)


async def test_a_batch_of_receipts_changes_visibility(queue: QueueUser) -> None:
    await queue.ask("SendMessageBatch", Entries=entries("a", "b"))
    handles = [message["ReceiptHandle"] for message in await queue.receive()]

    await queue.ask(
        "ChangeMessageVisibilityBatch",
        Entries=[
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": n * 100}
            for n, handle in enumerate(handles)
        ],
    )

    assert await queue.counts() == (1, 1, 0)


async def test_fifo_batches_without_a_deduplication_id_are_refused_whole(queues: Queues) -> None:
    queue = await queues.fifo()
    asked = [{**entry, "MessageGroupId": "g"} for entry in entries("a")]

    refused = await queue.refused("SendMessageBatch", Entries=asked)

    assert refused.text == (
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
        "provided explicitly"
    )
