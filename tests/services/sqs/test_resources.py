"""The CloudFormation types of SQS."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.kernel.provisioning import Provision, Provisioned
from skyfold.services.sqs import resources
from tests.services.sqs.conftest import Queues, QueueUser
from tests.support.world import ACCOUNT, World


def provision(world: World, want: Any, had: Any = None, physical_id: str = "") -> Provision:
    return Provision(
        want=want,
        had=had or {},
        physical_id=physical_id,
        api=world.call().api,
        account=ACCOUNT,
        region="us-east-1",
        stack_name="stack",
        stack_id="id",
        logical_id="Queue",
        token="0123456789abcdef",
    )


async def made(world: World, want: dict[str, Any]) -> Provisioned:
    found = await resources.QUEUE.create(provision(world, want))
    assert isinstance(found, Provisioned)
    return found


async def test_a_queue_is_made_from_its_properties(queues: Queues) -> None:
    letters = await queues.new("letters")
    redrive = {"deadLetterTargetArn": letters.arn, "maxReceiveCount": 3}
    want = {
        "VisibilityTimeout": 40,
        "RedrivePolicy": redrive,
        "FifoQueue": False,
        "Tags": [{"Key": "k", "Value": "v"}],
    }

    found = await made(queues.world, want)

    queue = QueueUser(queues.world, found.physical_id)
    assert found.attributes == {
        "Arn": queue.arn,
        "QueueName": "stack-Queue-0123456789AB",
        "QueueUrl": queue.url,
    }
    assert await queue.attribute("VisibilityTimeout") == "40"
    assert json.loads(await queue.attribute("RedrivePolicy") or "") == redrive
    assert (await queue.ask("ListQueueTags"))["Tags"] == {"k": "v"}
    assert (await made(queues.world, want)).physical_id == found.physical_id


async def test_a_fifo_queue_gets_a_name_of_its_kind(queues: Queues) -> None:
    found = await made(queues.world, {"FifoQueue": True, "ContentBasedDeduplication": True})

    assert found.attributes["QueueName"].endswith(".fifo")


async def test_an_update_sets_what_changed_and_restores_what_was_taken_out(
    queues: Queues,
) -> None:
    had = {"VisibilityTimeout": 40, "DelaySeconds": 5, "Tags": [{"Key": "old", "Value": "1"}]}
    want = {"VisibilityTimeout": 50, "Tags": [{"Key": "new", "Value": "2"}]}
    url = (await made(queues.world, had)).physical_id

    await resources.QUEUE.update(provision(queues.world, want, had, url))

    queue = QueueUser(queues.world, url)
    assert await queue.attribute("VisibilityTimeout") == "50"
    assert await queue.attribute("DelaySeconds") == "0"
    assert (await queue.ask("ListQueueTags"))["Tags"] == {"new": "2"}


async def test_deleting_twice_is_fine(queues: Queues) -> None:
    url = (await made(queues.world, {})).physical_id

    for _ in range(2):
        await resources.QUEUE.delete(provision(queues.world, {}, {}, url))

    assert await queues.world.sqs("ListQueues") == {}


@pytest.mark.parametrize("kind", ["QueuePolicy", "QueueInlinePolicy"])
async def test_a_policy_is_put_moved_and_removed(queues: Queues, kind: str) -> None:
    one, other = await queues.new("one"), await queues.new("other")
    chosen = {"QueuePolicy": resources.QUEUE_POLICY}.get(kind, resources.QUEUE_INLINE_POLICY)
    document = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": one.arn},
    }

    def on(queue: QueueUser) -> dict[str, Any]:
        where = {"Queues": [queue.url]} if kind == "QueuePolicy" else {"Queue": queue.url}
        return {"PolicyDocument": document, **where}

    found = await chosen.create(provision(queues.world, on(one)))
    assert isinstance(found, Provisioned)
    assert json.loads(await one.attribute("Policy") or "") == document
    await chosen.update(provision(queues.world, on(other), on(one), found.physical_id))
    assert await one.attribute("Policy") is None
    assert json.loads(await other.attribute("Policy") or "") == document
    await other.ask("DeleteQueue")
    await chosen.delete(provision(queues.world, {}, on(other), found.physical_id))
