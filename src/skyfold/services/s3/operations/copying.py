"""Copies: CopyObject and UploadPartCopy. Blobs are held once more, never copied.

Where a reply needs a digest that the source does not have (the MD5 of a multipart object, another
checksum, a range), the bytes are read once, outside of the transaction, which then makes sure that
the source is still what was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine import checksums, conditions, ranges, tagging
from skyfold.services.s3.engine.names import check_key
from skyfold.services.s3.errors import InvalidArgument, InvalidRequest, MethodNotAllowed
from skyfold.services.s3.limits import PUT_BYTES_MAX
from skyfold.services.s3.operations import (
    bodies,
    encryption,
    events,
    expiry,
    multipart,
    objects,
    versions,
)
from skyfold.services.s3.operations.bodies import Received
from skyfold.services.s3.operations.entry import (
    Request,
    check_write_parameters,
    enter,
    refuse_customer_keys,
    write_context,
)
from skyfold.services.s3.tables import CONTENTS, OBJECTS, Bucket, Content, Version
from skyfold.store.api import ReadTx, Tx

_ILLEGAL = (
    "This copy request is illegal because it is trying to copy an object to itself without changing"
    " the object's metadata, storage class, website redirect location or encryption attributes."
)
_CHANGES = frozenset(("StorageClass", "ServerSideEncryption", "WebsiteRedirectLocation"))


class Source(NamedTuple):
    """What is copied, and the bucket it is in."""

    bucket: Bucket
    row: Version
    content: Content

    def same(self, other: Source) -> bool:
        return self.row == other.row and self.content.holder == other.content.holder


class PartSource(NamedTuple):
    """A source of which a range is to become a part, with the upload's checksum algorithm."""

    source: Source
    algorithm: str


class Digested(NamedTuple):
    """The digests of a source that had to be read."""

    source: Source
    body: Received


def _parsed(copy_source: str) -> dict[str, str]:
    """Bucket, key and version id in x-amz-copy-source."""
    path, _, query = copy_source.partition("?versionId=")
    bucket, _, key = path.removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue="x-amz-copy-source",
        )
    named = {"Bucket": unquote(bucket), "Key": unquote(key)}
    return named | ({"VersionId": unquote(query)} if query else {})


async def _source(tx: ReadTx, call: Call, request: Request) -> Source:
    """The source of a copy, if the caller may read it and its conditions hold."""
    named = _parsed(request["CopySource"])
    if "ExpectedSourceBucketOwner" in request:
        named["ExpectedBucketOwner"] = request["ExpectedSourceBucketOwner"]
    try:
        bucket, _, row = await objects.read_version(tx, call, named)
    except MethodNotAllowed as marker:
        raise InvalidRequest(
            "The source of a copy request may not specifically refer to a delete marker by"
            " version id."
        ) from marker
    conditions.check_copy_source(request, row, call.now)
    content = await CONTENTS.get(tx, row.bucket, row.key, row.version_id)
    assert content is not None, f"{row.bucket}/{row.key} has lost its content"
    return Source(bucket, row, content)


async def copy_object(call: Call, request: Request) -> Any:
    check_key(request["Key"])
    conditions.check_write_form(request)
    _check_directives(request)
    digested: Digested | None = None
    while True:
        outcome = await call.write(_copy, call, request, digested)
        if not isinstance(outcome, Source):
            return outcome
        digested = await _digest(call, request, outcome)


def _check_directives(request: Request) -> None:
    for member, kind in (("MetadataDirective", "metadata"), ("TaggingDirective", "tagging")):
        if request.get(member, "COPY") not in ("COPY", "REPLACE"):
            raise InvalidArgument(
                f"Unknown {kind} directive.",
                ArgumentName=f"x-amz-{kind}-directive",
                ArgumentValue=request[member],
            )
    if "ChecksumAlgorithm" in request:
        checksums.supported(request["ChecksumAlgorithm"])


async def _copy(tx: Tx, call: Call, request: Request, digested: Digested | None) -> Any:
    """The reply; or the source, where its bytes have to be read for digests first."""
    key = request["Key"]
    context = _copy_context(request)
    bucket, there = await enter(tx, call, request, "s3:PutObject", key, context)
    check_write_parameters(bucket, request)
    source = await _source(tx, call, request)
    row = source.row
    _check_self_copy(request, bucket, row)
    if row.size > PUT_BYTES_MAX:
        raise InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy"
            f" source: {PUT_BYTES_MAX}"
        )
    tags = row.tags
    if request.get("TaggingDirective") == "REPLACE":
        tags = tagging.from_header(request.get("Tagging", ""))
    if tags:
        context |= objects.tag_context(tags)
        await there.allowed(tx, "s3:PutObjectTagging", f"{bucket.arn}/{key}", context)
    current = await OBJECTS.get(tx, bucket.name, key)
    conditions.check_write(request, key, current)
    body = _body(request, source, digested)
    if body is None:
        return source
    rank, version_id = versions.next_place(there, bucket, current)
    encrypted = await encryption.of_write(tx, there, bucket, request)
    new = Version(
        bucket=bucket.name,
        key=key,
        rank=rank,
        version_id=version_id,
        modified_at=versions.seconds(call.now),
        etag=body.etag,
        size=body.size,
        in_blobs=row.in_blobs,
        storage_class=request.get("StorageClass", "STANDARD"),
        checksum_algorithm=body.algorithm,
        checksum=body.checksum,
        checksum_type="FULL_OBJECT",
        headers={**encryption.without(_headers(request, row)), **encryption.kept(encrypted)},
        metadata=objects.kept_metadata(request) if _replaces(request) else row.metadata,
        tags=tags,
    )
    content = bodies.content_of(there, bucket, key, version_id, body)
    new = await versions.put(tx, there, current, new, content)
    await events.notify(tx, there, bucket, "ObjectCreated:Copy", new)
    there.meter("Requests-Tier1", resource=bucket.name)
    return await _copied(tx, bucket, source, new)


def _copy_context(request: Request) -> dict[str, Any]:
    context = write_context(request)
    context["s3:x-amz-copy-source"] = request["CopySource"]
    if "MetadataDirective" in request:
        context["s3:x-amz-metadata-directive"] = request["MetadataDirective"]
    return context


def _replaces(request: Request) -> bool:
    return bool(request.get("MetadataDirective") == "REPLACE")


def _check_self_copy(request: Request, bucket: Bucket, row: Version) -> None:
    if (row.bucket, row.key) != (bucket.name, request["Key"]) or "?versionId=" in (
        request["CopySource"]
    ):
        return
    if not _replaces(request) and _CHANGES.isdisjoint(request):
        raise InvalidRequest(_ILLEGAL)


def _headers(request: Request, row: Version) -> Mapping[str, Any]:
    """The headers of the copy; a redirect is never copied."""
    if _replaces(request):
        return objects.kept_headers(request)
    kept = {name: v for name, v in row.headers.items() if name != "WebsiteRedirectLocation"}
    if "WebsiteRedirectLocation" in request:
        kept["WebsiteRedirectLocation"] = request["WebsiteRedirectLocation"]
    return kept


def _body(request: Request, source: Source, digested: Digested | None) -> Received | None:
    """The bytes of the source as a new body, if all its digests are known."""
    row, content = source.row, source.content
    algorithm = request.get("ChecksumAlgorithm") or row.checksum_algorithm or checksums.DEFAULT
    known = not row.parts_count and algorithm == row.checksum_algorithm
    if row.in_blobs:
        if digested is not None and digested.source.same(source):
            return digested.body
        if not known:
            return None
        return Received(
            size=row.size,
            etag=row.etag,
            algorithm=algorithm,
            checksum=row.checksum,
            segments=content.segments,
        )
    data = bodies.plain(source.bucket, content)
    return Received(
        size=row.size,
        etag=row.etag,
        algorithm=algorithm,
        checksum=row.checksum if known else checksums.checksum_of(algorithm, data),
        data=data,
    )


async def _digest(call: Call, request: Request, source: Source) -> Digested:
    row = source.row
    algorithm = request.get("ChecksumAlgorithm") or row.checksum_algorithm or checksums.DEFAULT
    pieces = bodies.pieces_of(call, source.content.segments)
    etag, sums = await _read_through(pieces, {algorithm})
    return Digested(
        source,
        Received(
            size=row.size,
            etag=etag,
            algorithm=algorithm,
            checksum=sums[algorithm],
            segments=source.content.segments,
        ),
    )


async def _read_through(
    pieces: AsyncIterator[bytes], algorithms: set[str]
) -> tuple[str, dict[str, str]]:
    md5 = hashlib.md5(usedforsecurity=False)
    digests = {name: checksums.Digest(name) for name in algorithms}
    async for piece in pieces:
        md5.update(piece)
        for digest in digests.values():
            digest.update(piece)
    return md5.hexdigest(), {name: digest.value() for name, digest in digests.items()}


async def _copied(tx: Tx, bucket: Bucket, source: Source, new: Version) -> Any:
    result = {
        "ETag": f'"{new.etag}"',
        "LastModified": new.modified_at,
        f"Checksum{new.checksum_algorithm}": new.checksum,
        "ChecksumType": new.checksum_type,
    }
    return reply(
        CopyObjectResult=result,
        CopySourceVersionId=versions.shown(source.bucket, source.row),
        VersionId=versions.shown(bucket, new),
        Expiration=await expiry.header(tx, bucket, new),
        **encryption.of_object(new.headers),
    )


async def upload_part_copy(call: Call, request: Request) -> Any:
    multipart.check_part_number(request)
    refuse_customer_keys(request)
    digested: Digested | None = None
    while True:
        outcome = await call.write(_copy_part, call, request, digested)
        if not isinstance(outcome, PartSource):
            return outcome
        digested = await _digest_part(call, request, outcome)


async def _copy_part(tx: Tx, call: Call, request: Request, digested: Digested | None) -> Any:
    """The reply; or what to read for digests first."""
    bucket, there, upload = await multipart.enter_part(tx, call, request)
    source = await _source(tx, call, request)
    if digested is None or not digested.source.same(source):
        return PartSource(source, upload.checksum_algorithm)
    body = digested.body
    await multipart.keep_part(tx, there, upload, request["PartNumber"], body)
    there.meter("Requests-Tier1", resource=bucket.name)
    result: dict[str, Any] = {
        "ETag": f'"{body.etag}"',
        "LastModified": versions.seconds(call.now),
    }
    if body.algorithm:
        result[f"Checksum{body.algorithm}"] = body.checksum
    return reply(
        CopyPartResult=result,
        CopySourceVersionId=versions.shown(source.bucket, source.row),
        **encryption.of_object(upload.headers),
    )


async def _digest_part(call: Call, request: Request, wanted: PartSource) -> Digested:
    """Read the range that becomes a part; a range of a row of the store becomes a blob."""
    source, algorithm = wanted
    start, stop = 0, source.row.size
    if "CopySourceRange" in request:
        start, stop = ranges.of_copy(request["CopySourceRange"], source.row.size)
    segments = bodies.cut(source.content.segments, start, stop)
    if not source.row.in_blobs:
        data = bodies.plain(source.bucket, source.content)[start:stop]
        segments = (await bodies.store(call, bodies.one_piece(data)),)
    pieces = bodies.pieces_of(call, segments)
    etag, sums = await _read_through(pieces, {algorithm or checksums.DEFAULT})
    body = Received(
        size=stop - start,
        etag=etag,
        algorithm=algorithm,
        checksum=sums.get(algorithm, ""),
        crc64nvme="" if algorithm else sums[checksums.DEFAULT],
        segments=segments,
    )
    return Digested(source, body)
