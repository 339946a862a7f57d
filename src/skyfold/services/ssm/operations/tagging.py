"""Tags of parameters."""

from __future__ import annotations

from typing import Any

from skyfold.kernel import tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.ssm.engine.names import selected
from skyfold.services.ssm.errors import InvalidResourceId, InvalidResourceType, TooManyTagsError
from skyfold.services.ssm.tables import PARAMETERS
from skyfold.store.api import ReadTx, Tx


async def add_tags_to_resource(tx: Tx, call: Call, request: Request) -> None:
    arn = await _arn(tx, call, request)
    wanted = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if len({**await tags.tags_of(tx, arn), **wanted}) > tags.TAGS_MAX:
        raise TooManyTagsError("The resource has too many tags.")
    tags.put_tags(tx, arn, wanted)


async def remove_tags_from_resource(tx: Tx, call: Call, request: Request) -> None:
    tags.remove_tags(tx, await _arn(tx, call, request), request["TagKeys"])


async def list_tags_for_resource(tx: ReadTx, call: Call, request: Request) -> Any:
    found = await tags.tags_of(tx, await _arn(tx, call, request))
    return reply(TagList=[{"Key": key, "Value": value} for key, value in found.items()])


async def _arn(tx: ReadTx, call: Call, request: Request) -> str:
    if request["ResourceType"] != "Parameter":
        raise InvalidResourceType("Skyfold has resources of type Parameter only yet.")
    name = selected(request["ResourceId"]).name
    found = await PARAMETERS.get(tx, call.account, call.region, name)
    if found is None:
        raise InvalidResourceId(
            "The resource ID is not valid. Verify that you entered the correct ID and try again."
        )
    return found.arn
