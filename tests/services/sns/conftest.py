"""A cloud with topics and queues that listen to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.support.world import ACCOUNT, World


class Cloud:
    """Short words for what tests do with topics."""

    def __init__(self) -> None:
        self.world = World()

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.world.sns(operation, **request)
        return answer

    async def refused(self, operation: str, **request: Any) -> AwsError:
        """The error that the operation must answer with."""
        with pytest.raises(AwsError) as caught:
            await self.ask(operation, **request)
        return caught.value

    async def topic(self, name: str = "topic", **attributes: str) -> str:
        return str((await self.ask("CreateTopic", Name=name, Attributes=attributes))["TopicArn"])

    async def queue(self, name: str = "queue", *, allows: str = "*", **attributes: str) -> str:
        """A queue that lets ``allows`` send; its ARN."""
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnLike": {"aws:SourceArn": allows}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await self.world.sqs(
            "CreateQueue", QueueName=name, Attributes={"Policy": policy, **attributes}
        )
        return arn

    async def subscribe(self, topic: str, queue: str, **attributes: str) -> str:
        answer = await self.ask(
            "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes
        )
        return str(answer["SubscriptionArn"])

    async def received(self, queue: str) -> list[dict[str, Any]]:
        """Take all messages out of a queue."""
        url = f"http://localhost:4566/{ACCOUNT}/{queue.rpartition(':')[2]}"
        found: list[dict[str, Any]] = []
        while True:
            answer = await self.world.sqs(
                "ReceiveMessage",
                QueueUrl=url,
                MaxNumberOfMessages=10,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                return found
            for message in answer["Messages"]:
                await self.world.sqs(
                    "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
                )
                found.append(message)

    async def bodies(self, queue: str) -> list[str]:
        return [message["Body"] for message in await self.received(queue)]

    async def messages(self, queue: str) -> list[str]:
        """What was published, taken out of the envelopes."""
        return [json.loads(body)["Message"] for body in await self.bodies(queue)]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
async def topic(cloud: Cloud) -> str:
    return await cloud.topic()


@pytest.fixture
async def queue(cloud: Cloud) -> str:
    return await cloud.queue()
