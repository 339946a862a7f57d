"""What messages cost, in process: `python bench/messaging.py [--work publish] [--profile]`.

Microseconds of CPU per request, the best of five: authorisation, the transaction, metering, RocksDB
and group commit; neither HTTP nor signatures. Root asks, 64 at a time, with bodies of 200 bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.world import ACCOUNT, World

from skyfold.base.clock import SystemClock
from skyfold.store.engines.rocks import RocksStore

TOGETHER = 64
BODY = "x" * 200
Once = Callable[[], Awaitable[Any]]


class Bench:
    """One cloud on RocksDB, and the work that is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(RocksStore(folder / "store"))
        self.world.platform.clock = SystemClock()
        self._made: dict[str, str] = {}

    async def queue(self, name: str, **attributes: str) -> str:
        if name not in self._made:
            made = await self.world.sqs("CreateQueue", QueueName=name, Attributes=attributes)
            self._made[name] = made["QueueUrl"]
        return self._made[name]

    async def topic(self, name: str, condition: dict[str, Any] | None = None) -> str:
        arn = (await self.world.sns("CreateTopic", Name=name))["TopicArn"]
        for number in range(3):
            target = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}{number}"
            may = {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "sqs:SendMessage",
                "Resource": target,
                **({"Condition": condition} if condition else {}),
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
            await self.queue(f"{name}{number}", Policy=policy)
            await self.world.sns("Subscribe", TopicArn=arn, Protocol="sqs", Endpoint=target)
        return str(arn)

    async def send(self) -> Once:
        url = await self.queue("send")
        return lambda: self.world.sqs("SendMessage", QueueUrl=url, MessageBody=BODY)

    async def empty(self) -> Once:
        url = await self.queue("empty")
        return lambda: self.world.sqs("ReceiveMessage", QueueUrl=url)

    async def cycle(self) -> Once:
        """A receive of ten and their deletion; the sends come before and are not counted."""
        url = await self.queue("cycle")
        entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
        for _ in range(4000 // 10):
            await self.world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)

        async def once() -> None:
            got = await self.world.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
            gone = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(got["Messages"])
            ]
            await self.world.sqs("DeleteMessageBatch", QueueUrl=url, Entries=gone)

        return once

    async def one_by_one(self) -> Once:
        """A send, a receive and a deletion."""
        url = await self.queue("one")

        async def once() -> None:
            await self.world.sqs("SendMessage", QueueUrl=url, MessageBody=BODY)
            got = await self.world.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=1)
            handle = got["Messages"][0]["ReceiptHandle"]
            await self.world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)

        return once

    async def publish(self) -> Once:
        arn = await self.topic("plain")
        return lambda: self.world.sns("Publish", TopicArn=arn, Message=BODY)

    async def publish_conditional(self) -> Once:
        condition = {"ArnEquals": {"aws:SourceArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:asked"}}
        arn = await self.topic("asked", condition)
        return lambda: self.world.sns("Publish", TopicArn=arn, Message=BODY)


WORK: dict[str, tuple[Callable[[Bench], Awaitable[Once]], int]] = {
    "send": (Bench.send, 1280),
    "empty": (Bench.empty, 1280),
    "cycle": (Bench.cycle, 64),
    "one_by_one": (Bench.one_by_one, 320),
    "publish": (Bench.publish, 640),
    "publish_conditional": (Bench.publish_conditional, 640),
}
"""With how often each is done at a time."""


async def batch(once: Once, count: int) -> None:
    for _ in range(0, count, TOGETHER):
        await asyncio.gather(*(once() for _ in range(min(TOGETHER, count))))


async def measure(name: str, bench: Bench, profile: bool) -> None:
    make, count = WORK[name]
    once = await make(bench)
    await batch(once, TOGETHER)
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        await batch(once, count)
        best = min(best, (time.process_time() - begun) / count)
    print(f"{name:24} {best * 1e6:8.1f} us")
    if not profile:
        return
    profiler = cProfile.Profile()
    profiler.enable()
    await batch(once, count if name == "cycle" else count * 2)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


async def main(arguments: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="skyfold-bench-"))
    try:
        bench = Bench(folder)
        await asyncio.sleep(2.1)  # after the last change of rights, see Access
        for name in arguments.work.split(","):
            await measure(name, bench, arguments.profile)
        await bench.world.platform.store.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", default=",".join(WORK))
    parser.add_argument("--profile", action="store_true")
    uvloop.run(main(parser.parse_args()))
