"""REST bindings: members of a request or reply that are labels, query parameters or headers."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire import timestamps
from skyfold.kernel.wire.bodies import Bodies, ReadBody, WriteBody, text_of
from skyfold.kernel.wire.constraints import (
    NotOfItsType,
    SerializationException,
    Violation,
    lower_first,
)
from skyfold.kernel.wire.json_codec import body_members, reply_members, write_float
from skyfold.kernel.wire.query_codec import parse_pairs
from skyfold.kernel.wire.shapes import Shape
from skyfold.kernel.wire.xml_codec import SCALARS

Labels = Mapping[str, str]


class _Input(NamedTuple):
    name: str
    wire: str
    read: Callable[[Any], Any]


def _scalar_reader(shape: Shape) -> Callable[[str], Any]:
    if shape.traits.get("jsonvalue"):
        return _read_json_value
    return SCALARS[shape.type]


def _bound_reader(name: str, shape: Shape) -> Callable[[str], Any]:
    """As above for one member; a fault names it."""
    read = _header_list_reader(shape) if shape.type == "list" else _scalar_reader(shape)
    if read is str:
        return read

    def bound(text: str) -> Any:
        try:
            return read(text)
        except SerializationException as error:
            path = lower_first(name)
            fault = Violation("type", path, text, error.text, shape.name, name)
            raise NotOfItsType(fault) from error

    return bound


def _read_json_value(text: str) -> Any:
    try:
        return orjson.loads(binascii.a2b_base64(text))
    except ValueError as error:
        raise SerializationException("Invalid JSON in a header") from error


def split_header_list(text: str) -> list[str]:
    """Comma-separated values, of which some may be quoted."""
    if '"' not in text:
        return [item.strip() for item in text.split(",")]
    items, at = [], 0
    while at < len(text):
        while at < len(text) and text[at] in " ,\t":
            at += 1
        if at < len(text) and text[at] == '"':
            item, at = _quoted(text, at + 1)
            items.append(item)
        elif at < len(text):
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            items.append(text[at:end].strip())
            at = end
    return items


def _quoted(text: str, at: int) -> tuple[str, int]:
    item = []
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\"
        item.append(text[at : at + 1])
        at += 1
    return "".join(item), at + 1


def _header_list_reader(shape: Shape) -> Callable[[str], Any]:
    item = shape.member
    each = _scalar_reader(item)
    spelling = item.traits.get("timestampFormat", "rfc822")
    if item.type == "timestamp" and spelling == "rfc822":

        def read_dates(text: str) -> list[Any]:
            # A date has a comma of its own.
            parts = [part.strip() for part in text.split(",")]
            return [each(f"{a}, {b}") for a, b in zip(parts[::2], parts[1::2], strict=False)]

        return read_dates
    return lambda text: [each(part) for part in split_header_list(text)]


class RestInput:
    """Compiled once per operation: where each member of the input comes from."""

    def __init__(self, shape: Shape, bodies: Bodies) -> None:
        self._labels: list[_Input] = []
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._prefixes: list[_Input] = []
        self._query: dict[str, tuple[str, Callable[[Any], Any], bool]] = {}
        self._query_maps: list[_Input] = []
        for name, member in shape.members.items():
            self._bind(name, member)
        self.payload: str | None = shape.traits.get("payload")
        self._payload_shape = shape.members[self.payload] if self.payload else None
        self._read_body = self._body_reader(shape, bodies)

    def _bind(self, name: str, member: Shape) -> None:
        wire = str(member.traits.get("locationName", name))
        if member.location == "uri":
            self._labels.append(_Input(name, wire, _bound_reader(name, member)))
        elif member.location == "querystring":
            if member.type == "map":
                self._query_maps.append(_Input(name, wire, _query_map_reader(member)))
            elif member.type == "list":
                self._query[wire] = (name, _bound_reader(name, member.member), True)
            else:
                self._query[wire] = (name, _bound_reader(name, member), False)
        elif member.location == "header":
            self._headers[wire.lower()] = (name, _bound_reader(name, member))
        elif member.location == "headers":
            self._prefixes.append(_Input(name, wire.lower(), _scalar_reader(member.value)))

    def _body_reader(self, shape: Shape, bodies: Bodies) -> ReadBody | None:
        payload = self._payload_shape
        if payload is not None:
            if payload.type == "structure" and not payload.traits.get("eventstream"):
                return bodies.reader(payload)
            return text_of if payload.type == "string" else None
        return bodies.reader(shape) if body_members(shape) else None

    def read(self, request: HttpRequest, labels: Labels, body: bytes) -> dict[str, Any]:
        params: dict[str, Any] = {}
        self._read_payload(request, body, params)
        for name, wire, read in self._labels:
            if wire in labels:
                params[name] = read(labels[wire])
        if (self._query or self._query_maps) and request.query:
            self._read_query(request.query, params)
        headers = self._headers
        for key, text in request.headers.items():
            if key in headers:
                name, read = headers[key]
                if text or read is str:
                    params[name] = read(text)
            elif self._prefixes:
                for name, prefix, read in self._prefixes:
                    if key.startswith(prefix):
                        params.setdefault(name, {})[key[len(prefix) :]] = read(text)
        return params

    def _read_payload(self, request: HttpRequest, body: bytes, params: dict[str, Any]) -> None:
        if self.payload is None:
            if self._read_body is not None:
                params.update(self._read_body(body))
            return
        payload = self._payload_shape
        if self._read_body is not None:
            if body:
                params[self.payload] = self._read_body(body)
        elif payload is not None and (payload.streaming or payload.traits.get("eventstream")):
            params[self.payload] = body if request.stream is None else request.stream
        elif body:
            params[self.payload] = body

    def _read_query(self, query: str, params: dict[str, Any]) -> None:
        rest: list[tuple[str, str]] = []
        for wire, text in parse_pairs(query):
            found = self._query.get(wire)
            if found is None:
                rest.append((wire, text))
                continue
            name, read, many = found
            if many:
                params.setdefault(name, []).append(read(text))
            elif text or read is str:
                params[name] = read(text)
        for name, _, read in self._query_maps:
            if rest:
                params[name] = read(rest)


def _query_map_reader(shape: Shape) -> Callable[[list[tuple[str, str]]], dict[str, Any]]:
    if shape.value.type == "list":
        each = _scalar_reader(shape.value.member)

        def read_many(pairs: list[tuple[str, str]]) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for key, text in pairs:
                found.setdefault(key, []).append(each(text))
            return found

        return read_many
    one = _scalar_reader(shape.value)
    return lambda pairs: {key: one(text) for key, text in pairs}


# --- replies -----------------------------------------------------------------------------------


def header_writer(shape: Shape, default: str = "rfc822") -> Callable[[Any], str]:
    """How a member is spelt in a header."""
    kind = shape.type
    if shape.traits.get("jsonvalue"):
        return lambda value: binascii.b2a_base64(orjson.dumps(value), newline=False).decode()
    if kind == "string":
        return _header_text
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind == "timestamp":
        return timestamps.WRITERS[shape.traits.get("timestampFormat", default)]
    if kind in ("float", "double"):
        return lambda value: str(write_float(value))
    if kind == "blob":
        return lambda value: binascii.b2a_base64(value, newline=False).decode()
    if kind == "list":
        each = header_writer(shape.member, default)
        if shape.member.type == "string" and not shape.member.traits.get("jsonvalue"):
            return lambda value: ", ".join([_quote(each(item)) for item in value])
        return lambda value: ", ".join([each(item) for item in value])
    return str


def _header_text(value: str) -> str:
    """A line break must never reach the wire: it would begin another header."""
    if "\n" in value or "\r" in value or "\0" in value:
        return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return value


def _quote(text: str) -> str:
    if "," in text or '"' in text:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


class RestOutput:
    """Compiled once per operation or error: where each member of the output goes."""

    def __init__(self, shape: Shape, status: int, bodies: Bodies) -> None:
        self._status = status
        self._status_member: str | None = None
        self._headers: list[tuple[str, str, Callable[[Any], str]]] = []
        self._prefixes: list[tuple[str, str]] = []
        for name, member in shape.members.items():
            wire = str(member.traits.get("locationName", name))
            if member.location == "statusCode":
                self._status_member = name
            elif member.location == "header":
                self._headers.append((name, wire, header_writer(member)))
            elif member.location == "headers":
                self._prefixes.append((name, wire))
        self.payload: str | None = shape.traits.get("payload")
        self._payload_shape = shape.members[self.payload] if self.payload else None
        self._write, self._content_type = self._body_writer(shape, bodies)

    def _body_writer(self, shape: Shape, bodies: Bodies) -> tuple[WriteBody | None, str]:
        payload = self._payload_shape
        if payload is None:
            if not reply_members(shape) and (shape.members or bodies.content_type.endswith("xml")):
                return None, ""
            return bodies.writer(shape, _root(shape)), bodies.content_type
        if payload.type == "structure":
            return bodies.writer(payload, _root(payload)), bodies.content_type
        if payload.type == "string":
            return str.encode, "text/plain"
        return None, "application/octet-stream"

    def write(self, output: Mapping[str, Any]) -> HttpReply:
        reply = HttpReply(status=self._status)
        headers = reply.headers
        if self._status_member is not None:
            reply.status = output.get(self._status_member) or self._status
        typed = False
        for name, wire, write in self._headers:
            value = output.get(name)
            if value is not None:
                headers.append((wire, write(value)))
                typed = typed or wire.lower() == "content-type"
        for name, prefix in self._prefixes:
            for key, value in (output.get(name) or {}).items():
                headers.append((_header_text(prefix + key), _header_text(value)))
        self._write_payload(reply, output, typed)
        return reply

    def _write_payload(self, reply: HttpReply, output: Mapping[str, Any], typed: bool) -> None:
        if self.payload is not None:
            value = output.get(self.payload)
            if value is None:
                return
            reply.body = value if self._write is None else self._write(value)
        elif self._write is None or reply.status in (204, 304):
            return
        else:
            reply.body = self._write(output)
        if not typed and self._content_type:
            reply.headers.append(("Content-Type", self._content_type))


def _root(shape: Shape) -> str:
    return str(shape.traits.get("xmlRoot") or shape.traits.get("locationName") or shape.name)
