"""The checksums of bodies: computing, checking, and joining those of parts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from skyfold.services.s3.errors import BadDigest, InvalidDigest, InvalidRequest

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
DEFAULT = "CRC64NVME"
"""What S3 adds where a request brings none."""
_CRC_MODELS = {"CRC32": "CRC32", "CRC32C": "CRC32-ISCSI", "CRC64NVME": "CRC64-NVME"}
_CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}
_MEMBERS = frozenset(
    f"Checksum{name}" for name in (*ALGORITHMS, "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128")
)
_UNSUPPORTED = (
    "Checksum algorithm provided is unsupported. Please try again with any of the valid types:"
    " [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
)


class Wanted(NamedTuple):
    """The checksum of a body: which, and the value the client sent if it sent one."""

    algorithm: str
    value: str = ""


@cache
def _crc(algorithm: str) -> Callable[[bytes, int], int]:
    if algorithm == "CRC32":
        return zlib.crc32
    found: Callable[[bytes, int], int] = _model(algorithm).calc
    return found


@cache
def _model(algorithm: str) -> Any:
    """The CRC as a native library has it, which is loaded when first needed."""
    import anycrc  # type: ignore[import-untyped]  # it has no types

    return anycrc.Model(_CRC_MODELS[algorithm])


class Digest:
    """A checksum in the making."""

    __slots__ = ("_algorithm", "_crc", "_sha", "_state")

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._state = 0
        self._crc = _crc(algorithm) if algorithm in _CRC_BYTES else None
        self._sha = None if self._crc else hashlib.new(algorithm, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        if self._crc is not None:
            self._state = self._crc(data, self._state)
        elif self._sha is not None:
            self._sha.update(data)

    def value(self) -> str:
        if self._sha is not None:
            return _base64(self._sha.digest())
        return _base64(self._state.to_bytes(_CRC_BYTES[self._algorithm]))


def checksum_of(algorithm: str, data: bytes) -> str:
    """The checksum of a whole body, in base64."""
    size = _CRC_BYTES.get(algorithm)
    if size is not None:
        return _base64(_crc(algorithm)(data, 0).to_bytes(size))
    return _base64(hashlib.new(algorithm, data, usedforsecurity=False).digest())


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def wanted(request: Mapping[str, Any], headers: Mapping[str, str]) -> Wanted | None:
    """The checksum that a request brings, in a member or announced as a trailer; else None."""
    found = given(request)
    if found is not None:
        algorithm = found.algorithm
        if not _well_formed(algorithm, found.value):
            raise InvalidRequest(f"Value for x-amz-checksum-{algorithm.lower()} header is invalid.")
        return found
    trailer = headers.get("x-amz-trailer", "").lower()
    if trailer.startswith("x-amz-checksum-"):
        return Wanted(supported(trailer.removeprefix("x-amz-checksum-").upper()))
    named = request.get("ChecksumAlgorithm")
    if named is not None:
        supported(named)
        if not headers:  # in process there is no SDK that would have computed it
            return Wanted(named)
    return None


def given(request: Mapping[str, Any]) -> Wanted | None:
    """The checksum in a member of ``request``, whatever its form."""
    if _MEMBERS.isdisjoint(request):
        return None
    found = [name for name in ALGORITHMS if f"Checksum{name}" in request]
    if len(found) > 1:
        raise InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if not found:
        raise InvalidRequest(_UNSUPPORTED)
    return Wanted(found[0], request[f"Checksum{found[0]}"])


def supported(algorithm: str) -> str:
    """``algorithm`` if it is one of ours, else S3's error."""
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(_UNSUPPORTED)
    return algorithm


def _well_formed(algorithm: str, value: str) -> bool:
    size = _CRC_BYTES.get(algorithm) or hashlib.new(algorithm, usedforsecurity=False).digest_size
    try:
        return len(base64.b64decode(value, validate=True)) == size
    except (binascii.Error, ValueError):
        return False


def check(expected: Wanted | None, value: str) -> None:
    """Refuse a body whose checksum is not the one that the client sent."""
    if expected is not None and expected.value and expected.value != value:
        raise BadDigest(
            f"The {expected.algorithm} you specified did not match the calculated checksum."
        )


def content_md5(request: Mapping[str, Any]) -> bytes | None:
    """The digest in Content-MD5, if there is one."""
    text = request.get("ContentMD5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise InvalidDigest(**{"Content-MD5": text})
    return digest


def check_md5(expected: bytes | None, digest: bytes) -> None:
    if expected is not None and expected != digest:
        raise BadDigest(
            ExpectedDigest=_base64(expected),
            CalculatedDigest=_base64(digest),
        )


def joined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of a whole object from the (checksum, size) of its parts, without its bytes."""
    combine = _model(algorithm).combine
    state = 0
    for value, size in parts:
        state = combine(state, int.from_bytes(base64.b64decode(value)), size)
    return _base64(state.to_bytes(_CRC_BYTES[algorithm]))


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the checksums of the parts, with their number."""
    return f"{checksum_of(algorithm, b''.join(map(base64.b64decode, values)))}-{len(values)}"


def etag_of_parts(etags: Sequence[str]) -> str:
    """The ETag of a multipart object: the MD5 of the MD5s, with their number."""
    digest = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(etags)}"


def type_of_upload(algorithm: str, asked: str | None) -> str:
    """The checksum type of a multipart upload with ``algorithm``, or S3's error."""
    if asked is None:
        return "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    if not algorithm:
        raise InvalidRequest(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm"
            " header."
        )
    if asked not in ("COMPOSITE", "FULL_OBJECT"):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    crc = algorithm in _CRC_BYTES
    if (asked == "FULL_OBJECT" and not crc) or (asked == "COMPOSITE" and algorithm == "CRC64NVME"):
        raise InvalidRequest(
            f"The {asked} checksum type cannot be used with the {algorithm.lower()} checksum"
            " algorithm."
        )
    return asked
