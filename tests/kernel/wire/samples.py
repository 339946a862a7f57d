"""Values for a shape: everything that the model allows, drawn from any random.Random."""

from __future__ import annotations

import math
import re._constants as op
import re._parser as parser
import string
from random import Random
from typing import Any

from skyfold.kernel.wire import patterns
from skyfold.kernel.wire.shapes import Shape

_PLAIN = string.ascii_letters + string.digits
_TEXT = _PLAIN + " <>&\"'/+%=;:,.?#[]{}|\\~`!@$^*()_-\u00e4\u00df\u65e5\u672c\U0001f600"
_HEADER = _PLAIN + "-_./+=@"
_DEPTH_MAX = 4


class NoSample(Exception):
    """The generator knows no value for a shape."""


class Samples:
    """Draws values; ``rich`` text has everything that needs escaping somewhere."""

    def __init__(self, random: Random, *, empty: bool = True, fractions: bool = True) -> None:
        self._random = random
        self._empty = empty
        self._fractions = fractions

    def value(self, shape: Shape, depth: int = 0) -> Any:
        return getattr(self, f"_{shape.type}")(shape, depth)

    def _structure(self, shape: Shape, depth: int) -> Any:
        if shape.document:
            return {"any": [1, "value", None, {"x": True}]}
        names = list(shape.members)
        if depth and not names and not self._empty:
            raise NoSample(shape.name)
        if shape.traits.get("union"):
            return self._union(shape, depth)
        out = {}
        for name in names:
            needed = name in shape.required
            if not needed and (depth >= _DEPTH_MAX or self._random.random() < 0.3):
                continue
            try:
                out[name] = self._member(shape.members[name], depth + 1)
                if out[name] == "" and name == shape.traits.get("payload"):
                    out[name] = "x"  # an empty body is none
            except NoSample:
                if needed:
                    raise
        if not self._empty and not out and names and depth:
            # What does not show an empty structure gets one with a member.
            out[names[0]] = self._member(shape.members[names[0]], depth + 1)
        return out

    def _union(self, shape: Shape, depth: int) -> Any:
        names = list(shape.members)
        self._random.shuffle(names)
        if depth >= _DEPTH_MAX:  # what does not nest comes first
            names.sort(key=lambda n: shape.members[n].type in ("structure", "list", "map"))
        for name in names:
            try:
                return {name: self.value(shape.members[name], depth + 1)}
            except NoSample:
                continue
        raise NoSample(shape.name)

    def _member(self, member: Shape, depth: int) -> Any:
        if member.location in ("header", "headers", "uri", "querystring"):
            return self._bound(member, depth)
        if member.traits.get("xmlAttribute") and "enum" not in member.traits:
            return self._random_text(_PLAIN, member)
        return self.value(member, depth)

    def _bound(self, member: Shape, depth: int) -> Any:
        """Members outside the body: what HTTP itself can carry there."""
        if member.type == "timestamp":
            return self._timestamp(member, depth) // 1000 * 1000
        if member.traits.get("hostLabel") and "pattern" not in member.traits:
            return self._random_text(_PLAIN, member, at_least=1)
        if member.type == "string" and not set(member.traits) & {"enum", "pattern", "jsonvalue"}:
            text = _HEADER if member.location == "header" else _TEXT
            found = self._random_text(text, member, at_least=1)
            return f"a{found[1:-1]}z"[: len(found)]  # a header begins and ends with no space
        if member.type == "list":
            return [self._bound_item(member) for _ in range(max(1, member.traits.get("min", 1)))]
        if member.type == "map":
            keys = [f"key{number}" for number in range(2)]
            if member.value.type == "list":
                return {key: ["a", "b c"] for key in keys}
            return {key: self._random_text(_HEADER, member.value, at_least=1) for key in keys}
        value = self.value(member, depth)
        return value if value != "" else "x"

    def _bound_item(self, member: Shape) -> Any:
        item = member.member
        if item.type == "timestamp":
            return self._timestamp(item, 0) // 1000 * 1000
        if item.type == "string" and not set(item.traits) & {"enum", "pattern"}:
            return self._random_text(_HEADER, item, at_least=1)
        return self.value(item, 1)

    def _count(self, shape: Shape, depth: int) -> int:
        low = shape.traits.get("min", 0)
        if low > 50:
            raise NoSample(shape.name)
        least = low if self._empty else max(1, low)
        most = min(shape.traits.get("max", 3), least + 2 if depth < _DEPTH_MAX else least)
        return self._random.randint(least, max(least, most))

    def _list(self, shape: Shape, depth: int) -> Any:
        return [self.value(shape.member, depth + 1) for _ in range(self._count(shape, depth))]

    def _map(self, shape: Shape, depth: int) -> Any:
        out: dict[str, Any] = {}
        wanted = self._count(shape, depth)
        for _ in range(wanted * 20):
            if len(out) == wanted:
                return out
            key = self.value(shape.key, depth)
            if key:
                out[key] = self.value(shape.value, depth + 1)
        if len(out) < max(shape.traits.get("min", 0), not self._empty):
            raise NoSample(shape.name)
        return out

    def _random_text(self, alphabet: str, shape: Shape, at_least: int = 0) -> str:
        low = max(at_least, shape.traits.get("min", 0))
        high = min(shape.traits.get("max", low + 12), low + 12)
        if low > 10_000:
            raise NoSample(shape.name)
        length = self._random.randint(low, max(low, high))
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def _string(self, shape: Shape, depth: int) -> Any:
        if shape.traits.get("jsonvalue"):
            return {"a": [1, "b"]}
        if "enum" in shape.traits:
            return self._random.choice(shape.traits["enum"])
        if "pattern" in shape.traits:
            return self._matching(shape)
        return self._random_text(_TEXT, shape)

    def _matching(self, shape: Shape) -> str:
        pattern, _ = patterns.translate(shape.traits["pattern"])
        matches = patterns.matcher(shape.traits["pattern"])
        low, high = shape.traits.get("min", 0), shape.traits.get("max", math.inf)
        try:
            tree = parser.parse(pattern)
        except Exception as error:  # a property that only the other engine knows
            raise NoSample(shape.name) from error
        for attempt in range(40):
            text = self._from_tree(tree, 1 if attempt < 20 else attempt)
            if low <= len(text) <= high and matches(text):
                return text
        raise NoSample(shape.name)

    def _from_tree(self, tree: Any, more: int) -> str:
        return "".join(self._from_node(kind, argument, more) for kind, argument in tree)

    def _from_node(self, kind: Any, argument: Any, more: int) -> str:
        if kind is op.LITERAL:
            return chr(argument)
        if kind is op.NOT_LITERAL:
            return "b" if argument == ord("a") else "a"
        if kind is op.IN:
            return self._from_class(argument)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            low, high, inner = argument
            count = self._random.randint(low, min(int(high), low + 2 * more))
            return "".join(self._from_tree(inner, more) for _ in range(count))
        if kind is op.SUBPATTERN:
            return self._from_tree(argument[3], more)
        if kind is op.BRANCH:
            return self._from_tree(self._random.choice(argument[1]), more)
        if kind is op.ANY:
            return "a"
        if kind in (op.AT, op.ASSERT, op.ASSERT_NOT):
            return ""
        raise NoSample(str(kind))

    def _from_class(self, items: Any) -> str:
        allowed: list[str] = []
        negated = items[0][0] is op.NEGATE
        for kind, argument in items:
            if kind is op.LITERAL:
                allowed.append(chr(argument))
            elif kind is op.RANGE:
                low, high = argument
                allowed.extend(map(chr, range(low, min(high, low + 90) + 1)))
            elif kind is op.CATEGORY:
                allowed.extend(_category(argument))
        if negated:
            allowed = [char for char in _PLAIN + "-_. " if char not in allowed]
        # Control characters and lone halves of a pair have no place in most protocols.
        safe = [c for c in allowed if c.isprintable() and not 0xD800 <= ord(c) < 0xE000]
        if not safe:
            raise NoSample("class")
        return self._random.choice(safe)

    def _integer(self, shape: Shape, depth: int) -> int:
        bits = 31 if shape.type == "integer" else 53
        low = max(-(2**bits), shape.traits.get("min", -(2**bits)))
        high = min(2**bits - 1, shape.traits.get("max", 2**bits - 1))
        return self._random.choice((int(low), int(high), self._random.randint(int(low), int(high))))

    _long = _integer

    def _double(self, shape: Shape, depth: int) -> float:
        low, high = shape.traits.get("min", -1000), shape.traits.get("max", 1000)
        # Quarters are exact in every size of float.
        steps = int((high - low) * 4) if high - low < 1e9 else 4000
        return low + self._random.randint(0, max(steps, 0)) / 4

    _float = _double

    def _boolean(self, shape: Shape, depth: int) -> bool:
        return self._random.random() < 0.5

    def _timestamp(self, shape: Shape, depth: int) -> int:
        seconds = self._random.randint(0, 4_000_000_000) * 1000
        if shape.traits.get("timestampFormat") == "rfc822" or not self._fractions:
            return seconds
        return seconds + self._random.choice((0, 1, 120, 999))

    def _blob(self, shape: Shape, depth: int) -> bytes:
        low = shape.traits.get("min", 0)
        size = self._random.randint(low, max(low, min(shape.traits.get("max", low + 20), low + 20)))
        if shape.streaming or depth <= 1:
            return bytes(self._random.choice(b"abcXYZ019") for _ in range(size))
        return bytes(self._random.randint(0, 255) for _ in range(size))


def _category(category: Any) -> str:
    table = {
        op.CATEGORY_WORD: _PLAIN + "_", op.CATEGORY_DIGIT: string.digits, op.CATEGORY_SPACE: " ",
        op.CATEGORY_NOT_SPACE: _PLAIN, op.CATEGORY_NOT_DIGIT: string.ascii_letters,
        op.CATEGORY_NOT_WORD: "-.",
    }  # fmt: skip
    return table[category]
