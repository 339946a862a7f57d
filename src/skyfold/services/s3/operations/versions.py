"""The chain of versions of a key: the only place that changes objects and their listing.

A put makes a new current version; what was current becomes noncurrent, or goes, as the bucket's
versioning says. A delete without a version id puts a delete marker or, where versioning was never
set, takes the object away.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skyfold.kernel.call import Call
from skyfold.services.s3.engine import names
from skyfold.services.s3.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion
from skyfold.services.s3.tables import (
    CONTENTS,
    LISTING,
    NONCURRENT,
    NULL,
    OBJECTS,
    Bucket,
    Content,
    Segment,
    Version,
    listed,
)
from skyfold.store.api import ReadTx, Tx

replace = msgspec.structs.replace
ABSENT = (NoSuchKey, NoSuchVersion, MethodNotAllowed)


def next_place(call: Call, bucket: Bucket, old: Version | None) -> tuple[int, str]:
    """Rank and version id of what is written next over ``old``."""
    random = call.platform.ids.bytes(16)
    sequence = (call.now << 20) | (int.from_bytes(random[:2]) << 4)
    if old is not None and sequence <= old.sequence:
        sequence = old.sequence + 1
    if bucket.versioning != "Enabled":
        return -sequence, NULL
    return -sequence, names.version_id(sequence, random)


def seconds(now: int) -> int:
    """S3 keeps whole seconds."""
    return now - now % 1000


async def put(
    tx: Tx, call: Call, old: Version | None, new: Version, content: Content | None
) -> Version:
    """Make ``new`` the current version over ``old``, with ``content`` unless it is a marker."""
    null_rank = 0
    if old is not None:
        if old.version_id == NULL and new.version_id == NULL:
            await _forget_content(tx, call, old, kept=content is not None)
        else:
            null_rank = old.rank if old.version_id == NULL else old.null_rank
            NONCURRENT.put(tx, replace(old, null_rank=0, noncurrent_since=new.modified_at))
        if new.version_id == NULL and null_rank:
            # The version named null there was is replaced, wherever it stands in the chain.
            gone = await NONCURRENT.get(tx, new.bucket, new.key, null_rank)
            if gone is not None:
                await _forget_content(tx, call, gone, kept=content is not None)
                NONCURRENT.delete(tx, new.bucket, new.key, null_rank)
            null_rank = 0
    if null_rank:
        new = replace(new, null_rank=null_rank)
    if content is not None:
        CONTENTS.put(tx, content)
        if content.segments:
            for blob in blobs_of(content.segments):
                call.platform.blobs.hold(tx, blob, content.holder)
    _set_current(tx, new)
    return new


def _set_current(tx: Tx, row: Version) -> None:
    OBJECTS.put(tx, row)
    place = LISTING.prefix(row.bucket, row.key)
    if row.marker:
        tx.delete(place)
    else:
        tx.put(place, listed(row))


async def _forget_content(tx: Tx, call: Call, row: Version, *, kept: bool = False) -> None:
    """Let go of the bytes of ``row``; ``kept`` leaves the row, which is about to be overwritten."""
    if row.marker:
        return
    if row.in_blobs:
        content = await CONTENTS.get(tx, row.bucket, row.key, row.version_id)
        if content is not None:
            release(tx, call, content.segments, content.holder)
    if not kept:
        CONTENTS.delete(tx, row.bucket, row.key, row.version_id)


def blobs_of(segments: Iterable[Segment]) -> set[str]:
    return {segment.blob for segment in segments}


def release(tx: Tx, call: Call, segments: Iterable[Segment], holder: str) -> None:
    for blob in blobs_of(segments):
        call.platform.blobs.release(tx, blob, holder)


async def remove(tx: Tx, call: Call, current: Version, row: Version) -> None:
    """Take ``row`` away for good; where it is ``current``, the next older one becomes current."""
    await _forget_content(tx, call, row)
    if row.rank != current.rank:
        NONCURRENT.delete(tx, row.bucket, row.key, row.rank)
        if row.rank == current.null_rank:
            OBJECTS.put(tx, replace(current, null_rank=0))
        return
    older = await NONCURRENT.scan(tx, row.bucket, row.key, limit=1)
    if not older:
        OBJECTS.delete(tx, row.bucket, row.key)
        LISTING.delete(tx, row.bucket, row.key)
        return
    NONCURRENT.delete(tx, row.bucket, row.key, older[0].rank)
    null_rank = 0 if older[0].version_id == NULL else current.null_rank
    _set_current(tx, replace(older[0], null_rank=null_rank, noncurrent_since=0))


async def version(tx: ReadTx, current: Version | None, key: str, version_id: str) -> Version | None:
    """The version of the chain of ``current`` with this id, a delete marker included."""
    if version_id != NULL:
        sequence = names.sequence_of(version_id)
    if current is None:
        return None
    if current.version_id == version_id:
        return current
    rank = current.null_rank if version_id == NULL else -sequence
    row = await NONCURRENT.get(tx, current.bucket, key, rank) if rank else None
    return row if row is not None and row.version_id == version_id else None


async def wanted(
    tx: ReadTx, bucket: Bucket, key: str, version_id: str | None, method: str = "GET"
) -> Version:
    """The object version that a read asks for. Raises NoSuchKey and its kin; never a marker."""
    current = await OBJECTS.get(tx, bucket.name, key)
    if version_id is None:
        if current is None:
            raise NoSuchKey(Key=key)
        if current.marker:
            raise NoSuchKey(Key=key)
        return current
    row = await version(tx, current, key, version_id)
    if row is None:
        raise NoSuchVersion(Key=key, VersionId=version_id)
    if row.marker:
        raise MethodNotAllowed(Method=method, ResourceType="DeleteMarker")
    return row


async def change(tx: Tx, row: Version, changed: Version) -> None:
    """Replace a version in place: its tags, say."""
    current = await OBJECTS.get(tx, row.bucket, row.key)
    if current is not None and current.rank == row.rank:
        OBJECTS.put(tx, changed)
    else:
        NONCURRENT.put(tx, changed)


def shown(bucket: Bucket, row: Version) -> str | None:
    """The version id in a reply: none where versioning was never set."""
    return row.version_id if bucket.versioning else None


def shown_of_write(row: Version) -> str | None:
    """The version id in the reply to a write: none for the null version."""
    return None if row.version_id == NULL else row.version_id
