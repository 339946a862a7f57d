"""Choosing the route of a request.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html: a full
match wins, then the route whose greedy path is the longest, then ``$default``; a method of its own
wins over ANY.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
DEFAULT = "$default"
_SEGMENT = re.compile(r"^(?:\{[A-Za-z0-9._$-]+\+?\}|[^{}]*)$")


class Chosen(NamedTuple):
    """A route and what its path says of the request's."""

    route: Mapping[str, Any]
    parameters: Mapping[str, str]


class _Path(NamedTuple):
    method: str
    segments: tuple[str, ...]
    greedy: bool
    route: Mapping[str, Any]

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts what is tried first to the front: exact before greedy, fixed before variable."""
        fixed = tuple(segment.startswith("{") for segment in self.segments)
        return (self.greedy, -len(self.segments), fixed, self.method == "ANY")


def valid_key(key: str) -> bool:
    """Is it ``$default`` or ``METHOD /path`` with well-formed parameters."""
    if key == DEFAULT:
        return True
    method, _, path = key.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        return False
    segments = path[1:].split("/")
    greedy_early = any(segment.endswith("+}") for segment in segments[:-1])
    return not greedy_early and all(_SEGMENT.match(segment) for segment in segments)


class Routes:
    """The routes of one deployment, ordered once."""

    def __init__(self, routes: Iterable[Mapping[str, Any]]) -> None:
        self._default: Mapping[str, Any] | None = None
        paths = []
        for route in routes:
            key = route["RouteKey"]
            if key == DEFAULT:
                self._default = route
                continue
            method, _, path = key.partition(" ")
            segments = tuple(path[1:].split("/"))
            paths.append(_Path(method, segments, segments[-1].endswith("+}"), route))
        self._paths = sorted(paths, key=lambda path: path.order)

    def choose(self, method: str, path: str) -> Chosen | None:
        """The route for a request; ``path`` is raw, its parameters are decoded by the caller."""
        segments = path[1:].split("/")
        for candidate in self._paths:
            if candidate.method in (method, "ANY"):
                parameters = _matched(candidate, segments)
                if parameters is not None:
                    return Chosen(candidate.route, parameters)
        return Chosen(self._default, {}) if self._default is not None else None


def _matched(candidate: _Path, segments: list[str]) -> dict[str, str] | None:
    wanted = candidate.segments
    if candidate.greedy:
        if len(segments) < len(wanted) or not segments[len(wanted) - 1]:
            return None
        tail = "/".join(segments[len(wanted) - 1 :])
        segments = [*segments[: len(wanted) - 1], tail]
    if len(segments) != len(wanted):
        return None
    parameters = {}
    for have, want in zip(segments, wanted, strict=True):
        if want.startswith("{"):
            if not have:
                return None
            parameters[want.strip("{}").rstrip("+")] = have
        elif have != want:
            return None
    return parameters
