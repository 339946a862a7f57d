"""Checksums of bodies: computed while the bytes pass, and held against what the client said."""

from __future__ import annotations

import binascii
import functools
import hashlib
import zlib
from base64 import b64encode
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol

from skyfold.base.errors import AwsError

PREFIX = "x-amz-checksum-"


class BadDigest(AwsError):
    """A body that does not have the checksum that came with it."""


class InvalidDigest(AwsError):
    """A Content-MD5 that cannot be one."""


class InvalidRequest(AwsError):
    """A checksum header whose value cannot be one."""


class Hasher(Protocol):
    """Takes bytes as they come."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """CRCs by native code: zlib has the first; ``anycrc`` has the two others, seven GB a second."""

    __slots__ = ("_calculate", "_size", "_value")

    def __init__(self, calculate: Callable[[bytes, int], int], size: int) -> None:
        self._calculate, self._size = calculate, size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size)


@functools.cache
def _native(model: str) -> Callable[[bytes, int], int]:
    # Imported late: 17 ms, and only some clients ask for it.
    import anycrc  # type: ignore[import-untyped]  # it has none

    calculate: Any = anycrc.Model(model).calc
    return calculate


ALGORITHMS: Mapping[str, Callable[[], Hasher]] = {
    "crc32": lambda: _Crc(zlib.crc32, 4),
    "crc32c": lambda: _Crc(_native("CRC32-ISCSI"), 4),
    "crc64nvme": lambda: _Crc(_native("CRC64-NVME"), 8),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
"""By the end of the header's name: ``x-amz-checksum-crc32``."""
_SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}


def checksum(algorithm: str, data: bytes) -> str:
    """In base64, as it stands in headers."""
    hasher = ALGORITHMS[algorithm]()
    hasher.update(data)
    return b64encode(hasher.digest()).decode()


def expected_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums that headers or trailers state, by algorithm; malformed ones are refused."""
    found: dict[str, str] = {}
    for algorithm, size in _SIZES.items():
        value = headers.get(PREFIX + algorithm)
        if value is not None:
            if _decoded_size(value) != size:
                raise InvalidRequest(f"Value for {PREFIX}{algorithm} header is invalid.")
            found[algorithm] = value
    return found


def content_md5(headers: Mapping[str, str]) -> str | None:
    """The header Content-MD5; refused where it cannot be one."""
    value = headers.get("content-md5")
    if value is not None and _decoded_size(value) != 16:
        raise InvalidDigest("The Content-MD5 you specified was invalid.")
    return value


def _decoded_size(value: str) -> int:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True))
    except ValueError:
        return -1


def verify(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Hold a body in memory against its headers; the checksums that were computed."""
    expected = expected_of(headers)
    computed = {name: checksum(name, body) for name in expected}
    _compare(expected, computed)
    md5 = content_md5(headers)
    if md5 is not None:
        _compare_md5(md5, hashlib.md5(body, usedforsecurity=False).digest())
    return computed


def _compare(expected: Mapping[str, str], computed: Mapping[str, str]) -> None:
    for name, value in expected.items():
        if computed.get(name) != value:
            raise BadDigest(
                f"The {name.upper()} you specified did not match the calculated checksum."
            )


def _compare_md5(expected: str, digest: bytes) -> None:
    if b64encode(digest).decode() != expected:
        raise BadDigest("The Content-MD5 you specified did not match what we received.")


class Verified:
    """A stream of bytes that fails at its end where it is not what its headers said.

    ``trailers`` gives what came after the body, asked when it has ended. ``also`` names further
    algorithms to compute. Afterwards ``computed`` has all of them.
    """

    def __init__(
        self,
        source: AsyncIterable[bytes],
        headers: Mapping[str, str],
        *,
        trailers: Callable[[], Mapping[str, str]] | None = None,
        also: Iterable[str] = (),
    ) -> None:
        self._source, self._trailers = source, trailers
        self._expected = expected_of(headers)
        self._md5_expected = content_md5(headers)
        announced = [
            name.strip().lower().removeprefix(PREFIX)
            for name in headers.get("x-amz-trailer", "").split(",")
            if name.strip().lower().startswith(PREFIX)
        ]
        wanted = {*self._expected, *announced, *also} & set(ALGORITHMS)
        self._hashers = {name: ALGORITHMS[name]() for name in sorted(wanted)}
        self._md5 = hashlib.md5(usedforsecurity=False) if self._md5_expected else None
        self.computed: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        hashers: list[Hasher] = list(self._hashers.values())
        if self._md5 is not None:
            hashers.append(self._md5)
        async for piece in self._source:
            for hasher in hashers:
                hasher.update(piece)
            yield piece
        self.finish()

    def finish(self) -> None:
        for name, hasher in self._hashers.items():
            self.computed[name] = b64encode(hasher.digest()).decode()
        _compare(self._expected, self.computed)
        if self._trailers is not None:
            _compare(expected_of(self._trailers()), self.computed)
        if self._md5 is not None and self._md5_expected is not None:
            _compare_md5(self._md5_expected, self._md5.digest())
