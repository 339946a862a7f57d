"""What is wrong with an expression is said as DynamoDB says it."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.dynamodb.engine.expressions import PARAMETERS, compiled
from skyfold.services.dynamodb.errors import ValidationException

X, ONE = {"S": "x"}, {"N": "1"}
UPDATE, CONDITION, KEY, FILTER, PROJECTION = PARAMETERS


def refusal(parameter: str, text: str, names: Any = None, values: Any = None) -> str:
    request = {parameter: text}
    if names is not None:
        request["ExpressionAttributeNames"] = names
    if values is not None:
        request["ExpressionAttributeValues"] = values
    with pytest.raises(ValidationException) as refused:
        compiled(request, PARAMETERS)
    return refused.value.text


@pytest.mark.parametrize(
    ("parameter", "text", "token", "near"),
    [
        (UPDATE, "INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),
        (UPDATE, "SET a = b c", "c", "b c"),
        (UPDATE, "SET a = :v,", "<EOF>", ","),
        (UPDATE, "SET a = :v + ", "<EOF>", "+"),
        (UPDATE, "REMOVE a[x]", "x", "[x]"),
        (PROJECTION, "!!! INVALID !!!", "!", "!!"),
        (PROJECTION, "a,", "<EOF>", ","),
        (CONDITION, "a-b", "-", "a-b"),
        (CONDITION, "a = = :v", "=", "= = :v"),
        (CONDITION, "attribute_not_exists(", "<EOF>", "("),
        (CONDITION, "a", "<EOF>", "a"),
        (FILTER, "contains (themes, :theme", "<EOF>", ":theme"),
        (FILTER, "NOT (active)", "<EOF>", ")"),
        (FILTER, "a AND b = :v", "AND", "a AND b"),
        (KEY, "pk = :v extra", "extra", ":v extra"),
    ],
)
def test_syntax_errors_name_the_token_and_what_is_near(
    parameter: str, text: str, token: str, near: str
) -> None:
    message = refusal(parameter, text, values={":v": X, ":theme": X})

    assert message == f'Invalid {parameter}: Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("parameter", "text", "problem"),
    [
        (UPDATE, "", "The expression can not be empty;"),
        (UPDATE, "  ", "The expression can not be empty;"),
        (UPDATE, "SET a = :x SET b = :x", 'The "SET" section can only be used once'),
        (UPDATE, "SET a = foo(b, :x)", "Invalid function name; function: foo"),
        (UPDATE, "SET a = size(b)", "Invalid function name; function: size"),
        (
            UPDATE,
            "SET a = list_append(b)",
            "Incorrect number of operands for operator or function; operator or function: "
            "list_append, number of operands: 1",
        ),
        (
            UPDATE,
            "SET a = if_not_exists(:x, :one)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            UPDATE,
            "SET a = :x + :one",
            "Incorrect operand type for operator or function; operator or function: +, "
            "operand type: S",
        ),
        (
            UPDATE,
            "SET a = list_append(b, :x)",
            "Incorrect operand type for operator or function; operator or function: "
            "list_append, operand type: S",
        ),
        (
            UPDATE,
            "ADD a :x",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING",
        ),
        (
            UPDATE,
            "DELETE a :one",
            "Incorrect operand type for operator or function; operator: DELETE, "
            "operand type: NUMBER",
        ),
        (
            UPDATE,
            "SET a = :x REMOVE a.b",
            "Two document paths overlap with each other; must remove or rewrite one of these "
            "paths; path one: [a], path two: [a, b]",
        ),
        (
            UPDATE,
            "SET a.b = :x, a[0] = :x",
            "Two document paths conflict with each other; must remove or rewrite one of these "
            "paths; path one: [a, b], path two: [a, [0]]",
        ),
        (
            PROJECTION,
            "a[1].b, a[1]",
            "Two document paths overlap with each other; must remove or rewrite one of these "
            "paths; path one: [a, [1], b], path two: [a, [1]]",
        ),
        (CONDITION, "((a = :x))", "The expression has redundant parentheses;"),
        (CONDITION, "((a)) = :x", "The expression has redundant parentheses;"),
        (CONDITION, "foo(a, :x)", "Invalid function name; function: foo"),
        (
            CONDITION,
            "size(a)",
            "The function is not allowed to be used this way in an expression; function: size",
        ),
        (
            CONDITION,
            "contains(a, begins_with(b, :x))",
            "The function is not allowed to be used this way in an expression; "
            "function: begins_with",
        ),
        (
            CONDITION,
            "attribute_exists(:x)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            CONDITION,
            "begins_with(a)",
            "Incorrect number of operands for operator or function; operator or function: "
            "begins_with, number of operands: 1",
        ),
        (
            CONDITION,
            "begins_with(a, :one)",
            "Incorrect operand type for operator or function; operator or function: "
            "begins_with, operand type: N",
        ),
        (
            CONDITION,
            "attribute_type(a, :x)",
            "Invalid attribute type name found; type: x, valid types: "
            "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            CONDITION,
            "a = a",
            "The first operand must be distinct from the remaining operands for this operator or "
            "function; operator: =, first operand: [a]",
        ),
        (
            CONDITION,
            "a BETWEEN :x AND :one",
            "The BETWEEN operator requires same data type for lower and upper bounds; lower bound "
            "operand: AttributeValue: {S:x}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            CONDITION,
            "a BETWEEN :two AND :one",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower "
            "bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: "
            "AttributeValue: {N:1}",
        ),
        (
            CONDITION,
            "size(:one) = :one",
            "Incorrect operand type for operator or function; operator or function: size, "
            "operand type: N",
        ),
        (
            CONDITION,
            "Name = :x",
            "Attribute name is a reserved keyword; reserved keyword: Name",
        ),
        (
            CONDITION,
            "#undefined = :x",
            "An expression attribute name used in the document path is not defined; "
            "attribute name: #undefined",
        ),
        (
            CONDITION,
            "a = :undefined",
            "An expression attribute value used in expression is not defined; "
            "attribute value: :undefined",
        ),
    ],
)
def test_what_an_expression_means_is_checked_in_dynamodbs_words(
    parameter: str, text: str, problem: str
) -> None:
    message = refusal(parameter, text, values={":x": X, ":one": ONE, ":two": {"N": "2"}})

    assert message.startswith(f"Invalid {parameter}: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pk = :x OR sk = :x", "Invalid operator used in KeyConditionExpression: OR"),
        ("pk <> :x", "Invalid operator used in KeyConditionExpression: <>"),
        ("contains(pk, :x)", "Invalid operator used in KeyConditionExpression: contains"),
        ("size(pk) = :one", "KeyConditionExpressions cannot contain nested operations"),
        ("pk = sk", "Invalid condition in KeyConditionExpression: Multiple attribute names"),
        (":x = :one", "Invalid condition in KeyConditionExpression: No key attribute specified"),
        (
            "begins_with(:x, pk)",
            "Invalid condition in KeyConditionExpression: begins_with operator must have the key "
            "attribute as its first operand",
        ),
        ("pk.a = :x", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("pk = :x AND pk = :one", "KeyConditionExpressions must only contain one condition per"),
    ],
)
def test_key_conditions_allow_less_than_conditions(text: str, problem: str) -> None:
    assert refusal(KEY, text, values={":x": X, ":one": ONE}).startswith(problem)


def test_aliases_and_values_must_be_spelt_right_and_used() -> None:
    assert refusal(CONDITION, "a = :x", names={"b": "c"}, values={":x": X}) == (
        'ExpressionAttributeNames contains invalid key: Syntax error; key: "b"'
    )
    assert refusal(CONDITION, "a = :x", values={"x": X}) == (
        'ExpressionAttributeValues contains invalid key: Syntax error; key: "x"'
    )
    assert refusal(CONDITION, "a = :x", names={"#b": "c"}, values={":x": X}) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"
    )
    assert refusal(CONDITION, "a = :x", values={":x": X, ":y": X}) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:y}"
    )
    assert refusal(CONDITION, "a = :x", values={":x": {"SS": []}}).startswith(
        "ExpressionAttributeValues contains invalid value: One or more parameter values were "
        "invalid: An string set  may not be empty for key :x"
    )


def test_an_expression_is_four_kilobytes_at_most() -> None:
    text = " OR ".join(["a = :x"] * 500)

    message = refusal(CONDITION, text, values={":x": X})

    assert "Expression size has exceeded the maximum allowed size" in message


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    assert "too many levels" in refusal(CONDITION, "NOT " * 900 + "a = :x", values={":x": X})
    assert "too many levels" in refusal(
        UPDATE, "SET a = " + "(" * 2000 + ":x" + ")" * 2000, values={":x": X}
    )
    assert "too many levels" in refusal(
        CONDITION, "(a = :x AND " * 300 + "a = :x" + ")" * 300, values={":x": X}
    )


def test_in_takes_a_hundred_operands() -> None:
    values = {f":v{n}": X for n in range(101)}

    message = refusal(CONDITION, f"a IN ({', '.join(values)})", values=values)

    assert "The IN operator is provided with too many operands" in message
