"""What S3 costs on the memory engine, in CPU time: ``python -m tests.services.s3.costs``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from tests.services.s3.conftest import BUCKET
from tests.support.world import World

ROUNDS = 5
KEYS = 1000
BODY = b"x" * 1024


async def main() -> None:
    world = World()
    platform, call = world.platform, world.call()
    await world.s3("CreateBucket", Bucket=BUCKET)

    async def serve(operation: str, **request: object) -> None:
        await platform.serve("s3", operation, {"Bucket": BUCKET, **request}, call)

    def key(number: int) -> str:
        return f"list/{number % KEYS:05d}"

    async def head_bucket(_number: int) -> None:
        await serve("HeadBucket")

    async def put(number: int) -> None:
        await serve("PutObject", Key=key(number), Body=BODY, ContentType="text/plain")

    async def get(number: int) -> None:
        await serve("GetObject", Key=key(number))

    async def list_1000(_number: int) -> None:
        await serve("ListObjectsV2", Prefix="list/", MaxKeys=1000)

    base = await measured(head_bucket, 5000)
    print(f"{'kernel, bucket and decision (HeadBucket)':44} {base:8.1f} us")
    for name, act, count in (
        ("PutObject, 1 KiB", put, 5000),
        ("GetObject, 1 KiB", get, 5000),
        ("ListObjectsV2, 1000 keys", list_1000, 50),
    ):
        spent = await measured(act, count)
        print(f"{name:44} {spent:8.1f} us, {spent - base:8.1f} of them S3's own")


async def measured(act: Callable[[int], Awaitable[None]], count: int) -> float:
    """Microseconds of CPU for one, in the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for number in range(count):
            await act(number)
        best = min(best, time.process_time() - start)
    return best / count * 1e6


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
