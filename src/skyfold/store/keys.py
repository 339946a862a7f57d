"""Order-preserving keys: tuples of text, bytes and integers sort as bytes as they sort as tuples.

A part opens with a tag, so that a packed prefix of a tuple is a byte prefix of the packed tuple,
and ``prefix + b"\\xff"`` is past everything under it. Text and bytes are escaped and ended by
``00``; integers are eight bytes, shifted so that the negative ones sort first.
"""

from __future__ import annotations

from struct import Struct

Part = str | int | bytes
_SHIFT = 1 << 63
_pack_integer = Struct(">BQ").pack
_unpack_integer = Struct(">Q").unpack_from


def pack(*parts: Part) -> bytes:
    """The key of a tuple. Integers reach from -2**63 to 2**63 - 1."""
    packed = []
    for part in parts:
        if isinstance(part, str):
            try:
                packed.append(f"\2{part}\0".encode() if "\0" not in part else _escaped(part))
            except UnicodeEncodeError:
                packed.append(_escaped(part))
        elif isinstance(part, int):
            packed.append(_pack_integer(0x15, part + _SHIFT))
        else:
            packed.append(b"\1" + part.replace(b"\0", b"\0\xff") + b"\0")
    return b"".join(packed)


def _escaped(part: str) -> bytes:
    """Text with zeros or lone surrogates in it."""
    return b"\2" + part.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\xff") + b"\0"


def unpack(key: bytes) -> tuple[Part, ...]:
    """The tuple of a key: the reverse of ``pack``."""
    parts: list[Part] = []
    at, end = 0, len(key)
    while at < end:
        tag = key[at]
        if tag == 0x15:
            parts.append(_unpack_integer(key, at + 1)[0] - _SHIFT)
            at += 9
            continue
        stop = key.index(0, at + 1)
        raw = key[at + 1 : stop]
        if key[stop + 1 : stop + 2] == b"\xff":
            while key[stop + 1 : stop + 2] == b"\xff":
                stop = key.index(0, stop + 2)
            raw = key[at + 1 : stop].replace(b"\0\xff", b"\0")
        parts.append(str(raw, "utf-8", "surrogatepass") if tag == 2 else raw)
        at = stop + 1
    return tuple(parts)


def after(prefix: bytes) -> bytes:
    """The end of the range of everything that begins with the packed tuple ``prefix``."""
    return prefix + b"\xff"
