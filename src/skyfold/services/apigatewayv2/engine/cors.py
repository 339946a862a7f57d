"""Cross-origin answers, given by the API itself where it has a CORS configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Headers = list[tuple[str, str]]


def preflight(cors: Mapping[str, Any], headers: Mapping[str, str]) -> Headers:
    """The headers that answer an OPTIONS request; none where its origin is not allowed."""
    origin = _origin(cors, headers)
    if origin is None:
        return []
    answer = [("access-control-allow-origin", origin)]
    for member, name in (("AllowMethods", "methods"), ("AllowHeaders", "headers")):
        if cors.get(member):
            answer.append((f"access-control-allow-{name}", ",".join(cors[member])))
    if cors.get("MaxAge"):
        answer.append(("access-control-max-age", str(cors["MaxAge"])))
    return answer + _shared(cors)


def actual(cors: Mapping[str, Any], headers: Mapping[str, str]) -> Headers:
    """The headers that are added to the answer of a cross-origin request."""
    origin = _origin(cors, headers)
    if origin is None:
        return []
    answer = [("access-control-allow-origin", origin)]
    if cors.get("ExposeHeaders"):
        answer.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    return answer + _shared(cors)


def _shared(cors: Mapping[str, Any]) -> Headers:
    return [("access-control-allow-credentials", "true")] if cors.get("AllowCredentials") else []


def _origin(cors: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    origin = headers.get("origin")
    if origin is None:
        return None
    for allowed in cors.get("AllowOrigins", ()):
        if allowed == "*":
            return "*"
        if allowed.lower() == origin.lower():
            return origin
        scheme, star, rest = allowed.partition("*")
        if star and origin.startswith(scheme) and origin.endswith(rest):
            return origin
    return None
