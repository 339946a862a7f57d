"""Event source mappings: batches reach the function, and only what succeeded is deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.services.lambda_.engine.sqs_events import failed_items
from skyfold.services.lambda_.polling import poll_all
from tests.services.lambda_.shop import make, world_with_role
from tests.support.world import ACCOUNT, World

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
POLLS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


async def world_with_mapping(**more: Any) -> tuple[World, str]:
    world = await world_with_role(*POLLS)
    await make(world)
    url = (await world.sqs("CreateQueue", QueueName="q"))["QueueUrl"]
    await world.lambda_("CreateEventSourceMapping", EventSourceArn=QUEUE, FunctionName="f", **more)
    return world, url


@contextlib.asynccontextmanager
async def polling(world: World) -> AsyncIterator[None]:
    task = asyncio.ensure_future(poll_all(world.platform))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled(world: World) -> None:
    """Let everything that can go on without time passing go on."""
    for _ in range(200):
        await asyncio.sleep(0)
    del world


async def count(world: World, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=names)
    return sum(int(value) for value in found["Attributes"].values())


async def test_messages_reach_the_function_in_the_shape_of_an_sqs_event() -> None:
    world, url = await world_with_mapping()
    await world.sqs("SendMessage", QueueUrl=url, MessageBody="hello")

    async with polling(world):
        await settled(world)

    ((_, event),) = world.functions.invoked
    (record,) = event["Records"]
    assert (record["body"], record["eventSource"], record["eventSourceARN"]) == (
        "hello",
        "aws:sqs",
        QUEUE,
    )
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert await count(world, url) == 0


async def test_a_failed_batch_stays_in_the_queue_and_comes_again() -> None:
    world, url = await world_with_mapping()
    await world.sqs("SendMessage", QueueUrl=url, MessageBody="hello")
    fails = [ValueError("no")]

    def handler(event: Any) -> Any:
        if fails:
            raise fails.pop()

    world.functions.handlers["f"] = handler
    async with polling(world):
        await settled(world)
        assert await count(world, url) == 1
        world.clock.advance(31)
        await settled(world)

    assert len(world.functions.invoked) == 2
    assert await count(world, url) == 0


async def test_only_what_was_not_reported_as_failed_is_deleted() -> None:
    world, url = await world_with_mapping(FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
    await world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)

    def handler(event: Any) -> Any:
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "1"]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in bad]}

    world.functions.handlers["f"] = handler
    async with polling(world):
        await settled(world)

    assert await count(world, url) == 1


async def test_a_disabled_mapping_polls_nothing() -> None:
    world, url = await world_with_mapping(Enabled=False)
    await world.sqs("SendMessage", QueueUrl=url, MessageBody="hello")
    async with polling(world):
        await settled(world)
        assert world.functions.invoked == []

        found = await world.lambda_("ListEventSourceMappings")
        (mapping,) = found["EventSourceMappings"]
        await world.lambda_("UpdateEventSourceMapping", UUID=mapping["UUID"], Enabled=True)
        await settled(world)

    assert len(world.functions.invoked) == 1


async def test_a_role_that_may_not_receive_is_refused_in_awss_words() -> None:
    world = await world_with_role()
    await make(world)
    await world.sqs("CreateQueue", QueueName="q")
    with pytest.raises(AwsError, match="does not have permissions to call ReceiveMessage on SQS"):
        await world.lambda_("CreateEventSourceMapping", EventSourceArn=QUEUE, FunctionName="f")


async def test_a_queue_that_forgets_sooner_than_the_function_ends_is_refused() -> None:
    world = await world_with_role(*POLLS)
    await make(world, Timeout=60)
    await world.sqs("CreateQueue", QueueName="q")
    with pytest.raises(AwsError, match="is less than Function timeout: 60 seconds"):
        await world.lambda_("CreateEventSourceMapping", EventSourceArn=QUEUE, FunctionName="f")


async def test_a_queue_is_mapped_to_a_function_once() -> None:
    world, _ = await world_with_mapping()
    with pytest.raises(AwsError) as caught:
        await world.lambda_("CreateEventSourceMapping", EventSourceArn=QUEUE, FunctionName="f")
    assert caught.value.code == "ResourceConflictException"


SENT = [{"MessageId": "a"}, {"MessageId": "b"}]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"", set()),
        (b"null", set()),
        (b"{}", set()),
        (b'"text"', set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}]}', {"a"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "c"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"wrong": "a"}]}', None),
        (b'{"batchItemFailures": "a"}', None),
        (b"{", None),
    ],
)
def test_answers_of_partial_batches_mean_what_aws_says(
    answer: bytes, kept: set[str] | None
) -> None:
    assert failed_items(answer, SENT) == kept
