"""Dead-letter queues, and message move tasks that empty them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.sqs.conftest import Queues, QueueUser


def redrive(letters: QueueUser, receives: Any = 1) -> str:
    return json.dumps({"deadLetterTargetArn": letters.arn, "maxReceiveCount": receives})


@pytest.fixture
async def letters(queues: Queues) -> QueueUser:
    return await queues.new("letters")


@pytest.fixture
async def source(queues: Queues, letters: QueueUser) -> QueueUser:
    return await queues.new("source", RedrivePolicy=redrive(letters), VisibilityTimeout="5")


async def bury(source: QueueUser, *bodies: str) -> None:
    """Let messages be received once and then become dead letters."""
    for body in bodies:
        await source.send(body)
    while await source.bodies(VisibilityTimeout=0):
        pass


async def test_a_message_received_too_often_becomes_a_dead_letter(
    source: QueueUser, letters: QueueUser
) -> None:
    attributes = {"MyAttribute": {"DataType": "String", "StringValue": "foobar"}}
    sent = await source.send("message-1", MessageAttributes=attributes)
    await source.receive()
    source.world.clock.advance(5)

    assert await source.receive() == []

    (letter,) = await letters.receive(AttributeNames=["All"], MessageAttributeNames=["All"])
    assert letter["MessageId"] == sent
    assert letter["MessageAttributes"] == attributes
    assert letter["MD5OfMessageAttributes"] == "adb59cd4678ea5a855436b949cd07ab6"
    assert letter["Attributes"] == {
        "SenderId": "123456789012",
        "SentTimestamp": "1700000000000",
        "ApproximateReceiveCount": "2",
        "ApproximateFirstReceiveTimestamp": "1700000000000",
        "DeadLetterQueueSourceArn": source.arn,
    }


async def test_a_receive_looks_past_dead_letters_for_what_it_can_have(
    source: QueueUser, letters: QueueUser
) -> None:
    for number in range(30):
        await source.send(str(number))
    for _ in range(3):
        await source.receive(VisibilityTimeout=1)
    await source.send("fresh")
    source.world.clock.advance(1)

    got = [body for _ in range(5) for body in await source.bodies()]

    assert got == ["fresh"]
    assert (await letters.counts())[0] == 30


async def test_a_message_stays_where_the_dead_letter_queue_is_gone(
    source: QueueUser, letters: QueueUser
) -> None:
    await letters.ask("DeleteQueue")
    await source.send("m")

    assert await source.bodies(VisibilityTimeout=0) == ["m"]
    assert await source.bodies(VisibilityTimeout=0) == ["m"]


async def test_the_sources_of_a_dead_letter_queue_are_listed(
    queues: Queues, source: QueueUser, letters: QueueUser
) -> None:
    other = await queues.new("other", RedrivePolicy=redrive(letters))

    answer = await letters.ask("ListDeadLetterSourceQueues")
    assert answer == {"queueUrls": [other.url, source.url]}
    first = await letters.ask("ListDeadLetterSourceQueues", MaxResults=1)
    second = await letters.ask(
        "ListDeadLetterSourceQueues", MaxResults=1, NextToken=first["NextToken"]
    )
    assert first["queueUrls"] + second["queueUrls"] == answer["queueUrls"]

    await other.ask("SetQueueAttributes", Attributes={"RedrivePolicy": ""})
    await source.ask("DeleteQueue")
    assert await letters.ask("ListDeadLetterSourceQueues") == {"queueUrls": []}
    assert await other.attribute("RedrivePolicy") is None


@pytest.mark.parametrize("receives", [0, 1001, "many", -1])
async def test_the_receive_count_of_a_redrive_policy_has_bounds(
    queue: QueueUser, letters: QueueUser, receives: Any
) -> None:
    refused = await queue.refused(
        "SetQueueAttributes", Attributes={"RedrivePolicy": redrive(letters, receives)}
    )

    assert refused.code == "InvalidParameterValue"


async def test_a_dead_letter_queue_has_to_exist_and_to_be_of_the_same_type(
    queues: Queues, queue: QueueUser
) -> None:
    fifo = await queues.fifo()
    nowhere = QueueUser(queues.world, "http://localhost/1/nowhere")
    for target, reason in (
        (nowhere, "Dead letter target does not exist."),
        (fifo, "Dead-letter queue must be same type of queue as the source."),
        (queue, "A queue cannot be its own dead-letter queue."),
    ):
        refused = await queue.refused(
            "SetQueueAttributes", Attributes={"RedrivePolicy": redrive(target)}
        )
        assert refused.text.endswith(f"is invalid. Reason: {reason}")


async def test_a_redrive_allow_policy_says_whose_dead_letters_are_taken(
    queues: Queues, letters: QueueUser
) -> None:
    one, other = await queues.new("one"), await queues.new("other")
    attributes = {"RedrivePolicy": redrive(letters)}
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [one.arn]}

    await letters.ask("SetQueueAttributes", Attributes={"RedriveAllowPolicy": json.dumps(allow)})
    await one.ask("SetQueueAttributes", Attributes=attributes)
    await other.refused("SetQueueAttributes", Attributes=attributes)

    deny = json.dumps({"redrivePermission": "denyAll"})
    await letters.ask("SetQueueAttributes", Attributes={"RedriveAllowPolicy": deny})
    await other.refused("SetQueueAttributes", Attributes=attributes)
    await letters.ask("SetQueueAttributes", Attributes={"RedriveAllowPolicy": ""})
    await other.ask("SetQueueAttributes", Attributes=attributes)


# --- message move tasks ---------------------------------------------------------------------------


async def start(letters: QueueUser, **request: Any) -> str:
    answer = await letters.world.sqs("StartMessageMoveTask", SourceArn=letters.arn, **request)
    return str(answer["TaskHandle"])


async def tasks(letters: QueueUser) -> list[dict[str, Any]]:
    answer = await letters.world.sqs("ListMessageMoveTasks", SourceArn=letters.arn, MaxResults=10)
    results: list[dict[str, Any]] = answer["Results"]
    return results


async def test_letters_go_back_to_where_they_came_from(
    queues: Queues, source: QueueUser, letters: QueueUser
) -> None:
    other = await queues.new("other", RedrivePolicy=redrive(letters))
    await bury(source, "1", "2")
    await bury(other, "3", "4")

    await start(letters)
    await queues.world.advance(1)

    assert sorted(await source.bodies()) == ["1", "2"]
    assert sorted(await other.bodies()) == ["3", "4"]
    assert await tasks(letters) == [
        {
            "ApproximateNumberOfMessagesMoved": 4,
            "ApproximateNumberOfMessagesToMove": 4,
            "SourceArn": letters.arn,
            "StartedTimestamp": 1_700_000_000_000,
            "Status": "COMPLETED",
        }
    ]


async def test_a_moved_message_is_a_new_one(
    queues: Queues, source: QueueUser, letters: QueueUser
) -> None:
    await bury(source, "m")
    (letter,) = await letters.receive(VisibilityTimeout=0)
    queues.world.clock.advance(100)

    await start(letters)
    await queues.world.advance(1)

    (moved,) = await source.receive(AttributeNames=["All"])
    assert moved["MessageId"] != letter["MessageId"]
    assert moved["Attributes"]["ApproximateReceiveCount"] == "1"
    assert moved["Attributes"]["SentTimestamp"] == "1700000100000"


async def test_letters_can_be_moved_elsewhere_at_a_rate_and_the_task_cancelled(
    queues: Queues, source: QueueUser, letters: QueueUser
) -> None:
    elsewhere = await queues.new("elsewhere")
    await bury(source, *map(str, range(25)))

    handle = await start(letters, DestinationArn=elsewhere.arn, MaxNumberOfMessagesPerSecond=5)
    await queues.world.advance(2.5)
    (running,) = await tasks(letters)
    cancelled = await queues.world.sqs("CancelMessageMoveTask", TaskHandle=handle)
    await queues.world.advance(10)

    assert (running["Status"], running["TaskHandle"]) == ("RUNNING", handle)
    assert running["ApproximateNumberOfMessagesMoved"] == 15
    assert cancelled == {"ApproximateNumberOfMessagesMoved": 15}
    assert (await elsewhere.counts())[0] == 15
    assert (await letters.counts())[0] == 10
    assert (await tasks(letters))[0]["Status"] == "CANCELLED"
    with pytest.raises(AwsError) as caught:
        await queues.world.sqs("CancelMessageMoveTask", TaskHandle=handle)
    assert caught.value.code == "UnsupportedOperation"


async def test_a_task_fails_where_a_letter_has_no_way_back(
    queues: Queues, source: QueueUser, letters: QueueUser
) -> None:
    await letters.send("sent here by hand")

    await start(letters)
    await queues.world.advance(1)

    (task,) = await tasks(letters)
    assert (task["Status"], task["FailureReason"]) == (
        "FAILED",
        "CouldNotDetermineMessageSource",
    )
    assert await letters.bodies() == ["sent here by hand"]


async def test_one_task_runs_for_a_queue_at_a_time_and_for_dead_letter_queues_only(
    source: QueueUser, letters: QueueUser
) -> None:
    await start(letters)

    with pytest.raises(AwsError, match="already a task running"):
        await start(letters)
    with pytest.raises(AwsError, match="must be configured as a Dead Letter Queue"):
        await start(source)
    with pytest.raises(AwsError) as caught:
        await start(QueueUser(source.world, "http://localhost/1/nowhere"))
    assert caught.value.code == "ResourceNotFoundException"
    with pytest.raises(AwsError, match="1 to 500"):
        await start(letters, MaxNumberOfMessagesPerSecond=501)


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        ("garbage", "InvalidParameterValue"),
        (base64.b64encode(b"[]").decode(), "InvalidParameterValue"),
        (
            base64.b64encode(
                b'{"taskId":"x","sourceArn":"arn:aws:sqs:us-east-1:123456789012:letters"}'
            ).decode(),
            "ResourceNotFoundException",
        ),
    ],
)
async def test_what_is_no_handle_of_a_task_is_refused(
    queues: Queues, handle: str, code: str
) -> None:
    with pytest.raises(AwsError) as caught:
        await queues.world.sqs("CancelMessageMoveTask", TaskHandle=handle)

    assert caught.value.code == code
