"""Deleting objects: one, many, or a version for good."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.access.errors import AccessError
from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine import conditions
from skyfold.services.s3.engine.names import check_key, check_version_id
from skyfold.services.s3.errors import (
    HeaderNotImplemented,
    InvalidArgument,
    MalformedXML,
    NoSuchVersion,
)
from skyfold.services.s3.limits import DELETE_KEYS_MAX
from skyfold.services.s3.operations import events, versions
from skyfold.services.s3.operations.entry import Request, find
from skyfold.services.s3.tables import OBJECTS, Bucket, Version
from skyfold.store.api import Tx


async def delete_object(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await find(tx, call, request)
    key, version_id = request["Key"], request.get("VersionId")
    check_key(key)
    for member, header in (
        ("IfMatchLastModifiedTime", "x-amz-if-match-last-modified-time"),
        ("IfMatchSize", "x-amz-if-match-size"),
    ):
        if member in request:  # directory buckets alone have these
            raise HeaderNotImplemented(Header=header)
    _refuse_unbuilt(request)
    await _allowed(tx, call, bucket, key, version_id)
    current = await OBJECTS.get(tx, bucket.name, key)
    if "IfMatch" in request:
        conditions.check_write(request, key, current)
    return await delete(tx, call, bucket, key, version_id, current)


def _refuse_unbuilt(request: Request) -> None:
    if "MFA" in request:
        raise NotImplementedHere("MFA Delete is not implemented by Skyfold.")
    if request.get("BypassGovernanceRetention"):
        raise InvalidArgument(
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
            ArgumentName="x-amz-bypass-governance-retention",
        )


async def _allowed(tx: Tx, call: Call, bucket: Bucket, key: str, version_id: str | None) -> None:
    resource = f"{bucket.arn}/{key}"
    if version_id is None:
        await call.allowed(tx, "s3:DeleteObject", resource)
    else:
        context = {"s3:VersionId": version_id}
        await call.allowed(tx, "s3:DeleteObjectVersion", resource, context)


async def delete(
    tx: Tx, call: Call, bucket: Bucket, key: str, version_id: str | None, current: Version | None
) -> dict[str, Any]:
    """Delete as DeleteObject does; the reply of that operation."""
    if version_id is not None:
        return await _delete_version(tx, call, bucket, key, version_id, current)
    if not bucket.versioning:
        if current is not None:
            await versions.remove(tx, call, current, current)
            await events.notify_removal(tx, call, bucket, "ObjectRemoved:Delete", current)
        return {}
    marker = await put_marker(tx, call, bucket, key, current)
    await events.notify_removal(tx, call, bucket, "ObjectRemoved:DeleteMarkerCreated", marker)
    return {"DeleteMarker": True, "VersionId": marker.version_id}


async def put_marker(
    tx: Tx, call: Call, bucket: Bucket, key: str, current: Version | None
) -> Version:
    """Make a delete marker the current version."""
    rank, version_id = versions.next_place(call, bucket, current)
    marker = Version(
        bucket=bucket.name,
        key=key,
        rank=rank,
        version_id=version_id,
        modified_at=versions.seconds(call.now),
        marker=True,
    )
    return await versions.put(tx, call, current, marker, None)


async def _delete_version(
    tx: Tx, call: Call, bucket: Bucket, key: str, version_id: str, current: Version | None
) -> dict[str, Any]:
    row = await versions.version(tx, current, key, version_id)
    if row is None or current is None:
        return {"VersionId": version_id} if bucket.versioning else {}
    await versions.remove(tx, call, current, row)
    await events.notify_removal(tx, call, bucket, "ObjectRemoved:Delete", row)
    return reply(
        VersionId=row.version_id if bucket.versioning else None,
        DeleteMarker=True if row.marker else None,
    )


async def delete_objects(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await find(tx, call, request)
    wanted = request["Delete"]
    if not 1 <= len(wanted["Objects"]) <= DELETE_KEYS_MAX:
        raise MalformedXML
    _refuse_unbuilt(request)
    deleted, failed = [], []
    for one in wanted["Objects"]:
        key, version_id = one["Key"], one.get("VersionId")
        named = {"Key": key} if version_id is None else {"Key": key, "VersionId": version_id}
        try:
            outcome = await _delete_one(tx, call, bucket, one)
        except AwsError as error:
            said = error.spoken_by_s3() if isinstance(error, AccessError) else error
            failed.append({**named, "Code": said.code, "Message": said.text})
            continue
        if outcome.get("DeleteMarker"):
            named["DeleteMarker"] = True
            named["DeleteMarkerVersionId"] = outcome["VersionId"]
        deleted.append(named)
    shown = deleted if not wanted.get("Quiet") else []
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(Deleted=shown or None, Errors=failed or None)


async def _delete_one(tx: Tx, call: Call, bucket: Bucket, one: Request) -> dict[str, Any]:
    """One of many: nothing is written before its checks have passed."""
    key, version_id = one["Key"], one.get("VersionId")
    check_key(key)
    for member, header in (
        ("LastModifiedTime", "x-amz-if-match-last-modified-time"),
        ("Size", "x-amz-if-match-size"),
    ):
        if member in one:
            raise HeaderNotImplemented(Header=header)
    await _allowed(tx, call, bucket, key, version_id)
    current = await OBJECTS.get(tx, bucket.name, key)
    if "ETag" in one:
        conditions.check_write({"IfMatch": one["ETag"]}, key, current)
    if version_id is not None:
        check_version_id(version_id)
        if await versions.version(tx, current, key, version_id) is None:
            raise NoSuchVersion(Key=key, VersionId=version_id)
    return await delete(tx, call, bucket, key, version_id, current)
