"""Ids and randomness. The only module that may ask the operating system for random bytes."""

from __future__ import annotations

import os
import random
from typing import Protocol

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Ids:
    """Names for new things; a seed makes them the same on every run."""

    def __init__(self, seed: int | None = None) -> None:
        self._bytes: _Source = _Drawn() if seed is None else random.Random(seed).randbytes

    def bytes(self, count: int) -> bytes:
        return self._bytes(count)

    def uuid(self) -> str:
        raw = bytearray(self._bytes(16))
        raw[6] = (raw[6] & 0x0F) | 0x40
        raw[8] = (raw[8] & 0x3F) | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def hex(self, digits: int) -> str:
        return self._bytes((digits + 1) // 2).hex()[:digits]

    def lower(self, length: int) -> str:
        """Lower-case letters and digits, as in API ids and generated names."""
        return "".join(_LOWER[byte % 36] for byte in self._bytes(length))

    def upper(self, length: int) -> str:
        """Upper-case letters and the digits 2 to 7, as in IAM ids and access keys."""
        return "".join(_UPPER[byte % 32] for byte in self._bytes(length))

    def fraction(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return int.from_bytes(self._bytes(7)) / (1 << 56)


class _Drawn:
    """The operating system's random bytes, drawn many at a time: each draw gives up the GIL."""

    _DRAWN = 4096
    _PIECE = 16

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        os.register_at_fork(after_in_child=self._pieces.clear)

    def __call__(self, count: int, /) -> bytes:
        if count > self._PIECE:
            return os.urandom(count)
        try:
            return self._pieces.pop()[:count]  # in one step, so no two threads get the same
        except IndexError:
            drawn = os.urandom(self._DRAWN)
            starts = range(self._PIECE, self._DRAWN, self._PIECE)
            self._pieces += [drawn[start : start + self._PIECE] for start in starts]
            return drawn[:count]


class _Source(Protocol):
    def __call__(self, count: int, /) -> bytes: ...
