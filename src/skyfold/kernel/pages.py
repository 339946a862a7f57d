"""Page tokens: opaque to clients, bound to the operation that gave them out."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec


class BadToken(Exception):
    """The token is not one that ``token`` made for this purpose."""


def token(purpose: str, *position: str | int | bytes) -> str:
    """A token for ``position``, to be read back by ``position(purpose, token)``."""
    packed = msgspec.msgpack.encode([purpose, *position])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def position(purpose: str, text: str) -> tuple[Any, ...]:
    """The position in a token. Raises BadToken for anything not made by ``token(purpose, ...)``."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(packed)
    except (binascii.Error, ValueError, msgspec.DecodeError) as bad:
        raise BadToken(text) from bad
    if not isinstance(found, list) or not found or found[0] != purpose:
        raise BadToken(text)
    return tuple(found[1:])
