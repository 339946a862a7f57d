"""JSON bodies to parameters and back, for the json and rest-json protocols."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from skyfold.kernel.wire import timestamps
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.shapes import Shape

Convert = Callable[[Any], Any]
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_INFINITY = float("inf")


class Odd(Exception):
    """The quick way met something that the thorough way has to look at."""


def wire_name(name: str, member: Shape) -> str:
    return str(member.traits.get("locationName", name))


_REPLY_LOCATIONS = ("header", "headers", "statusCode")


def body_members(shape: Shape) -> dict[str, Shape]:
    """The members that a request's body holds: those bound nowhere else."""
    return {
        name: member
        for name, member in shape.members.items()
        if member.location is None and not member.traits.get("eventstream")
    }


def reply_members(shape: Shape) -> dict[str, Shape]:
    """The same of a reply, which has no path and no query string to bind members to."""
    return {
        name: member
        for name, member in shape.members.items()
        if member.location not in _REPLY_LOCATIONS and not member.traits.get("eventstream")
    }


# --- reading, quickly ------------------------------------------------------------------------


class Readers:
    """Compiles shapes to conversions of what ``orjson.loads`` yields; None where there is none.

    They leave types unchecked where the value passes through (the constraints' test follows), and
    raise anything at all on what they do not expect: the thorough way then finds the words.
    """

    def __init__(self, scalars: Mapping[str, Convert]) -> None:
        self._scalars = scalars
        self._done: dict[Shape, Convert | None] = {}

    def compile(self, shape: Shape) -> Convert | None:
        if shape.type in self._scalars:
            return self._scalars[shape.type]
        if shape.type == "structure" and shape is not shape.base:
            return self.compile(shape.base)
        if shape in self._done:
            return self._done[shape]
        if not shape.reaches(self._converted):
            self._done[shape] = None
            return None
        return getattr(self, f"_{shape.type}")(shape)

    def _converted(self, shape: Shape) -> bool:
        return shape.type in self._scalars or _renames(shape)

    def body(self, shape: Shape) -> Convert | None:
        """The top of a body, in which members bound to headers or the path have no place."""
        members = body_members(shape)
        if len(members) == len(shape.members):
            return self.compile(shape)
        if not any(wire_name(n, m) != n or self.compile(m) for n, m in members.items()):
            return None
        table: dict[str, tuple[str, Convert | None]] = {}
        self._fill(table, members)
        return _structure_reader(table)

    def _structure(self, shape: Shape) -> Convert:
        table: dict[str, tuple[str, Convert | None]] = {}
        read = self._done[shape] = _structure_reader(table)
        self._fill(table, shape.members)
        return read

    def _fill(
        self, table: dict[str, tuple[str, Convert | None]], members: Mapping[str, Shape]
    ) -> None:
        for name, member in members.items():
            table[wire_name(name, member)] = (name, self.compile(member))

    def _list(self, shape: Shape) -> Convert:
        self._done[shape] = lambda value: found(value)
        each = self.compile(shape.member)
        if each is None:
            raise AssertionError(shape)

        def found(value: Any) -> Any:
            if value.__class__ is not list:
                raise Odd
            return [each(item) for item in value]

        self._done[shape] = found
        return found

    def _map(self, shape: Shape) -> Convert:
        self._done[shape] = lambda value: found(value)
        each = self.compile(shape.value)
        if each is None:
            raise AssertionError(shape)

        def found(value: Any) -> Any:
            return {name: each(item) for name, item in value.items()}

        self._done[shape] = found
        return found


def _renames(shape: Shape) -> bool:
    return (
        shape.type == "structure"
        and not shape.document
        and any(wire_name(name, member) != name for name, member in shape.members.items())
    )


def _structure_reader(table: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    def read(value: Any) -> Any:
        out = {}
        for key, item in value.items():
            name, convert = table[key]
            out[name] = item if convert is None else convert(item)
        return out

    return read


def _blob_read(value: Any) -> bytes:
    if value.__class__ is not str:
        raise Odd
    return binascii.a2b_base64(value, strict_mode=True)


READ_QUICKLY: Mapping[str, Convert] = {"blob": _blob_read, "timestamp": timestamps.from_json}
"""What JSON spells otherwise than parameters do."""


# --- reading, thoroughly ---------------------------------------------------------------------


def loads(body: bytes) -> Any:
    """The JSON text ``body``; malformed text is refused as AWS refuses it."""
    if not body or body.isspace():
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SerializationException("") from error


Scalars = Mapping[str, Callable[[Shape, Any], Any]]


def read_body(shape: Shape, value: Any, scalars: Scalars) -> dict[str, Any]:
    """The top of a body, thoroughly: drops nulls and members unknown to the model."""
    if not isinstance(value, dict):
        raise SerializationException(_unexpected(value, "a structure"))
    return _read_members(body_members(shape), value, scalars)


def read(shape: Shape, value: Any, scalars: Scalars) -> Any:
    """``value``, as orjson yields it, as a parameter; SerializationException in AWS's words."""
    kind = shape.type
    if kind == "structure":
        return _read_structure(shape, value, scalars)
    if kind == "list":
        if not isinstance(value, list):
            raise SerializationException(_unexpected(value, "a list"))
        item_shape = shape.member
        return [read(item_shape, item, scalars) for item in value if item is not None]
    if kind == "map":
        if not isinstance(value, dict):
            raise SerializationException(_unexpected(value, "a map"))
        item_shape = shape.value
        return {k: read(item_shape, v, scalars) for k, v in value.items() if v is not None}
    return scalars[kind](shape, value)


def _read_structure(shape: Shape, value: Any, scalars: Scalars) -> Any:
    if shape.document:
        return value
    if not isinstance(value, dict):
        raise SerializationException(_unexpected(value, "a structure"))
    return _read_members(shape.members, value, scalars)


def _read_members(
    members: Mapping[str, Shape], value: dict[str, Any], scalars: Scalars
) -> dict[str, Any]:
    names = {wire_name(name, member): name for name, member in members.items()}
    out = {}
    for key, item in value.items():
        name = names.get(key)
        if name is not None and item is not None:
            out[name] = read(members[name], item, scalars)
    return out


def _java_class(value: Any) -> str:
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, str):
        return "java.lang.String"
    return "com.amazon.coral.value.json.numbers.TruncatingBigNumber"


def _unexpected(value: Any, wanted: str, java: str = "") -> str:
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return f"Unrecognized collection type {java}" if java else "Unexpected list"
    if java:
        return f"class {_java_class(value)} can not be converted to {wanted}"
    return "Unexpected field type"


def _read_string(shape: Shape, value: Any) -> str:
    if not isinstance(value, str):
        raise SerializationException(_unexpected(value, "an String", "class java.lang.String"))
    return value


def _read_integer(shape: Shape, value: Any) -> int:
    kind = "Integer" if shape.type == "integer" else "Long"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SerializationException(_unexpected(value, f"an {kind}", f"class java.lang.{kind}"))
    bits = 31 if shape.type == "integer" else 63
    if not -(2**bits) <= value < 2**bits:
        raise SerializationException(f"Value {value} is out of the range of {kind}")
    return int(value)  # AWS truncates


def _read_float(shape: Shape, value: Any) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SerializationException(_unexpected(value, "an Double", "class java.lang.Double"))
    return value


def _read_boolean(shape: Shape, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise SerializationException(f"'{value.upper()}' can not be converted to an Boolean")
    raise SerializationException(_unexpected(value, "an Boolean", "class java.lang.Boolean"))


def _read_blob(shape: Shape, value: Any) -> bytes:
    if not isinstance(value, str):
        raise SerializationException(_unexpected(value, "a Blob", "class java.nio.ByteBuffer"))
    if len(value) % 4:
        raise SerializationException(
            f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(value)}"
        )
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise SerializationException("Invalid Base64") from error


def _read_timestamp(shape: Shape, value: Any) -> int:
    try:
        return timestamps.from_json(value)
    except (ValueError, OverflowError) as error:
        raise SerializationException(
            _unexpected(value, "a Date", "class java.util.Date")
        ) from error


READ_THOROUGHLY: Scalars = {
    "string": _read_string,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "blob": _read_blob,
    "timestamp": _read_timestamp,
}


# --- writing ---------------------------------------------------------------------------------


class Writers:
    """Compiles shapes to conversions for ``dumps``; None where a value goes out as it is.

    Bytes are no reason to convert: ``dumps`` meets and encodes them on its way.
    """

    def __init__(self, scalars: Mapping[str, Callable[[Shape], Convert]]) -> None:
        self._scalars = scalars
        self._done: dict[Shape, Convert | None] = {}

    def compile(self, shape: Shape) -> Convert | None:
        if shape.type in self._scalars:
            return self._scalars[shape.type](shape)
        if shape.type == "structure" and shape is not shape.base:
            return self.compile(shape.base)
        if shape in self._done:
            return self._done[shape]
        if not shape.reaches(self._converted):
            self._done[shape] = None
            return None
        return getattr(self, f"_{shape.type}")(shape)

    def _converted(self, shape: Shape) -> bool:
        return shape.type in self._scalars or _renames(shape)

    def body(self, shape: Shape) -> Convert | None:
        """The top of a body, from which members bound to headers or the status stay away."""
        members = reply_members(shape)
        if len(members) == len(shape.members):
            return self.compile(shape)
        table: dict[str, tuple[str, Convert | None]] = {}
        self._fill(table, members)
        return _structure_writer(table)

    def _structure(self, shape: Shape) -> Convert:
        table: dict[str, tuple[str, Convert | None]] = {}
        write = self._done[shape] = _structure_writer(table)
        self._fill(table, shape.members)
        return write

    def _fill(
        self, table: dict[str, tuple[str, Convert | None]], members: Mapping[str, Shape]
    ) -> None:
        for name, member in members.items():
            table[name] = (wire_name(name, member), self.compile(member))

    def _list(self, shape: Shape) -> Convert:
        self._done[shape] = lambda value: found(value)
        each = self.compile(shape.member)

        def found(value: Any) -> Any:
            return [None if item is None else each(item) for item in value]  # type: ignore[misc]

        self._done[shape] = found
        return found

    def _map(self, shape: Shape) -> Convert:
        self._done[shape] = lambda value: found(value)
        each = self.compile(shape.value)

        def found(value: Any) -> Any:
            return {k: None if v is None else each(v) for k, v in value.items()}  # type: ignore[misc]

        self._done[shape] = found
        return found


def _timestamp_writer(shape: Shape) -> Convert:
    spelling = shape.traits.get("timestampFormat", "unixTimestamp")
    if spelling in ("unixTimestamp", "unixtimestamp"):
        return timestamps.to_seconds
    return timestamps.WRITERS[spelling]


def _structure_writer(table: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    get = table.get

    def write(value: Any) -> Any:
        out = {}
        for name, item in value.items():
            found = get(name)
            if found is None or item is None:
                continue
            key, convert = found
            out[key] = item if convert is None else convert(item)
        return out

    return write


def write_float(value: Any) -> Any:
    if value != value:
        return "NaN"
    if value in (_INFINITY, -_INFINITY):
        return "Infinity" if value > 0 else "-Infinity"
    return value


WRITE: Mapping[str, Callable[[Shape], Convert]] = {
    "timestamp": _timestamp_writer,
    "float": lambda shape: write_float,
    "double": lambda shape: write_float,
}


def _default(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, _default)
