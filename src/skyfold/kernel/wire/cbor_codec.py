"""CBOR bodies to values and back, for smithy-rpc-v2-cbor: its few types, to a bounded depth."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from skyfold.kernel.wire import json_codec, timestamps
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.shapes import Shape

_DEPTH_MAX = 128
_EPOCH = 1
_REFUSED = (
    0, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000,
)  # fmt: skip
"""Tags that the library knows and the protocol does not: references, expressions, and so on."""


@functools.cache
def _decoders() -> Mapping[int, Callable[[Any], Any]]:
    def refuse(*_: Any) -> Any:
        raise ValueError("a tag that the protocol does not know")

    return {**dict.fromkeys(_REFUSED, refuse), _EPOCH: lambda value, *_: value}


def _refuse_tag(*_: Any) -> Any:
    raise ValueError("a tag that the protocol does not know")


def loads(body: bytes) -> Any:
    """One data item; anything else is refused."""
    import cbor2  # only the few services that speak it pay for it

    if not body:
        return {}
    try:
        return cbor2.loads(
            body, tag_hook=_refuse_tag, semantic_decoders=_decoders(), max_depth=_DEPTH_MAX
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise SerializationException("") from error


def dumps(value: Any) -> bytes:
    import cbor2

    return cbor2.dumps(value)


def _timestamp_writer(shape: Shape) -> Callable[[Any], Any]:
    import cbor2

    return lambda ms: cbor2.CBORTag(_EPOCH, ms / 1000)


def _read_blob(shape: Shape, value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise SerializationException("Unexpected field type")
    return value


READ_QUICKLY: Mapping[str, Callable[[Any], Any]] = {"timestamp": timestamps.from_json}
READ_THOROUGHLY: json_codec.Scalars = {**json_codec.READ_THOROUGHLY, "blob": _read_blob}
WRITE: Mapping[str, Callable[[Shape], Callable[[Any], Any]]] = {"timestamp": _timestamp_writer}
