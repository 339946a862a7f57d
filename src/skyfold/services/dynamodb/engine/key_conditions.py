"""KeyConditionExpression: one condition for the partition key, at most one for the sort key."""

from __future__ import annotations

from typing import NamedTuple

from skyfold.services.dynamodb.engine.conditions import (
    Call,
    Junction,
    Node,
    Parser,
    PathNode,
    Test,
    ValueNode,
)
from skyfold.services.dynamodb.engine.matchers import Check, Compiler
from skyfold.services.dynamodb.engine.tokens import Reader
from skyfold.services.dynamodb.errors import ValidationException

_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class KeyTest(NamedTuple):
    """``operator``: a comparator, ``BETWEEN`` or ``begins_with``; ``values`` name its operands."""

    operator: str
    values: tuple[str, ...]


class KeyCondition:
    """The tests by the name of the attribute that they are about."""

    def __init__(self, reader: Reader) -> None:
        root = Parser(reader, redundant_parens=True).parse()
        compiler = Compiler(reader)
        compiler.condition(root)
        self.checks: tuple[Check, ...] = tuple(compiler.checks)
        self.tests: dict[str, KeyTest] = {}
        self._add(reader, root)

    def _add(self, reader: Reader, node: Node) -> None:
        if isinstance(node, Junction):
            if node.kind != "AND":
                raise _bad_operator(node.kind)
            for arg in node.args:
                self._add(reader, arg)
            return
        assert isinstance(node, (Test, Call))
        name, test = _key_test(reader, node)
        if name in self.tests:
            raise ValidationException(
                "KeyConditionExpressions must only contain one condition per key"
            )
        self.tests[name] = test


def _bad_operator(operator: str) -> ValidationException:
    return ValidationException(f"Invalid operator used in KeyConditionExpression: {operator}")


def _key_test(reader: Reader, node: Test | Call) -> tuple[str, KeyTest]:
    operator = node.kind if isinstance(node, Test) else node.name
    if operator not in (*_MIRRORED, "BETWEEN", "begins_with"):
        raise _bad_operator(operator)
    at = [index for index, arg in enumerate(node.args) if isinstance(arg, PathNode)]
    if any(isinstance(arg, Call) for arg in node.args):
        raise ValidationException("KeyConditionExpressions cannot contain nested operations")
    if len(at) > 1:
        raise _bad_condition("Multiple attribute names used in one condition")
    if not at:
        raise _bad_condition("No key attribute specified")
    if at[0] != 0 and operator not in _MIRRORED:
        raise _bad_condition(
            f"{operator} operator must have the key attribute as its first operand"
        )
    key = node.args[at[0]]
    assert isinstance(key, PathNode)
    path = reader.resolved(key.path)
    if len(path) > 1:
        raise ValidationException(
            "KeyConditionExpressions cannot have conditions on nested attributes"
        )
    values = tuple(arg.name for arg in node.args if isinstance(arg, ValueNode))
    return str(path[0]), KeyTest(_MIRRORED[operator] if at[0] else operator, values)


def _bad_condition(problem: str) -> ValidationException:
    return ValidationException(f"Invalid condition in KeyConditionExpression: {problem}")
