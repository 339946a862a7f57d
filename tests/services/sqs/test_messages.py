"""Sending, receiving, hiding and deleting messages of standard queues."""

from __future__ import annotations

import asyncio
import base64

import pytest

from tests.services.sqs.conftest import Queues, QueueUser

TRACE = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"


def string(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


# --- sending --------------------------------------------------------------------------------------


async def test_the_checksum_of_the_body_is_answered(queue: QueueUser) -> None:
    answer = await queue.ask("SendMessage", MessageBody="test")

    assert answer["MD5OfMessageBody"] == "098f6bcd4621d373cade4e832627b4f6"
    assert set(answer) == {"MD5OfMessageBody", "MessageId"}


async def test_messages_are_received_in_the_order_they_were_sent(queue: QueueUser) -> None:
    for number in range(25):
        await queue.send(str(number))

    received = [body for _ in range(4) for body in await queue.bodies()]

    assert received == [str(number) for number in range(25)]


async def test_an_empty_body_is_a_missing_parameter(queue: QueueUser) -> None:
    refused = await queue.refused("SendMessage", MessageBody="")

    assert refused.code == "MissingParameter"
    assert refused.text == "The request must contain the parameter MessageBody."


@pytest.mark.parametrize("body", ["\x00", "a\x0b", "\ufffe", "\x1f"])
async def test_a_body_with_a_forbidden_character_is_refused(queue: QueueUser, body: str) -> None:
    assert (await queue.refused("SendMessage", MessageBody=body)).code == "InvalidMessageContents"


@pytest.mark.parametrize("body", ["\t\r\n", "ü", "\U0001f600", "\x7f", "\ue000"])
async def test_a_body_of_allowed_characters_arrives_as_it_is(queue: QueueUser, body: str) -> None:
    await queue.send(body)

    assert await queue.bodies() == [body]


async def test_the_size_counts_bytes_and_attributes(queues: Queues) -> None:
    queue = await queues.new(MaximumMessageSize="1024")
    attributes = {"name": string("value")}
    room = 1024 - len("name") - len("String") - len("value")

    await queue.send("ü" * 512)
    await queue.send("x" * room, MessageAttributes=attributes)

    refused = await queue.refused("SendMessage", MessageBody="ü" * 512 + "x")
    assert refused.text == (
        "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    )
    await queue.refused("SendMessage", MessageBody="x" * (room + 1), MessageAttributes=attributes)
    assert (await queue.counts())[0] == 2


async def test_a_delayed_message_appears_when_its_delay_is_over(queues: Queues) -> None:
    queue = await queues.new(DelaySeconds="10")
    await queue.send("by the queue")
    await queue.send("by itself", DelaySeconds=5)
    await queue.send("at once", DelaySeconds=0)

    assert await queue.counts() == (1, 0, 2)
    assert await queue.bodies() == ["at once"]
    queue.world.clock.advance(5)
    assert await queue.bodies() == ["by itself"]
    queue.world.clock.advance(5)
    assert await queue.bodies() == ["by the queue"]


async def test_a_delay_out_of_range_is_refused(queue: QueueUser) -> None:
    refused = await queue.refused("SendMessage", MessageBody="x", DelaySeconds=901)

    assert refused.text == (
        "Value 901 for parameter DelaySeconds is invalid. "
        "Reason: DelaySeconds must be >= 0 and <= 900."
    )


async def test_a_standard_queue_deduplicates_nothing(queue: QueueUser) -> None:
    refused = await queue.refused("SendMessage", MessageBody="x", MessageDeduplicationId="a")

    assert refused.code == "InvalidParameterValue"


async def test_a_standard_queue_carries_the_group_to_the_receiver(queue: QueueUser) -> None:
    await queue.send("x", MessageGroupId="tenant-1")

    (message,) = await queue.receive(AttributeNames=["MessageGroupId", "SequenceNumber"])

    assert message["Attributes"] == {"MessageGroupId": "tenant-1"}


# --- attributes -----------------------------------------------------------------------------------


async def test_message_attributes_arrive_with_the_checksum_that_sdks_expect(
    queue: QueueUser,
) -> None:
    value = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"
    attributes = {"attr1": {"DataType": "Binary", "BinaryValue": value}}

    answer = await queue.ask("SendMessage", MessageBody="test", MessageAttributes=attributes)
    (message,) = await queue.receive(MessageAttributeNames=["All"])

    assert answer["MD5OfMessageAttributes"] == "8cbe4db156db8a94db8b801b7addb984"
    assert message["MD5OfMessageAttributes"] == "8cbe4db156db8a94db8b801b7addb984"
    assert message["MessageAttributes"] == attributes


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ([], set()),
        (["All"], {"a.b", "a.c", "x"}),
        ([".*"], {"a.b", "a.c", "x"}),
        (["a.*"], {"a.b", "a.c"}),
        (["x", "none"], {"x"}),
        (["a"], set()),
    ],
)
async def test_a_receiver_gets_the_message_attributes_it_names(
    queue: QueueUser, asked: list[str], got: set[str]
) -> None:
    await queue.send("m", MessageAttributes={n: string("v") for n in ("a.b", "a.c", "x")})

    (message,) = await queue.receive(MessageAttributeNames=asked)

    assert set(message.get("MessageAttributes", {})) == got
    assert ("MD5OfMessageAttributes" in message) == bool(got)


@pytest.mark.parametrize("member", ["AttributeNames", "MessageSystemAttributeNames"])
async def test_a_receiver_gets_the_system_attributes_it_names(
    queue: QueueUser, member: str
) -> None:
    await queue.send("m")
    queue.world.clock.advance(2)

    everything = (await queue.receive(VisibilityTimeout=0, **{member: ["All"]}))[0]
    again = (await queue.receive(**{member: ["ApproximateReceiveCount"]}))[0]

    assert everything["Attributes"] == {
        "SenderId": "123456789012",
        "SentTimestamp": "1700000000000",
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": "1700000002000",
    }
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}


async def test_the_trace_header_travels_as_a_system_attribute(queue: QueueUser) -> None:
    answer = await queue.ask(
        "SendMessage",
        MessageBody="test",
        MessageSystemAttributes={"AWSTraceHeader": string(TRACE)},
    )

    assert "MD5OfMessageSystemAttributes" in answer
    (message,) = await queue.receive(AttributeNames=["AWSTraceHeader"])
    assert message["Attributes"] == {"AWSTraceHeader": TRACE}


# --- hiding ---------------------------------------------------------------------------------------


async def test_a_received_message_is_hidden_for_the_visibility_timeout(queue: QueueUser) -> None:
    await queue.send("once")
    assert await queue.bodies() == ["once"]
    assert await queue.counts() == (0, 1, 0)

    queue.world.clock.advance(29.999)
    assert await queue.bodies() == []
    queue.world.clock.advance(0.001)
    assert await queue.bodies(VisibilityTimeout=0) == ["once"]
    assert await queue.bodies() == ["once"]


async def test_each_receive_gives_another_handle_and_all_of_them_delete(queue: QueueUser) -> None:
    await queue.send("twice")
    (first,) = await queue.receive(VisibilityTimeout=0)
    (second,) = await queue.receive()

    await queue.delete(first)

    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    assert first["MessageId"] == second["MessageId"]
    assert await queue.counts() == (0, 0, 0)
    await queue.delete(second)


async def test_visibility_can_be_extended_and_given_up(queue: QueueUser) -> None:
    await queue.send("work")
    (message,) = await queue.receive()
    handle = message["ReceiptHandle"]

    await queue.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=100)
    queue.world.clock.advance(99)
    assert await queue.bodies() == []
    await queue.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=0)
    assert await queue.bodies() == ["work"]


async def test_only_what_is_in_flight_can_be_hidden(queue: QueueUser) -> None:
    await queue.send("work")
    (message,) = await queue.receive()
    change = {"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 10}

    queue.world.clock.advance(30)
    assert (await queue.refused("ChangeMessageVisibility", **change)).code == "MessageNotInflight"
    await queue.delete(message)
    gone = await queue.refused("ChangeMessageVisibility", **change)
    assert gone.text == (
        f"Value {message['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: Message "
        "does not exist or is not available for visibility timeout change."
    )


async def test_a_message_is_in_flight_for_twelve_hours_at_the_most(queue: QueueUser) -> None:
    await queue.send("work")
    (message,) = await queue.receive(VisibilityTimeout=3600)
    queue.world.clock.advance(1)

    refused = await queue.refused(
        "ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=43200
    )

    assert "Total VisibilityTimeout" in refused.text


def _handle(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "handle",
    [
        "",
        "garbage",
        "ü",
        _handle("a/b/c/d"),
        _handle("queue/1/2"),
        _handle(f"other/{1 << 70}/x/1"),
        _handle("other/5/x/1"),
    ],
)
async def test_what_is_no_receipt_handle_of_the_queue_is_refused(
    queue: QueueUser, handle: str
) -> None:
    refused = await queue.refused("DeleteMessage", ReceiptHandle=handle)

    assert (refused.code, refused.status) == ("ReceiptHandleIsInvalid", 404)


async def test_a_handle_of_another_queue_is_refused(queues: Queues) -> None:
    one, other = await queues.new("one"), await queues.new("other")
    await one.send("mine")
    (message,) = await one.receive()

    refused = await other.refused("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    assert refused.code == "ReceiptHandleIsInvalid"
    assert await one.counts() == (0, 1, 0)


# --- waiting --------------------------------------------------------------------------------------


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_long_poll_returns_when_a_message_is_sent(queue: QueueUser) -> None:
    waiting = asyncio.ensure_future(queue.bodies(WaitTimeSeconds=20))
    await _settle()
    assert not waiting.done()

    await queue.send("news")

    assert await waiting == ["news"]


async def test_a_long_poll_returns_when_a_message_becomes_visible_again(queue: QueueUser) -> None:
    await queue.send("again")
    await queue.receive(VisibilityTimeout=7)
    waiting = asyncio.ensure_future(queue.bodies(WaitTimeSeconds=20))
    await _settle()

    queue.world.clock.advance(6.9)
    await _settle()
    assert not waiting.done()
    queue.world.clock.advance(0.1)

    assert await waiting == ["again"]


async def test_a_long_poll_ends_with_nothing(queues: Queues) -> None:
    queue = await queues.new(ReceiveMessageWaitTimeSeconds="3")
    waiting = asyncio.ensure_future(queue.ask("ReceiveMessage"))
    await _settle()

    queue.world.clock.advance(3)

    assert await waiting == {}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MaxNumberOfMessages", 11, "Must be between 1 and 10, if provided."),
        ("MaxNumberOfMessages", 0, "Must be between 1 and 10, if provided."),
        ("WaitTimeSeconds", 21, "Must be >= 0 and <= 20, if provided."),
        ("VisibilityTimeout", 43201, "Must be >= 0 and <= 43200, if provided."),
    ],
)
async def test_a_receive_out_of_bounds_is_refused(
    queue: QueueUser, name: str, value: int, reason: str
) -> None:
    refused = await queue.refused("ReceiveMessage", **{name: value})

    assert refused.text == f"Value {value} for parameter {name} is invalid. Reason: {reason}"


# --- retention ------------------------------------------------------------------------------------


async def test_an_expired_message_is_not_received_counted_or_kept(queues: Queues) -> None:
    queue = await queues.new(MessageRetentionPeriod="60")
    await queue.send("old")
    queue.world.clock.advance(30)
    await queue.send("young")
    await queue.send("held")
    (held,) = [m for m in await queue.receive() if m["Body"] == "held"]
    await queue.ask(
        "ChangeMessageVisibility", ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=500
    )

    queue.world.clock.advance(30)
    assert await queue.bodies() == ["young"]
    queue.world.clock.advance(30)
    assert await queue.counts() == (0, 0, 0)
    assert await queue.bodies() == []


async def test_expired_messages_are_swept_out_of_the_store(queues: Queues) -> None:
    queue = await queues.new(MessageRetentionPeriod="60")
    for number in range(1200):
        await queue.send(str(number))
    await queue.receive(VisibilityTimeout=40_000)
    rows = len(queues.world.platform.store._data)  # type: ignore[attr-defined]  # the memory store

    await queue.world.advance(3700)

    left = len(queues.world.platform.store._data)  # type: ignore[attr-defined]  # the memory store
    assert rows > 2400
    assert left < 10
