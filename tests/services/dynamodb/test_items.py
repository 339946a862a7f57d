"""Items are put, read, updated and deleted, under conditions, and cost what they cost on AWS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.dynamodb.conftest import Dynamo, N, S, index

EVERYTHING: dict[str, Any] = {
    "pk": S("a"),
    "text": S("é𝄞"),
    "empty": S(""),
    "number": N("-1.25"),
    "bytes": {"B": b"\0\xff"},
    "none": {"NULL": True},
    "flag": {"BOOL": False},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "blobs": {"BS": [b"a", b"b"]},
    "list": {"L": [S("x"), {"L": []}]},
    "map": {"M": {"k": {"M": {}}}},
}


async def test_an_item_of_every_type_comes_back_as_it_was(dynamo: Dynamo) -> None:
    await dynamo.table()

    await dynamo.put(EVERYTHING)

    assert await dynamo.get({"pk": S("a")}) == EVERYTHING
    assert await dynamo.get({"pk": S("b")}) is None


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"sk": S("x")}, "One or more parameter values were invalid: Missing the key pk in"),
        (
            {"pk": N(1), "sk": S("x")},
            "One or more parameter values were invalid: Type mismatch for key pk expected: S "
            "actual: N",
        ),
        (
            {"pk": S(""), "sk": S("x")},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            {"pk": S("a" * 2049), "sk": S("x")},
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum "
            "size limit of2048 bytes",
        ),
        (
            {"pk": S("a"), "sk": S("é" * 513)},
            "One or more parameter values were invalid: Aggregated size of all range keys has "
            "exceeded the size limit of 1024 bytes",
        ),
        (
            {"pk": S("a"), "sk": S("x"), "num": S("1")},
            "One or more parameter values were invalid: Type mismatch for Index Key num "
            "Expected: N Actual: S IndexName: byn",
        ),
        (
            {"pk": S("a"), "sk": S("x"), "txt": S("")},
            "One or more parameter values are not valid. A value specified for a secondary index "
            "key is not supported. The AttributeValue for a key attribute cannot contain an empty "
            "string value. IndexName: byt, IndexKey: txt",
        ),
        (
            {"pk": S("a"), "sk": S("x"), "more": S("y" * 409_600)},
            "Item size has exceeded the maximum allowed size",
        ),
    ],
)
async def test_an_item_that_does_not_fit_the_table_is_refused(
    dynamo: Dynamo, item: Any, problem: str
) -> None:
    await dynamo.table(
        "table",
        "pk",
        "sk",
        attributes={"pk": "S", "sk": "S", "num": "N", "txt": "S"},
        GlobalSecondaryIndexes=[index("byt", "txt"), index("byn", "num")],
    )

    error = await dynamo.refused("PutItem", TableName="table", Item=item)

    assert error.code == "ValidationException"
    assert error.text.startswith(problem)
    assert await dynamo.everything("Scan", TableName="table") == []


async def test_an_item_may_have_exactly_400_kilobytes(dynamo: Dynamo) -> None:
    await dynamo.table()
    item = {"pk": S("a"), "p": S("x" * (409_600 - 4))}

    await dynamo.put(item)
    grown = await dynamo.refused(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("a")},
        UpdateExpression="SET q = :q",
        ExpressionAttributeValues={":q": S("")},
    )

    assert await dynamo.get({"pk": S("a")}) == item
    assert grown.text == "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize("key", [{}, {"pk": S("a")}, {"pk": S("a"), "sk": N(1)}, {"x": S("a")}])
async def test_a_key_that_does_not_fit_the_schema_is_refused(dynamo: Dynamo, key: Any) -> None:
    await dynamo.table("table", "pk", "sk")

    error = await dynamo.refused("GetItem", TableName="table", Key=key)

    assert error.text == "The provided key element does not match the schema"


async def test_a_missing_table_is_not_named_by_operations_on_items(dynamo: Dynamo) -> None:
    error = await dynamo.refused("GetItem", TableName="none", Key={"pk": S("a")})

    assert (error.code, error.text) == ("ResourceNotFoundException", "Requested resource not found")


async def test_expressions_are_checked_before_the_table_is_looked_for(dynamo: Dynamo) -> None:
    error = await dynamo.refused(
        "PutItem", TableName="none", Item={"pk": S("a")}, ConditionExpression="!"
    )

    assert error.text == 'Invalid ConditionExpression: Syntax error; token: "!", near: "!"'


async def test_a_failed_condition_changes_nothing_and_shows_the_item_if_asked(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    old = {"pk": S("a"), "n": N(1)}
    await dynamo.put(old)
    request = {
        "TableName": "table",
        "Item": {"pk": S("a"), "n": N(2)},
        "ConditionExpression": "attribute_not_exists(pk)",
    }

    plain = await dynamo.refused("PutItem", **request)
    shown = await dynamo.refused(
        "PutItem", **request, ReturnValuesOnConditionCheckFailure="ALL_OLD"
    )

    assert plain.code == "ConditionalCheckFailedException"
    assert plain.text == "The conditional request failed"
    assert plain.members == {}
    assert shown.members == {"Item": old}
    assert await dynamo.get({"pk": S("a")}) == old


@pytest.mark.parametrize(
    ("wanted", "returned"),
    [
        ("NONE", None),
        ("ALL_OLD", {"pk": S("a"), "x": N(1), "m": {"M": {"k": S("v"), "o": S("p")}}}),
        ("UPDATED_OLD", {"x": N(1), "m": {"M": {"k": S("v")}}}),
        ("ALL_NEW", {"pk": S("a"), "x": N(3), "m": {"M": {"k": S("w"), "o": S("p")}}, "y": N(0)}),
        ("UPDATED_NEW", {"x": N(3), "m": {"M": {"k": S("w")}}, "y": N(0)}),
    ],
)
async def test_an_update_returns_what_was_asked_for(
    dynamo: Dynamo, wanted: str, returned: Any
) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": N(1), "m": {"M": {"k": S("v"), "o": S("p")}}})

    reply = await dynamo(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("a")},
        UpdateExpression="SET m.k = :w, y = :zero ADD x :two",
        ExpressionAttributeValues={":w": S("w"), ":zero": N(0), ":two": N(2)},
        ReturnValues=wanted,
    )

    assert reply.get("Attributes") == returned


async def test_an_update_makes_an_item_unless_it_only_takes_away(dynamo: Dynamo) -> None:
    await dynamo.table()

    async def update(key: str, expression: str, **values: Any) -> None:
        more = {"ExpressionAttributeValues": values} if values else {}
        text = {"UpdateExpression": expression} if expression else {}
        await dynamo("UpdateItem", TableName="table", Key={"pk": S(key)}, **text, **more)

    await update("set", "SET x = :v", **{":v": N(1)})
    await update("add", "ADD x :v", **{":v": {"NS": ["1"]}})
    await update("nothing", "")
    await update("remove", "REMOVE x")
    await update("delete", "DELETE x :v", **{":v": {"SS": ["a"]}})

    found = {i["pk"]["S"]: i for i in await dynamo.everything("Scan", TableName="table")}
    assert found == {
        "set": {"pk": S("set"), "x": N(1)},
        "add": {"pk": S("add"), "x": {"NS": ["1"]}},
        "nothing": {"pk": S("nothing")},
    }


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (
            "SET pk = :s",
            "One or more parameter values were invalid: Cannot update attribute pk. This "
            "attribute is part of the key",
        ),
        (
            "SET nope.x = :s",
            "The document path provided in the update expression is invalid for update",
        ),
        (
            "SET txt.x = :s",
            "The document path provided in the update expression is invalid for update",
        ),
        (
            "SET x = nope",
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        ("SET x = txt + :n", "An operand in the update expression has an incorrect data type"),
        ("ADD txt :n", "An operand in the update expression has an incorrect data type"),
        ("SET x = big + :big", "Number overflow. Attempting to store a number with magnitude"),
        (
            "SET idx = :n",
            "One or more parameter values were invalid: Type mismatch for Index Key idx "
            "Expected: S Actual: N IndexName: byi",
        ),
        (
            "SET idx = big",
            "The update expression attempted to update the secondary index key to unsupported type",
        ),
        (
            "SET idx = :e",
            "One or more parameter values are not valid. The update expression attempted to "
            "update a secondary index key to a value that is not supported. The AttributeValue "
            "for a key attribute cannot contain an empty string value.",
        ),
        (
            "SET pk.x = :s",
            "One or more parameter values were invalid: Cannot update attribute pk.",
        ),
        (
            "SET idx.x = :s",
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not "
            "allowed: IndexKey: idx",
        ),
    ],
)
async def test_an_update_that_cannot_be_done_changes_nothing(
    dynamo: Dynamo, expression: str, problem: str
) -> None:
    await dynamo.table(
        attributes={"pk": "S", "idx": "S"}, GlobalSecondaryIndexes=[index("byi", "idx")]
    )
    item = {"pk": S("a"), "txt": S("t"), "big": N("9" + "0" * 125), "idx": S("i")}
    await dynamo.put(item)
    known = {":s": S("s"), ":n": N(1), ":big": N("9" + "0" * 125), ":e": S("")}
    values = {name: value for name, value in known.items() if expression.split()[-1] == name}

    error = await dynamo.refused(
        "UpdateItem",
        TableName="table",
        Key={"pk": S("a")},
        UpdateExpression=expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    )

    assert error.text.startswith(problem)
    assert await dynamo.get({"pk": S("a")}) == item


async def test_a_projection_shapes_what_is_read(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "l": {"L": [S("0"), S("1"), S("2")]}, "x": S("x")})

    reply = await dynamo(
        "GetItem",
        TableName="table",
        Key={"pk": S("a")},
        ProjectionExpression="l[0], l[2], #m",
        ExpressionAttributeNames={"#m": "missing"},
    )

    assert reply["Item"] == {"l": {"L": [S("0"), S("2")]}}


async def test_deleting_returns_the_old_item_and_needs_none(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": N(1)})
    request = {"TableName": "table", "Key": {"pk": S("a")}, "ReturnValues": "ALL_OLD"}

    first, second = await dynamo("DeleteItem", **request), await dynamo("DeleteItem", **request)

    assert first == {"Attributes": {"pk": S("a"), "x": N(1)}}
    assert second == {}


async def test_reads_cost_a_unit_for_four_kilobytes_and_half_where_stale_will_do(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": S("x" * 5000)})

    async def units(key: str, **more: Any) -> Any:
        reply = await dynamo(
            "GetItem",
            TableName="table",
            Key={"pk": S(key)},
            ReturnConsumedCapacity="TOTAL",
            **more,
        )
        return reply["ConsumedCapacity"]

    assert await units("a") == {"TableName": "table", "CapacityUnits": 1.0}
    assert await units("a", ConsistentRead=True) == {"TableName": "table", "CapacityUnits": 2.0}
    assert await units("missing") == {"TableName": "table", "CapacityUnits": 0.5}


async def test_writes_cost_a_unit_for_each_kilobyte_of_the_larger_of_old_and_new(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()

    async def units(size: int) -> float:
        reply = await dynamo.put({"pk": S("a"), "x": S("x" * size)}, ReturnConsumedCapacity="TOTAL")
        return float(reply["ConsumedCapacity"]["CapacityUnits"])

    assert [await units(10), await units(3000), await units(10)] == [1, 3, 3]


async def index_costs(dynamo: Dynamo, operation: str, **request: Any) -> tuple[float, ...]:
    """Total, table, global and local units."""
    reply = await dynamo(operation, TableName="table", ReturnConsumedCapacity="INDEXES", **request)
    consumed = reply["ConsumedCapacity"]

    def of(kind: str, name: str) -> float:
        return float(consumed.get(kind, {}).get(name, {}).get("CapacityUnits", 0))

    return (
        consumed["CapacityUnits"],
        consumed["Table"]["CapacityUnits"],
        of("GlobalSecondaryIndexes", "gsi"),
        of("LocalSecondaryIndexes", "lsi"),
    )


async def test_a_write_pays_for_the_indexes_that_it_changes(dynamo: Dynamo) -> None:
    await dynamo.table(
        "table",
        "pk",
        "sk",
        attributes={"pk": "S", "sk": "S", "g": "S", "l": "S"},
        GlobalSecondaryIndexes=[index("gsi", "g", projection="INCLUDE", include=("proj",))],
        LocalSecondaryIndexes=[index("lsi", "pk", "l")],
    )
    key = {"pk": S("a"), "sk": S("1")}
    item = {**key, "g": S("g"), "l": S("l"), "proj": S("p"), "oth": S("o")}

    async def update(expression: str, **values: Any) -> tuple[float, ...]:
        more = {"ExpressionAttributeValues": values} if values else {}
        return await index_costs(dynamo, "UpdateItem", Key=key, UpdateExpression=expression, **more)

    assert await index_costs(dynamo, "PutItem", Item=item) == (3, 1, 1, 1)
    assert await index_costs(dynamo, "PutItem", Item=item) == (1, 1, 0, 0)
    assert await update("SET oth = :v", **{":v": S("o2")}) == (2, 1, 0, 1)
    assert await update("SET proj = :v", **{":v": S("p2")}) == (3, 1, 1, 1)
    assert await update("SET g = :v", **{":v": S("moved")}) == (4, 1, 2, 1)
    assert await update("SET l = :v", **{":v": S("moved")}) == (3, 1, 0, 2)
    assert await update("REMOVE g") == (3, 1, 1, 1)
    assert await index_costs(dynamo, "DeleteItem", Key=key) == (2, 1, 0, 1)
    assert await index_costs(dynamo, "DeleteItem", Key=key) == (1, 1, 0, 0)


async def test_item_collections_are_measured_on_tables_with_local_indexes(dynamo: Dynamo) -> None:
    await dynamo.table(
        "table",
        "pk",
        "sk",
        attributes={"pk": "S", "sk": "S", "l": "S"},
        LocalSecondaryIndexes=[index("lsi", "pk", "l")],
    )

    reply = await dynamo.put(
        {"pk": S("a"), "sk": S("1"), "l": S("l")}, ReturnItemCollectionMetrics="SIZE"
    )

    assert reply["ItemCollectionMetrics"] == {
        "ItemCollectionKey": {"pk": S("a")},
        "SizeEstimateRangeGB": [0.0, 1.0],
    }


async def test_requests_on_demand_are_metered_and_measured(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "x": S("x" * 2000)})
    await dynamo.get({"pk": S("a")})

    platform = dynamo.world.platform
    usage = {(counter[4], counter[6]): total for counter, total in platform.meters._sums.items()}
    metrics = {(series[3], series[4]): seen[1] for series, seen in platform.metrics._seen.items()}

    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/table"
    assert usage["WriteRequestUnits", arn] == 2
    assert usage["ReadRequestUnits", arn] == 0.5
    assert metrics["ConsumedWriteCapacityUnits", "TableName=table"] == 2
    assert metrics["ConsumedReadCapacityUnits", "TableName=table"] == 0.5
