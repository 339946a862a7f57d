"""Conditions compiled to functions of an item and the request's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skyfold.services.dynamodb.engine import comparisons
from skyfold.services.dynamodb.engine.conditions import (
    ARITY,
    Call,
    Junction,
    Node,
    Parser,
    PathNode,
    Test,
    ValueNode,
    walk,
)
from skyfold.services.dynamodb.engine.paths import dig
from skyfold.services.dynamodb.engine.tokens import Path, Reader, path_text
from skyfold.services.dynamodb.engine.values import ORDERED, TYPES, Value, kind_of, order, shown

Values = Mapping[str, Value]
Matcher = Callable[[Mapping[str, Value], Values], bool]
Getter = Callable[[Mapping[str, Value], Values], Value | None]
Check = Callable[[Values], None]
"""Raises where a value is of a type that its operator cannot work on."""


class Condition:
    """A condition, ready to be asked."""

    def __init__(self, reader: Reader) -> None:
        root = Parser(reader).parse()
        compiler = Compiler(reader)
        self.matches: Matcher = compiler.condition(root)
        self.checks: tuple[Check, ...] = tuple(compiler.checks)
        self.heads = frozenset(str(path[0]) for path in compiler.paths)
        self.nested = frozenset(str(path[0]) for path in compiler.paths if len(path) > 1)


class Compiler:
    """Turns nodes into closures; gathers the paths and the checks on values on the way."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.checks: list[Check] = []
        self.paths: list[Path] = []

    def condition(self, node: Node) -> Matcher:
        if isinstance(node, Junction):
            return _junction(node.kind, [self.condition(arg) for arg in node.args])
        if isinstance(node, Test):
            return self._test(node)
        assert isinstance(node, Call), "the parser lets no bare operand through"
        return self._function(node)

    def _resolve(self, nodes: tuple[Node, ...]) -> dict[int, Path]:
        """The paths among ``nodes``, resolved, by position; names and values must be defined."""
        for node in nodes:
            for each in walk(node):
                if isinstance(each, ValueNode):
                    self._reader.defined(each.name)
                elif isinstance(each, PathNode):
                    self.paths.append(self._reader.resolved(each.path))
        return {
            at: self._reader.resolved(node.path)
            for at, node in enumerate(nodes)
            if isinstance(node, PathNode)
        }

    def _distinct(self, operator: str, paths: dict[int, Path], count: int) -> None:
        if count == 2 and len(paths) == 2 and paths[0] == paths[1]:
            raise self._reader.error(
                "The first operand must be distinct from the remaining operands for this operator "
                f"or function; operator: {operator}, first operand: {path_text(paths[0])}"
            )

    def _arity(self, call: Call) -> None:
        if len(call.args) != ARITY[call.name]:
            raise self._reader.error(
                "Incorrect number of operands for operator or function; operator or function: "
                f"{call.name}, number of operands: {len(call.args)}"
            )

    def _test(self, node: Test) -> Matcher:
        paths = self._resolve(node.args)
        for arg in node.args:
            if isinstance(arg, Call):
                self._arity(arg)
                self._check_size(arg)
        if node.kind == "IN":
            return _membership([self.operand(arg) for arg in node.args])
        if node.kind != "BETWEEN":
            self._distinct(node.kind, paths, len(node.args))
        if node.kind not in ("=", "<>"):
            for arg in node.args:
                self._check_type(node.kind, arg, ORDERED)
        getters = [self.operand(arg) for arg in node.args]
        if node.kind == "BETWEEN":
            low, high = node.args[1], node.args[2]
            if isinstance(low, ValueNode) and isinstance(high, ValueNode):
                self.checks.append(bounds_check(self._reader, low.name, high.name))
            value, lower, upper = getters
            return lambda item, values: comparisons.between(
                value(item, values), lower(item, values), upper(item, values)
            )
        left, right = getters
        compare = comparisons.COMPARATORS[node.kind]
        return lambda item, values: compare(left(item, values), right(item, values))

    def _function(self, call: Call) -> Matcher:
        paths = self._resolve(call.args)
        self._arity(call)
        self._distinct(call.name, paths, len(call.args))
        name = call.name
        if name in ("attribute_exists", "attribute_not_exists"):
            if not paths:
                raise self._reader.error(
                    f"Operator or function requires a document path; operator or function: {name}"
                )
            found, wanted = self.operand(call.args[0]), name == "attribute_exists"
            return lambda item, values: (found(item, values) is not None) is wanted
        if name == "attribute_type":
            return self._attribute_type(call)
        if name == "begins_with":
            for arg in call.args:
                self._check_type(name, arg, frozenset({"S", "B"}))
        left, right = (self.operand(arg) for arg in call.args)
        test = comparisons.begins_with if name == "begins_with" else comparisons.contains
        return lambda item, values: test(left(item, values), right(item, values))

    def _attribute_type(self, call: Call) -> Matcher:
        wanted = call.args[1]
        if not isinstance(wanted, ValueNode):
            raise self._reader.error(
                "Incorrect operand type for operator or function; operator or function: "
                "attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
            )
        self._check_type("attribute_type", wanted, frozenset({"S"}))
        reader, name = self._reader, wanted.name

        def check(values: Values) -> None:
            if values[name].get("S") not in TYPES:
                raise reader.error(
                    f"Invalid attribute type name found; type: {values[name].get('S')}, "
                    "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
                )

        self.checks.append(check)
        found = self.operand(call.args[0])

        def matches(item: Mapping[str, Value], values: Values) -> bool:
            value = found(item, values)
            return value is not None and kind_of(value) == values[name]["S"]

        return matches

    def _check_size(self, call: Call) -> None:
        for arg in call.args:
            self._check_type("size", arg, TYPES - {"N", "BOOL", "NULL"})

    def _check_type(self, operator: str, node: Node, allowed: frozenset[str]) -> None:
        if isinstance(node, Call) and "N" not in allowed:
            raise wrong_type(self._reader, operator, "N")
        if isinstance(node, ValueNode):
            self.checks.append(type_check(self._reader, operator, node.name, allowed))

    def operand(self, node: Node) -> Getter:
        if isinstance(node, ValueNode):
            name = node.name
            return lambda item, values: values[name]
        if isinstance(node, Call):
            inner = self.operand(node.args[0])
            return lambda item, values: comparisons.measured(inner(item, values))
        assert isinstance(node, PathNode)
        path = self._reader.resolved(node.path)
        if len(path) == 1:
            head = str(path[0])
            return lambda item, values: item.get(head)
        return lambda item, values: dig(item, path)


def _junction(kind: str, parts: list[Matcher]) -> Matcher:
    first = parts[0]
    if kind == "NOT":
        return lambda item, values: not first(item, values)
    if len(parts) == 2:
        second = parts[1]
        if kind == "AND":
            return lambda item, values: first(item, values) and second(item, values)
        return lambda item, values: first(item, values) or second(item, values)
    if kind == "AND":
        return lambda item, values: all(part(item, values) for part in parts)
    return lambda item, values: any(part(item, values) for part in parts)


def _membership(getters: list[Getter]) -> Matcher:
    wanted, members = getters[0], getters[1:]

    def matches(item: Mapping[str, Value], values: Values) -> bool:
        value = wanted(item, values)
        return value is not None and any(value == member(item, values) for member in members)

    return matches


def wrong_type(reader: Reader, operator: str, kind: str) -> Exception:
    return reader.error(
        "Incorrect operand type for operator or function; operator or function: "
        f"{operator}, operand type: {kind}"
    )


def type_check(reader: Reader, operator: str, name: str, allowed: frozenset[str]) -> Check:
    def check(values: Values) -> None:
        kind = kind_of(values[name])
        if kind not in allowed:
            raise wrong_type(reader, operator, kind)

    return check


def bounds_check(reader: Reader, low: str, high: str) -> Check:
    def check(values: Values) -> None:
        lower, upper = values[low], values[high]
        bounds = (
            f"lower bound operand: AttributeValue: {_displayed(lower)}, "
            f"upper bound operand: AttributeValue: {_displayed(upper)}"
        )
        if kind_of(lower) != kind_of(upper):
            raise reader.error(
                f"The BETWEEN operator requires same data type for lower and upper bounds; {bounds}"
            )
        if (order(lower, upper) or 0) > 0:
            raise reader.error(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower "
                f"bound; {bounds}"
            )

    return check


def _displayed(value: Mapping[str, Any]) -> str:
    return f"{{{kind_of(value)}:{shown(value)}}}"
