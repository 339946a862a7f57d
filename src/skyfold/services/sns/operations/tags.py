"""Tags of topics."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import put_tags, remove_tags, tags_of
from skyfold.services.sns.engine.arns import topic_arn
from skyfold.services.sns.engine.tags import accepted_tags
from skyfold.services.sns.errors import NotFoundException, ResourceNotFoundException
from skyfold.services.sns.operations.topics import topic_at
from skyfold.services.sns.tables import Topic
from skyfold.store.api import ReadTx, Tx


def arn_in(call: Call, request: Request) -> str:
    return str(topic_arn(request["ResourceArn"], call.region, "ResourceArn"))


async def _topic(tx: ReadTx, call: Call, request: Request) -> Topic:
    try:
        return await topic_at(tx, call, request["ResourceArn"], "ResourceArn")
    except NotFoundException as gone:
        raise ResourceNotFoundException from gone


async def tag_resource(tx: Tx, call: Call, request: Request) -> Any:
    topic = await _topic(tx, call, request)
    put_tags(tx, topic.arn, accepted_tags(await tags_of(tx, topic.arn), request["Tags"]))
    return {}


async def untag_resource(tx: Tx, call: Call, request: Request) -> Any:
    remove_tags(tx, (await _topic(tx, call, request)).arn, request["TagKeys"])
    return {}


async def list_tags_for_resource(tx: ReadTx, call: Call, request: Request) -> Any:
    tags = await tags_of(tx, (await _topic(tx, call, request)).arn)
    return reply(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
