"""The grammar of conditions: KeyConditionExpression, ConditionExpression and FilterExpression."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from skyfold.services.dynamodb.engine.tokens import Path, Reader
from skyfold.services.dynamodb.limits import (
    EXPRESSION_LEVELS_MAX,
    EXPRESSION_OPERATORS_MAX,
    IN_OPERANDS_MAX,
)

COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
ARITY = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
}


class PathNode(msgspec.Struct, frozen=True):
    path: Path
    """Aliases not yet resolved."""


class ValueNode(msgspec.Struct, frozen=True):
    name: str


class Call(msgspec.Struct, frozen=True):
    """A function: a condition of its own, or, for ``size``, an operand."""

    name: str
    args: tuple[Node, ...]


class Test(msgspec.Struct, frozen=True):
    """A comparison, BETWEEN or IN: ``kind`` is the comparator or the keyword."""

    kind: str
    args: tuple[Node, ...]


class Junction(msgspec.Struct, frozen=True):
    """AND, OR or NOT."""

    kind: str
    args: tuple[Node, ...]


Node = PathNode | ValueNode | Call | Test | Junction


class Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, reader: Reader, *, redundant_parens: bool = False) -> None:
        self.reader = reader
        self._redundant_allowed = redundant_parens
        self._redundant = False
        self._levels = self._operators = 0

    def parse(self) -> Node:
        """The whole expression, checked as far as that can be done without values."""
        reader = self.reader
        root = self._disjunction()
        if not _is_condition(root):
            raise reader.unexpected()
        reader.expect_end()
        if self._redundant and not self._redundant_allowed:
            raise reader.error("The expression has redundant parentheses;")
        if self._operators > EXPRESSION_OPERATORS_MAX:
            raise reader.error(
                "Invalid expression: The expression contains too many operators; "
                f"operator count: {self._operators}"
            )
        self._check_functions(root)
        reader.check_reserved()
        return root

    def _check_functions(self, root: Node) -> None:
        for node in walk(root):
            if isinstance(node, Call) and node.name not in ARITY:
                raise self.reader.error(f"Invalid function name; function: {node.name}")
        for name in _misused(root):
            raise self.reader.error(
                "The function is not allowed to be used this way in an expression; "
                f"function: {name}"
            )

    def _junction(self, kind: str, args: list[Node]) -> Node:
        if len(args) == 1:
            return args[0]
        self._operators += len(args) - 1
        return Junction(kind, tuple(args))

    def _disjunction(self) -> Node:
        args = [self._conjunction()]
        while self.reader.token.keyword == "OR":
            if not _is_condition(args[-1]):
                raise self.reader.unexpected()
            self.reader.next()
            args.append(self._condition(self._conjunction()))
        return self._junction("OR", args)

    def _conjunction(self) -> Node:
        args = [self._negation()]
        while self.reader.token.keyword == "AND":
            if not _is_condition(args[-1]):
                raise self.reader.unexpected()
            self.reader.next()
            args.append(self._condition(self._negation()))
        return self._junction("AND", args)

    def _condition(self, node: Node) -> Node:
        if not _is_condition(node):
            raise self.reader.unexpected()
        return node

    def _negation(self) -> Node:
        if not self.reader.take_keyword("NOT"):
            return self._primary()
        self._operators += 1
        self._deepen()
        inner = self._condition(self._negation())
        self._levels -= 1
        return Junction("NOT", (inner,))

    def _primary(self) -> Node:
        """A condition in parentheses, or an operand and what it is tested against."""
        left = self._parenthesised() if self.reader.take("(") else self._operand()
        if isinstance(left, (Test, Junction)):
            return left
        token = self.reader.token
        if token.kind == "sign" and token.text in COMPARISONS:
            self.reader.next()
            return self._test(token.text, left, self._bracketed_operand())
        if self.reader.take_keyword("BETWEEN"):
            low = self._bracketed_operand()
            if not self.reader.take_keyword("AND"):
                raise self.reader.unexpected()
            return self._test("BETWEEN", left, low, self._bracketed_operand())
        if self.reader.take_keyword("IN"):
            self.reader.expect("(")
            members = self._arguments()
            if len(members) > IN_OPERANDS_MAX:
                raise self.reader.error(
                    "The IN operator is provided with too many operands; "
                    f"number of operands: {len(members)}"
                )
            return self._test("IN", left, *members)
        return left

    def _deepen(self) -> None:
        self._levels += 1
        if self._levels > EXPRESSION_LEVELS_MAX:
            raise self.reader.error("The expression has too many levels of nesting;")

    def _test(self, kind: str, *args: Node) -> Test:
        self._operators += 1
        return Test(kind, args)

    def _parenthesised(self) -> Node:
        doubled = self.reader.token.text == "("
        inner_opened = self.reader.at
        self._deepen()
        node = self._disjunction()
        self._levels -= 1
        self.reader.expect(")")
        if doubled and self._closes(inner_opened, self.reader.at - 2):
            self._redundant = True
        return node

    def _closes(self, opened: int, closed: int) -> bool:
        """Whether the parenthesis opened at one token is closed by the other."""
        depth = 0
        for at in range(opened, closed + 1):
            text = self.reader.tokens[at].text
            depth += (text == "(") - (text == ")")
            if depth == 0:
                return at == closed
        return False

    def _operand(self) -> Node:
        reader = self.reader
        token = reader.token
        if token.kind == "value":
            return ValueNode(reader.value())
        if token.kind == "word" and reader.tokens[reader.at + 1].text == "(":
            if token.keyword in ("AND", "OR", "NOT", "BETWEEN", "IN"):
                raise reader.unexpected()
            reader.at += 2
            return Call(token.text, tuple(self._arguments()))
        if token.text[:1] == "_":
            raise reader.unexpected()
        return PathNode(reader.path())

    def _bracketed_operand(self) -> Node:
        if not self.reader.take("("):
            return self._operand()
        doubled = self.reader.token.text == "("
        self._deepen()
        node = self._bracketed_operand()
        self._levels -= 1
        self.reader.expect(")")
        self._redundant = self._redundant or doubled
        return node

    def _arguments(self) -> list[Node]:
        args = [self._bracketed_operand()]
        while self.reader.take(","):
            args.append(self._bracketed_operand())
        self.reader.expect(")")
        return args


def walk(node: Node) -> Iterator[Node]:
    """``node`` and all below it."""
    yield node
    if isinstance(node, (Call, Test, Junction)):
        for arg in node.args:
            yield from walk(arg)


def _is_condition(node: Node) -> bool:
    return isinstance(node, (Call, Test, Junction))


def _misused(root: Node) -> Iterator[str]:
    """Functions in a place where they may not be: ``size`` alone, any other as an operand."""
    if isinstance(root, Call) and root.name == "size":
        yield root.name
    for node in walk(root):
        if not isinstance(node, (Test, Call, Junction)):
            continue
        wrong = isinstance(node, Junction)  # where size is wrong, and elsewhere all but size
        for arg in node.args:
            if isinstance(arg, Call) and (arg.name == "size") is wrong:
                yield arg.name
