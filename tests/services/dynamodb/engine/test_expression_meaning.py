"""Conditions and updates mean what a naive reading of the documentation says they mean."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skyfold.services.dynamodb.engine.expressions import PARAMETERS, compiled
from skyfold.services.dynamodb.engine.values import clean_item

NAMES = ["aa", "bb", "cc"]
scalars = st.one_of(
    st.sampled_from(["", "x", "xy", "y", "é𝄞"]).map(lambda s: {"S": s}),
    st.sampled_from(["-2", "0", "1", "1.5", "10"]).map(lambda n: {"N": n}),
    st.sampled_from([b"", b"x", b"xy"]).map(lambda b: {"B": b}),
    st.booleans().map(lambda b: {"BOOL": b}),
    st.just({"NULL": True}),
    st.sampled_from([["x"], ["x", "y"]]).map(lambda s: {"SS": s}),
    st.sampled_from([["1"], ["1", "10"]]).map(lambda s: {"NS": s}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda members: {"L": members}),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=2).map(lambda f: {"M": f}),
    ),
    max_leaves=6,
)
items = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
paths = st.builds(
    lambda head, rest: (head, *rest),
    st.sampled_from(NAMES),
    st.lists(st.one_of(st.sampled_from(NAMES), st.integers(0, 2)), max_size=2),
)


def text_of(path: tuple[Any, ...]) -> str:
    head, *rest = path
    return head + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in rest)


def found(item: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path, by the plainest reading."""
    here = {"M": item}
    for part in path:
        try:
            here = here["L"][part] if isinstance(part, int) else here["M"][part]
        except (KeyError, IndexError):
            return None
    return here


class Scenario:
    """A condition as text, and what it should say of an item, built side by side."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.values: dict[str, Any] = {}

    def literal(self, value: Any) -> tuple[str, Any]:
        name = f":v{len(self.values)}"
        self.values[name] = value
        return name, lambda item: value

    def operand(self, kinds: str = "") -> tuple[str, Any]:
        draw = self.draw
        choice = draw(st.sampled_from(["path", "path", "value", "size"]))
        if choice == "value":
            options = scalars.filter(lambda v: not kinds or next(iter(v)) in kinds.split())
            return self.literal(draw(options))
        path = draw(paths)
        if choice == "size" and (not kinds or "N" in kinds.split()):
            return f"size({text_of(path)})", lambda item: sized(found(item, path))
        return text_of(path), lambda item: found(item, path)

    def condition(self, depth: int) -> tuple[str, Any]:
        draw = self.draw
        kind = draw(st.sampled_from(["test", "test", "and", "or", "not"] if depth else ["test"]))
        if kind == "test":
            return self.test()
        text, says = self.condition(depth - 1)
        if kind == "not":
            return f"NOT ({text})" if " " in text else f"not {text}", lambda i: not says(i)
        other, also = self.condition(depth - 1)
        if kind == "and":
            return f"({text}) and ({other})", lambda i: says(i) and also(i)
        return f"{text}  OR {other}", lambda i: says(i) or also(i)

    def test(self) -> tuple[str, Any]:
        draw = self.draw
        kind = draw(st.sampled_from(["=", "<>", "<", ">=", "between", "in", "function"]))
        if kind == "between":
            return self.between()
        if kind == "in":
            left, get = self.operand()
            members = [self.operand() for _ in range(draw(st.integers(1, 3)))]
            text = f"{left} IN ({', '.join(text for text, _ in members)})"
            return text, lambda i: get(i) is not None and any(get(i) == g(i) for _, g in members)
        if kind == "function":
            return self.function()
        limited = "" if kind in ("=", "<>") else "S N B"
        (left, one), (right, two) = self.operand(limited), self.operand(limited)
        if left == right:
            right, two = self.literal({"S": "x"})
        return f"{left} {kind} {right}", lambda i: compared(kind, one(i), two(i))

    def between(self) -> tuple[str, Any]:
        left, get = self.operand("S N B")
        low, lower = self.literal({"N": "0"})
        path = self.draw(paths)
        return (
            f"{left} BETWEEN {low} AND {text_of(path)}",
            lambda i: compared(">=", get(i), lower(i)) and compared("<=", get(i), found(i, path)),
        )

    def function(self) -> tuple[str, Any]:
        draw, path = self.draw, self.draw(paths)
        name = draw(st.sampled_from(["exists", "not_exists", "type", "begins", "contains"]))
        if name == "exists":
            return f"attribute_exists({text_of(path)})", lambda i: found(i, path) is not None
        if name == "not_exists":
            return f"attribute_not_exists({text_of(path)})", lambda i: found(i, path) is None
        if name == "type":
            kind = draw(st.sampled_from(["S", "N", "L", "M", "SS", "BOOL"]))
            literal, _ = self.literal({"S": kind})
            return (
                f"attribute_type({text_of(path)}, {literal})",
                lambda i: kind in (found(i, path) or {}),
            )
        if name == "begins":
            literal, get = self.literal(draw(st.sampled_from([{"S": "x"}, {"B": b"x"}])))
            return f"begins_with({text_of(path)}, {literal})", lambda i: begins(
                found(i, path), get(i)
            )
        literal, get = self.literal(draw(scalars))
        return f"contains({text_of(path)}, {literal})", lambda i: holds(found(i, path), get(i))


def sized(value: Any) -> Any:
    if value is None:
        return None
    ((kind, raw),) = value.items()
    if kind == "S":
        return {"N": str(sum(2 if ord(c) > 0xFFFF else 1 for c in raw))}
    return {"N": str(len(raw))} if kind in ("B", "SS", "NS", "L", "M") else None


def compared(operator: str, left: Any, right: Any) -> bool:
    if operator == "=":
        return left is not None and left == right
    if operator == "<>":
        return not (left is not None and left == right)
    if left is None or right is None or left.keys() != right.keys():
        return False
    ((kind, one),), two = left.items(), next(iter(right.values()))
    if kind not in ("S", "N", "B"):
        return False
    if kind == "N":
        one, two = Decimal(one), Decimal(two)
    elif kind == "S":
        one, two = one.encode(), two.encode()
    return bool({"<": one < two, "<=": one <= two, ">=": one >= two}[operator])


def begins(value: Any, prefix: Any) -> bool:
    if value is None or value.keys() != prefix.keys():
        return False
    return bool(next(iter(value.values())).startswith(next(iter(prefix.values()))))


def holds(value: Any, member: Any) -> bool:
    if value is None:
        return False
    ((kind, raw),), ((wanted, element),) = value.items(), member.items()
    if kind == "L":
        return member in raw
    if kind in ("S", "B"):
        return wanted == kind and element in raw
    return kind in ("SS", "NS") and wanted == kind[0] and element in raw


@given(st.data(), items)
def test_conditions_agree_with_a_naive_reading(data: st.DataObject, given_item: Any) -> None:
    scenario = Scenario(data.draw)
    text, says = scenario.condition(3)
    request: dict[str, Any] = {"FilterExpression": text}
    if scenario.values:
        request["ExpressionAttributeValues"] = scenario.values
    item, _ = clean_item(given_item)

    plan, cleaned = compiled(request, PARAMETERS)

    assert plan.filter is not None
    assert plan.filter.matches(item, cleaned) is bool(says(item))


def applied(item: Any, actions: list[tuple[str, tuple[Any, ...], Any]]) -> Any:
    """What SET and REMOVE make of an item, done one by one on a copy; None for a bad path."""
    new = copy.deepcopy(item)
    gone = object()
    later: list[tuple[list[Any], int, Any]] = []
    for verb, path, value in actions:
        parent: Any = found(new, path[:-1]) if len(path) > 1 else {"M": new}
        last = path[-1]
        kind = "L" if isinstance(last, int) else "M"
        if not isinstance(parent, dict) or kind not in parent:
            return None
        holder = parent[kind]
        if verb == "SET" and kind == "L" and last >= len(holder):
            later.append((holder, last, value))
        elif verb == "SET":
            holder[last] = value
        elif kind == "M":
            holder.pop(last, None)
        elif last < len(holder):
            holder[last] = gone
    for holder, _, value in sorted(later, key=lambda each: each[1]):
        holder.append(value)
    return without(new, gone)


def without(value: Any, gone: object) -> Any:
    if isinstance(value, dict):
        return {key: without(each, gone) for key, each in value.items()}
    if isinstance(value, list):
        return [without(each, gone) for each in value if each is not gone]
    return value


@given(items, st.lists(st.tuples(st.sampled_from(["SET", "REMOVE"]), paths, values), max_size=4))
def test_updates_agree_with_doing_them_one_by_one(given_item: Any, wanted: Any) -> None:
    item, _ = clean_item(given_item)
    actions: list[Any] = []
    for verb, path, value in wanted:
        clash = any(path[: len(p)] == p[: len(path)] for _, p, _ in actions)
        mixed = any(
            isinstance(a, int) != isinstance(b, int)
            for _, p, _ in actions
            for a, b in zip(path, p, strict=False)
        )
        if not clash and not mixed:
            actions.append((verb, path, value))
    request = written(actions)
    if request is None:
        return
    cleaned = [(v, p, clean_item({"x": value})[0]["x"]) for v, p, value in actions]
    expected = applied(item, cleaned)
    before = copy.deepcopy(item)
    plan, literals = compiled(request, PARAMETERS)
    assert plan.update is not None

    try:
        new: Any = plan.update.apply(item, literals)
    except Exception as bad:
        assert expected is None, bad
        assert "invalid for update" in str(bad)
    else:
        assert new == expected
    assert item == before


def written(actions: list[Any]) -> dict[str, Any] | None:
    """An UpdateExpression that does ``actions``, SETs first."""
    if not actions:
        return None
    literals: dict[str, Any] = {}
    sets, removes = [], []
    for verb, path, value in actions:
        if verb == "SET":
            literals[f":v{len(literals)}"] = value
            sets.append(f"{text_of(path)} = :v{len(literals) - 1}")
        else:
            removes.append(text_of(path))
    text = (f"SET {', '.join(sets)} " if sets else "") + (
        f"remove {', '.join(removes)}" if removes else ""
    )
    request: dict[str, Any] = {"UpdateExpression": text}
    if literals:
        request["ExpressionAttributeValues"] = literals
    return request


@given(items, st.lists(paths, min_size=1, max_size=3))
def test_a_projection_keeps_what_its_paths_lead_to_and_no_more(
    given_item: Any, wanted: list[tuple[Any, ...]]
) -> None:
    item, _ = clean_item(given_item)
    chosen: list[tuple[Any, ...]] = []
    for path in wanted:
        if not any(
            path[: len(p)] == p[: len(path)]
            or any(isinstance(a, int) != isinstance(b, int) for a, b in zip(path, p, strict=False))
            for p in chosen
        ):
            chosen.append(path)
    plan, _ = compiled({"ProjectionExpression": ", ".join(map(text_of, chosen))}, PARAMETERS)
    assert plan.projection is not None

    kept = plan.projection(item)

    assert kept == cut(item, chosen)


def cut(item: Any, chosen: list[tuple[Any, ...]]) -> Any:
    """The same by marking: each value is kept if a path leads to it, through it or above it."""

    def visit(value: Any, here: tuple[Any, ...]) -> Any:
        if any(here[: len(path)] == path for path in chosen):
            return value
        if not any(path[: len(here)] == here for path in chosen):
            return None
        ((kind, raw),) = value.items()
        if kind == "M":
            fields = {n: visit(v, (*here, n)) for n, v in raw.items()}
            fields = {n: v for n, v in fields.items() if v is not None}
            return {"M": fields} if fields else None
        if kind == "L":
            members = [visit(v, (*here, at)) for at, v in enumerate(raw)]
            members = [v for v in members if v is not None]
            return {"L": members} if members else None
        return None

    return (visit({"M": item}, ()) or {"M": {}})["M"]


def test_the_size_of_text_is_in_utf_16_units() -> None:
    request = {"FilterExpression": "size(aa) = :n", "ExpressionAttributeValues": {":n": {"N": "3"}}}

    plan, literals = compiled(request, PARAMETERS)

    assert plan.filter is not None
    assert plan.filter.matches({"aa": {"S": "é𝄞"}}, literals)


def test_what_is_set_past_the_end_of_a_list_is_appended_in_the_order_of_its_indexes() -> None:
    request = {
        "UpdateExpression": "SET aa[9] = :z, aa[7] = :y REMOVE aa[0]",
        "ExpressionAttributeValues": {":y": {"S": "y"}, ":z": {"S": "z"}},
    }
    plan, literals = compiled(request, PARAMETERS)
    assert plan.update is not None

    new = plan.update.apply({"aa": {"L": [{"S": "a"}, {"S": "b"}]}}, literals)

    assert new == {"aa": {"L": [{"S": "b"}, {"S": "y"}, {"S": "z"}]}}
