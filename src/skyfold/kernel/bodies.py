"""Bodies that came framed, signed in chunks, or too large to be collected at the door."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping

from skyfold.kernel.access import sigv4
from skyfold.kernel.access.access import Authenticated
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire import checksums, chunked


class Opened:
    """A stream of the body's own bytes; it fails at its end where they are not what was said."""

    def __init__(self, source: AsyncIterable[bytes], length: int | None) -> None:
        self._source, self.length = source, length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._source:
            yield piece

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])


async def opened(request: HttpRequest, who: Authenticated, *, streaming: bool) -> None:
    """Make ``request`` carry the body itself: frames off, signatures and checksums held to.

    Trailing checksums of a body in memory become headers, as if they had come in front. A stream
    is verified while the operation reads it. Where the operation takes no stream, it is read here.
    """
    if chunked.is_chunked(request.headers):
        _take_frames_off(request, who)
    elif request.stream is not None and who.body_sha256:
        said = _hashed(request.stream, who.body_sha256)
        request.stream = Opened(said, request.stream.length)
    if request.stream is not None and not streaming:
        request.body, request.stream = await request.stream.read(), None


def _take_frames_off(request: HttpRequest, who: Authenticated) -> None:
    headers = request.headers
    if request.stream is None:
        request.body, trailers = chunked.decode(headers, request.body, who.chunks)
        request.headers = {**_unframed(headers), **trailers}
        return
    decoded = chunked.Decoded(request.stream, headers, who.chunks)
    verified = checksums.Verified(
        decoded,
        {"x-amz-trailer": headers.get("x-amz-trailer", "")},
        trailers=lambda: decoded.trailers,
    )
    length = headers.get("x-amz-decoded-content-length", "")
    request.stream = Opened(verified, int(length) if length.isdecimal() else None)
    request.headers = _unframed(headers)


def _unframed(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without what spoke of the frames."""
    kept = dict(headers)
    encodings = [part.strip() for part in kept.pop("content-encoding", "").split(",")]
    if rest := [part for part in encodings if part and part != "aws-chunked"]:
        kept["content-encoding"] = ",".join(rest)
    if (length := kept.get("x-amz-decoded-content-length")) is not None:
        kept["content-length"] = length
    return kept


async def _hashed(source: AsyncIterable[bytes], said: str) -> AsyncIterator[bytes]:
    digest = hashlib.sha256()
    async for piece in source:
        digest.update(piece)
        yield piece
    sigv4.check_body(said, digest.hexdigest())
