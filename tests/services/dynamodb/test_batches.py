"""Batches read and write many items, each once, and refuse what is too much."""

from __future__ import annotations

from typing import Any

from tests.services.dynamodb.conftest import Dynamo, N, S


def puts(count: int, size: int = 1) -> list[dict[str, Any]]:
    return [
        {"PutRequest": {"Item": {"pk": S(f"{n:03}"), "x": S("x" * size)}}} for n in range(count)
    ]


async def test_a_batch_writes_and_deletes_in_several_tables(dynamo: Dynamo) -> None:
    await dynamo.table("one")
    await dynamo.table("two")
    await dynamo.put({"pk": S("old")}, table="two")

    reply = await dynamo(
        "BatchWriteItem",
        RequestItems={"one": puts(3), "two": [{"DeleteRequest": {"Key": {"pk": S("old")}}}]},
        ReturnConsumedCapacity="TOTAL",
    )

    assert reply["UnprocessedItems"] == {}
    assert reply["ConsumedCapacity"] == [
        {"TableName": "one", "CapacityUnits": 3.0},
        {"TableName": "two", "CapacityUnits": 1.0},
    ]
    assert len(await dynamo.everything("Scan", TableName="one")) == 3
    assert await dynamo.everything("Scan", TableName="two") == []


async def test_a_batch_reads_what_is_there(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": N(1)})

    reply = await dynamo(
        "BatchGetItem",
        RequestItems={
            "table": {
                "Keys": [{"pk": S("a")}, {"pk": S("b")}],
                "ProjectionExpression": "#x",
                "ExpressionAttributeNames": {"#x": "x"},
                "ConsistentRead": True,
            }
        },
        ReturnConsumedCapacity="TOTAL",
    )

    assert reply["Responses"] == {"table": [{"x": N(1)}]}
    assert reply["UnprocessedKeys"] == {}
    assert reply["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 2.0}]


async def test_what_does_not_fit_in_16_megabytes_is_left_for_the_next_call(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    for n in range(50):
        await dynamo.put({"pk": S(str(n)), "x": S("x" * 400_000)})
    wanted: Any = {"table": {"Keys": [{"pk": S(str(n))} for n in range(50)]}}

    sizes, found = [], set()
    while wanted:
        reply = await dynamo("BatchGetItem", RequestItems=wanted)
        sizes.append(len(reply["Responses"]["table"]))
        found |= {item["pk"]["S"] for item in reply["Responses"]["table"]}
        wanted = reply["UnprocessedKeys"]

    assert sizes == [41, 9]
    assert found == {str(n) for n in range(50)}


async def test_a_batch_that_asks_too_much_is_refused(dynamo: Dynamo) -> None:
    await dynamo.table("one")
    await dynamo.table("two")
    keys = [{"pk": S(str(n))} for n in range(60)]

    many = await dynamo.refused("BatchWriteItem", RequestItems={"one": puts(26)})
    spread = await dynamo.refused("BatchWriteItem", RequestItems={"one": puts(13), "two": puts(13)})
    empty = await dynamo.refused("BatchWriteItem", RequestItems={})
    none = await dynamo.refused("BatchGetItem", RequestItems={})
    reads = await dynamo.refused(
        "BatchGetItem", RequestItems={"one": {"Keys": keys}, "two": {"Keys": keys}}
    )

    assert "Member must have length less than or equal to 25" in many.text
    assert spread.text == "Too many items requested for the BatchWriteItem call"
    assert empty.text == "The requestItems parameter is required for BatchWriteItem"
    assert none.text == "The requestItems parameter is required for BatchGetItem"
    assert reads.text == "Too many items requested for the BatchGetItem call"


async def test_a_batch_names_each_item_once(dynamo: Dynamo) -> None:
    await dynamo.table()
    duplicates = "Provided list of item keys contains duplicates"

    written = await dynamo.refused(
        "BatchWriteItem",
        RequestItems={"table": [*puts(1), {"DeleteRequest": {"Key": {"pk": S("000")}}}]},
    )
    read = await dynamo.refused(
        "BatchGetItem", RequestItems={"table": {"Keys": [{"pk": S("a")}, {"pk": S("a")}]}}
    )

    assert written.text == duplicates
    assert read.text == duplicates
    assert await dynamo.everything("Scan", TableName="table") == []


async def test_one_bad_write_stops_the_whole_batch(dynamo: Dynamo) -> None:
    await dynamo.table()
    mismatch = "The provided key element does not match the schema"

    for bad, problem in (
        ({"PutRequest": {"Item": {"pk": N(1)}}}, mismatch),
        ({"PutRequest": {"Item": {"x": S("no key")}}}, mismatch),
        ({"DeleteRequest": {"Key": {"pk": S("a"), "x": S("b")}}}, mismatch),
        ({}, "Supplied AttributeValue has more than one datatypes set, must contain exactly"),
        (
            {"PutRequest": {"Item": {"pk": S("")}}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
    ):
        error = await dynamo.refused("BatchWriteItem", RequestItems={"table": [*puts(1), bad]})
        assert error.text.startswith(problem)

    missing = await dynamo.refused(
        "BatchWriteItem", RequestItems={"table": puts(1), "nope": puts(1)}
    )
    assert missing.text == "Requested resource not found"
    assert await dynamo.everything("Scan", TableName="table") == []


async def test_projections_old_and_new_are_not_mixed_between_tables(dynamo: Dynamo) -> None:
    await dynamo.table("one")
    await dynamo.table("two")
    keys = [{"pk": S("a")}]

    error = await dynamo.refused(
        "BatchGetItem",
        RequestItems={
            "one": {"Keys": keys, "ProjectionExpression": "pk"},
            "two": {"Keys": keys, "AttributesToGet": ["pk"]},
        },
    )

    assert "Can not use both expression and non-expression parameters" in error.text
