"""The query protocol's parameters: ``Attribute.1.Name=...`` to dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from skyfold.base.errors import AwsError
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.shapes import Shape
from skyfold.kernel.wire.xml_codec import SCALARS, entry_names

_PARAMETERS_MAX = 20_000
_DEPTH_MAX = 32
Tree = dict[str, Any]
Read = Callable[[Any], Any]


class MalformedQueryString(AwsError):
    """A body or query string that is none."""

    status = 404


class MalformedInput(AwsError):
    """Parameters whose names or values do not fit the model."""


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """``application/x-www-form-urlencoded`` text, decoded; raises MalformedQueryString."""
    pairs = []
    parts = text.split("&")
    if len(parts) > _PARAMETERS_MAX:
        raise MalformedQueryString("The query string has too many parameters.")
    try:
        for part in parts:
            if not part:
                continue
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = _unquote_plus(name), _unquote_plus(value)
            pairs.append((name, value))
    except UnicodeDecodeError as error:
        raise MalformedQueryString("The query string contains a syntax error") from error
    return pairs


def _unquote_plus(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote_to_bytes(text).decode() if "%" in text else text


def tree_of(pairs: list[tuple[str, str]]) -> Tree:
    """Dotted names as nested dictionaries; the leaves are strings."""
    root: Tree = {}
    for name, value in pairs:
        if "." not in name:
            root[name] = value
            continue
        parts = name.split(".", _DEPTH_MAX)
        if len(parts) > _DEPTH_MAX:
            raise MalformedInput("The request is nested too deeply.")
        node = root
        for part in parts[:-1]:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        node[parts[-1]] = value
    return root


def query_names(name: str, member: Shape) -> list[str]:
    """What a member is called in a request; the first is what clients send today."""
    traits = member.traits
    listed = str(traits.get("xmlName") or traits.get("locationName") or name)
    names = [listed]
    if member.type == "list" and member.flattened:
        inner = member.member.traits.get("locationName")
        if inner is not None and "xmlName" not in traits:
            names.insert(0, str(inner))
    return names if name in names else [*names, name]


class QueryReaders:
    """Compiles shapes to functions of a tree's node."""

    def __init__(self) -> None:
        self._done: dict[Shape, Read] = {}

    def compile(self, shape: Shape) -> Read:
        if shape.type == "structure" and shape is not shape.base:
            return self.compile(shape.base)
        found = self._done.get(shape)
        if found is None:
            found = self._done[shape] = getattr(self, f"_{shape.type}", self._scalar)(shape)
        return found

    def _scalar(self, shape: Shape) -> Read:
        convert = SCALARS[shape.type]

        def read(node: Any) -> Any:
            if node.__class__ is not str:
                raise MalformedInput("Start of structure or map found where not expected.")
            try:
                return convert(node)
            except SerializationException as error:
                raise MalformedInput(error.text) from error

        return read

    def _structure(self, shape: Shape) -> Read:
        table: dict[str, tuple[str, Read]] = {}

        def read(node: Any) -> dict[str, Any]:
            if node.__class__ is not dict:
                if node == "":
                    return {}
                raise MalformedInput("Unexpected value where a structure was expected.")
            out = {}
            for key, child in node.items():
                found = table.get(key)
                if found is not None:
                    out[found[0]] = found[1](child)
            return out

        self._done[shape] = read
        for name, member in shape.members.items():
            entry = (name, self.compile(member))
            for number, wire in enumerate(query_names(name, member)):
                if number == 0:
                    table[wire] = entry
                else:
                    table.setdefault(wire, entry)
        return read

    def _list(self, shape: Shape) -> Read:
        each = self.compile(shape.member)
        wrapped = (
            None if shape.flattened else str(shape.member.traits.get("locationName", "member"))
        )

        def read(node: Any) -> list[Any]:
            if node == "":
                return []
            if wrapped is not None and isinstance(node, dict) and wrapped in node:
                node = node[wrapped]
            return [each(child) for child in _numbered(node)]

        return read

    def _map(self, shape: Shape) -> Read:
        key_name, value_name = entry_names(shape)
        read_key, read_value = self.compile(shape.key), self.compile(shape.value)

        def read(node: Any) -> dict[str, Any]:
            if node == "":
                return {}
            if isinstance(node, dict) and "entry" in node:
                node = node["entry"]
            out = {}
            for child in _numbered(node):
                if child.__class__ is not dict or key_name not in child:
                    raise MalformedInput("Expected a key for each entry of a map.")
                # An entry without value stays, so that the service can say what it misses.
                if value_name in child:
                    out[read_key(child[key_name])] = read_value(child[value_name])
                else:
                    out[read_key(child[key_name])] = read_value(
                        "" if shape.value.type == "string" else {}
                    )
            return out

        return read


def _numbered(node: Any) -> list[Any]:
    """The children of a list's node, in the order of their numbers."""
    if node.__class__ is not dict:
        raise MalformedInput("Unexpected value where a list was expected.")
    numbers: list[tuple[int, Any]] = []
    for key, child in node.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise MalformedInput(f"{key[:100]} is not a valid index")
        numbers.append((int(key), child))
    numbers.sort(key=lambda pair: pair[0])
    return [child for _, child in numbers]


def read_input(read: Read, pairs: list[tuple[str, str]]) -> Mapping[str, Any]:
    """The parameters of a request."""
    params: Mapping[str, Any] = read(tree_of(pairs))
    return params
