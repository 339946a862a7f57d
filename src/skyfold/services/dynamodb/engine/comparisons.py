"""How two attribute values compare: what both the expressions and the legacy conditions mean."""

from __future__ import annotations

from skyfold.services.dynamodb.engine.values import Value, kind_of, order


def equal(left: Value | None, right: Value | None) -> bool:
    return left is not None and left == right


def differs(left: Value | None, right: Value | None) -> bool:
    return left is None or left != right


def below(left: Value | None, right: Value | None) -> bool:
    found = order(left, right)
    return found is not None and found < 0


def at_most(left: Value | None, right: Value | None) -> bool:
    found = order(left, right)
    return found is not None and found <= 0


def above(left: Value | None, right: Value | None) -> bool:
    found = order(left, right)
    return found is not None and found > 0


def at_least(left: Value | None, right: Value | None) -> bool:
    found = order(left, right)
    return found is not None and found >= 0


def between(value: Value | None, low: Value | None, high: Value | None) -> bool:
    return at_least(value, low) and at_most(value, high)


def begins_with(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None:
        return False
    for kind, raw in value.items():
        return kind in ("S", "B") and kind in prefix and bool(raw.startswith(prefix[kind]))
    return False


def contains(value: Value | None, member: Value | None) -> bool:
    """A substring, an element of a set, or a member of a list."""
    if value is None or member is None:
        return False
    for kind, raw in value.items():
        if kind == "L":
            return member in raw
        wanted = member.get(kind[0] if kind in ("SS", "NS", "BS") else kind)
        return kind in ("S", "B", "SS", "NS", "BS") and wanted is not None and wanted in raw
    return False


def measured(value: Value | None) -> Value | None:
    """What ``size()`` says: UTF-16 units, bytes, elements, members or fields."""
    if value is None:
        return None
    kind = kind_of(value)
    raw = value[kind]
    if kind == "S":
        length = len(raw) if raw.isascii() else len(raw.encode("utf-16-le", "surrogatepass")) // 2
        return {"N": str(length)}
    return {"N": str(len(raw))} if kind in ("B", "SS", "NS", "BS", "L", "M") else None


COMPARATORS = {
    "=": equal,
    "<>": differs,
    "<": below,
    "<=": at_most,
    ">": above,
    ">=": at_least,
}
