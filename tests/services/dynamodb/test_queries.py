"""Query and Scan: pages, limits, starting keys, selections, filters and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.dynamodb.engine.keys import segment_bounds
from tests.services.dynamodb.conftest import Dynamo, N, S, index

KEYS = {"pk": "S", "sk": "S", "grp": "S", "num": "N"}


async def filled(dynamo: Dynamo, count: int = 5, **more: Any) -> None:
    """A table with every kind of index, and ``count`` items in partition ``p``."""
    await dynamo.table(
        "table",
        "pk",
        "sk",
        attributes=KEYS,
        GlobalSecondaryIndexes=[
            index("keys", "grp", projection="KEYS_ONLY"),
            index("some", "grp", "num", projection="INCLUDE", include=("inc",)),
        ],
        LocalSecondaryIndexes=[index("local", "pk", "num", projection="KEYS_ONLY")],
    )
    for n in range(count):
        item = {"pk": S("p"), "sk": S(f"s{n}"), "grp": S("g"), "num": N(-n), "inc": S("i")}
        await dynamo.put({**item, "extra": S("e" * 10), **more})


def by_partition(value: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "TableName": "table",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": S(value)},
        **more,
    }


def by_group(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TableName": "table",
        "IndexName": name,
        "KeyConditionExpression": "grp = :g",
        "ExpressionAttributeValues": {":g": S("g")},
        **more,
    }


async def test_a_page_ends_at_the_limit_even_where_nothing_follows(dynamo: Dynamo) -> None:
    await filled(dynamo, 2)

    page = await dynamo("Query", **by_partition(Limit=2))
    rest = await dynamo("Query", **by_partition(ExclusiveStartKey=page["LastEvaluatedKey"]))

    assert page["LastEvaluatedKey"] == {"pk": S("p"), "sk": S("s1")}
    assert rest == {"Items": [], "Count": 0, "ScannedCount": 0}


async def test_a_page_ends_after_a_megabyte(dynamo: Dynamo) -> None:
    await dynamo.table("table", "pk", "sk")
    for n in range(20):
        await dynamo.put({"pk": S("p"), "sk": S(f"{n:02}"), "x": S("x" * 60_000)})

    pages = await dynamo.pages("Query", **by_partition())
    scanned = await dynamo.pages("Scan", TableName="table")
    counted = await dynamo("Query", **by_partition(Select="COUNT"))

    assert [len(page) for page in pages] == [18, 2]
    assert [len(page) for page in scanned] == [18, 2]
    assert counted["Count"] == 18
    assert counted["LastEvaluatedKey"] == {"pk": S("p"), "sk": S("17")}
    assert "Items" not in counted


async def test_a_filter_comes_after_the_limit_and_costs_the_same(dynamo: Dynamo) -> None:
    await filled(dynamo, 5)
    values = {":p": S("p"), ":n": N(-3)}

    page = await dynamo(
        "Query",
        **{
            **by_partition(Limit=4, FilterExpression="num <= :n", ReturnConsumedCapacity="TOTAL"),
            "ExpressionAttributeValues": values,
        },
    )

    assert (page["Count"], page["ScannedCount"]) == (1, 4)
    assert page["LastEvaluatedKey"]["sk"] == S("s3")
    assert page["ConsumedCapacity"]["CapacityUnits"] == 0.5


async def test_projections_of_indexes_show_what_they_hold(dynamo: Dynamo) -> None:
    await filled(dynamo, 1)

    keys = (await dynamo("Query", **by_group("keys")))["Items"][0]
    some = (await dynamo("Query", **by_group("some")))["Items"][0]
    local = (await dynamo("Query", **by_partition(IndexName="local")))["Items"][0]
    whole = await dynamo(
        "Query",
        **by_partition(
            IndexName="local", Select="ALL_ATTRIBUTES", ReturnConsumedCapacity="INDEXES"
        ),
    )
    one = await dynamo("Query", **by_partition(IndexName="local", ProjectionExpression="extra"))

    assert set(keys) == {"pk", "sk", "grp"}
    assert set(some) == {"pk", "sk", "grp", "num", "inc"}
    assert set(local) == {"pk", "sk", "num"}
    assert set(whole["Items"][0]) == {"pk", "sk", "grp", "num", "inc", "extra"}
    assert whole["ConsumedCapacity"]["Table"] == {"CapacityUnits": 0.5}
    assert whole["ConsumedCapacity"]["LocalSecondaryIndexes"]["local"] == {"CapacityUnits": 0.5}
    assert one["Items"] == [{"extra": S("e" * 10)}]


async def test_the_key_of_a_page_of_an_index_has_the_tables_key_too(dynamo: Dynamo) -> None:
    await filled(dynamo, 3)

    page = await dynamo("Query", **by_group("some", Limit=1, ScanIndexForward=False))

    assert page["LastEvaluatedKey"] == {
        "pk": S("p"),
        "sk": S("s0"),
        "grp": S("g"),
        "num": N(0),
    }


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"KeyConditionExpression": "sk = :p"}, "Query condition missed key schema element: pk"),
        ({"KeyConditionExpression": "inc = :p"}, "Query condition missed key schema element: pk"),
        (
            {"KeyConditionExpression": "pk = :p AND inc = :p"},
            "Query condition missed key schema element: sk",
        ),
        ({"KeyConditionExpression": "pk > :p"}, "Query key condition not supported"),
        (
            {"ExpressionAttributeValues": {":p": N(1)}},
            "One or more parameter values were invalid: Condition parameter type does not match "
            "schema type",
        ),
        (
            {"ExpressionAttributeValues": {":p": S("")}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            {"FilterExpression": "sk > :p"},
            "Filter Expression can only contain non-primary key attributes: Primary key "
            "attribute: sk",
        ),
        (
            {"IndexName": "none"},
            "The table does not have the specified index: none",
        ),
        (
            {"Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "inc"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            {"ExclusiveStartKey": {"pk": S("p")}},
            "The provided starting key is invalid",
        ),
        (
            {"ExclusiveStartKey": {"pk": S("q"), "sk": S("s")}},
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            {
                "KeyConditionExpression": "pk = :p AND sk > :p",
                "ExclusiveStartKey": {"pk": S("p"), "sk": S("a")},
            },
            "The provided starting key does not match the range key predicate",
        ),
        (
            {"ProjectionExpression": "pk.x"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not "
            "allowed: Key: pk",
        ),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    dynamo: Dynamo, more: Any, problem: str
) -> None:
    await filled(dynamo, 0)

    error = await dynamo.refused("Query", **{**by_partition(), **more})

    assert (error.code, error.text) == ("ValidationException", problem)


@pytest.mark.parametrize(
    ("name", "more", "problem"),
    [
        (
            "keys",
            {"ConsistentRead": True},
            "Consistent reads are not supported on global secondary indexes",
        ),
        (
            "keys",
            {"Select": "ALL_ATTRIBUTES"},
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not "
            "supported for global secondary index keys because its projection type is not ALL",
        ),
        (
            "some",
            {"ProjectionExpression": "inc, extra"},
            "One or more parameter values were invalid: Global secondary index some does not "
            "project [extra]",
        ),
    ],
)
async def test_a_global_index_does_not_give_what_it_has_not(
    dynamo: Dynamo, name: str, more: Any, problem: str
) -> None:
    await filled(dynamo, 0)

    error = await dynamo.refused("Query", **by_group(name, **more))

    assert error.text == problem


async def test_a_query_needs_a_key_condition(dynamo: Dynamo) -> None:
    await filled(dynamo, 0)

    none = await dynamo.refused("Query", TableName="table")
    both = await dynamo.refused(
        "Query",
        **by_partition(
            KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [S("p")]}}
        ),
    )

    assert none.text == (
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the "
        "request."
    )
    assert both.text.startswith("Can not use both expression and non-expression parameters")


async def test_begins_with_finds_every_beginning(dynamo: Dynamo) -> None:
    await dynamo.table("table", "pk", "sk", attributes={"pk": "S", "sk": "B"})
    keys = [b"a", b"a\0", b"a\0b", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xfe"]
    for key in keys:
        await dynamo.put({"pk": S("p"), "sk": {"B": key}})

    for prefix in (b"a", b"a\0", b"a\xff", b"\xff", b"\xff\xff"):
        found = await dynamo(
            "Query",
            TableName="table",
            KeyConditionExpression="pk = :p AND begins_with(sk, :b)",
            ExpressionAttributeValues={":p": S("p"), ":b": {"B": prefix}},
        )
        got = [item["sk"]["B"] for item in found["Items"]]
        assert got == sorted(key for key in keys if key.startswith(prefix))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request when "
            "Segment parameter is present",
        ),
        (
            {"TotalSegments": 4},
            "The Segment parameter is required but was not present in the request when parameter "
            "TotalSegments is present",
        ),
        (
            {"Segment": 5, "TotalSegments": 5},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 5 is not less than TotalSegments: 5",
        ),
        (
            {"ExclusiveStartKey": {"pk": S("p")}},
            "The provided starting key is invalid: The provided key element does not match the "
            "schema",
        ),
        (
            {"ScanFilter": {}, "FilterExpression": "inc = :x"},
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}",
        ),
        (
            {"FilterExpression": "begins_with(inc, :x)", "ExpressionAttributeValues": {":x": N(1)}},
            "Invalid FilterExpression: Incorrect operand type for operator or function; operator "
            "or function: begins_with, operand type: N",
        ),
    ],
)
async def test_a_scan_that_makes_no_sense_is_refused(
    dynamo: Dynamo, more: Any, problem: str
) -> None:
    await filled(dynamo, 0)

    error = await dynamo.refused("Scan", TableName="table", **more)

    assert error.text == problem


async def test_a_starting_key_belongs_to_its_segment(dynamo: Dynamo) -> None:
    await filled(dynamo, 1)
    start = {"pk": S("p"), "sk": S("s0")}
    refused = []
    for segment in range(4):
        request = {"Segment": segment, "TotalSegments": 4, "ExclusiveStartKey": start}
        try:
            await dynamo("Scan", TableName="table", **request)
        except Exception as error:
            refused.append(str(error))

    assert len(refused) == 3
    assert all("Please use ExclusiveStartKey with correct Segment." in text for text in refused)


async def test_segments_may_outnumber_the_buckets(dynamo: Dynamo) -> None:
    await dynamo.table()
    for n in range(20):
        await dynamo.put({"pk": S(str(n))})
    total = 1_000_000
    bounds = [segment_bounds(segment, total) for segment in (0, 1, total // 2, total - 1)]

    last = await dynamo("Scan", TableName="table", Segment=total - 1, TotalSegments=total)
    whole = await dynamo("Scan", TableName="table")

    assert whole["Count"] == 20
    assert last["Count"] == 0
    assert bounds[0] == (b"\0\0", b"\0\1")
    assert bounds[1] == (b"\0\1", b"\0\1")


async def test_a_sparse_index_holds_only_items_that_have_its_keys(dynamo: Dynamo) -> None:
    await filled(dynamo, 1)
    await dynamo.put({"pk": S("p"), "sk": S("no group"), "num": N(1)})
    await dynamo.put({"pk": S("p"), "sk": S("no number"), "grp": S("g")})

    keys = await dynamo("Scan", TableName="table", IndexName="keys")
    some = await dynamo("Scan", TableName="table", IndexName="some")
    local = await dynamo("Scan", TableName="table", IndexName="local")

    assert [keys["Count"], some["Count"], local["Count"]] == [2, 1, 2]
