"""What a model demands of a request: quick tests, and the violations as values, in AWS's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from skyfold.base.errors import AwsError
from skyfold.kernel.wire import patterns
from skyfold.kernel.wire.shapes import Shape


class Violation(NamedTuple):
    """One constraint of the model that a request does not satisfy."""

    kind: str
    """missing, length, range, pattern, enum, union, items, or type."""
    path: str
    """As AWS spells it: ``tags.1.member.key``."""
    value: Any
    constraint: str
    """AWS's words: ``Member must not be null``."""
    shape: str
    """The name of the shape that states the constraint."""
    member: str
    """The member of the structure that the value is in, as the model spells it."""
    sensitive: bool = False

    def __str__(self) -> str:
        if self.sensitive and self.value is not None:
            shown = ""
        elif self.value is None:
            shown = " null"
        else:
            shown = f" '{java_text(self.value)}'"
        return f"Value{shown} at '{self.path}' failed to satisfy constraint: {self.constraint}"


class ValidationException(AwsError):
    """A request that its model does not allow, over JSON, REST and CBOR."""


class ValidationError(AwsError):
    """The same over the query protocol."""


class SerializationException(AwsError):
    """A request that cannot be read as what its model describes."""


class NotOfItsType(SerializationException):
    """A label, header or query parameter that cannot be read: one that services may word."""

    code = "SerializationException"

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.constraint)
        self.violation = violation


def worded(violations: Sequence[Violation]) -> str:
    """The message of AWS's generic validation error."""
    count = len(violations)
    plural = "" if count == 1 else "s"
    return f"{count} validation error{plural} detected: " + "; ".join(map(str, violations))


def java_text(value: Any) -> str:
    """A value as AWS's services show it in messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(java_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}={java_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, (bytes, bytearray)):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


Test = Callable[[Any], bool]
Check = type | Test
"""Either the one class that is enough, or a test."""

_INT_RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_NUMBERS = (int, float)


class Checks:
    """Compiles shapes to quick tests that say only yes or no."""

    def __init__(self) -> None:
        self._done: dict[Shape, Check] = {}

    def test(self, shape: Shape) -> Test:
        """Whether a value is of this shape and breaks no constraint of it."""
        check = self.compile(shape)
        if isinstance(check, type):
            wanted = check
            return lambda value: value.__class__ is wanted
        return check

    def compile(self, shape: Shape) -> Check:
        found = self._done.get(shape)
        if found is not None:
            return found
        if shape.type == "structure":
            return self._structure(shape)
        # A list or a map of itself finds this while it is being made.
        self._done[shape] = lambda value: self.test(shape)(value)
        made = getattr(self, f"_{shape.type}")(shape)
        self._done[shape] = made
        return made

    def _structure(self, shape: Shape) -> Check:
        if shape is not shape.base:
            check = self._done[shape] = self.compile(shape.base)
            return check
        if shape.document:
            anything = self._done[shape] = lambda value: True
            return anything
        if shape.traits.get("eventstream"):
            stream = self._done[shape] = lambda value: True
            return stream
        members: dict[str, Check] = {}
        get = members.get
        required = shape.required
        union = bool(shape.traits.get("union"))

        def test(value: Any) -> bool:
            if value.__class__ is not dict:
                return False
            for name in required:
                if name not in value:
                    return False
            for name, item in value.items():
                check = get(name)
                if check is item.__class__:
                    continue
                if check is None or check.__class__ is type or not check(item):
                    return False
            return not union or len(value) == 1

        self._done[shape] = test
        for name, member in shape.members.items():
            members[name] = self.compile(member)
        return test

    def _list(self, shape: Shape) -> Check:
        check = self.compile(shape.member)
        low, high = _bounds(shape)
        if isinstance(check, type):
            wanted = check
            return lambda value: (
                value.__class__ is list
                and low <= len(value) <= high
                and all([item.__class__ is wanted for item in value])  # noqa: C419 - quicker
            )
        each = check
        return lambda value: (
            value.__class__ is list
            and low <= len(value) <= high
            and all([each(item) for item in value])  # noqa: C419 - quicker
        )

    def _map(self, shape: Shape) -> Check:
        key, each = self.test(shape.key), self.test(shape.value)
        low, high = _bounds(shape)
        return lambda value: (
            value.__class__ is dict
            and low <= len(value) <= high
            and all([key(name) and each(item) for name, item in value.items()])  # noqa: C419 - quicker
        )

    def _string(self, shape: Shape) -> Check:
        if shape.traits.get("jsonvalue"):
            return lambda value: True
        low, high = _bounds(shape)
        bounded = low > 0 or high != float("inf")
        matches = _matcher(shape)
        allowed = frozenset(shape.traits["enum"]) if "enum" in shape.traits else None
        if allowed is not None and not bounded and matches is None:
            return lambda value: value.__class__ is str and value in allowed
        if bounded and matches is None and allowed is None:
            return lambda value: value.__class__ is str and low <= len(value) <= high
        if matches is None and allowed is None:
            return str
        return lambda value: (
            value.__class__ is str
            and low <= len(value) <= high
            and (allowed is None or value in allowed)
            and (matches is None or matches(value))
        )

    def _integer(self, shape: Shape) -> Check:
        low, high = _int_bounds(shape)
        return lambda value: value.__class__ is int and low <= value <= high

    _long = _integer

    def _double(self, shape: Shape) -> Check:
        low, high = shape.traits.get("min"), shape.traits.get("max")
        if low is None and high is None:
            return lambda value: value.__class__ in _NUMBERS
        low = float("-inf") if low is None else low
        high = float("inf") if high is None else high
        return lambda value: value.__class__ in _NUMBERS and low <= value <= high

    _float = _double

    def _boolean(self, shape: Shape) -> Check:
        return bool

    def _timestamp(self, shape: Shape) -> Check:
        return int

    def _blob(self, shape: Shape) -> Check:
        if shape.streaming:
            return lambda value: True
        low, high = _bounds(shape)
        if low == 0 and high == float("inf"):
            return bytes
        return lambda value: value.__class__ is bytes and low <= len(value) <= high


def _bounds(shape: Shape) -> tuple[float, float]:
    return shape.traits.get("min", 0), shape.traits.get("max", float("inf"))


def _int_bounds(shape: Shape) -> tuple[int, int]:
    low, high = _INT_RANGES[shape.type]
    return max(low, shape.traits.get("min", low)), min(high, shape.traits.get("max", high))


def _matcher(shape: Shape) -> patterns.Matcher | None:
    pattern = shape.traits.get("pattern")
    if pattern is None:
        return None
    try:
        return patterns.matcher(pattern)
    except patterns.Unsupported:
        return None  # tests/kernel/wire/test_patterns.py names each of these


def lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def violations(shape: Shape, value: Any, path: str = "", member: str = "") -> list[Violation]:
    """Everything that ``value`` breaks. Slow and thorough; asked after a quick test said no."""
    return list(_walk(shape, value, path, member or shape.name))


def _walk(shape: Shape, value: Any, path: str, member: str) -> Iterator[Violation]:
    if shape.document or shape.traits.get("eventstream") or shape.traits.get("jsonvalue"):
        return
    if not _is_a(shape, value):
        wanted = {"structure": "a structure", "map": "a map", "list": "a list"}
        text = f"Member must be {wanted.get(shape.type, 'of type ' + shape.type)}"
        yield Violation("type", path, value, text, shape.name, member)
    elif shape.type == "structure":
        yield from _walk_structure(shape, value, path)
    elif shape.type == "list":
        yield from _walk_list(shape, value, path, member)
    elif shape.type == "map":
        yield from _walk_map(shape, value, path, member)
    else:
        sensitive = bool(shape.traits.get("sensitive"))
        for kind, text in _broken(shape, value):
            yield Violation(kind, path, value, text, shape.name, member, sensitive)


def _walk_structure(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[Violation]:
    prefix = f"{path}." if path else ""
    members = shape.members
    for name in shape.required:
        if value.get(name) is None and name in members:
            yield Violation(
                "missing", prefix + lower_first(name), None, "Member must not be null",
                members[name].name, name,
            )  # fmt: skip
    if shape.traits.get("union") and len(value) != 1:
        text = "Member must have exactly one of its members set"
        yield Violation("union", path, value, text, shape.name, shape.name)
    for name, item in value.items():
        if name not in members:
            text = f"Member must be one of {', '.join(members)}"
            yield Violation("unknown", prefix + lower_first(name), item, text, shape.name, name)
        elif item is not None:
            yield from _walk(members[name], item, prefix + lower_first(name), name)


def _size(shape: Shape, value: Any, path: str, member: str) -> Iterator[Violation]:
    for kind, text in _length(shape, len(value)):
        yield Violation(kind, path, value, text, shape.name, member)


def _walk_list(shape: Shape, value: Sequence[Any], path: str, member: str) -> Iterator[Violation]:
    yield from _size(shape, value, path, member)
    item_shape = shape.member
    if item_shape.type in _SCALARS:
        if any(True for item in value for _ in _faults(item_shape, item)):
            text = f"Member must satisfy constraint: [{', '.join(_demands(item_shape))}]"
            yield Violation("items", path, value, text, item_shape.name, member)
        return
    for number, item in enumerate(value, 1):
        yield from _walk(item_shape, item, f"{path}.{number}.member", member)


def _walk_map(
    shape: Shape, value: Mapping[str, Any], path: str, member: str
) -> Iterator[Violation]:
    yield from _size(shape, value, path, member)
    if any(True for name in value for _ in _faults(shape.key, name)):
        text = f"Map keys must satisfy constraint: [{', '.join(_demands(shape.key))}]"
        yield Violation("items", path, value, text, shape.key.name, member)
    item_shape = shape.value
    if item_shape.type in _SCALARS:
        if any(True for item in value.values() for _ in _faults(item_shape, item)):
            text = f"Map value must satisfy constraint: [{', '.join(_demands(item_shape))}]"
            yield Violation("items", path, value, text, item_shape.name, member)
        return
    for name, item in value.items():
        yield from _walk(item_shape, item, f"{path}.{name}.member", member)


_SCALARS = frozenset(("string", "integer", "long", "float", "double", "blob"))


def _is_a(shape: Shape, value: Any) -> bool:
    kind = shape.type
    if kind == "structure" or kind == "map":
        return isinstance(value, Mapping)
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _INT_RANGES:
        low, high = _INT_RANGES[kind]
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if kind in ("float", "double"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "timestamp":
        return isinstance(value, int) and not isinstance(value, bool)
    return shape.streaming or isinstance(value, (bytes, bytearray, memoryview))


def _faults(shape: Shape, value: Any) -> Iterator[tuple[str, str]]:
    if not _is_a(shape, value):
        yield "type", f"Member must be of type {shape.type}"
    else:
        yield from _broken(shape, value)


def _broken(shape: Shape, value: Any) -> Iterator[tuple[str, str]]:
    """The constraints of a scalar shape that ``value`` does not satisfy."""
    kind = shape.type
    if kind == "string":
        enum = shape.traits.get("enum")
        if enum is not None and value not in enum:
            yield "enum", f"Member must satisfy enum value set: [{', '.join(enum)}]"
        yield from _length(shape, len(value))
        matches = _matcher(shape)
        if matches is not None and not matches(value):
            yield "pattern", _pattern_text(shape)
    elif kind == "blob":
        if isinstance(value, (bytes, bytearray, memoryview)):
            yield from _length(shape, len(value))
    elif kind in ("integer", "long", "float", "double"):
        low, high = shape.traits.get("min"), shape.traits.get("max")
        if low is not None and not value >= low:
            yield "range", f"Member must have value greater than or equal to {low}"
        if high is not None and not value <= high:
            yield "range", f"Member must have value less than or equal to {high}"


def _length(shape: Shape, size: int) -> Iterator[tuple[str, str]]:
    low, high = shape.traits.get("min"), shape.traits.get("max")
    if low is not None and size < low:
        yield "length", f"Member must have length greater than or equal to {low}"
    if high is not None and size > high:
        yield "length", f"Member must have length less than or equal to {high}"


def _pattern_text(shape: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {shape.traits['pattern']}"


def _demands(shape: Shape) -> list[str]:
    """All that a shape demands, satisfied or not: how AWS words a fault of an item."""
    noun = "length" if shape.type in ("string", "blob") else "value"
    found = []
    if "max" in shape.traits:
        found.append(f"Member must have {noun} less than or equal to {shape.traits['max']}")
    if "min" in shape.traits:
        found.append(f"Member must have {noun} greater than or equal to {shape.traits['min']}")
    if "pattern" in shape.traits:
        found.append(_pattern_text(shape))
    if "enum" in shape.traits:
        found.append(f"Member must satisfy enum value set: [{', '.join(shape.traits['enum'])}]")
    return found or [f"Member must be of type {shape.type}"]
