"""A queue in a world of its own, and short words for what one does with it."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.support.world import ACCOUNT, World


class QueueUser:
    """Somebody who works with one queue."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.url.rpartition('/')[2]}"

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.world.sqs(operation, QueueUrl=self.url, **request)
        return answer

    async def send(self, body: str, **request: Any) -> str:
        answer = await self.ask("SendMessage", MessageBody=body, **request)
        return str(answer["MessageId"])

    async def receive(self, limit: int = 10, **request: Any) -> list[dict[str, Any]]:
        answer = await self.ask("ReceiveMessage", MaxNumberOfMessages=limit, **request)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    async def bodies(self, limit: int = 10, **request: Any) -> list[str]:
        return [message["Body"] for message in await self.receive(limit, **request)]

    async def delete(self, message: dict[str, Any]) -> None:
        await self.ask("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    async def attribute(self, name: str) -> str | None:
        answer = await self.ask("GetQueueAttributes", AttributeNames=[name])
        value: str | None = answer.get("Attributes", {}).get(name)
        return value

    async def counts(self) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        answer = (await self.ask("GetQueueAttributes", AttributeNames=["All"]))["Attributes"]
        return (
            int(answer["ApproximateNumberOfMessages"]),
            int(answer["ApproximateNumberOfMessagesNotVisible"]),
            int(answer["ApproximateNumberOfMessagesDelayed"]),
        )

    async def refused(self, operation: str, **request: Any) -> AwsError:
        """The error that the operation must answer with."""
        with pytest.raises(AwsError) as caught:
            await self.ask(operation, **request)
        return caught.value


class Queues:
    """Makes queues."""

    def __init__(self) -> None:
        self.world = World()

    async def new(self, name: str = "queue", **attributes: str) -> QueueUser:
        request = {"Attributes": attributes} if attributes else {}
        made = await self.world.sqs("CreateQueue", QueueName=name, **request)
        return QueueUser(self.world, made["QueueUrl"])

    async def fifo(self, name: str = "queue.fifo", **attributes: str) -> QueueUser:
        return await self.new(name, FifoQueue="true", **attributes)


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
async def queue(queues: Queues) -> QueueUser:
    return await queues.new()
