"""Who may use a queue, permissions in its policy, what is billed, and deliveries."""

from __future__ import annotations

import json

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.metering import usage_between
from skyfold.kernel.principal import Principal, root_of
from tests.services.sqs.conftest import QueueUser
from tests.support.world import ACCOUNT

OTHER = "111111111111"


def user(name: str) -> Principal:
    return Principal(
        kind="user",
        account=ACCOUNT,
        arn=f"arn:aws:iam::{ACCOUNT}:user/{name}",
        id="AIDA",
        name=name,
    )


async def test_a_user_without_permission_is_denied(queue: QueueUser) -> None:
    with pytest.raises(AwsError) as caught:
        await queue.ask("SendMessage", MessageBody="m", by=user("nobody"))

    assert caught.value.code.startswith("AccessDenied")
    assert await queue.bodies() == []


async def test_the_policy_of_a_queue_lets_users_in(queue: QueueUser) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": user("somebody").arn},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await queue.ask("SetQueueAttributes", Attributes={"Policy": policy})

    await queue.ask("SendMessage", MessageBody="m", by=user("somebody"))
    batch = [{"Id": "1", "MessageBody": "n"}]
    await queue.ask("SendMessageBatch", Entries=batch, by=user("somebody"))

    with pytest.raises(AwsError):
        await queue.ask("ReceiveMessage", by=user("somebody"))
    assert await queue.bodies() == ["m", "n"]


async def test_a_permission_lets_another_account_in_until_it_is_removed(queue: QueueUser) -> None:
    asked = {"Label": "crossaccount", "AWSAccountIds": [OTHER], "Actions": ["ReceiveMessage"]}
    await queue.send("m")
    await queue.ask("AddPermission", **asked)

    policy = json.loads(await queue.attribute("Policy") or "")
    assert policy == {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "crossaccount",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
                "Action": "SQS:ReceiveMessage",
                "Resource": queue.arn,
            }
        ],
    }
    answer = await queue.ask("ReceiveMessage", by=root_of(OTHER))
    assert len(answer["Messages"]) == 1
    refused = await queue.refused("AddPermission", **asked)
    assert refused.text == (
        "Value crossaccount for parameter Label is invalid. Reason: Already exists."
    )
    await queue.ask("RemovePermission", Label="crossaccount")
    assert await queue.attribute("Policy") is None
    with pytest.raises(AwsError):
        await queue.ask("ReceiveMessage", by=root_of(OTHER))
    refused = await queue.refused("RemovePermission", Label="crossaccount")
    assert refused.text == (
        "Value crossaccount for parameter Label is invalid. Reason: can't find label."
    )


async def test_only_what_an_owner_can_share_is_permitted(queue: QueueUser) -> None:
    refused = await queue.refused(
        "AddPermission", Label="l", AWSAccountIds=[OTHER], Actions=["CreateQueue"]
    )

    assert "Only the queue owner is allowed to invoke this action." in refused.text


async def test_every_64_kib_of_a_message_are_a_billed_request(queue: QueueUser) -> None:
    platform = queue.world.platform
    await queue.send("x" * 65_536)
    await queue.send("x" * 65_537)
    await platform.store.flush()

    hour = platform.clock.now() // 3_600_000
    rows = await platform.store.read(usage_between, ACCOUNT, hour, hour + 1)

    billed = [row.quantity for row in rows if row.resource == "queue"]
    assert sum(billed) == 3


async def test_a_delivery_needs_the_queues_policy_and_the_queue(queue: QueueUser) -> None:
    platform = queue.world.platform
    sender = queue.world.call().as_service("events", source_arn="arn:aws:events:us-east-1:1:rule/r")

    with pytest.raises(AwsError):
        await platform.store.write(deliver, sender, queue.arn, Parcel(body="m"))
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    await queue.ask("SetQueueAttributes", Attributes={"Policy": policy})
    await platform.store.write(deliver, sender, queue.arn, Parcel(body="m"))

    assert await queue.bodies() == ["m"]
    with pytest.raises(AwsError):
        await platform.store.write(deliver, sender, queue.arn + "x", Parcel(body="m"))
