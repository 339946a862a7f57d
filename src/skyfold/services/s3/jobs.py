"""What S3 does by itself: the daily lifecycle of buckets, and the hourly sum of what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.kernel.principal import service_principal
from skyfold.services.s3.engine.lifecycle import DAY_MS, Rule, expiry_of, midnight_after
from skyfold.services.s3.limits import PART_NUMBER_MAX
from skyfold.services.s3.operations import events, expiry, versions
from skyfold.services.s3.operations.buckets import HOUR_MS, LIFECYCLE_JOB, STORAGE_JOB
from skyfold.services.s3.operations.deleting import put_marker
from skyfold.services.s3.operations.multipart import drop_upload
from skyfold.services.s3.tables import (
    BUCKETS,
    NONCURRENT,
    OBJECTS,
    PARTS,
    UPLOADS,
    Bucket,
    Version,
)
from skyfold.store.api import ReadTx, Tx

_PAGE = 200
_USAGE = {
    "STANDARD": "TimedStorage-ByteHrs",
    "STANDARD_IA": "TimedStorage-SIA-ByteHrs",
    "ONEZONE_IA": "TimedStorage-ZIA-ByteHrs",
    "INTELLIGENT_TIERING": "TimedStorage-INT-FA-ByteHrs",
    "GLACIER_IR": "TimedStorage-GIR-ByteHrs",
    "REDUCED_REDUNDANCY": "TimedStorage-RRS-ByteHrs",
}
_METRIC = {
    "STANDARD": "StandardStorage",
    "STANDARD_IA": "StandardIAStorage",
    "ONEZONE_IA": "OneZoneIAStorage",
    "INTELLIGENT_TIERING": "IntelligentTieringFAStorage",
    "GLACIER_IR": "GlacierInstantRetrievalStorage",
    "REDUCED_REDUNDANCY": "ReducedRedundancyStorage",
}
Cursor = tuple[str, ...]
"""The last key of a page."""


async def _bucket(platform: Platform, row: JobRow) -> tuple[Bucket, Call] | None:
    bucket = await platform.store.read(BUCKETS.get, row.key)
    if bucket is None:
        return None
    principal = service_principal("s3.amazonaws.com", account=bucket.account)
    call = platform.call(
        principal, account=bucket.account, region=bucket.region, operation="s3:Lifecycle"
    )
    return bucket, call


async def _every_page(
    call: Call, page: Callable[[Tx, Call, str, Cursor | None], Awaitable[Cursor | None]], name: str
) -> None:
    cursor: Cursor | None = None
    while (cursor := await call.write(page, call, name, cursor)) is not None:
        pass


async def run_lifecycle(platform: Platform, row: JobRow) -> Again | None:
    """Obey the lifecycle rules of one bucket; a page of keys in each transaction."""
    found = await _bucket(platform, row)
    if found is None:
        return None
    bucket, call = found
    await _every_page(call, _expire_page, bucket.name)
    await _every_page(call, _abort_page, bucket.name)
    return Again(midnight_after(platform.clock.now(), 0))


async def _expire_page(tx: Tx, call: Call, name: str, above: Cursor | None) -> Cursor | None:
    """Expire what is due of one page of keys; where the next page begins."""
    bucket = await BUCKETS.get(tx, name)
    rules = await expiry.rules(tx, name)
    if bucket is None or not rules:
        return None
    rows = await OBJECTS.scan(tx, name, above=above, limit=_PAGE)
    for current in rows:
        await _expire_noncurrent(tx, call, bucket, rules, current)
        await _expire_current(tx, call, bucket, rules, current.key)
    return (rows[-1].key,) if len(rows) == _PAGE else None


async def _expire_noncurrent(
    tx: Tx, call: Call, bucket: Bucket, rules: list[Rule], current: Version
) -> None:
    if not any(rule.noncurrent_days for rule in rules):
        return
    older = await NONCURRENT.scan(tx, bucket.name, current.key, limit=1_000_000)
    for newer, version in enumerate(older):
        if not _is_noncurrent_due(call, rules, version, newer):
            continue
        now = await OBJECTS.get(tx, bucket.name, current.key)
        assert now is not None, "noncurrent versions have a current one"
        await versions.remove(tx, call, now, version)
        await events.notify_removal(tx, call, bucket, "LifecycleExpiration:Delete", version)


def _is_noncurrent_due(call: Call, rules: list[Rule], version: Version, newer: int) -> bool:
    """Whether a version that ``newer`` noncurrent ones have followed falls to a rule."""
    return any(
        rule.noncurrent_days is not None
        and newer >= rule.newer_noncurrent
        and rule.meets(version)
        and midnight_after(version.noncurrent_since, rule.noncurrent_days) <= call.now
        for rule in rules
    )


async def _expire_current(tx: Tx, call: Call, bucket: Bucket, rules: list[Rule], key: str) -> None:
    current = await OBJECTS.get(tx, bucket.name, key)
    if current is None:
        return
    if current.marker:
        if await _is_marker_due(tx, call, rules, current):
            await versions.remove(tx, call, current, current)
            await events.notify_removal(tx, call, bucket, "LifecycleExpiration:Delete", current)
        return
    due = expiry_of(rules, current)
    if due is None or due.at > call.now:
        return
    if bucket.versioning:
        marker = await put_marker(tx, call, bucket, key, current)
        event = "LifecycleExpiration:DeleteMarkerCreated"
        await events.notify_removal(tx, call, bucket, event, marker)
    else:
        await versions.remove(tx, call, current, current)
        await events.notify_removal(tx, call, bucket, "LifecycleExpiration:Delete", current)


async def _is_marker_due(tx: Tx, call: Call, rules: list[Rule], marker: Version) -> bool:
    """Whether a delete marker that hides nothing any more is to go."""
    found = [rule for rule in rules if rule.meets(marker)]
    wanted = any(rule.expired_markers for rule in found) or any(
        rule.days is not None and midnight_after(marker.modified_at, rule.days) <= call.now
        for rule in found
    )
    return wanted and not await NONCURRENT.scan(tx, marker.bucket, marker.key, limit=1)


async def _abort_page(tx: Tx, call: Call, name: str, above: Cursor | None) -> Cursor | None:
    """Abort the uploads of one page that were begun too long ago."""
    rules = [rule for rule in await expiry.rules(tx, name) if rule.abort_days and rule.enabled]
    if not rules:
        return None
    uploads = await UPLOADS.scan(tx, name, above=above, limit=_PAGE)
    for upload in uploads:
        if any(
            upload.key.startswith(rule.prefix)
            and midnight_after(upload.initiated_at, rule.abort_days or 0) <= call.now
            for rule in rules
        ):
            await drop_upload(tx, call, upload)
    last = uploads[-1] if len(uploads) == _PAGE else None
    return None if last is None else (last.key, last.upload_id)


async def run_storage(platform: Platform, row: JobRow) -> Again | None:
    """Count an hour of what a bucket holds, noncurrent versions and unfinished parts included."""
    found = await _bucket(platform, row)
    if found is None:
        return None
    bucket, call = found
    held: Counter[str] = Counter()
    count = 0
    for page in (_objects_page, _noncurrent_page, _uploads_page):
        above: tuple[Any, ...] | None = None
        while True:
            sizes, above = await call.read(page, bucket.name, above)
            count += len(sizes)  # as S3 does, which counts the uploads too
            for storage_class, size in sizes:
                held[storage_class] += size
            if above is None:
                break
    now = platform.clock.now()
    for storage_class, size in held.items():
        call.meter(_USAGE[storage_class], size, resource=bucket.name)
    if now % DAY_MS < HOUR_MS:
        _record_metrics(call, bucket.name, held, count)
    return Again((now // HOUR_MS + 1) * HOUR_MS)


def _record_metrics(call: Call, name: str, held: Counter[str], count: int) -> None:
    """The storage metrics, which S3 reports once a day."""
    for storage_class, size in held.items():
        kind = _METRIC[storage_class]
        call.metric("AWS/S3", "BucketSizeBytes", size, "Bytes", BucketName=name, StorageType=kind)
    dimensions = {"BucketName": name, "StorageType": "AllStorageTypes"}
    call.metric("AWS/S3", "NumberOfObjects", count, "Count", **dimensions)


Sizes = tuple[list[tuple[str, int]], tuple[Any, ...] | None]
"""Storage class and bytes of a page of things, and where the next page begins."""


async def _objects_page(tx: ReadTx, name: str, above: tuple[Any, ...] | None) -> Sizes:
    rows = await OBJECTS.scan(tx, name, above=above, limit=_PAGE)
    more = (rows[-1].key,) if len(rows) == _PAGE else None
    return [(row.storage_class, row.size) for row in rows if not row.marker], more


async def _noncurrent_page(tx: ReadTx, name: str, above: tuple[Any, ...] | None) -> Sizes:
    rows = await NONCURRENT.scan(tx, name, above=above, limit=_PAGE)
    more = (rows[-1].key, rows[-1].rank) if len(rows) == _PAGE else None
    return [(row.storage_class, row.size) for row in rows if not row.marker], more


async def _uploads_page(tx: ReadTx, name: str, above: tuple[Any, ...] | None) -> Sizes:
    rows = await UPLOADS.scan(tx, name, above=above, limit=10)
    sizes = []
    for upload in rows:
        parts = await PARTS.scan(tx, upload.upload_id, limit=PART_NUMBER_MAX)
        sizes.append((upload.storage_class, sum(part.size for part in parts)))
    return sizes, (rows[-1].key, rows[-1].upload_id) if len(rows) == 10 else None


JOBS = {
    LIFECYCLE_JOB: Job(run=run_lifecycle, concurrency=4),
    STORAGE_JOB: Job(run=run_storage, concurrency=4),
}
