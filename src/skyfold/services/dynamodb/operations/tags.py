"""TagResource, UntagResource and ListTagsOfResource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel.call import Call
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import put_tags, remove_tags, tags_of
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.errors import ResourceNotFoundException, ValidationException, invalid
from skyfold.services.dynamodb.limits import TAGS_MAX
from skyfold.services.dynamodb.operations.access import find_table
from skyfold.store.api import ReadTx, Tx

_PAGE = 10


def checked_tags(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in given:
        if tag["Key"] in tags:
            raise invalid(f"Duplicate tag key: {tag['Key']}")
        if tag["Key"].lower().startswith("aws:"):
            raise invalid("Tag keys starting with aws: are reserved for system use")
        tags[tag["Key"]] = tag["Value"]
    if len(tags) > TAGS_MAX:
        raise ValidationException(f"Number of tags exceeds the limit of {TAGS_MAX} for a resource")
    return tags


async def tagged_table(tx: ReadTx, call: Call, arn: str) -> Schema:
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "dynamodb" or "/" not in parsed.resource:
        raise ValidationException(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    schema = await find_table(tx, call, arn)
    if schema is None or parsed.resource.count("/") > 1:
        raise ResourceNotFoundException(
            f"Requested resource not found: ResourcArn: {arn} not found"
        )
    return schema


async def tag_resource(tx: Tx, call: Call, request: Request) -> Any:
    schema = await tagged_table(tx, call, request["ResourceArn"])
    tags = checked_tags(request["Tags"])
    if not tags:
        raise ValidationException("Atleast one Tag needs to be provided as Input.")
    if len({**await tags_of(tx, schema.arn), **tags}) > TAGS_MAX:
        raise ValidationException(f"Number of tags exceeds the limit of {TAGS_MAX} for a resource")
    put_tags(tx, schema.arn, tags)


async def untag_resource(tx: Tx, call: Call, request: Request) -> Any:
    schema = await tagged_table(tx, call, request["ResourceArn"])
    if not request["TagKeys"]:
        raise ValidationException("Atleast one Tag Key needs to be provided as Input.")
    remove_tags(tx, schema.arn, request["TagKeys"])


async def list_tags_of_resource(tx: ReadTx, call: Call, request: Request) -> Any:
    schema = await tagged_table(tx, call, request["ResourceArn"])
    pairs = list((await tags_of(tx, schema.arn)).items())
    at = 0
    if "NextToken" in request:
        try:
            after = position("dynamodb.tags", request["NextToken"])[0]
        except BadToken:
            raise ValidationException("The provided NextToken is invalid") from None
        at = sum(key <= after for key, _ in pairs)
    page = pairs[at : at + _PAGE]
    more = at + _PAGE < len(pairs)
    return reply(
        Tags=[{"Key": key, "Value": value} for key, value in page],
        NextToken=token("dynamodb.tags", page[-1][0]) if more else None,
    )
