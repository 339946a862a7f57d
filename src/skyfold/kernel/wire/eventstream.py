"""Frames of ``application/vnd.amazon.eventstream``: prelude, headers, payload, two checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_HEADERS_BYTES_MAX = 128 * 1024
_MESSAGE_BYTES_MAX = 24 * 1024 * 1024
_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}
"""Header types whose values have a fixed length, and how they are packed."""


class Timestamp(int):
    """A header value in ms since the epoch."""


HeaderValue = str | bytes | bool | int | Timestamp | UUID


class Frame(NamedTuple):
    headers: Mapping[str, HeaderValue]
    payload: bytes


class BadFrame(ValueError):
    """Bytes that are no frame."""


def encode(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    packed = b"".join([_packed(name, value) for name, value in headers.items()])
    total = len(packed) + len(payload) + 16
    prelude = struct.pack(">II", total, len(packed))
    start = prelude + _CRC.pack(zlib.crc32(prelude))
    message = start + packed + payload
    return message + _CRC.pack(zlib.crc32(message))


def _packed(name: str, value: HeaderValue) -> bytes:
    raw = name.encode()
    start = bytes((len(raw),)) + raw
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, str):
        text = value.encode()
        return start + b"\x07" + struct.pack(">H", len(text)) + text
    if isinstance(value, bytes):
        return start + b"\x06" + struct.pack(">H", len(value)) + value
    if isinstance(value, Timestamp):
        return start + b"\x08" + struct.pack(">q", value)
    if isinstance(value, UUID):
        return start + b"\x09" + value.bytes
    if -(2**31) <= value < 2**31:
        return start + b"\x04" + struct.pack(">i", value)
    return start + b"\x05" + struct.pack(">q", value)


class Decoder:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        self._held += chunk
        while len(self._held) >= 12:
            total = self._prelude()
            if len(self._held) < total:
                return
            message = bytes(self._held[:total])
            del self._held[:total]
            yield _decoded(message)

    def finish(self) -> None:
        """Raise BadFrame where the bytes ended in the middle of a frame."""
        if self._held:
            raise BadFrame("the stream ended inside a frame")

    def _prelude(self) -> int:
        total, headers, checksum = _PRELUDE.unpack_from(self._held)
        if zlib.crc32(self._held[:8]) != checksum:
            raise BadFrame("the checksum of the prelude does not match")
        if headers > _HEADERS_BYTES_MAX or not headers + 16 <= total <= _MESSAGE_BYTES_MAX:
            raise BadFrame("the lengths of the frame are out of bounds")
        return int(total)


def _decoded(message: bytes) -> Frame:
    (checksum,) = _CRC.unpack_from(message, len(message) - 4)
    if zlib.crc32(message[:-4]) != checksum:
        raise BadFrame("the checksum of the message does not match")
    headers_end = 12 + int.from_bytes(message[4:8])
    try:
        headers = dict(_headers(message[12:headers_end]))
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise BadFrame("a header is malformed") from error
    return Frame(headers, message[headers_end:-4])


def _headers(raw: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        name, kind = raw[at + 1 : end].decode(), raw[end]
        value, at = _value(kind, raw, end + 1)
        if at > len(raw):
            raise ValueError("a header runs past the end")
        yield name, value


def _value(kind: int, raw: bytes, at: int) -> tuple[HeaderValue, int]:
    if kind in (0, 1):
        return kind == 0, at
    if kind in _FIXED:
        (number,) = struct.unpack_from(_FIXED[kind], raw, at)
        end = at + struct.calcsize(_FIXED[kind])
        return (Timestamp(number) if kind == 8 else number), end
    if kind in (6, 7):
        end = at + 2 + int.from_bytes(raw[at : at + 2])
        value = raw[at + 2 : end]
        return (value if kind == 6 else value.decode()), end
    if kind == 9:
        return UUID(bytes=raw[at : at + 16]), at + 16
    raise ValueError(f"unknown header type {kind}")


async def frames(chunks: AsyncIterable[bytes]) -> AsyncIterator[Frame]:
    """The frames of a stream of bytes."""
    decoder = Decoder()
    async for chunk in chunks:
        for frame in decoder.feed(chunk):
            yield frame
    decoder.finish()
