"""What signatures and decisions cost: `python bench/access.py`. Microseconds, best of five."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from botocore import auth
from tests.kernel.access.entities import allow, deny, document, put_user
from tests.kernel.access.signing import signed, signed_at
from tests.support.world import ACCOUNT, World

from skyfold.kernel.access.access import Access
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.principal import service_principal
from skyfold.store.api import ReadTx

COUNT = 20_000
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:orders"
SEND = "sqs:SendMessage"
BODY = b'{"QueueUrl":"http://localhost:4566/123456789012/orders","MessageBody":"%s"}' % (b"x" * 200)


async def timed(label: str, run: Callable[[], Awaitable[Any]]) -> None:
    await run()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(COUNT):
            await run()
        best = min(best, (time.perf_counter() - start) / COUNT)
    print(f"{label:52} {best * 1e6:8.2f} us")


async def signatures(world: World) -> None:
    access, store = Access(settling_s=0), world.platform.store
    json_post = signed(
        key=ACCOUNT,
        secret="test",
        body=BODY,
        headers={
            "X-Amz-Target": "AmazonSQS.SendMessage",
            "Content-Type": "application/x-amz-json-1.0",
        },
    )
    url = "http://localhost:4566/bucket/folder/some%20object.txt"
    options = {"key": ACCOUNT, "secret": "test", "url": url, "service": "s3"}
    put = signed(auth.S3SigV4Auth, method="PUT", body=b"x" * 1024, **options)
    presigned = signed(auth.S3SigV4QueryAuth, method="GET", body=b"", **options)

    async def check(request: HttpRequest, service: str) -> None:
        await timed(
            f"signature: {request.method} {service}, {len(request.body)} bytes",
            lambda: access.authenticate(store, request, signed_at_of[id(request)], service=service),
        )

    signed_at_of = {id(r): signed_at(r) for r in (json_post, put, presigned)}
    await check(json_post, "sqs")
    await check(put, "s3")
    await check(presigned, "s3")


async def decisions(world: World) -> None:
    alice = await world.platform.store.write(
        put_user,
        "alice",
        document(allow([SEND, "sqs:Receive*"], f"arn:aws:sqs:us-east-1:{ACCOUNT}:*")),
        document(allow("logs:*"), allow("dynamodb:*Item")),
        document(allow("s3:GetObject", "arn:aws:s3:::${aws:username}/*"), deny("sqs:DeleteQueue")),
    )
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    **allow(SEND, QUEUE),
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
                }
            ],
        }
    )
    topic = service_principal("sns.amazonaws.com", account=ACCOUNT, source_arn=TOPIC)
    access = world.platform.access = Access(settling_s=0)

    async def all_of_them(tx: ReadTx) -> None:
        async def ask(label: str, who: Any, action: str, what: str, by: str | None = None) -> None:
            call = world.call(who)
            await timed(
                f"decision: {label}", lambda: access.authorize(tx, call, action, what, {}, by)
            )

        await ask("root", None, SEND, QUEUE)
        await ask("root, with a queue policy", None, SEND, QUEUE, policy)
        await ask("user with 3 policies, remembered", alice, SEND, QUEUE)
        await ask("user, a variable in the resource", alice, "s3:GetObject", "arn:aws:s3:::alice/x")
        await ask("service, with a condition on aws:SourceArn", topic, SEND, QUEUE, policy)

    await world.platform.store.read(all_of_them)


async def main() -> None:
    world = World()
    await signatures(world)
    await decisions(world)


asyncio.run(main())
