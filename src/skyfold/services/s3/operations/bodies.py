"""Bodies on their way in (digested, encrypted, inline or blob) and out (ranges, decrypted)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.services.s3.engine import checksums, sealing
from skyfold.services.s3.engine.checksums import Wanted
from skyfold.services.s3.errors import EntityTooLarge
from skyfold.services.s3.limits import INLINE_BYTES_MAX, PUT_BYTES_MAX
from skyfold.services.s3.operations.entry import Request
from skyfold.services.s3.tables import Bucket, Content, Segment

Pieces = AsyncIterable[bytes]


class Received(msgspec.Struct):
    """A body that has come in whole: its bytes if they are few, else the blob that has them."""

    size: int
    etag: str
    algorithm: str
    checksum: str
    crc64nvme: str = ""
    data: bytes = b""
    segments: tuple[Segment, ...] = ()


class _Digesting:
    """The digests of a body, computed as it passes."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sums = {name: checksums.Digest(name) for name in algorithms}
        self.size = 0

    def update(self, piece: bytes) -> None:
        self.md5.update(piece)
        for digest in self.sums.values():
            digest.update(piece)
        self.size += len(piece)
        if self.size > PUT_BYTES_MAX:
            raise EntityTooLarge(ProposedSize=str(self.size), MaxSizeAllowed=str(PUT_BYTES_MAX))


async def receive(
    call: Call,
    request: Request,
    *,
    default: str = checksums.DEFAULT,
    also_crc64nvme: bool = False,
    inline: bool = True,
) -> Received:
    """Take in and verify the body of ``request``.

    ``default`` is the checksum to compute where the request brings none (empty: none is).
    ``also_crc64nvme`` computes that one besides; without ``inline`` even small bodies are blobs.
    """
    md5 = checksums.content_md5(request)
    wanted = checksums.wanted(request, call.headers)
    if request.get("ContentLength", 0) > PUT_BYTES_MAX:
        raise EntityTooLarge(
            ProposedSize=str(request["ContentLength"]), MaxSizeAllowed=str(PUT_BYTES_MAX)
        )
    algorithm = wanted.algorithm if wanted else default
    body = request.get("Body", b"")
    if isinstance(body, str):
        body = body.encode()
    if inline and isinstance(body, bytes | bytearray) and len(body) <= INLINE_BYTES_MAX:
        return _received_inline(bytes(body), md5, wanted, algorithm)
    algorithms = {algorithm} if algorithm else set()
    if also_crc64nvme:
        algorithms.add(checksums.DEFAULT)
    digesting = _Digesting(algorithms)
    head, rest = await _split(body, INLINE_BYTES_MAX if inline else 0)
    if rest is None and inline:
        return _received_inline(head, md5, wanted, algorithm)
    segment = await store(call, _digested(head, rest, digesting))
    sums = {name: digest.value() for name, digest in digesting.sums.items()}
    checksums.check_md5(md5, digesting.md5.digest())
    checksums.check(wanted, sums.get(algorithm, ""))
    return Received(
        size=digesting.size,
        etag=digesting.md5.hexdigest(),
        algorithm=algorithm,
        checksum=sums.get(algorithm, ""),
        crc64nvme=sums.get(checksums.DEFAULT, "") if also_crc64nvme else "",
        segments=(msgspec.structs.replace(segment, size=digesting.size),),
    )


def _received_inline(
    data: bytes, md5: bytes | None, wanted: Wanted | None, algorithm: str
) -> Received:
    digest = hashlib.md5(data, usedforsecurity=False)
    if md5 is not None:
        checksums.check_md5(md5, digest.digest())
    checksum = checksums.checksum_of(algorithm, data)
    checksums.check(wanted, checksum)
    return Received(
        size=len(data), etag=digest.hexdigest(), algorithm=algorithm, checksum=checksum, data=data
    )


async def _split(body: Any, limit: int) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The beginning of a body, and the rest of it if it is longer than ``limit``."""
    if isinstance(body, bytes | bytearray):
        return bytes(body), _nothing() if len(body) > limit else None
    pieces = aiter(body)
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) > limit:
            return bytes(head), pieces
    return bytes(head), None


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


async def one_piece(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _digested(
    head: bytes, rest: AsyncIterator[bytes] | None, digesting: _Digesting
) -> AsyncIterator[bytes]:
    digesting.update(head)
    yield head
    if rest is not None:
        async for piece in rest:
            digesting.update(piece)
            yield piece


async def store(call: Call, pieces: Pieces) -> Segment:
    """A new blob with these plain bytes, encrypted with a key of its own."""
    secret = call.platform.ids.bytes(sealing.KEY_BYTES)
    blob = await call.platform.blobs.write(sealing.ciphered(pieces, secret, 0))
    return Segment(blob=blob.id, secret=secret, start=0, size=blob.size)


def content_of(call: Call, bucket: Bucket, key: str, version_id: str, body: Received) -> Content:
    """The row for a body that has been received."""
    if body.segments:
        return held(call, bucket, key, version_id, body.segments)
    nonce = call.platform.ids.bytes(sealing.NONCE_BYTES)
    return Content(
        bucket=bucket.name,
        key=key,
        version_id=version_id,
        nonce=nonce,
        sealed=sealing.seal(bucket.secret, nonce, body.data),
    )


def held(
    call: Call, bucket: Bucket, key: str, version_id: str, segments: tuple[Segment, ...]
) -> Content:
    """The row for bytes that are in blobs already."""
    return Content(
        bucket=bucket.name,
        key=key,
        version_id=version_id,
        holder=holder(call),
        segments=segments,
    )


def holder(call: Call) -> str:
    """A name to hold blobs in that nobody has used before."""
    return "s3:" + call.platform.ids.hex(32)


def slice_of(
    call: Call, bucket: Bucket, content: Content, start: int, stop: int
) -> bytes | AsyncIterator[bytes]:
    """The plain bytes from ``start`` up to ``stop``: at once, or as they come from the blobs."""
    if content.segments:
        return pieces_of(call, cut(content.segments, start, stop))
    data = plain(bucket, content)
    return data if stop - start == len(data) else data[start:stop]


def plain(bucket: Bucket, content: Content) -> bytes:
    """The bytes that a row itself holds."""
    return sealing.unseal(bucket.secret, content.nonce, content.sealed)


def cut(segments: Iterable[Segment], start: int, stop: int) -> tuple[Segment, ...]:
    """The stretch from ``start`` up to ``stop`` of the bytes that ``segments`` make together."""
    found = []
    at = 0
    for segment in segments:
        low, high = max(start, at) - at, min(stop, at + segment.size) - at
        if low < high:
            found.append(
                msgspec.structs.replace(segment, start=segment.start + low, size=high - low)
            )
        at += segment.size
    return tuple(found)


async def pieces_of(call: Call, segments: Iterable[Segment]) -> AsyncIterator[bytes]:
    """The plain bytes of segments, piece by piece."""
    for segment in segments:
        encrypted = call.platform.blobs.read(
            segment.blob, segment.start, segment.start + segment.size
        )
        async for piece in sealing.ciphered(encrypted, segment.secret, segment.start):
            yield piece
