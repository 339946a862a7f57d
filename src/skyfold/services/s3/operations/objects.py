"""Writing and reading whole objects: PutObject, GetObject, HeadObject, GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.kernel.wire.timestamps import to_http_date
from skyfold.services.s3.engine import conditions, ranges, tagging
from skyfold.services.s3.engine.names import check_key
from skyfold.services.s3.errors import (
    InvalidArgument,
    InvalidPartNumber,
    InvalidRequest,
    MetadataTooLarge,
)
from skyfold.services.s3.limits import METADATA_BYTES_MAX, PAGE_KEYS_MAX
from skyfold.services.s3.operations import bodies, encryption, events, expiry, versions
from skyfold.services.s3.operations.bodies import Received
from skyfold.services.s3.operations.entry import (
    Request,
    check_write_parameters,
    enter,
    find,
    refuse_customer_keys,
    write_context,
)
from skyfold.services.s3.tables import (
    CONTENTS,
    NULL,
    OBJECTS,
    Bucket,
    Content,
    Part,
    Version,
)
from skyfold.store.api import ReadTx, Tx

DEFAULT_TYPE = "binary/octet-stream"
HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
)
"""What an object keeps of the headers it came with, and gives back."""
_HEADER_SET = frozenset(HEADERS)
_DEFAULT_HEADERS = {"ContentType": DEFAULT_TYPE}
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
_OVERRIDE_SET = frozenset(_OVERRIDES)
_PARTIAL = frozenset(("Range", "PartNumber"))


async def put_object(call: Call, request: Request) -> Any:
    return await store_object(call, request, "ObjectCreated:Put")


async def store_object(call: Call, request: Request, event: str) -> Any:
    """PutObject, announced as ``event``."""
    conditions.check_write_form(request)
    check_key(request["Key"])
    body = request.get("Body", b"")
    if not isinstance(body, bytes):  # before a long body is taken in
        await call.read(_enter_put, call, request)
    received = await bodies.receive(call, request)
    return await call.write(_put, call, request, received, event)


async def _enter_put(tx: ReadTx, call: Call, request: Request) -> tuple[Bucket, Call]:
    context = write_context(request)
    if "Tagging" in request:
        context |= tag_context(tagging.from_header(request["Tagging"]))
    bucket, there = await enter(tx, call, request, "s3:PutObject", request["Key"], context)
    if "Tagging" in request:
        arn = f"{bucket.arn}/{request['Key']}"
        await there.allowed(tx, "s3:PutObjectTagging", arn, context)
    check_write_parameters(bucket, request)
    return bucket, there


def tag_context(tags: tagging.Tags) -> dict[str, Any]:
    """The condition keys of tags that a request sets."""
    context: dict[str, Any] = {f"s3:RequestObjectTag/{key}": value for key, value in tags}
    context["s3:RequestObjectTagKeys"] = [key for key, _ in tags]
    return context


async def _put(tx: Tx, call: Call, request: Request, body: Received, event: str) -> Any:
    bucket, call = await _enter_put(tx, call, request)
    key = request["Key"]
    old = await OBJECTS.get(tx, bucket.name, key)
    conditions.check_write(request, key, old)
    rank, version_id = versions.next_place(call, bucket, old)
    encrypted = await encryption.of_write(tx, call, bucket, request)
    row = Version(
        bucket=bucket.name,
        key=key,
        rank=rank,
        version_id=version_id,
        modified_at=versions.seconds(call.now),
        etag=body.etag,
        size=body.size,
        in_blobs=bool(body.segments),
        storage_class=request.get("StorageClass", "STANDARD"),
        checksum_algorithm=body.algorithm,
        checksum=body.checksum,
        checksum_type="FULL_OBJECT",
        headers={**kept_headers(request), **encryption.kept(encrypted)},
        metadata=kept_metadata(request),
        tags=tagging.from_header(request["Tagging"]) if "Tagging" in request else (),
    )
    content = bodies.content_of(call, bucket, key, version_id, body)
    row = await versions.put(tx, call, old, row, content)
    if bucket.notifies:
        await events.notify(tx, call, bucket, event, row)
    expiration = await expiry.header(tx, bucket, row) if bucket.has_lifecycle else None
    call.meter("Requests-Tier1", resource=bucket.name)
    answer = {
        "ETag": f'"{row.etag}"',
        f"Checksum{row.checksum_algorithm}": row.checksum,
        "ChecksumType": row.checksum_type,
        **encrypted,
    }
    if version_id != NULL:
        answer["VersionId"] = version_id
    if expiration is not None:
        answer["Expiration"] = expiration
    return answer


def kept_headers(request: Request) -> Mapping[str, Any]:
    """The headers an object is to be given back with."""
    if _HEADER_SET.isdisjoint(request):
        return _DEFAULT_HEADERS
    kept = {name: request[name] for name in HEADERS if name in request}
    encoding = kept.get("ContentEncoding")
    if encoding is not None and "aws-chunked" in encoding:  # how it was sent, not what it is
        codings = [coding.strip() for coding in encoding.split(",")]
        kept["ContentEncoding"] = ",".join(c for c in codings if c != "aws-chunked")
    if not kept.get("ContentEncoding", "-"):
        del kept["ContentEncoding"]
    if not kept.get("ContentType"):
        kept["ContentType"] = DEFAULT_TYPE
    return kept


def kept_metadata(request: Request) -> Mapping[str, str]:
    metadata = request.get("Metadata")
    if not metadata:
        return {}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(METADATA_BYTES_MAX))
    return {name.lower(): value for name, value in metadata.items()}


async def get_object(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call, row = await read_version(tx, call, request)
    conditions.check_read(request, row, call.now)
    content = await CONTENTS.get(tx, row.bucket, row.key, row.version_id)
    assert content is not None, f"{row.bucket}/{row.key} has lost its content"
    answer, start, stop = await _described(tx, bucket, row, request, content)
    answer["Body"] = bodies.slice_of(call, bucket, content, start, stop)
    call.meter("Requests-Tier2", resource=bucket.name)
    call.meter("DataTransfer-Out-Bytes", stop - start, resource=bucket.name)
    return answer


async def head_object(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call, row = await read_version(tx, call, request, method="HEAD")
    conditions.check_read(request, row, call.now)
    content = None
    if row.parts_count and "PartNumber" in request:
        content = await CONTENTS.get(tx, row.bucket, row.key, row.version_id)
    answer, _, _ = await _described(tx, bucket, row, request, content)
    call.meter("Requests-Tier2", resource=bucket.name)
    return answer


async def read_version(
    tx: ReadTx,
    call: Call,
    request: Request,
    *,
    method: str = "GET",
    suffix: str = "",
) -> tuple[Bucket, Call, Version]:
    """The version that a read asks for, if its caller may read it.

    Who may not list the bucket does not learn that a key is not there.
    """
    bucket, there = await find(tx, call, request)
    refuse_customer_keys(request)
    if not _OVERRIDE_SET.isdisjoint(request) and call.principal.kind == "anonymous":
        raise InvalidRequest(
            "Request specific response headers cannot be used for anonymous GET requests."
        )
    key, version_id = request["Key"], request.get("VersionId")
    row: Version | None = None
    missing: Exception | None = None
    try:
        row = await versions.wanted(tx, bucket, key, version_id, method)
    except versions.ABSENT as error:
        missing = error
    context: dict[str, Any] = {}
    if version_id is not None:
        suffix = "Version" + suffix
        context["s3:VersionId"] = version_id
    if row is not None and row.tags:
        context |= existing_tags(row)
    await there.allowed(tx, "s3:GetObject" + suffix, f"{bucket.arn}/{key}", context)
    if row is None:
        assert missing is not None
        await there.allowed(tx, "s3:ListBucket", bucket.arn)
        raise missing
    return bucket, there, row


def existing_tags(row: Version) -> dict[str, Any]:
    return {f"s3:ExistingObjectTag/{key}": value for key, value in row.tags}


async def _described(
    tx: ReadTx, bucket: Bucket, row: Version, request: Request, content: Content | None
) -> tuple[dict[str, Any], int, int]:
    """The reply to a read but for its body, and which bytes that is."""
    start, stop = 0, row.size
    answer: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": row.modified_at,
        "ETag": f'"{row.etag}"',
        "Metadata": row.metadata,
        "ServerSideEncryption": "AES256",
        **row.headers,
    }
    whole = True
    if not _PARTIAL.isdisjoint(request):
        start, stop, whole = _part_or_range(row, request, content, answer)
    answer["ContentLength"] = stop - start
    if request.get("ChecksumMode") == "ENABLED":
        _add_checksum(answer, row, request, content, whole=whole)
    if bucket.versioning:
        answer["VersionId"] = row.version_id
    if row.storage_class != "STANDARD":
        answer["StorageClass"] = row.storage_class
    if row.tags:
        answer["TagCount"] = len(row.tags)
    if not _OVERRIDE_SET.isdisjoint(request):
        answer |= {_OVERRIDES[n]: request[n] for n in _OVERRIDES if n in request}
        if "ResponseExpires" in request:
            answer["Expires"] = to_http_date(request["ResponseExpires"])
    if bucket.has_lifecycle and "VersionId" not in request:
        expiration = await expiry.header(tx, bucket, row)
        if expiration is not None:
            answer["Expiration"] = expiration
    return answer, start, stop


def _part_or_range(
    row: Version, request: Request, content: Content | None, answer: dict[str, Any]
) -> tuple[int, int, bool]:
    """Which bytes a read is for; adds ContentRange, which makes the reply a 206."""
    number = request.get("PartNumber")
    if number is not None:
        if "Range" in request:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        start, stop = _part_range(row, content, number)
        if row.parts_count:
            answer["PartsCount"] = row.parts_count
        if row.size:
            answer["ContentRange"] = f"bytes {start}-{stop - 1}/{row.size}"
        return start, stop, not row.parts_count
    found = ranges.requested(request["Range"], row.size)
    if found is None:
        return 0, row.size, True
    answer["ContentRange"] = f"bytes {found[0]}-{found[1] - 1}/{row.size}"
    return found[0], found[1], False


def _part_range(row: Version, content: Content | None, number: int) -> tuple[int, int]:
    if number < 1:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    parts = content.parts if content is not None else ()
    if not row.parts_count:
        parts = (Part(number=1, size=row.size),)
    at = 0
    for part in parts:
        if part.number == number:
            return at, at + part.size
        at += part.size
    raise InvalidPartNumber(
        PartNumberRequested=str(number), ActualPartCount=str(max(row.parts_count, 1))
    )


def _add_checksum(
    answer: dict[str, Any],
    row: Version,
    request: Request,
    content: Content | None,
    *,
    whole: bool,
) -> None:
    """The checksum of what is sent: of all of it, or of the part that was asked for."""
    if not row.checksum:
        return
    name = f"Checksum{row.checksum_algorithm}"
    if whole:
        answer[name] = row.checksum
        answer["ChecksumType"] = row.checksum_type
    elif "PartNumber" in request and content is not None:
        checksum = next(p.checksum for p in content.parts if p.number == request["PartNumber"])
        if checksum and (row.checksum_type == "COMPOSITE" or row.parts_count == 1):
            answer[name] = checksum
            answer["ChecksumType"] = row.checksum_type


async def get_object_attributes(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call, row = await read_version(tx, call, request)
    version = "Version" if "VersionId" in request else ""
    arn = f"{bucket.arn}/{row.key}"
    await call.allowed(tx, f"s3:GetObject{version}Attributes", arn, existing_tags(row))
    asked = set(request["ObjectAttributes"])
    unknown = asked - {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    if unknown:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=min(unknown),
        )
    checksum = parts = None
    if "Checksum" in asked and row.checksum:
        value = row.checksum.partition("-")[0]
        checksum = {f"Checksum{row.checksum_algorithm}": value, "ChecksumType": row.checksum_type}
    if "ObjectParts" in asked and row.parts_count:
        parts = await _object_parts(tx, row, request)
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(
        LastModified=row.modified_at,
        VersionId=versions.shown(bucket, row),
        ETag=row.etag if "ETag" in asked else None,
        Checksum=checksum,
        ObjectParts=parts,
        StorageClass=row.storage_class if "StorageClass" in asked else None,
        ObjectSize=row.size if "ObjectSize" in asked else None,
    )


async def _object_parts(tx: ReadTx, row: Version, request: Request) -> dict[str, Any]:
    """The parts of an object; one by one only where each of them has a checksum of its own."""
    if row.checksum_type != "COMPOSITE":
        return {"TotalPartsCount": row.parts_count}
    content = await CONTENTS.get(tx, row.bucket, row.key, row.version_id)
    parts = content.parts if content is not None else ()
    marker = int(request.get("PartNumberMarker") or 0)
    limit = min(request.get("MaxParts", PAGE_KEYS_MAX), PAGE_KEYS_MAX)
    later = [part for part in parts if part.number > marker]
    page = later[:limit]
    answer = {
        "TotalPartsCount": row.parts_count,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1].number if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(later) > limit,
    }
    if page:
        name = f"Checksum{row.checksum_algorithm}"
        answer["Parts"] = [{"PartNumber": p.number, "Size": p.size, name: p.checksum} for p in page]
    return answer
