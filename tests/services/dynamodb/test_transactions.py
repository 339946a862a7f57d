"""Transactions do everything or nothing, say why, and are done once."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.dynamodb.conftest import Dynamo, N, S, index


def put(key: str, table: str = "table", **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": {"pk": S(key)}, **more}}


def check(key: str, condition: str, **more: Any) -> dict[str, Any]:
    request = {"TableName": "table", "Key": {"pk": S(key)}, "ConditionExpression": condition}
    return {"ConditionCheck": {**request, **more}}


async def all_keys(dynamo: Dynamo) -> set[str]:
    return {item["pk"]["S"] for item in await dynamo.everything("Scan", TableName="table")}


def codes(error: AwsError) -> list[str]:
    return [reason["Code"] for reason in error.members["CancellationReasons"]]


async def test_all_kinds_of_actions_are_done_together(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.table("more")
    for key in ("checked", "updated", "deleted"):
        await dynamo.put({"pk": S(key), "n": N(1)})

    reply = await dynamo(
        "TransactWriteItems",
        TransactItems=[
            put("new"),
            put("elsewhere", "more"),
            check("checked", "n = :one", ExpressionAttributeValues={":one": N(1)}),
            {
                "Update": {
                    "TableName": "table",
                    "Key": {"pk": S("updated")},
                    "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": {":one": N(1)},
                }
            },
            {"Delete": {"TableName": "table", "Key": {"pk": S("deleted")}}},
        ],
        ReturnConsumedCapacity="TOTAL",
    )

    assert await all_keys(dynamo) == {"new", "checked", "updated"}
    assert await dynamo.get({"pk": S("updated")}) == {"pk": S("updated"), "n": N(2)}
    assert await dynamo.get({"pk": S("elsewhere")}, table="more") is not None
    assert reply["ConsumedCapacity"] == [
        {"TableName": "table", "CapacityUnits": 8.0, "WriteCapacityUnits": 8.0},
        {"TableName": "more", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0},
    ]


async def test_one_failed_condition_cancels_everything_and_names_its_place(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("old"), "x": N(1)})

    error = await dynamo.refused(
        "TransactWriteItems",
        TransactItems=[
            put("new"),
            put(
                "old",
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
            check("none", "attribute_exists(pk)"),
        ],
    )

    assert error.code == "TransactionCanceledException"
    assert error.text == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, ConditionalCheckFailed]"
    )
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert error.members["CancellationReasons"] == [
        {"Code": "None"},
        {**failed, "Item": {"pk": S("old"), "x": N(1)}},
        failed,
    ]
    assert await all_keys(dynamo) == {"old"}


async def test_a_retry_with_the_same_token_does_nothing_again_for_ten_minutes(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    request = {
        "ClientRequestToken": "token",
        "ReturnConsumedCapacity": "TOTAL",
        "TransactItems": [
            {
                "Update": {
                    "TableName": "table",
                    "Key": {"pk": S("a")},
                    "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": {":one": N(1)},
                }
            }
        ],
    }

    async def counted() -> Any:
        return (await dynamo.get({"pk": S("a")}) or {})["n"]

    first = await dynamo("TransactWriteItems", **request)
    again = await dynamo("TransactWriteItems", **request)
    once = await counted()
    other = await dynamo.refused("TransactWriteItems", **{**request, "TransactItems": [put("b")]})
    await dynamo.world.advance(601)
    await dynamo("TransactWriteItems", **request)

    assert first["ConsumedCapacity"][0]["WriteCapacityUnits"] == 2
    assert again["ConsumedCapacity"][0]["ReadCapacityUnits"] == 2
    assert once == N(1)
    assert other.code == "IdempotentParameterMismatchException"
    assert await counted() == N(2)


async def test_a_cancelled_transaction_may_be_tried_again_with_its_token(dynamo: Dynamo) -> None:
    await dynamo.table()
    request = {
        "ClientRequestToken": "token",
        "TransactItems": [put("a"), check("b", "attribute_exists(pk)")],
    }

    await dynamo.refused("TransactWriteItems", **request)
    await dynamo.put({"pk": S("b")})
    await dynamo("TransactWriteItems", **request)

    assert await all_keys(dynamo) == {"a", "b"}


async def test_tokens_are_forgotten_in_the_end(dynamo: Dynamo) -> None:
    await dynamo.table()
    for n in range(5):
        await dynamo("TransactWriteItems", ClientRequestToken=f"t{n}", TransactItems=[put("a")])
    await dynamo.world.advance(601)
    await dynamo("TransactWriteItems", ClientRequestToken="last", TransactItems=[put("a")])

    store: Any = dynamo.world.platform.store
    left = [key for key in store._data if b"dynamodb.tokens" in key]
    assert len(left) == 1


@pytest.mark.parametrize(
    ("actions", "problem"),
    [
        ([put("a"), put("a")], "Transaction request cannot include multiple operations on one"),
        ([{}], "TransactItems can only contain one of Check, Put, Update or Delete"),
        (
            [{**put("a"), **check("b", "attribute_exists(pk)")}],
            "TransactItems can only contain one of Check, Put, Update or Delete",
        ),
        ([put("")], "One or more parameter values are not valid. The AttributeValue for a key"),
        (
            [put("a", ConditionExpression="!")],
            'Invalid ConditionExpression: Syntax error; token: "!", near: "!"',
        ),
        ([put("a", "none")], "Requested resource not found"),
        ([], "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy"),
        (
            [
                {"Put": {"TableName": "table", "Item": {"pk": S(str(n)), "x": S("x" * 399_000)}}}
                for n in range(11)
            ],
            "Collection size of items exceeded",
        ),
    ],
)
async def test_a_transaction_that_makes_no_sense_is_refused_whole(
    dynamo: Dynamo, actions: Any, problem: str
) -> None:
    await dynamo.table()

    error = await dynamo.refused("TransactWriteItems", TransactItems=actions)

    assert error.text.startswith(problem)
    assert await all_keys(dynamo) == set()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            {"Put": {"TableName": "table", "Item": {"pk": N(5)}}},
            "One or more parameter values were invalid: Type mismatch for key pk expected: S "
            "actual: N",
        ),
        (
            {"Put": {"TableName": "table", "Item": {"pk": S("a"), "idx": N(5)}}},
            "One or more parameter values were invalid: Type mismatch for Index Key idx "
            "Expected: S Actual: N IndexName: byi",
        ),
        (
            {"Delete": {"TableName": "table", "Key": {"pk": N(5)}}},
            "The provided key element does not match the schema",
        ),
        (
            {
                "Update": {
                    "TableName": "table",
                    "Key": {"pk": S("a")},
                    "UpdateExpression": "SET idx = :v",
                    "ExpressionAttributeValues": {":v": N(5)},
                }
            },
            "One or more parameter values were invalid: Type mismatch for Index Key idx "
            "Expected: S Actual: N IndexName: byi",
        ),
        (
            {
                "Update": {
                    "TableName": "table",
                    "Key": {"pk": S("a")},
                    "UpdateExpression": "SET x = :v",
                    "ExpressionAttributeValues": {":v": S("x" * 409_600)},
                }
            },
            "Item size to update has exceeded the maximum allowed size",
        ),
    ],
)
async def test_what_an_action_finds_wrong_is_a_reason_for_cancellation(
    dynamo: Dynamo, action: Any, message: str
) -> None:
    await dynamo.table(
        attributes={"pk": "S", "idx": "S"}, GlobalSecondaryIndexes=[index("byi", "idx")]
    )

    error = await dynamo.refused("TransactWriteItems", TransactItems=[put("other"), action])

    assert codes(error) == ["None", "ValidationError"]
    assert error.members["CancellationReasons"][1]["Message"] == message
    assert await all_keys(dynamo) == set()


async def test_a_transaction_reads_many_items_of_one_moment(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": N(1), "y": N(2)})

    def get(key: Any, **more: Any) -> dict[str, Any]:
        return {"Get": {"TableName": "table", "Key": key, **more}}

    reply = await dynamo(
        "TransactGetItems",
        TransactItems=[get({"pk": S("a")}, ProjectionExpression="x"), get({"pk": S("b")})],
        ReturnConsumedCapacity="INDEXES",
    )
    twice = await dynamo.refused("TransactGetItems", TransactItems=[get({"pk": S("a")})] * 2)
    wrong = await dynamo.refused("TransactGetItems", TransactItems=[get({})])

    assert reply["Responses"] == [{"Item": {"x": N(1)}}, {}]
    assert reply["ConsumedCapacity"][0]["CapacityUnits"] == 4.0
    assert reply["ConsumedCapacity"][0]["Table"]["ReadCapacityUnits"] == 4.0
    assert twice.text == "Transaction request cannot include multiple operations on one item"
    assert codes(wrong) == ["ValidationError"]
