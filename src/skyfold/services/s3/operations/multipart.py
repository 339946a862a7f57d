"""Multipart uploads: parts come in any order and become an object without being copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine import checksums, conditions, tagging
from skyfold.services.s3.engine.names import canonical_id, check_key
from skyfold.services.s3.errors import (
    ConditionalRequestConflict,
    HeaderNotImplemented,
    InvalidArgument,
    InvalidRequest,
    NoSuchUpload,
)
from skyfold.services.s3.limits import PAGE_KEYS_MAX, PART_NUMBER_MAX
from skyfold.services.s3.operations import bodies, encryption, events, expiry, versions
from skyfold.services.s3.operations.bodies import Received
from skyfold.services.s3.operations.entry import (
    Request,
    check_write_parameters,
    enter,
    owner,
    refuse_customer_keys,
    write_context,
)
from skyfold.services.s3.operations.objects import kept_headers, kept_metadata, tag_context
from skyfold.services.s3.operations.parts import Assembled, assembled
from skyfold.services.s3.tables import (
    OBJECTS,
    PARTS,
    UPLOADS,
    Bucket,
    Upload,
    UploadedPart,
    Version,
)
from skyfold.store.api import ReadTx, Tx


async def create_multipart_upload(tx: Tx, call: Call, request: Request) -> Any:
    key = request["Key"]
    check_key(key)
    context = write_context(request)
    tags = tagging.from_header(request["Tagging"]) if "Tagging" in request else ()
    bucket, call = await enter(tx, call, request, "s3:PutObject", key, context)
    if tags:
        arn = f"{bucket.arn}/{key}"
        await call.allowed(tx, "s3:PutObjectTagging", arn, context | tag_context(tags))
    check_write_parameters(bucket, request)
    algorithm = request.get("ChecksumAlgorithm", "")
    if algorithm:
        checksums.supported(algorithm)
    asked_type = request.get("ChecksumType")
    kind = checksums.type_of_upload(algorithm, asked_type) if algorithm or asked_type else ""
    encrypted = await encryption.of_write(tx, call, bucket, request)
    upload = Upload(
        bucket=bucket.name,
        key=key,
        upload_id=_new_upload_id(call),
        initiated_at=versions.seconds(call.now),
        initiator=call.principal.caller_arn or canonical_id("anonymous"),
        initiator_name=call.principal.name,
        storage_class=request.get("StorageClass", "STANDARD"),
        checksum_algorithm=algorithm,
        checksum_type=kind,
        headers={**kept_headers(request), **encryption.kept(encrypted)},
        metadata=kept_metadata(request),
        tags=tags,
    )
    UPLOADS.put(tx, upload)
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(
        Bucket=bucket.name,
        Key=key,
        UploadId=upload.upload_id,
        ChecksumAlgorithm=algorithm or None,
        ChecksumType=kind or None,
        **encrypted,
    )


def _new_upload_id(call: Call) -> str:
    """Opaque, and in the order of initiation, which is the order of listings."""
    return f"{call.now:011x}.{call.platform.ids.hex(84)}"


async def _upload(tx: ReadTx, bucket: Bucket, request: Request) -> Upload:
    upload_id = request["UploadId"]
    upload = await UPLOADS.get(tx, bucket.name, request["Key"], upload_id)
    if upload is None:
        raise NoSuchUpload(UploadId=upload_id)
    return upload


def check_part_number(request: Request) -> None:
    if not 1 <= request["PartNumber"] <= PART_NUMBER_MAX:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(request["PartNumber"]),
        )


async def enter_part(tx: ReadTx, call: Call, request: Request) -> tuple[Bucket, Call, Upload]:
    """What every upload of a part asks first."""
    bucket, there = await enter(tx, call, request, "s3:PutObject", request["Key"])
    refuse_customer_keys(request)
    return bucket, there, await _upload(tx, bucket, request)


async def upload_part(call: Call, request: Request) -> Any:
    check_part_number(request)
    _, _, upload = await call.read(enter_part, call, request)
    wanted = checksums.wanted(request, call.headers)
    expected = upload.checksum_algorithm
    if expected and wanted is not None and wanted.algorithm != expected:
        raise InvalidRequest(
            "Checksum Type mismatch occurred, expected checksum Type:"
            f" {expected.lower()}, actual checksum Type: {wanted.algorithm.lower()}"
        )
    received = await bodies.receive(
        call, request, default=expected, also_crc64nvme=not expected, inline=False
    )
    return await call.write(_put_part, call, request, received)


async def _put_part(tx: Tx, call: Call, request: Request, body: Received) -> Any:
    bucket, call, upload = await enter_part(tx, call, request)
    await keep_part(tx, call, upload, request["PartNumber"], body)
    call.meter("Requests-Tier1", resource=bucket.name)
    answer = {"ETag": f'"{body.etag}"', **encryption.of_object(upload.headers)}
    if body.algorithm:
        answer[f"Checksum{body.algorithm}"] = body.checksum
    return answer


async def keep_part(tx: Tx, call: Call, upload: Upload, number: int, body: Received) -> None:
    """Make ``body`` part ``number`` of the upload, instead of what was that part before."""
    await _drop_part(tx, call, await PARTS.get(tx, upload.upload_id, number))
    part = UploadedPart(
        upload_id=upload.upload_id,
        number=number,
        modified_at=versions.seconds(call.now),
        etag=body.etag,
        size=body.size,
        holder=bodies.holder(call),
        segments=body.segments,
        checksum_algorithm=body.algorithm,
        checksum=body.checksum,
        crc64nvme=body.crc64nvme,
    )
    for blob in versions.blobs_of(part.segments):
        call.platform.blobs.hold(tx, blob, part.holder)
    PARTS.put(tx, part)


async def _drop_part(tx: Tx, call: Call, part: UploadedPart | None) -> None:
    if part is not None:
        versions.release(tx, call, part.segments, part.holder)
        PARTS.delete(tx, part.upload_id, part.number)


async def drop_upload(tx: Tx, call: Call, upload: Upload) -> None:
    """Forget an upload and its parts."""
    for part in await PARTS.scan(tx, upload.upload_id, limit=PART_NUMBER_MAX):
        await _drop_part(tx, call, part)
    UPLOADS.delete(tx, upload.bucket, upload.key, upload.upload_id)


async def abort_multipart_upload(tx: Tx, call: Call, request: Request) -> Any:
    if "IfMatchInitiatedTime" in request:  # directory buckets alone have it
        raise HeaderNotImplemented(Header="x-amz-if-match-initiated-time")
    bucket, call = await enter(tx, call, request, "s3:AbortMultipartUpload", request["Key"])
    await drop_upload(tx, call, await _upload(tx, bucket, request))
    return {}


async def complete_multipart_upload(tx: Tx, call: Call, request: Request) -> Any:
    key = request["Key"]
    conditions.check_write_form(request)
    bucket, call = await enter(tx, call, request, "s3:PutObject", key)
    refuse_customer_keys(request)
    current = await OBJECTS.get(tx, bucket.name, key)
    upload = await UPLOADS.get(tx, bucket.name, key, request["UploadId"])
    if upload is None:
        if current is not None and current.upload_id == request["UploadId"]:
            return _completed(call, bucket, current)  # it was, and its reply was lost
        raise NoSuchUpload(UploadId=request["UploadId"])
    kept = await PARTS.scan(tx, upload.upload_id, limit=PART_NUMBER_MAX)
    found = assembled(upload, kept, request)
    _check_conditions(request, upload, current)
    row = await _complete(tx, call, bucket, upload, current, found)
    await drop_upload(tx, call, upload)
    await events.notify(tx, call, bucket, "ObjectCreated:CompleteMultipartUpload", row)
    call.meter("Requests-Tier1", resource=bucket.name)
    expiration = await expiry.header(tx, bucket, row)
    return _completed(call, bucket, row) | reply(Expiration=expiration)


def _check_conditions(request: Request, upload: Upload, current: Version | None) -> None:
    conditions.check_write(request, upload.key, current)
    if (
        "IfMatch" in request
        and current is not None
        and current.sequence >> 20 >= upload_began(upload)
    ):
        raise ConditionalRequestConflict(Condition="If-Match", Key=upload.key)


def upload_began(upload: Upload) -> int:
    """The moment in an upload id, in full milliseconds."""
    return int(upload.upload_id.partition(".")[0], 16)


async def _complete(
    tx: Tx,
    call: Call,
    bucket: Bucket,
    upload: Upload,
    current: Version | None,
    found: Assembled,
) -> Version:
    rank, version_id = versions.next_place(call, bucket, current)
    row = Version(
        bucket=bucket.name,
        key=upload.key,
        rank=rank,
        version_id=version_id,
        modified_at=versions.seconds(call.now),
        etag=found.etag,
        size=found.size,
        in_blobs=True,
        storage_class=upload.storage_class,
        checksum_algorithm=found.algorithm,
        checksum=found.checksum,
        checksum_type=found.checksum_type,
        headers=upload.headers,
        metadata=upload.metadata,
        tags=upload.tags,
        parts_count=len(found.parts),
        upload_id=upload.upload_id,
    )
    content = bodies.held(call, bucket, upload.key, version_id, found.segments)
    content = versions.replace(content, parts=found.parts)
    return await versions.put(tx, call, current, row, content)


def _completed(call: Call, bucket: Bucket, row: Version) -> dict[str, Any]:
    return reply(
        Location=f"{call.endpoint}/{bucket.name}/{row.key}",
        Bucket=bucket.name,
        Key=row.key,
        ETag=f'"{row.etag}"',
        VersionId=versions.shown_of_write(row),
        ChecksumType=row.checksum_type,
        **{f"Checksum{row.checksum_algorithm}": row.checksum},
        **encryption.of_object(row.headers),
    )


async def list_parts(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:ListMultipartUploadParts", request["Key"])
    upload = await _upload(tx, bucket, request)
    marker = int(request.get("PartNumberMarker") or 0)
    limit = request.get("MaxParts", PAGE_KEYS_MAX)
    if limit < 0:
        raise InvalidArgument(
            "Argument max-parts must be an integer between 0 and 2147483647",
            ArgumentName="max-parts",
            ArgumentValue=str(limit),
        )
    limit = min(limit, PAGE_KEYS_MAX)
    found = await PARTS.scan(tx, upload.upload_id, above=(marker,), limit=limit + 1)
    page = found[:limit]
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(
        Bucket=bucket.name,
        Key=upload.key,
        UploadId=upload.upload_id,
        PartNumberMarker=marker,
        NextPartNumberMarker=page[-1].number if page else 0,
        MaxParts=limit,
        IsTruncated=len(found) > limit,
        Parts=[_shown_part(upload, part) for part in page] or None,
        Initiator=_initiator(upload),
        Owner=owner(bucket.account),
        StorageClass=upload.storage_class,
        ChecksumAlgorithm=upload.checksum_algorithm or None,
        ChecksumType=upload.checksum_type or None,
    )


def _shown_part(upload: Upload, part: UploadedPart) -> Mapping[str, Any]:
    shown: dict[str, Any] = {
        "PartNumber": part.number,
        "LastModified": part.modified_at,
        "ETag": f'"{part.etag}"',
        "Size": part.size,
    }
    if upload.checksum_algorithm:
        shown[f"Checksum{upload.checksum_algorithm}"] = part.checksum
    return shown


def _initiator(upload: Upload) -> dict[str, str]:
    return {"ID": upload.initiator, "DisplayName": upload.initiator_name}


def shown_upload(upload: Upload, key: str, account: str) -> dict[str, Any]:
    """An upload as ListMultipartUploads shows it."""
    return reply(
        UploadId=upload.upload_id,
        Key=key,
        Initiated=upload.initiated_at,
        StorageClass=upload.storage_class,
        Owner=owner(account),
        Initiator=_initiator(upload),
        ChecksumAlgorithm=upload.checksum_algorithm or None,
        ChecksumType=upload.checksum_type or None,
    )
