"""Listing the objects of a bucket: ListObjects and ListObjectsV2.

With a delimiter the scan skips: once a key has opened a common prefix, it goes on behind all keys
that share the prefix, however many they are.
"""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.checksums import ALGORITHMS
from skyfold.services.s3.engine.listing import check_encoding, common_prefix, page_size, shown
from skyfold.services.s3.errors import InvalidArgument
from skyfold.services.s3.limits import PAGE_KEYS_MAX
from skyfold.services.s3.operations.entry import Request, enter, owner
from skyfold.services.s3.tables import LISTING, Bucket, KeyRange, decode_listed
from skyfold.store.api import Pair, ReadTx

_FIRST_CHUNK = 32
_ALGORITHM_LISTS = {name: [name] for name in ALGORITHMS}


class Page:
    """What one page of a listing holds."""

    __slots__ = ("last", "objects", "prefixes", "truncated")

    def __init__(self) -> None:
        self.objects: list[Pair] = []
        self.prefixes: list[str] = []
        self.truncated = False
        self.last = ""
        """The last key or common prefix: where the next page goes on."""


async def scan_page(
    tx: ReadTx, bucket: str, prefix: str, delimiter: str, above: str, limit: int
) -> Page:
    """Up to ``limit`` objects and common prefixes behind ``above``."""
    keys = KeyRange(LISTING, bucket)
    start, stop = keys.beginning(prefix)
    if above:
        start = max(start, _behind(keys, prefix, delimiter, above))
    page = Page()
    if limit == 0:
        return page
    if not delimiter:
        found = await tx.scan(start, stop, limit=limit + 1)
        page.truncated = len(found) > limit
        page.objects = found[:limit]
        if page.objects:
            page.last = keys.key_of(page.objects[-1][0])
        return page
    chunk = min(_FIRST_CHUNK, limit + 1)
    while True:
        found = await tx.scan(start, stop, limit=chunk)
        start = _collect(page, keys, found, prefix, delimiter, limit)
        if page.truncated or len(found) < chunk:
            return page
        chunk = min(chunk * 2, limit + 1)


def _behind(keys: KeyRange, prefix: str, delimiter: str, above: str) -> bytes:
    """Where a listing goes on behind the key or common prefix ``above``.

    A common prefix stands for all its keys; S3 passes them over too where ``above`` is one of them.
    """
    common = common_prefix(above, prefix, delimiter) if above.startswith(prefix) else None
    return keys.past(above) if common is None else keys.beginning(common)[1]


def _collect(
    page: Page, keys: KeyRange, found: list[Pair], prefix: str, delimiter: str, limit: int
) -> bytes:
    """Add a chunk to the page; returns where the next chunk begins."""
    skip_to = b""
    after = b""
    for pair in found:
        if pair[0] < skip_to:
            continue
        if len(page.objects) + len(page.prefixes) == limit:
            page.truncated = True
            return b""
        key = keys.key_of(pair[0])
        common = common_prefix(key, prefix, delimiter)
        if common is None:
            page.objects.append(pair)
            page.last = key
            after = pair[0] + b"\0"
        else:
            page.prefixes.append(common)
            page.last = common
            after = skip_to = keys.beginning(common)[1]
    return after


def _contents(
    page: Page, bucket: Bucket, encoding: str | None, *, with_owner: bool
) -> list[dict[str, Any]]:
    """The objects of a page as the reply shows them. A thousand at a time, so with few calls."""
    keys = KeyRange(LISTING, bucket.name).keys_of([packed for packed, _ in page.objects])
    rows = [decode_listed(value) for _, value in page.objects]
    contents: list[dict[str, Any]] = [
        {
            "Key": key,
            "LastModified": modified_at,
            "ETag": etag,
            "ChecksumAlgorithm": _ALGORITHM_LISTS[algorithm],
            "ChecksumType": kind,
            "Size": size,
            "StorageClass": storage_class,
        }
        for key, (etag, size, modified_at, storage_class, algorithm, kind) in zip(
            keys, rows, strict=True
        )
    ]
    if encoding is not None:
        for entry in contents:
            entry["Key"] = shown(entry["Key"], encoding)
    if with_owner:
        holder = owner(bucket.account)
        for entry in contents:
            entry["Owner"] = holder
    return contents


def list_context(request: Request) -> dict[str, Any]:
    """The condition keys of a listing."""
    context: dict[str, Any] = {"s3:prefix": request.get("Prefix", "")}
    if "Delimiter" in request:
        context["s3:delimiter"] = request["Delimiter"]
    if "MaxKeys" in request:
        context["s3:max-keys"] = request["MaxKeys"]
    return context


async def list_objects(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:ListBucket", context=list_context(request))
    encoding = request.get("EncodingType")
    check_encoding(encoding)
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    marker = request.get("Marker", "")
    limit = page_size(request.get("MaxKeys"), "maxKeys", PAGE_KEYS_MAX)
    page = await scan_page(tx, bucket.name, prefix, delimiter, marker, limit)
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(
        Name=bucket.name,
        Prefix=shown(prefix, encoding),
        Marker=shown(marker, encoding),
        MaxKeys=limit,
        IsTruncated=page.truncated,
        EncodingType=encoding,
        Delimiter=shown(delimiter, encoding) if delimiter else None,
        NextMarker=shown(page.last, encoding) if page.truncated and delimiter else None,
        Contents=_contents(page, bucket, encoding, with_owner=True) or None,
        CommonPrefixes=common_prefixes(page.prefixes, encoding),
    )


async def list_objects_v2(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:ListBucket", context=list_context(request))
    encoding = request.get("EncodingType")
    check_encoding(encoding)
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    limit = page_size(request.get("MaxKeys"), "maxKeys", PAGE_KEYS_MAX)
    resumed = request.get("ContinuationToken")
    start_after = request.get("StartAfter", "")
    above = start_after if resumed is None else _resumed(resumed, bucket.name)
    page = await scan_page(tx, bucket.name, prefix, delimiter, above, limit)
    call.meter("Requests-Tier1", resource=bucket.name)
    with_owner = bool(request.get("FetchOwner", False))
    return reply(
        Name=bucket.name,
        Prefix=shown(prefix, encoding),
        MaxKeys=limit,
        KeyCount=len(page.objects) + len(page.prefixes),
        IsTruncated=page.truncated,
        EncodingType=encoding,
        Delimiter=shown(delimiter, encoding) if delimiter else None,
        StartAfter=shown(start_after, encoding) if start_after else None,
        ContinuationToken=resumed,
        NextContinuationToken=(
            token("s3.objects", bucket.name, page.last) if page.truncated else None
        ),
        Contents=_contents(page, bucket, encoding, with_owner=with_owner) or None,
        CommonPrefixes=common_prefixes(page.prefixes, encoding),
    )


def common_prefixes(prefixes: list[str], encoding: str | None) -> list[dict[str, str]] | None:
    return [{"Prefix": shown(prefix, encoding)} for prefix in prefixes] or None


def _resumed(text: str, bucket: str) -> str:
    try:
        where, last = position("s3.objects", text)
    except (BadToken, ValueError) as bad:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from bad
    if where != bucket:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        )
    return str(last)
