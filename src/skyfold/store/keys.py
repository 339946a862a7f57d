"""Order-preserving keys: tuples of text, bytes and integers sort as bytes as they sort as tuples.

A part opens with a tag, so that a packed prefix of a tuple is a byte prefix of the packed tuple,
and ``prefix + b"\\xff"`` is past everything under it. Text and bytes are escaped and ended by
``00``; integers are eight bytes, shifted so that the negative ones sort first.
"""

from __future__ import annotations

Part = str | int | bytes
_SHIFT = 1 << 63


def pack(*parts: Part) -> bytes:
    """The key of a tuple. Integers reach from -2**63 to 2**63 - 1."""
    packed = b""
    for part in parts:
        if isinstance(part, str):
            raw = part.encode("utf-8", "surrogatepass")
            packed += b"\x02" + (raw.replace(b"\0", b"\0\xff") if b"\0" in raw else raw) + b"\0"
        elif isinstance(part, int):
            packed += b"\x15" + (part + _SHIFT).to_bytes(8)
        else:
            packed += b"\x01" + part.replace(b"\0", b"\0\xff") + b"\0"
    return packed


def unpack(key: bytes) -> tuple[Part, ...]:
    """The tuple of a key: the reverse of ``pack``."""
    parts: list[Part] = []
    at, end = 0, len(key)
    while at < end:
        tag = key[at]
        if tag == 0x15:
            parts.append(int.from_bytes(key[at + 1 : at + 9]) - _SHIFT)
            at += 9
            continue
        stop = key.index(b"\0", at + 1)
        while key[stop + 1 : stop + 2] == b"\xff":
            stop = key.index(b"\0", stop + 2)
        raw = key[at + 1 : stop]
        raw = raw.replace(b"\0\xff", b"\0") if b"\0" in raw else raw
        parts.append(raw.decode("utf-8", "surrogatepass") if tag == 0x02 else raw)
        at = stop + 1
    return tuple(parts)


def after(prefix: bytes) -> bytes:
    """The end of the range of everything that begins with the packed tuple ``prefix``."""
    return prefix + b"\xff"
