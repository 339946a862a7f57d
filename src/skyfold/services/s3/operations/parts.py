"""From the parts that a CompleteMultipartUpload lists to the object they make."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from skyfold.services.s3.engine import checksums
from skyfold.services.s3.errors import (
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
)
from skyfold.services.s3.limits import OBJECT_BYTES_MAX, PART_BYTES_MIN
from skyfold.services.s3.tables import Part, Segment, Upload, UploadedPart

Listed = Mapping[str, Any]


class Assembled(NamedTuple):
    """An object to be: all that follows from its parts."""

    etag: str
    size: int
    algorithm: str
    checksum: str
    checksum_type: str
    parts: tuple[Part, ...]
    segments: tuple[Segment, ...]


def assembled(
    upload: Upload, kept: Sequence[UploadedPart], request: Mapping[str, Any]
) -> Assembled:
    """The object of the parts that ``request`` lists, all of which must be as ``kept``."""
    listed = (request.get("MultipartUpload") or {}).get("Parts")
    if not listed:
        raise InvalidRequest("You must specify at least one part")
    numbers = [one.get("PartNumber", 0) for one in listed]
    if any(low >= high for low, high in itertools.pairwise(numbers)):
        raise InvalidPartOrder(UploadId=upload.upload_id)
    asked_type = request.get("ChecksumType")
    if asked_type and upload.checksum_type and asked_type != upload.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type} checksum mode. The complete"
            " request must use the same checksum mode."
        )
    by_number = {part.number: part for part in kept}
    chosen = [_chosen(upload, one, by_number.get(one.get("PartNumber", 0))) for one in listed]
    _check_sizes(chosen, request)
    algorithm, kind, checksum = _checksum(upload, chosen)
    given = checksums.given(request)
    if given is not None and given.algorithm == algorithm:
        _check_whole(given, checksum)
    return Assembled(
        etag=checksums.etag_of_parts([part.etag for part in chosen]),
        size=sum(part.size for part in chosen),
        algorithm=algorithm,
        checksum=checksum,
        checksum_type=kind,
        parts=tuple(
            Part(number=number, size=part.size, checksum=_kept(upload, part))
            for number, part in enumerate(chosen, 1)
        ),
        segments=tuple(segment for part in chosen for segment in part.segments),
    )


def _chosen(upload: Upload, listed: Listed, part: UploadedPart | None) -> UploadedPart:
    """The part that one entry of the list means."""
    number = listed.get("PartNumber", 0)
    etag = listed.get("ETag", "").strip('"')
    if part is None or part.etag != etag:
        raise _invalid(upload, number, etag)
    expected = upload.checksum_algorithm
    given = [name for name in checksums.ALGORITHMS if f"Checksum{name}" in listed]
    if upload.checksum_type == "COMPOSITE" and not given:
        raise InvalidRequest(
            f"The upload was created using a {expected.lower()} checksum. The complete request must"
            f" include the checksum for each part. It was missing for part {number} in the request."
        )
    for algorithm in given:
        if algorithm != (expected or part.checksum_algorithm or algorithm):
            raise BadDigest(
                f"The {algorithm.lower()} you specified for part {number} did not match what we"
                " received."
            )
        value = part.checksum or (part.crc64nvme if algorithm == checksums.DEFAULT else "")
        if value and listed[f"Checksum{algorithm}"] != value:
            raise _invalid(upload, number, etag)
    return part


def _invalid(upload: Upload, number: int, etag: str) -> InvalidPart:
    return InvalidPart(ETag=etag, PartNumber=str(number), UploadId=upload.upload_id)


def _check_sizes(chosen: Sequence[UploadedPart], request: Mapping[str, Any]) -> None:
    for part in chosen[:-1]:
        if part.size < PART_BYTES_MIN:
            raise EntityTooSmall(
                ETag=part.etag,
                PartNumber=str(part.number),
                ProposedSize=str(part.size),
                MinSizeAllowed=str(PART_BYTES_MIN),
            )
    size = sum(part.size for part in chosen)
    if size > OBJECT_BYTES_MAX:
        raise EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(OBJECT_BYTES_MAX))
    announced = request.get("MpuObjectSize")
    if announced is not None and int(announced) != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {announced} does not match what was"
            f" computed: {size}"
        )


def _checksum(upload: Upload, chosen: Sequence[UploadedPart]) -> tuple[str, str, str]:
    """Algorithm, type and value for the object."""
    algorithm = upload.checksum_algorithm
    if upload.checksum_type == "COMPOSITE":
        value = checksums.composite(algorithm, [part.checksum for part in chosen])
        return algorithm, "COMPOSITE", value
    algorithm = algorithm or checksums.DEFAULT
    sums = [(_kept(upload, part), part.size) for part in chosen]
    return algorithm, "FULL_OBJECT", checksums.joined(algorithm, sums)


def _kept(upload: Upload, part: UploadedPart) -> str:
    return part.checksum if upload.checksum_algorithm else part.crc64nvme


def _check_whole(given: checksums.Wanted, checksum: str) -> None:
    if given.value and given.value.partition("-")[0] != checksum.partition("-")[0]:
        raise BadDigest(
            f"The {given.algorithm.lower()} you specified did not match what we received."
        )
