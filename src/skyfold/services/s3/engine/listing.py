"""Cutting an ordered run of keys into a page of entries and common prefixes."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

from skyfold.services.s3.errors import InvalidArgument

_PLAIN = re.compile(r"[A-Za-z0-9_.~/*-]*").fullmatch


def shown(text: str, encoding: str | None) -> str:
    """A key as a listing shows it: percent-encoded where the client asked for that."""
    if encoding != "url" or _PLAIN(text):
        return text
    return quote_plus(text, safe="/*")


def check_encoding(encoding: str | None) -> None:
    if encoding is not None and encoding != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=encoding,
        )


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What stands for ``key`` in a listing with a delimiter; None where it stands for itself."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def page_size(asked: int | None, name: str, limit: int) -> int:
    if asked is None:
        return limit
    if asked < 0:
        raise InvalidArgument(
            f"Argument {name} must be an integer between 0 and 2147483647",
            ArgumentName=name,
            ArgumentValue=str(asked),
        )
    return min(asked, limit)
