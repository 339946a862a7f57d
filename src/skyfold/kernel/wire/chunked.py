"""``aws-chunked`` bodies: framed pieces, signed or not, and the headers that trail them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from hashlib import sha256
from typing import Protocol

from skyfold.base.errors import AwsError

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MODES = frozenset((SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER))
"""Values of ``x-amz-content-sha256`` that say that a body is framed."""

_LINE_BYTES_MAX = 4096
_TRAILERS_MAX = 16
_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-fA-F]{64}))?[ \t]*")


class Verifier(Protocol):
    """The chain of signatures; kernel/access makes it from the request's own signature."""

    def chunk(self, data_sha256_hex: str, signature: str) -> bool:
        """Whether ``signature`` is the next in the chain, over data with this hash."""

    def trailer(self, canonical_trailer_bytes: bytes, signature: str) -> bool:
        """The same for the trailing headers, ``name:value\\n`` each, in the order of names."""


class IncompleteBody(AwsError):
    message = "The request body terminated unexpectedly"


class SignatureDoesNotMatch(AwsError):
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )


class MalformedTrailerError(AwsError):
    message = (
        "The request contained trailing data that was not well-formed or did not conform to our "
        "published schema."
    )


class InvalidChunk(AwsError):
    code = "InvalidRequest"
    message = "The chunked body is malformed."


class Decoder:
    """Takes the framed bytes as they come and gives the body's own; ``trailers`` at the end."""

    def __init__(
        self,
        headers: Mapping[str, str],
        verifier: Verifier | None = None,
    ) -> None:
        mode = headers.get("x-amz-content-sha256", "")
        self._verifier = verifier if mode in (SIGNED, SIGNED_TRAILER) else None
        self._announced = {
            name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name
        }
        length = headers.get("x-amz-decoded-content-length", "")
        self._length = int(length) if length.isascii() and length.isdigit() else None
        self._trailer_signed = mode == SIGNED_TRAILER
        self._held = bytearray()
        self._left = 0
        self._state = "head"
        self._digest = sha256()
        self._signature = ""
        self._count = 0
        self.trailers: dict[str, str] = {}

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The body's bytes that ``piece`` completes."""
        self._held += piece
        while True:
            if self._state == "data":
                if not self._held:
                    return
                data = bytes(self._held[: self._left])
                del self._held[: len(data)]
                self._took(data)
                yield data
                if self._left:
                    return
                self._state = "after"
            elif self._state == "done":
                if self._held.strip():
                    raise InvalidChunk
                return
            else:
                line = self._line()
                if line is None:
                    return
                self._took_line(line)

    def finish(self) -> None:
        """The bytes have ended: refuse a body that has not."""
        if self._state == "trailers" and not self._held:
            self._end()  # some clients leave the last empty line out
        if self._state != "done":
            raise IncompleteBody
        if self._length is not None and self._count != self._length:
            raise IncompleteBody(
                "You did not provide the number of bytes specified by the "
                "x-amz-decoded-content-length HTTP header"
            )

    def _took(self, data: bytes) -> None:
        self._left -= len(data)
        self._count += len(data)
        if self._length is not None and self._count > self._length:
            raise IncompleteBody(
                "You provided more bytes than the x-amz-decoded-content-length HTTP header said"
            )
        if self._verifier is not None:
            self._digest.update(data)

    def _line(self) -> bytes | None:
        end = self._held.find(b"\n")
        if end < 0:
            if len(self._held) > _LINE_BYTES_MAX:
                raise InvalidChunk
            return None
        if end > _LINE_BYTES_MAX:
            raise InvalidChunk
        line = bytes(self._held[:end]).rstrip(b"\r")
        del self._held[: end + 1]
        return line

    def _took_line(self, line: bytes) -> None:
        if self._state == "head":
            self._took_head(line)
        elif self._state == "after":
            if line:
                raise InvalidChunk
            self._verify_chunk()
            self._state = "head"
        elif line:
            self._took_trailer(line)
        else:
            self._end()

    def _took_head(self, line: bytes) -> None:
        found = _CHUNK_HEAD.fullmatch(line)
        if found is None:
            raise InvalidChunk
        self._left = int(found[1], 16)
        self._signature = (found[2] or b"").decode()
        if self._left:
            self._state = "data"
        else:
            self._verify_chunk()
            self._state = "trailers"

    def _verify_chunk(self) -> None:
        if self._verifier is None:
            return
        if not self._signature or not self._verifier.chunk(
            self._digest.hexdigest(), self._signature
        ):
            raise SignatureDoesNotMatch
        self._digest = sha256()

    def _took_trailer(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if not colon or len(self.trailers) >= _TRAILERS_MAX:
            raise MalformedTrailerError
        try:
            self.trailers[name.decode("ascii").strip().lower()] = value.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise MalformedTrailerError from error

    def _end(self) -> None:
        signature = self.trailers.pop("x-amz-trailer-signature", "")
        if self._verifier is not None and self._trailer_signed:
            canonical = "".join(f"{name}:{self.trailers[name]}\n" for name in sorted(self.trailers))
            if not signature or not self._verifier.trailer(canonical.encode(), signature):
                raise SignatureDoesNotMatch
        if not self._announced <= self.trailers.keys():
            raise MalformedTrailerError
        for name in self.trailers.keys() - self._announced:
            del self.trailers[name]  # what was not announced is not signed for
        self._state = "done"


def is_chunked(headers: Mapping[str, str]) -> bool:
    return headers.get("x-amz-content-sha256") in MODES


def decode(
    headers: Mapping[str, str], body: bytes, verifier: Verifier | None = None
) -> tuple[bytes, dict[str, str]]:
    """A framed body that is in memory: its own bytes, and the trailers."""
    decoder = Decoder(headers, verifier)
    data = b"".join(decoder.feed(body))
    decoder.finish()
    return data, decoder.trailers


class Decoded:
    """A framed stream as the stream of its own bytes; ``trailers`` when it has ended."""

    def __init__(
        self,
        source: AsyncIterable[bytes],
        headers: Mapping[str, str],
        verifier: Verifier | None = None,
    ) -> None:
        self._source = source
        self._decoder = Decoder(headers, verifier)

    @property
    def trailers(self) -> Mapping[str, str]:
        return self._decoder.trailers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._source:
            for data in self._decoder.feed(piece):
                yield data
        self._decoder.finish()
