"""Document paths: finding what they lead to, and cutting an item down to some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skyfold.services.dynamodb.engine.tokens import Path, path_text
from skyfold.services.dynamodb.engine.values import Item, Value


def dig(item: Mapping[str, Value], path: Path) -> Value | None:
    """The value at ``path``, or None where there is none."""
    found = item.get(str(path[0]))
    for part in path[1:]:
        if found is None:
            return None
        if isinstance(part, int):
            members = found.get("L")
            found = members[part] if members is not None and part < len(members) else None
        else:
            found = found["M"].get(part) if "M" in found else None
    return found


def overlap(paths: Iterable[Path]) -> str:
    """What is wrong with using these paths together, as DynamoDB says it; empty if nothing."""
    seen: list[Path] = []
    for path in paths:
        for other in seen:
            clash = _clash(other, path)
            if clash:
                return (
                    f"Two document paths {clash} with each other; must remove or rewrite one of "
                    f"these paths; path one: {path_text(other)}, path two: {path_text(path)}"
                )
        seen.append(path)
    return ""


def _clash(one: Path, two: Path) -> str:
    for left, right in zip(one, two, strict=False):
        if isinstance(left, int) != isinstance(right, int):
            return "conflict"
        if left != right:
            return ""
    return "overlap"


class Projection:
    """The parts of an item that some paths lead to, in the shape they have in the item."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self.heads = frozenset(str(path[0]) for path in paths)
        self.nested = frozenset(str(path[0]) for path in paths if len(path) > 1)
        self._flat = () if self.nested else tuple(str(path[0]) for path in paths)
        self._tree = _tree(paths) if self.nested else {}

    def __call__(self, item: Mapping[str, Value]) -> Item:
        if self._flat:
            return {name: item[name] for name in self._flat if name in item}
        return _cut_map(item, self._tree)


_Tree = dict[str | int, Any]


def _tree(paths: tuple[Path, ...]) -> _Tree:
    root: _Tree = {}
    for path in paths:
        node = root
        for part in path:
            node = node.setdefault(part, {})
    return root


def _cut(value: Value, tree: _Tree) -> Value | None:
    if not tree:
        return value
    if "M" in value:
        fields = _cut_map(value["M"], tree)
        return {"M": fields} if fields else None
    if "L" in value:
        kept = (_cut(member, tree[at]) for at, member in enumerate(value["L"]) if at in tree)
        members = [member for member in kept if member is not None]
        return {"L": members} if members else None
    return None


def _cut_map(fields: Mapping[str, Value], tree: _Tree) -> Item:
    out: Item = {}
    for name, below in tree.items():
        if isinstance(name, str) and name in fields:
            kept = _cut(fields[name], below)
            if kept is not None:
                out[name] = kept
    return out
