"""UpdateExpression: its grammar, compiled to a function from the old item to the new one.

Every operand is read from the item as it was; list indexes count in the list as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from skyfold.services.dynamodb.engine import numbers
from skyfold.services.dynamodb.engine.matchers import Check, Getter, Values, type_check
from skyfold.services.dynamodb.engine.paths import dig, overlap
from skyfold.services.dynamodb.engine.tokens import Path, Reader
from skyfold.services.dynamodb.engine.values import SETS, Item, Value, kind_of, sorted_set
from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.limits import EXPRESSION_LEVELS_MAX

_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")
_LONG_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
    "L": "LIST",
    "M": "MAP",
}


class Action(NamedTuple):
    """One thing to do. ``operand`` is None for REMOVE; ``literal`` is the ``:name`` that alone
    makes up the operand, if one does."""

    clause: str
    path: Path
    operand: Getter | None
    literal: str


class Update:
    """An update, ready to be applied."""

    def __init__(self, reader: Reader) -> None:
        parser = _Parser(reader)
        self.actions: tuple[Action, ...] = tuple(parser.parse())
        self.checks: tuple[Check, ...] = tuple(parser.checks)
        self.paths = tuple(action.path for action in self.actions)
        self.heads = frozenset(str(path[0]) for path in self.paths)
        self.nested = frozenset(str(path[0]) for path in parser.paths if len(path) > 1)

    def apply(self, old: Mapping[str, Value], values: Values) -> Item:
        return apply(self.actions, old, values)


class _Parser:
    """Reads the clauses. Errors are reported in DynamoDB's order: see ``parse``."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.checks: list[Check] = []
        self.paths: list[Path] = []
        self._functions: list[tuple[str, int]] = []
        self._levels = 0

    def parse(self) -> list[Action]:
        reader = self.reader
        read: list[tuple[str, Path, _Operand | None]] = []
        clauses: list[str] = []
        while True:
            clause = reader.token.keyword
            if clause not in _CLAUSES:
                raise reader.unexpected()
            reader.next()
            clauses.append(clause)
            read.append(self._action(clause))
            while reader.take(","):
                read.append(self._action(clause))
            if reader.token.kind == "end":
                break
        reader.check_reserved()
        for name, _ in self._functions:
            if name not in ("if_not_exists", "list_append"):
                raise reader.error(f"Invalid function name; function: {name}")
        for clause in clauses:
            if clauses.count(clause) > 1:
                raise reader.error(
                    f'The "{clause}" section can only be used once in an update expression;'
                )
        return self._compiled(read)

    def _compiled(self, read: list[tuple[str, Path, _Operand | None]]) -> list[Action]:
        reader = self.reader
        paths = [reader.resolved(path) for _, path, _ in read]
        self.paths.extend(paths)
        for _, _, operand in read:
            for node in operand.walk() if operand else ():
                if node.kind == "path":
                    self.paths.append(reader.resolved(node.path))
        for _, _, operand in read:
            for node in operand.walk() if operand else ():
                if node.kind == "value":
                    reader.defined(node.name)
        clash = overlap(paths)
        if clash:
            raise reader.error(clash)
        actions = []
        for (clause, _, operand), path in zip(read, paths, strict=True):
            if clause in ("ADD", "DELETE") and operand is not None:
                self.checks.append(_clause_check(reader, clause, operand.name))
            getter = self._getter(operand) if operand else None
            literal = operand.name if operand and operand.kind == "value" else ""
            actions.append(Action(clause, path, getter, literal))
        return actions

    def _action(self, clause: str) -> tuple[str, Path, _Operand | None]:
        path = self.reader.path()
        if clause == "REMOVE":
            return clause, path, None
        if clause == "SET":
            self.reader.expect("=")
            return clause, path, self._sum()
        return clause, path, _Operand("value", name=self.reader.value())

    def _sum(self) -> _Operand:
        left = self._operand(sums=True)
        for sign in "+-":
            if self.reader.take(sign):
                return _Operand(sign, args=(left, self._operand(sums=False)))
        return left

    def _operand(self, *, sums: bool) -> _Operand:
        reader = self.reader
        token = reader.token
        if reader.take("("):
            self._levels += 1
            if self._levels > EXPRESSION_LEVELS_MAX:
                raise reader.error("The expression has too many levels of nesting;")
            inner = self._sum() if sums else self._operand(sums=False)
            self._levels -= 1
            reader.expect(")")
            return inner
        if token.kind == "value":
            return _Operand("value", name=reader.value())
        if token.kind == "word" and reader.tokens[reader.at + 1].text == "(":
            reader.at += 2
            return self._call(token.text)
        return _Operand("path", path=reader.path())

    def _call(self, name: str) -> _Operand:
        self._levels += 1
        if self._levels > EXPRESSION_LEVELS_MAX:
            raise self.reader.error("The expression has too many levels of nesting;")
        args = [self._operand(sums=False)]
        while self.reader.take(","):
            args.append(self._operand(sums=False))
        self.reader.expect(")")
        self._levels -= 1
        self._functions.append((name, len(args)))
        return _Operand("call", name=name, args=tuple(args))

    def _getter(self, node: _Operand) -> Getter:
        if node.kind == "value":
            name = node.name
            return lambda item, values: values[name]
        if node.kind == "path":
            path = self.reader.resolved(node.path)
            return lambda item, values: dig(item, path)
        operator = node.name if node.kind == "call" else node.kind
        if len(node.args) != 2:
            raise self.reader.error(
                "Incorrect number of operands for operator or function; operator or function: "
                f"{operator}, number of operands: {len(node.args)}"
            )
        if operator == "if_not_exists" and node.args[0].kind != "path":
            raise self.reader.error(
                "Operator or function requires a document path; operator or function: if_not_exists"
            )
        wanted = {"list_append": "L", "+": "N", "-": "N"}.get(operator, "")
        for arg in node.args:
            if wanted and arg.kind == "value":
                self.checks.append(type_check(self.reader, operator, arg.name, frozenset({wanted})))
        left, right = (self._getter(arg) for arg in node.args)
        return _combined(operator, left, right)


class _Operand:
    """A node of a SET value: ``kind`` is value, path, call, + or -."""

    def __init__(
        self, kind: str, *, name: str = "", path: Path = (), args: tuple[_Operand, ...] = ()
    ) -> None:
        self.kind, self.name, self.path, self.args = kind, name, path, args

    def walk(self) -> list[_Operand]:
        return [self, *(node for arg in self.args for node in arg.walk())]


def _clause_check(reader: Reader, clause: str, name: str) -> Check:
    def check(values: Values) -> None:
        kind = kind_of(values[name])
        if kind in SETS or (kind == "N" and clause == "ADD"):
            return
        raise reader.error(
            "Incorrect operand type for operator or function; operator: "
            f"{clause}, operand type: {_LONG_NAMES[kind]}"
        )

    return check


def _wrong_operand() -> ValidationException:
    return ValidationException("An operand in the update expression has an incorrect data type")


def _present(value: Value | None) -> Value:
    if value is None:
        raise ValidationException(
            "The provided expression refers to an attribute that does not exist in the item"
        )
    return value


def _combined(operator: str, left: Getter, right: Getter) -> Getter:
    if operator == "if_not_exists":

        def default(item: Mapping[str, Value], values: Values) -> Value | None:
            found = left(item, values)
            return right(item, values) if found is None else found

        return default
    if operator == "list_append":

        def appended(item: Mapping[str, Value], values: Values) -> Value | None:
            one, two = _present(left(item, values)), _present(right(item, values))
            if "L" not in one or "L" not in two:
                raise _wrong_operand()
            return {"L": [*one["L"], *two["L"]]}

        return appended
    arithmetic = numbers.add if operator == "+" else numbers.subtract

    def computed(item: Mapping[str, Value], values: Values) -> Value | None:
        one, two = _present(left(item, values)), _present(right(item, values))
        if "N" not in one or "N" not in two:
            raise _wrong_operand()
        return {"N": arithmetic(one["N"], two["N"])}

    return computed


def apply(actions: tuple[Action, ...], old: Mapping[str, Value], values: Values) -> Item:
    """The item that ``actions`` make of ``old``, which stays as it is."""
    draft = _Draft(old)
    results = [
        _present(action.operand(old, values)) if action.operand else None for action in actions
    ]
    for action, operand in zip(actions, results, strict=True):
        if action.clause == "SET":
            assert operand is not None
            draft.put(action.path, operand)
        elif action.clause == "REMOVE":
            draft.remove(action.path)
        else:
            assert operand is not None
            merged = _merged(action.clause, dig(old, action.path), operand)
            draft.replace(action.path, merged)
    return draft.finish()


def _merged(clause: str, existing: Value | None, operand: Value) -> Value | None:
    """What ADD or DELETE leaves of a number or set; None where nothing is left."""
    kind = kind_of(operand)
    if existing is None:
        return operand if clause == "ADD" else None
    if kind not in existing:
        raise _wrong_operand()
    if kind == "N":
        return {"N": numbers.add(existing["N"], operand["N"])}
    members, others = set(existing[kind]), set(operand[kind])
    left = members | others if clause == "ADD" else members - others
    return sorted_set(kind, left) if left else None


_REMOVED: Value = {}
"""Stands in a list for an element that REMOVE took out, until all actions are done."""


class _Draft:
    """A copy of an item in which only what is changed is copied."""

    def __init__(self, old: Mapping[str, Value]) -> None:
        self._root: Item = dict(old)
        self._copied: set[int] = set()
        self._lists: dict[int, list[Any]] = {}
        self._beyond: dict[int, list[tuple[int, Value]]] = {}

    def _container(self, path: Path) -> Any:
        """The dict or list that holds the last part of ``path``, safe to change."""
        holder: Any = self._root
        for part in path[:-1]:
            value = self._child(holder, part)
            kind = kind_of(value) if value else ""
            if kind not in ("M", "L"):
                raise _bad_path()
            if id(value[kind]) not in self._copied:
                value = {kind: value[kind].copy()}
                holder[part] = value
                self._copied.add(id(value[kind]))
            holder = value[kind]
        if isinstance(path[-1], int) != isinstance(holder, list):
            raise _bad_path()
        return holder

    @staticmethod
    def _child(holder: Any, part: str | int) -> Any:
        if isinstance(part, int):
            return holder[part] if isinstance(holder, list) and part < len(holder) else None
        return holder.get(part) if isinstance(holder, dict) else None

    def put(self, path: Path, value: Value) -> None:
        holder, last = self._container(path), path[-1]
        if isinstance(last, int) and last >= len(holder):
            self._lists[id(holder)] = holder
            self._beyond.setdefault(id(holder), []).append((last, value))
        else:
            holder[last] = value

    def remove(self, path: Path) -> None:
        holder, last = self._container(path), path[-1]
        if not isinstance(last, int):
            holder.pop(last, None)
        elif last < len(holder):
            self._lists[id(holder)] = holder
            holder[last] = _REMOVED

    def replace(self, path: Path, value: Value | None) -> None:
        if value is None:
            self.remove(path)
        else:
            self.put(path, value)

    def finish(self) -> Item:
        """Close the gaps that REMOVE left in lists, append what was set past their ends."""
        for key, holder in self._lists.items():
            holder[:] = [member for member in holder if member is not _REMOVED]
            beyond = self._beyond.get(key, ())
            holder.extend(value for _, value in sorted(beyond, key=lambda pair: pair[0]))
        return self._root


def _bad_path() -> ValidationException:
    return ValidationException(
        "The document path provided in the update expression is invalid for update"
    )
