"""CORS rules: which of them lets a cross-origin request in, and the headers that say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from skyfold.services.s3.errors import InvalidRequest, MalformedXML
from skyfold.services.s3.limits import CORS_RULES_MAX

_METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

Headers = list[tuple[str, str]]


class CorsRule(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One rule, as it is kept."""

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    id: str | None = None

    def lets_in(self, origin: str, method: str, headers: Sequence[str]) -> bool:
        return (
            method in self.methods
            and any(_like(pattern, origin) for pattern in self.origins)
            and all(any(_like(p.lower(), h.lower()) for p in self.headers) for h in headers)
        )

    def answer(self, origin: str, headers: Sequence[str]) -> Headers:
        """The headers of a reply to a request that this rule lets in."""
        anyone = "*" in self.origins
        found = [
            ("Access-Control-Allow-Origin", "*" if anyone else origin),
            ("Access-Control-Allow-Methods", ", ".join(self.methods)),
        ]
        if headers:
            found.append(("Access-Control-Allow-Headers", ", ".join(h.lower() for h in headers)))
        if self.exposed:
            found.append(("Access-Control-Expose-Headers", ", ".join(self.exposed)))
        if self.max_age is not None:
            found.append(("Access-Control-Max-Age", str(self.max_age)))
        if not anyone:
            found.append(("Access-Control-Allow-Credentials", "true"))
        return [*found, ("Vary", VARY)]


@lru_cache(maxsize=1024)
def _split(pattern: str) -> tuple[str, str] | None:
    start, star, end = pattern.partition("*")
    return (start, end) if star else None


def _like(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, in which one star stands for anything."""
    parts = _split(pattern)
    if parts is None:
        return pattern == text
    start, end = parts
    fits = len(text) >= len(start) + len(end)
    return fits and text.startswith(start) and text.endswith(end)


def answer_to(
    rules: Iterable[CorsRule], origin: str, method: str, headers: Sequence[str] = ()
) -> Headers | None:
    """The headers by the first rule that lets a request in; None where none does."""
    for rule in rules:
        if rule.lets_in(origin, method, headers):
            return rule.answer(origin, headers)
    return None


def checked(wanted: Sequence[Any]) -> list[CorsRule]:
    """The rules of a CORSConfiguration. Raises S3's errors."""
    if not 1 <= len(wanted) <= CORS_RULES_MAX:
        raise MalformedXML
    return [_rule(one) for one in wanted]


def _rule(one: Any) -> CorsRule:
    methods, origins = one.get("AllowedMethods"), one.get("AllowedOrigins")
    if not methods or not origins:
        raise MalformedXML
    for method in methods:
        if method not in _METHODS:
            raise InvalidRequest(
                f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )
    for name, values in (("AllowedOrigin", origins), ("AllowedHeader", one.get("AllowedHeaders"))):
        for value in values or ():
            if value.count("*") > 1:
                raise InvalidRequest(f'{name} "{value}" can not have more than one wildcard.')
    for value in one.get("ExposeHeaders") or ():
        if "*" in value:
            raise InvalidRequest(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard'
                " for ExposeHeader."
            )
    return CorsRule(
        methods=tuple(methods),
        origins=tuple(origins),
        headers=tuple(one.get("AllowedHeaders") or ()),
        exposed=tuple(one.get("ExposeHeaders") or ()),
        max_age=one.get("MaxAgeSeconds"),
        id=one.get("ID"),
    )
