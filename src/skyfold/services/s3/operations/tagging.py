"""Tags of buckets and of objects."""

from __future__ import annotations

from typing import Any

from skyfold.kernel import tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.tagging import SYSTEM, from_tag_set, to_tag_set
from skyfold.services.s3.errors import NoSuchTagSet
from skyfold.services.s3.operations import events, objects, versions
from skyfold.services.s3.operations.entry import Request, enter, find
from skyfold.services.s3.tables import Bucket, Version
from skyfold.store.api import ReadTx, Tx


async def put_bucket_tagging(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketTagging")
    wanted = dict(from_tag_set(request["Tagging"], of_bucket=True))
    await _forget_own(tx, bucket)
    tags.put_tags(tx, bucket.arn, wanted)
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_bucket_tagging(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketTagging")
    found = await tags.tags_of(tx, bucket.arn)
    if not found:
        raise NoSuchTagSet(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"TagSet": to_tag_set(found.items())}


async def delete_bucket_tagging(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketTagging")
    await _forget_own(tx, bucket)
    return {}


async def _forget_own(tx: Tx, bucket: Bucket) -> None:
    """Forget all tags but those that a service has set."""
    found = await tags.tags_of(tx, bucket.arn)
    tags.remove_tags(tx, bucket.arn, [key for key in found if not key.startswith(SYSTEM)])


async def put_object_tagging(tx: Tx, call: Call, request: Request) -> Any:
    wanted = from_tag_set(request["Tagging"])
    context = objects.tag_context(wanted)
    bucket, call, row = await _object(tx, call, request, "Put", context)
    await _set(tx, row, wanted)
    await events.notify(tx, call, bucket, "ObjectTagging:Put", row)
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(VersionId=versions.shown(bucket, row))


async def delete_object_tagging(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call, row = await _object(tx, call, request, "Delete", {})
    await _set(tx, row, ())
    await events.notify(tx, call, bucket, "ObjectTagging:Delete", row)
    return reply(VersionId=versions.shown(bucket, row))


async def _object(
    tx: Tx, call: Call, request: Request, verb: str, context: dict[str, Any]
) -> tuple[Bucket, Call, Version]:
    bucket, there = await find(tx, call, request)
    key, version_id = request["Key"], request.get("VersionId")
    row = await versions.wanted(tx, bucket, key, version_id, verb.upper())
    kind = "Object" if version_id is None else "ObjectVersion"
    context = context | objects.existing_tags(row)
    await there.allowed(tx, f"s3:{verb}{kind}Tagging", f"{bucket.arn}/{key}", context)
    return bucket, there, row


async def _set(tx: Tx, row: Version, wanted: tuple[tuple[str, str], ...]) -> None:
    await versions.change(tx, row, versions.replace(row, tags=wanted))


async def get_object_tagging(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call, row = await objects.read_version(tx, call, request, suffix="Tagging")
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(VersionId=versions.shown(bucket, row), TagSet=to_tag_set(row.tags))
