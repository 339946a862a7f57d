"""Tags of queues."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import put_tags, remove_tags, tags_of
from skyfold.services.sqs.engine.tags import check_tags
from skyfold.services.sqs.operations.queues import queue_at
from skyfold.store.api import ReadTx, Tx


async def tag_queue(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    check_tags(await tags_of(tx, queue.arn), request["Tags"], queue.name)
    put_tags(tx, queue.arn, request["Tags"])


async def untag_queue(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    remove_tags(tx, queue.arn, request["TagKeys"])


async def list_queue_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    queue = await queue_at(tx, call, request["QueueUrl"])
    return reply(Tags=await tags_of(tx, queue.arn) or None)
