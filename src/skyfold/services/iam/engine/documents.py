"""Looking into the text of policy documents: where statements stand, which keys they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented but stable
from typing import Any, NamedTuple

from skyfold.kernel.access.policy import as_list, condition_values

_SPACE = re.compile(r"[ \t\n\r]*")
_VARIABLE = re.compile(r"\$\{\s*([^},]+?)\s*(?:,[^}]*)?\}")
_NO_KEY = frozenset({"*", "?", "$"})


class Position(NamedTuple):
    line: int
    column: int


class Span(NamedTuple):
    """Where a statement begins, and just after its end."""

    start: Position
    end: Position


def statement_spans(text: str) -> list[Span]:
    """The statements of a valid document, in order."""
    return [Span(_position(text, start), _position(text, end)) for start, end in _spans(text)]


def _spans(text: str) -> list[tuple[int, int]]:
    decoder = json.JSONDecoder()
    at = _skip(text, text.index("{") + 1)
    while text[at] == '"':
        name, at = scanstring(text, at + 1)
        at = _skip(text, text.index(":", at) + 1)
        if name == "Statement":
            return _elements(text, at, decoder)
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return []


def _elements(text: str, at: int, decoder: json.JSONDecoder) -> list[tuple[int, int]]:
    if text[at] != "[":
        return [(at, decoder.raw_decode(text, at)[1])]
    found = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        found.append((at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _position(text: str, at: int) -> Position:
    line_start = text.rfind("\n", 0, at) + 1
    return Position(text.count("\n", 0, at) + 1, at - line_start + 1)


def context_keys(text: str) -> Iterator[str]:
    """The context keys that a document names, as it spells them; may repeat."""
    content: dict[str, Any] = json.loads(text)
    for statement in as_list(content.get("Statement", [])):
        for field in ("Resource", "NotResource"):
            for resource in as_list(statement.get(field, [])):
                yield from _variables(str(resource))
        for keys in statement.get("Condition", {}).values():
            for key, values in keys.items():
                yield key
                for value in condition_values(values):
                    yield from _variables(value)


def _variables(text: str) -> Iterator[str]:
    return (name for name in _VARIABLE.findall(text) if name not in _NO_KEY)
