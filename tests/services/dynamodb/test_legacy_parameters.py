"""The parameters from before expressions do what they did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.dynamodb.conftest import Dynamo, N, S


def where(operator: str, *values: Any) -> dict[str, Any]:
    test: dict[str, Any] = {"ComparisonOperator": operator}
    if values:
        test["AttributeValueList"] = list(values)
    return test


A = {"pk": S("p"), "sk": S("a"), "n": N(1), "t": S("hello"), "s": {"SS": ["x", "y"]}}
B = {"pk": S("p"), "sk": S("b"), "n": N(2), "t": S("help"), "flag": {"BOOL": True}}
C = {"pk": S("p"), "sk": S("c"), "t": S("other")}


async def filled(dynamo: Dynamo) -> None:
    await dynamo.table("table", "pk", "sk")
    for item in (A, B, C):
        await dynamo.put(item)


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ({"n": where("EQ", N("1.0"))}, "a"),
        ({"n": where("NE", N(1))}, "bc"),
        ({"n": where("LT", N(2))}, "a"),
        ({"n": where("LE", N(2))}, "ab"),
        ({"n": where("GT", N(1))}, "b"),
        ({"n": where("GE", N(1))}, "ab"),
        ({"n": where("BETWEEN", N(2), N(9))}, "b"),
        ({"n": where("IN", N(1), N(7))}, "a"),
        ({"n": where("NULL")}, "c"),
        ({"n": where("NOT_NULL")}, "ab"),
        ({"t": where("BEGINS_WITH", S("hel"))}, "ab"),
        ({"t": where("CONTAINS", S("lo"))}, "a"),
        ({"s": where("CONTAINS", S("x"))}, "a"),
        ({"t": where("NOT_CONTAINS", S("hel"))}, "c"),
        ({"s": where("NOT_CONTAINS", S("z"))}, "a"),
        ({"flag": where("EQ", {"BOOL": True})}, "b"),
        ({"n": where("EQ", N(1)), "t": where("EQ", S("hello"))}, "a"),
    ],
)
async def test_filters_keep_what_they_kept(dynamo: Dynamo, filter_: Any, found: str) -> None:
    await filled(dynamo)
    condition = {"pk": where("EQ", S("p"))}

    scanned = await dynamo("Scan", TableName="table", ScanFilter=filter_)
    queried = await dynamo("Query", TableName="table", KeyConditions=condition, QueryFilter=filter_)

    assert "".join(item["sk"]["S"] for item in scanned["Items"]) == found
    assert "".join(item["sk"]["S"] for item in queried["Items"]) == found
    assert queried["ScannedCount"] == 3


async def test_or_keeps_what_meets_any_condition(dynamo: Dynamo) -> None:
    await filled(dynamo)

    found = await dynamo(
        "Scan",
        TableName="table",
        ScanFilter={"n": where("EQ", N(1)), "t": where("EQ", S("other"))},
        ConditionalOperator="OR",
        AttributesToGet=["sk"],
    )

    assert found["Items"] == [{"sk": S("a")}, {"sk": S("c")}]


@pytest.mark.parametrize(
    ("ranged", "found"),
    [
        (where("EQ", S("b")), "b"),
        (where("LT", S("b")), "a"),
        (where("GE", S("b")), "bc"),
        (where("BETWEEN", S("a"), S("b")), "ab"),
        (where("BEGINS_WITH", S("c")), "c"),
    ],
)
async def test_key_conditions_choose_what_they_chose(
    dynamo: Dynamo, ranged: Any, found: str
) -> None:
    await filled(dynamo)
    conditions = {"pk": where("EQ", S("p")), "sk": ranged}

    reply = await dynamo("Query", TableName="table", KeyConditions=conditions)

    assert "".join(item["sk"]["S"] for item in reply["Items"]) == found


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (
            where("EQ"),
            "One or more parameter values were invalid: Invalid number of argument(s) for the EQ "
            "ComparisonOperator",
        ),
        (
            where("IN", S("a"), N(1)),
            "One or more parameter values were invalid: AttributeValues inside AttributeValueList "
            "must be of same type",
        ),
        (
            where("LT", {"BOOL": True}),
            "One or more parameter values were invalid: ComparisonOperator LT is not valid for "
            "BOOL AttributeValue type",
        ),
        (
            where("BETWEEN", N(2), N(1)),
            "The BETWEEN condition was provided a range where the lower bound is greater than the "
            "upper bound",
        ),
    ],
)
async def test_conditions_that_make_no_sense_are_refused(
    dynamo: Dynamo, condition: Any, problem: str
) -> None:
    await filled(dynamo)

    error = await dynamo.refused("Scan", TableName="table", ScanFilter={"n": condition})

    assert error.text == problem


async def test_key_conditions_must_be_indexable(dynamo: Dynamo) -> None:
    await filled(dynamo)
    conditions = {"pk": where("EQ", S("p")), "sk": where("CONTAINS", S("a"))}

    error = await dynamo.refused("Query", TableName="table", KeyConditions=conditions)

    assert error.text == "Attempted conditional constraint is not an indexable operation"


@pytest.mark.parametrize(
    ("expected", "more", "holds"),
    [
        ({"n": {"Value": N(1)}}, {}, True),
        ({"n": {"Value": N(1), "Exists": True}}, {}, True),
        ({"n": {"Value": N(2)}}, {}, False),
        ({"n": {"Exists": False}}, {}, False),
        ({"new": {"Exists": False}}, {}, True),
        ({"n": {"ComparisonOperator": "GT", "AttributeValueList": [N(0)]}}, {}, True),
        ({"n": {"ComparisonOperator": "GT", "Value": N(1)}}, {}, False),
        (
            {"n": {"Value": N(9)}, "t": {"Value": S("hello")}},
            {"ConditionalOperator": "OR"},
            True,
        ),
        ({"n": {"Value": N(9)}, "t": {"Value": S("hello")}}, {}, False),
    ],
)
async def test_expected_guards_writes(
    dynamo: Dynamo, expected: Any, more: Any, holds: bool
) -> None:
    await filled(dynamo)
    key = {"pk": A["pk"], "sk": A["sk"]}
    request = {"TableName": "table", "Key": key, "Expected": expected, **more}

    if holds:
        await dynamo("DeleteItem", **request)
    else:
        error = await dynamo.refused("DeleteItem", **request)
        assert error.code == "ConditionalCheckFailedException"

    assert (await dynamo.get(key) is None) is holds


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        (
            {"Value": N(1), "AttributeValueList": [N(1)]},
            "Value and AttributeValueList cannot be used together for Attribute: n",
        ),
        (
            {"Exists": True, "ComparisonOperator": "EQ", "Value": N(1)},
            "Exists and ComparisonOperator cannot be used together for Attribute: n",
        ),
        ({}, "Value must be provided when Exists is null for Attribute: n"),
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: n"),
        (
            {"Exists": False, "Value": N(1)},
            "Value cannot be used when Exists is false for Attribute: n",
        ),
        (
            {"AttributeValueList": [N(1)]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: n",
        ),
    ],
)
async def test_expectations_that_make_no_sense_are_refused(
    dynamo: Dynamo, expectation: Any, problem: str
) -> None:
    await filled(dynamo)

    error = await dynamo.refused("PutItem", TableName="table", Item=A, Expected={"n": expectation})

    assert error.text == f"One or more parameter values were invalid: {problem}"


async def test_attribute_updates_put_add_and_delete(dynamo: Dynamo) -> None:
    await filled(dynamo)

    reply = await dynamo(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("p"), "sk": S("a")},
        AttributeUpdates={
            "new": {"Value": S("put by default")},
            "n": {"Action": "ADD", "Value": N(4)},
            "count": {"Action": "ADD", "Value": N(1)},
            "list": {"Action": "ADD", "Value": {"L": [S("x")]}},
            "s": {"Action": "DELETE", "Value": {"SS": ["x"]}},
            "t": {"Action": "DELETE"},
        },
        ReturnValues="ALL_NEW",
    )

    assert reply["Attributes"] == {
        "pk": S("p"),
        "sk": S("a"),
        "new": S("put by default"),
        "n": N(5),
        "count": N(1),
        "list": {"L": [S("x")]},
        "s": {"SS": ["y"]},
    }


@pytest.mark.parametrize(
    ("name", "update", "problem"),
    [
        ("n", {"Action": "PUT"}, "Only DELETE action is allowed when no attribute value is"),
        ("n", {"Action": "DELETE", "Value": N(1)}, "DELETE action with value is not supported"),
        ("n", {"Action": "ADD", "Value": S("x")}, "ADD action is not supported for the type S"),
        ("pk", {"Value": S("q")}, "Cannot update attribute pk. This attribute is part of the key"),
    ],
)
async def test_attribute_updates_that_make_no_sense_are_refused(
    dynamo: Dynamo, name: str, update: Any, problem: str
) -> None:
    await filled(dynamo)

    error = await dynamo.refused(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("p"), "sk": S("a")},
        AttributeUpdates={name: update},
    )

    assert error.text.startswith(f"One or more parameter values were invalid: {problem}")


async def test_a_type_mismatch_is_told_in_the_old_words(dynamo: Dynamo) -> None:
    await filled(dynamo)

    error = await dynamo.refused(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("p"), "sk": S("a")},
        AttributeUpdates={"t": {"Action": "ADD", "Value": N(1)}},
    )

    assert error.text == "Type mismatch for attribute to update"


async def test_old_and_new_parameters_are_not_mixed(dynamo: Dynamo) -> None:
    await filled(dynamo)

    error = await dynamo.refused(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("p"), "sk": S("a")},
        UpdateExpression="SET x = :v",
        ExpressionAttributeValues={":v": N(1)},
        AttributeUpdates={"n": {"Value": N(1)}},
        Expected={"n": {"Exists": False}},
    )

    assert error.text == (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributeUpdates, Expected} "
        "Expression parameters: {UpdateExpression}"
    )
