"""REST routing: method and path to an operation and the labels of its path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.shapes import Model, Shape


class Route(NamedTuple):
    """One operation at one path."""

    operation: str
    names: tuple[str, ...]
    """Its labels in the order of the path."""
    literals: tuple[tuple[str, str], ...]
    """Query parameters that the path template itself demands."""
    queries: tuple[str, ...]
    """Query parameters that the operation's input requires."""
    headers: tuple[str, ...]
    deprecated: bool

    def rank(self, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, ...] | None:
        """How well a request fits; None where it does not."""
        for name, value in self.literals:
            found = query.get(name)
            if found is None or (value and found != value):
                return None
        missing = sum([name not in query for name in self.queries])
        missing += sum([name not in headers for name in self.headers])
        bound = len(self.queries) + len(self.headers)
        return (
            len(self.literals), -missing, bound if not missing else -bound, -int(self.deprecated)
        )  # fmt: skip


class _Node:
    __slots__ = ("greedy", "label", "literals", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.label: _Node | None = None
        self.greedy: dict[str, list[Route]] | None = None
        self.routes: dict[str, list[Route]] = {}


class Router:
    """All paths of a service as a tree of segments; literals before labels before greedy ones."""

    def __init__(self, model: Model) -> None:
        self._root = _Node()
        for name, operation in model.operations.items():
            self._add(model, name, operation)

    def _add(self, model: Model, name: str, operation: Mapping[str, Any]) -> None:
        path, _, query = operation["http"]["requestUri"].partition("?")
        method = operation["http"]["method"]
        node, names = self._root, []
        segments = path.strip("/").split("/") if path.strip("/") else []
        greedy = False
        for segment in segments:
            if segment.startswith("{") and segment.endswith("+}"):
                names.append(segment[1:-2])
                greedy = True
            elif segment.startswith("{"):
                names.append(segment[1:-1])
                node.label = node.label or _Node()
                node = node.label
            else:
                node = node.literals.setdefault(segment, _Node())
        shape = model.resolve(operation["input"]) if "input" in operation else None
        route = Route(
            name, tuple(names), _literals(query), _required(shape, "querystring"),
            tuple(header.lower() for header in _required(shape, "header")),
            bool(operation.get("deprecated")),
        )  # fmt: skip
        if greedy:
            node.greedy = node.greedy if node.greedy is not None else {}
        routes = node.greedy if greedy and node.greedy is not None else node.routes
        routes.setdefault(method, []).append(route)

    def match(self, request: HttpRequest) -> tuple[str, dict[str, str]] | None:
        path = request.path
        parts = path[1:].split("/") if path.startswith("/") else path.split("/")
        found = _find(self._root, parts, 0, request.method, ())
        if found is None:
            return None
        routes, values = found
        route = routes[0] if _only(routes) else _best(routes, request)
        if route is None:
            return None
        try:
            labels = {
                name: unquote_to_bytes(value).decode() if "%" in value else value
                for name, value in zip(route.names, values, strict=True)
            }
        except UnicodeDecodeError as error:
            raise SerializationException("The path is not UTF-8") from error
        return route.operation, labels


def _literals(query: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return tuple((name, value) for name, _, value in pairs)


def _required(shape: Shape | None, location: str) -> tuple[str, ...]:
    if shape is None:
        return ()
    return tuple(
        str(shape.members[name].traits.get("locationName", name))
        for name in shape.required
        if shape.members[name].location == location
    )


def _find(
    node: _Node, parts: Sequence[str], at: int, method: str, values: tuple[str, ...]
) -> tuple[list[Route], tuple[str, ...]] | None:
    """The routes at the most literal path that fits, and the raw values of the labels."""
    if at == len(parts) or (at == len(parts) - 1 and not parts[at]):
        routes = node.routes.get(method)
        return (routes, values) if routes else None
    part = parts[at]
    following = node.literals.get(part)
    if following is None and "%" in part:
        following = node.literals.get(unquote_to_bytes(part).decode("utf-8", "replace"))
    if following is not None:
        found = _find(following, parts, at + 1, method, values)
        if found is not None:
            return found
    if node.label is not None and part:
        found = _find(node.label, parts, at + 1, method, (*values, part))
        if found is not None:
            return found
    if node.greedy is not None and (routes := node.greedy.get(method)):
        return routes, (*values, "/".join(parts[at:]))
    return None


def _without_query(routes: Sequence[Route], headers: Mapping[str, str]) -> Route | None:
    """The short way for requests that have no query string: headers alone decide."""
    best: Route | None = None
    for route in routes:
        if route.literals or route.queries:
            continue
        if all([name in headers for name in route.headers]) and (  # noqa: C419 - quicker
            best is None or len(route.headers) > len(best.headers)
        ):
            best = route
    return best


def _only(routes: Sequence[Route]) -> bool:
    return len(routes) == 1 and not routes[0].literals


_QUERY_PAIR = re.compile(r"([^&=]+)(?:=([^&]*))?")


def _best(routes: Sequence[Route], request: HttpRequest) -> Route | None:
    query: dict[str, str] = {}
    if not request.query:
        found = _without_query(routes, request.headers)
        if found is not None:
            return found
    else:
        for name, value in _QUERY_PAIR.findall(request.query):
            query[unquote_to_bytes(name).decode("utf-8", "replace")] = value
    best: Route | None = None
    best_rank: tuple[int, ...] = ()
    for route in routes:
        rank = route.rank(query, request.headers)
        if rank is not None and (best is None or rank > best_rank):
            best, best_rank = route, rank
    return best
