"""Tags of functions."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel import tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.lambda_.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from skyfold.services.lambda_.tables import FUNCTIONS, LATEST, MAPPINGS
from skyfold.store.api import ReadTx, Tx


async def tag_resource(tx: Tx, call: Call, request: Request) -> None:
    await _exists(tx, request["Resource"])
    before = await tags.tags_of(tx, request["Resource"])
    if len({**before, **request["Tags"]}) > tags.TAGS_MAX:
        raise InvalidParameterValueException("Number of tags exceeds resource tag limit.")
    tags.put_tags(tx, request["Resource"], request["Tags"])


async def untag_resource(tx: Tx, call: Call, request: Request) -> None:
    await _exists(tx, request["Resource"])
    tags.remove_tags(tx, request["Resource"], request["TagKeys"])


async def list_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    await _exists(tx, request["Resource"])
    return reply(Tags=await tags.tags_of(tx, request["Resource"]))


async def _exists(tx: ReadTx, text: str) -> None:
    arn = parse_arn(text)
    kind, _, name = arn.resource.partition(":") if arn else ("", "", "")
    found: object = None
    if arn and kind == "function":
        found = await FUNCTIONS.get(tx, arn.account, arn.region, name, LATEST)
    elif arn and kind == "event-source-mapping":
        found = await MAPPINGS.get(tx, arn.account, arn.region, name)
    if found is None:
        raise ResourceNotFoundException(f"Function not found: {text}")
