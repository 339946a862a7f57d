"""The conditions of requests: If-Match and its kin, on reads, copies and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.services.s3.errors import (
    HeaderNotImplemented,
    NoSuchKey,
    NotModified,
    PreconditionFailed,
)
from skyfold.services.s3.tables import Version

_READS = ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")


def check_read(request: Mapping[str, Any], row: Version, now: int) -> None:
    """Refuse a GET or HEAD whose conditions do not hold for ``row``."""
    if not any(name in request for name in _READS):
        return
    failed = _failed(request, "", row, now)
    if failed in ("If-None-Match", "If-Modified-Since"):
        raise NotModified
    if failed:
        raise PreconditionFailed(Condition=failed)


def check_copy_source(request: Mapping[str, Any], row: Version, now: int) -> None:
    """Refuse a copy whose conditions on the source do not hold."""
    failed = _failed(request, "CopySource", row, now)
    if failed:
        raise PreconditionFailed(Condition=f"x-amz-copy-source-{failed}")


def _failed(request: Mapping[str, Any], prefix: str, row: Version, now: int) -> str:
    """The header that does not hold, or nothing. An ETag that matches outweighs a date."""
    match = request.get(prefix + "IfMatch")
    if match is not None and not matches(match, row.etag):
        return "If-Match"
    unmodified = request.get(prefix + "IfUnmodifiedSince")
    if match is None and unmodified is not None and row.modified_at // 1000 > unmodified // 1000:
        return "If-Unmodified-Since"
    none_match = request.get(prefix + "IfNoneMatch")
    if none_match is not None and matches(none_match, row.etag):
        return "If-None-Match"
    modified = request.get(prefix + "IfModifiedSince")
    if (
        none_match is None
        and modified is not None
        and modified <= now
        and row.modified_at // 1000 <= modified // 1000
    ):
        return "If-Modified-Since"
    return ""


def matches(condition: str, etag: str) -> bool:
    """Whether an If-Match value, a star or a list of ETags, names ``etag``."""
    if condition.strip() == "*":
        return True
    return any(one.strip().strip('"') == etag for one in condition.split(","))


def check_write_form(request: Mapping[str, Any]) -> None:
    """Refuse conditions that no write understands."""
    match, none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    if match is None and none_match is None:
        return
    header = extra = ""
    if match is not None and none_match is not None:
        header = "If-Match,If-None-Match"
        extra = "Multiple conditional request headers present in the request"
    elif none_match is not None and none_match != "*":
        header = "If-None-Match"
    elif match == "*":
        header = "If-Match"
    if header:
        extra = extra or f"We don't accept the provided value of {header} header for this API"
        raise HeaderNotImplemented(Header=header, additionalMessage=extra)


def check_write(request: Mapping[str, Any], key: str, current: Version | None) -> None:
    """Refuse a write whose conditions do not hold for what is there now."""
    exists = current is not None and not current.marker
    if "IfNoneMatch" in request and exists:
        raise PreconditionFailed(Condition="If-None-Match")
    match = request.get("IfMatch")
    if match is None:
        return
    if current is None or not exists:
        raise NoSuchKey(Key=key)
    if not matches(match, current.etag):
        raise PreconditionFailed(Condition="If-Match")
