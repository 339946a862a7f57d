"""FIFO queues: groups, deduplication, receive attempts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.sqs.conftest import Queues, QueueUser


@pytest.fixture
async def fifo(queues: Queues) -> QueueUser:
    return await queues.fifo(ContentBasedDeduplication="true")


async def test_a_fifo_queue_shows_the_attributes_that_aws_gives_it(queues: Queues) -> None:
    fifo = await queues.fifo()

    shown = (await fifo.ask("GetQueueAttributes", AttributeNames=["All"]))["Attributes"]

    assert {name: shown[name] for name in shown if "Fifo" in name or "Dedup" in name} == {
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoQueue": "true",
        "FifoThroughputLimit": "perQueue",
    }


async def test_a_group_waits_for_what_is_in_flight_and_others_do_not(fifo: QueueUser) -> None:
    await fifo.send("a1", MessageGroupId="a")
    await fifo.send("a2", MessageGroupId="a")
    await fifo.send("b1", MessageGroupId="b")

    (first,) = await fifo.receive(1)
    assert first["Body"] == "a1"
    assert await fifo.bodies() == ["b1"]
    assert await fifo.bodies() == []
    await fifo.delete(first)
    assert await fifo.bodies() == ["a2"]


async def test_several_messages_of_a_group_come_in_order_in_one_receive(fifo: QueueUser) -> None:
    for number in range(12):
        await fifo.send(str(number), MessageGroupId="g")

    assert await fifo.bodies(10) == [str(number) for number in range(10)]
    assert await fifo.bodies(10) == []
    fifo.world.clock.advance(30)
    assert await fifo.bodies(10) == [str(number) for number in range(10)]


async def test_the_system_attributes_of_a_fifo_message(fifo: QueueUser) -> None:
    answer = await fifo.ask(
        "SendMessage", MessageBody="m", MessageGroupId="g", MessageDeduplicationId="d"
    )

    (message,) = await fifo.receive(AttributeNames=["All"])

    assert message["Attributes"]["SequenceNumber"] == answer["SequenceNumber"]
    assert len(answer["SequenceNumber"]) == 20
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert message["Attributes"]["MessageDeduplicationId"] == "d"


async def test_a_message_is_taken_once_within_five_minutes(fifo: QueueUser) -> None:
    once: dict[str, Any] = {"MessageGroupId": "g"}
    first = await fifo.ask("SendMessage", MessageBody="m", **once)
    (message,) = await fifo.receive()
    await fifo.delete(message)

    fifo.world.clock.advance(299)
    assert await fifo.ask("SendMessage", MessageBody="m", **once) == first
    assert await fifo.bodies() == []
    fifo.world.clock.advance(1)
    assert await fifo.ask("SendMessage", MessageBody="m", **once) != first
    assert await fifo.bodies() == ["m"]


async def test_deduplication_is_by_queue_or_by_group(queues: Queues) -> None:
    by_queue = await queues.fifo("one.fifo")
    by_group = await queues.fifo("two.fifo", DeduplicationScope="messageGroup")
    for queue in (by_queue, by_group):
        for group in ("a", "b"):
            await queue.send(group, MessageGroupId=group, MessageDeduplicationId="same")

    assert await by_queue.bodies() == ["a"]
    assert sorted(await by_group.bodies()) == ["a", "b"]


async def test_high_throughput_needs_deduplication_by_group(queues: Queues) -> None:
    fifo = await queues.fifo()

    await fifo.refused(
        "SetQueueAttributes", Attributes={"FifoThroughputLimit": "perMessageGroupId"}
    )
    await fifo.ask(
        "SetQueueAttributes",
        Attributes={
            "FifoThroughputLimit": "perMessageGroupId",
            "DeduplicationScope": "messageGroup",
        },
    )

    assert await fifo.attribute("FifoThroughputLimit") == "perMessageGroupId"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({}, "The request must contain the parameter MessageGroupId."),
        (
            {"MessageGroupId": "g"},
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        ),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 1},
            "Value 1 for parameter DelaySeconds is invalid. Reason: The request include parameter "
            "that is not valid for this queue type.",
        ),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "ü"},
            "Value ü for parameter MessageDeduplicationId is invalid. Reason: "
            "MessageDeduplicationId can only include alphanumeric and punctuation characters. "
            "1 to 128 in length.",
        ),
    ],
)
async def test_what_a_fifo_queue_does_not_take(
    queues: Queues, request_: dict[str, Any], text: str
) -> None:
    fifo = await queues.fifo()

    assert (await fifo.refused("SendMessage", MessageBody="m", **request_)).text == text
    assert await fifo.counts() == (0, 0, 0)


async def test_the_queues_delay_holds_for_all_messages(queues: Queues) -> None:
    fifo = await queues.fifo(DelaySeconds="2", ContentBasedDeduplication="true")
    await fifo.send("m", MessageGroupId="g", DelaySeconds=0)

    assert await fifo.bodies() == []
    assert await fifo.counts() == (0, 0, 1)
    fifo.world.clock.advance(2)
    assert await fifo.bodies() == ["m"]


async def test_a_receipt_handle_of_a_receive_that_is_over_deletes_nothing(fifo: QueueUser) -> None:
    await fifo.send("m", MessageGroupId="g")
    (message,) = await fifo.receive(VisibilityTimeout=1)
    fifo.world.clock.advance(1)

    refused = await fifo.refused("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    assert refused.text == (
        f"Value {message['ReceiptHandle']} for parameter ReceiptHandle is invalid. "
        "Reason: The receipt handle has expired."
    )
    assert await fifo.bodies() == ["m"]


async def test_a_receive_attempt_that_is_repeated_gets_the_same_messages(fifo: QueueUser) -> None:
    for body in ("1", "2", "3"):
        await fifo.send(body, MessageGroupId="g")
    first = await fifo.receive(2, ReceiveRequestAttemptId="try")
    fifo.world.clock.advance(20)

    again = await fifo.receive(2, ReceiveRequestAttemptId="try")
    assert again == first
    fifo.world.clock.advance(20)
    assert await fifo.bodies() == [], "the repeated attempt hides the messages anew"

    await fifo.delete(first[0])
    await fifo.delete(first[1])
    assert [m["Body"] for m in await fifo.receive(2, ReceiveRequestAttemptId="try")] == ["3"]


async def test_expired_messages_release_their_group(queues: Queues) -> None:
    fifo = await queues.fifo(MessageRetentionPeriod="60", ContentBasedDeduplication="true")
    await fifo.send("old", MessageGroupId="g")
    await fifo.receive(VisibilityTimeout=40_000)
    fifo.world.clock.advance(50)
    await fifo.send("young", MessageGroupId="g")

    await fifo.world.advance(3600)
    await fifo.send("new", MessageGroupId="g")

    assert await fifo.bodies() == ["new"]


async def test_dead_letters_of_a_fifo_queue_keep_group_and_order(queues: Queues) -> None:
    letters = await queues.fifo("letters.fifo")
    policy = f'{{"deadLetterTargetArn":"{letters.arn}","maxReceiveCount":1}}'
    fifo = await queues.fifo(RedrivePolicy=policy, ContentBasedDeduplication="true")
    for body in ("1", "2", "3"):
        await fifo.send(body, MessageGroupId="g")
    await fifo.receive(2, VisibilityTimeout=0)

    assert await fifo.bodies() == ["3"]
    received = await letters.receive(AttributeNames=["All"])
    assert [message["Body"] for message in received] == ["1", "2"]
    assert {message["Attributes"]["MessageGroupId"] for message in received} == {"g"}
