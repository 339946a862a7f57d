"""ListObjectVersions: every version and delete marker, by key and from the newest back."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.listing import check_encoding, common_prefix, page_size, shown
from skyfold.services.s3.engine.names import sequence_of
from skyfold.services.s3.errors import InvalidArgument
from skyfold.services.s3.limits import PAGE_KEYS_MAX
from skyfold.services.s3.operations.entry import Request, enter, owner
from skyfold.services.s3.operations.listing import common_prefixes, list_context
from skyfold.services.s3.tables import NONCURRENT, NULL, OBJECTS, Bucket, KeyRange, Version
from skyfold.store.api import ReadTx

_CHUNK = 100


class Page:
    """Versions with whether each is its key's latest, and common prefixes, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: list[tuple[Version, bool]] = []
        self.prefixes: list[str] = []
        self.truncated = False
        self.last: Version | str = ""

    def has_room(self) -> bool:
        """Whether one more fits; if not, there is a next page."""
        if len(self.rows) + len(self.prefixes) < self.limit:
            return True
        self.truncated = True
        return False

    def add(self, row: Version, *, latest: bool) -> None:
        self.rows.append((row, latest))
        self.last = row


async def list_object_versions(tx: ReadTx, call: Call, request: Request) -> Any:
    context = list_context(request)
    bucket, call = await enter(tx, call, request, "s3:ListBucketVersions", context=context)
    encoding = request.get("EncodingType")
    check_encoding(encoding)
    key_marker = request.get("KeyMarker", "")
    version_marker = request.get("VersionIdMarker", "")
    if version_marker and not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=version_marker,
        )
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    limit = page_size(request.get("MaxKeys"), "maxKeys", PAGE_KEYS_MAX)
    page = Page(limit)
    if limit:
        if version_marker and key_marker.startswith(prefix):
            await _rest_of_key(tx, page, bucket, key_marker, version_marker)
        await _fill(tx, page, bucket, prefix, delimiter, key_marker)
    call.meter("Requests-Tier1", resource=bucket.name)
    last = page.last if page.truncated else None
    return reply(
        Name=bucket.name,
        Prefix=shown(prefix, encoding),
        KeyMarker=shown(key_marker, encoding),
        VersionIdMarker=version_marker,
        MaxKeys=limit,
        IsTruncated=page.truncated,
        EncodingType=encoding,
        Delimiter=shown(delimiter, encoding) if delimiter else None,
        NextKeyMarker=_key_of(last, encoding),
        NextVersionIdMarker=last.version_id if isinstance(last, Version) else None,
        Versions=_shown(bucket, page, encoding, markers=False) or None,
        DeleteMarkers=_shown(bucket, page, encoding, markers=True) or None,
        CommonPrefixes=common_prefixes(page.prefixes, encoding),
    )


def _key_of(last: Version | str | None, encoding: str | None) -> str | None:
    if last is None:
        return None
    return shown(last.key if isinstance(last, Version) else last, encoding)


async def _rest_of_key(tx: ReadTx, page: Page, bucket: Bucket, key: str, version_id: str) -> None:
    """The versions of ``key`` that are older than the one that the last page ended with."""
    current = await OBJECTS.get(tx, bucket.name, key)
    if current is None:
        return
    rank = await _rank_of(tx, current, version_id)
    if rank < current.rank and page.has_room():
        page.add(current, latest=True)
    await _older(tx, page, current, above=rank)


async def _rank_of(tx: ReadTx, current: Version, version_id: str) -> int:
    """Where a version stands, or stood before it was deleted."""
    if version_id == current.version_id:
        return current.rank
    if version_id == NULL:
        return current.null_rank
    return -sequence_of(version_id)


async def _older(tx: ReadTx, page: Page, current: Version, *, above: int | None = None) -> None:
    room = page.limit - len(page.rows) - len(page.prefixes)
    bounds = None if above is None else (above,)
    rows = await NONCURRENT.scan(tx, current.bucket, current.key, above=bounds, limit=room + 1)
    for row in rows:
        if not page.has_room():
            return
        page.add(row, latest=False)


async def _fill(
    tx: ReadTx, page: Page, bucket: Bucket, prefix: str, delimiter: str, marker: str
) -> None:
    """Add all that comes behind the key (or common prefix) ``marker``."""
    keys = KeyRange(OBJECTS, bucket.name)
    start, stop = keys.beginning(prefix)
    if marker:
        common = common_prefix(marker, prefix, delimiter) if marker.startswith(prefix) else None
        start = max(start, keys.past(marker) if common is None else keys.beginning(common)[1])
    while not page.truncated:
        found = await tx.scan(start, stop, limit=_CHUNK)
        skip_to = b""
        for packed, _ in found:
            if packed < skip_to:
                continue
            key = keys.key_of(packed)
            if not page.has_room():
                return
            common = common_prefix(key, prefix, delimiter)
            if common is not None:
                page.prefixes.append(common)
                page.last = common
                start = skip_to = keys.beginning(common)[1]
                continue
            current = await OBJECTS.get(tx, bucket.name, key)
            if current is not None:
                page.add(current, latest=True)
                if bucket.versioning:
                    await _older(tx, page, current)
            start = keys.past(key)
            if page.truncated:
                return
        if len(found) < _CHUNK:
            return


def _shown(
    bucket: Bucket, page: Page, encoding: str | None, *, markers: bool
) -> list[dict[str, Any]]:
    entries = []
    for row, latest in page.rows:
        if row.marker is not markers:
            continue
        entry: dict[str, Any] = {
            "Key": shown(row.key, encoding),
            "VersionId": row.version_id,
            "IsLatest": latest,
            "LastModified": row.modified_at,
            "Owner": owner(bucket.account),
        }
        if not markers:
            entry |= {
                "ETag": f'"{row.etag}"',
                "Size": row.size,
                "StorageClass": row.storage_class,
                "ChecksumAlgorithm": [row.checksum_algorithm],
                "ChecksumType": row.checksum_type,
            }
        entries.append(entry)
    return entries
