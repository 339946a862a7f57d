"""The canonical form of a request: the bytes that a signature of version 4 is made over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

_SEGMENT = r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*"
_PLAIN_PATH = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?\Z").match
"""Paths that are their own canonical form: no escapes, no empty or dot segments."""
_UNRESERVED = "-_.~"
_NEEDLESS = "2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE]"
"""Escapes of octets that need none."""
_ENCODED = re.compile(
    rf"[A-Za-z0-9_.~-]*(?:%(?!{_NEEDLESS})[0-9A-F]{{2}}[A-Za-z0-9_.~-]*)*\Z"
).match
"""Texts that are encoded as they would be."""


def canonical_path(path: str) -> str:
    """As services other than S3 sign it: segments normalised, then encoded once more."""
    if path in {"/", ""}:
        return "/"
    if _PLAIN_PATH(path):
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    normal = "/" + "/".join(kept)
    if kept and path.endswith(("/", "/.", "/..")):
        normal += "/"
    return quote(normal, safe="/" + _UNRESERVED, encoding="utf-8", errors="surrogateescape")


def canonical_path_s3(path: str) -> str:
    """As S3 signs it: every octet encoded once, nothing normalised."""
    if _PLAIN_PATH(path):
        return path
    return quote(unquote_to_bytes(path or "/"), safe="/" + _UNRESERVED)


def canonical_query(query: str, *, without: str = "") -> str:
    """The parameters encoded and in order; ``without`` names one that is left out."""
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_reencoded(name), _reencoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs if name != without])


def canonical_headers(names: tuple[str, ...], headers: Mapping[str, str]) -> str | None:
    """The signed headers, a line each; None where one of them is not in the request."""
    lines = []
    for name in names:
        value = headers.get(name)
        if value is None:
            return None
        if "  " in value or "\n" in value:
            value = " ".join(value.split())
        lines.append(f"{name}:{value.strip()}\n")
    return "".join(lines)


def octets(text: str) -> bytes:
    """Header values come as latin-1 from the wire; a path may hold what the client left raw."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _reencoded(text: str) -> str:
    if _ENCODED(text):
        return text
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)
