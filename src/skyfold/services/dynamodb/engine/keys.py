"""Where items and index entries are kept: bytes that sort as DynamoDB sorts keys."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from skyfold.services.dynamodb.engine import numbers
from skyfold.services.dynamodb.engine.values import text_bytes
from skyfold.services.dynamodb.limits import HASH_KEY_BYTES_MAX, RANGE_KEY_BYTES_MAX
from skyfold.store.keys import pack

BUCKETS = 1 << 16


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\0", b"\0\xff") if b"\0" in raw else raw


def encode_text(raw: str) -> bytes:
    return _escaped(raw.encode("utf-8", "surrogatepass")) + b"\0"


def encode_binary(raw: bytes) -> bytes:
    return _escaped(raw) + b"\0"


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "S": encode_text,
    "N": numbers.encode,
    "B": encode_binary,
}


def encode_prefix(kind: str, raw: Any) -> bytes:
    """What the encodings of all strings that begin with ``raw`` begin with."""
    return ENCODERS[kind](raw)[:-1]


def key_size_problem(kind: str, raw: Any, *, is_hash: bool) -> str:
    """What DynamoDB says of a key value that is too long; empty if it is not."""
    if kind == "N":
        return ""
    size = text_bytes(raw) if kind == "S" else len(raw)
    if is_hash and size > HASH_KEY_BYTES_MAX:
        return "Size of hashkey has exceeded the maximum size limit of2048 bytes"
    if not is_hash and size > RANGE_KEY_BYTES_MAX:
        return "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    return ""


def bucket(hashed: bytes) -> bytes:
    """Two bytes that spread partitions over the key space."""
    return (zlib.crc32(hashed) >> 16).to_bytes(2)


def tree_root(space: bytes, tree: int) -> bytes:
    return space + pack(tree)


def successor(prefix: bytes) -> bytes:
    """The first key past everything that begins with ``prefix``."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,))


def segment_bounds(segment: int, total: int) -> tuple[bytes, bytes | None]:
    """The first bucket of a scan segment and the first past it; None is the end of the tree."""
    first = -(-BUCKETS * segment // total)
    end = -(-BUCKETS * (segment + 1) // total)
    past = None if end >= BUCKETS else end.to_bytes(2)
    return (b"\xff\xff\xff" if first >= BUCKETS else first.to_bytes(2)), past
