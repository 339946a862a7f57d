"""Tables are made, described, changed, listed and deleted as DynamoDB does it."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.dynamodb.operations import filling
from tests.services.dynamodb.conftest import Dynamo, N, S, definitions, index, key_schema


async def test_a_new_table_is_said_to_be_creating_and_is_active_at_once(dynamo: Dynamo) -> None:
    made = await dynamo(
        "CreateTable",
        TableName="table",
        KeySchema=key_schema("id"),
        AttributeDefinitions=definitions(id="S"),
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    told = made["TableDescription"]
    found = (await dynamo("DescribeTable", TableName="table"))["Table"]

    assert told == {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "CreationDateTime": dynamo.world.clock.now(),
        "DeletionProtectionEnabled": False,
        "ItemCount": 0,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 5,
            "WriteCapacityUnits": 5,
        },
        "TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/table",
        "TableId": told["TableId"],
        "TableName": "table",
        "TableSizeBytes": 0,
        "TableStatus": "CREATING",
    }
    warm = {"ReadUnitsPerSecond": 5, "WriteUnitsPerSecond": 5, "Status": "ACTIVE"}
    assert found == {**told, "TableStatus": "ACTIVE", "WarmThroughput": warm}


async def test_a_deleted_table_is_gone_with_all_that_was_in_it(dynamo: Dynamo) -> None:
    store: Any = dynamo.world.platform.store
    await store.flush()
    before = set(store._data)
    await dynamo.table("table", "pk", "sk", LocalSecondaryIndexes=[index("loc", "pk", "sk")])
    await dynamo(
        "UpdateTimeToLive",
        TableName="table",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
    )
    await dynamo.put({"pk": S("a"), "sk": S("b"), "ttl": N(2_000_000_000)})
    await dynamo("TagResource", ResourceArn=arn("table"), Tags=[{"Key": "a", "Value": "b"}])

    told = await dynamo("DeleteTable", TableName="table")

    assert told["TableDescription"]["TableStatus"] == "DELETING"
    assert told["TableDescription"]["ItemCount"] == 1
    assert "KeySchema" not in told["TableDescription"]
    error = await dynamo.refused("DescribeTable", TableName="table")
    assert error.text == "Requested resource not found: Table: table not found"
    assert {key for key in store._data if b"kernel.me" not in key and b"usage" not in key} == before


def arn(name: str) -> str:
    return f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}"


async def test_a_table_that_exists_cannot_be_made_again(dynamo: Dynamo) -> None:
    await dynamo.table()

    error = await dynamo.refused(
        "CreateTable",
        TableName="table",
        KeySchema=key_schema("pk"),
        AttributeDefinitions=definitions(pk="S"),
        BillingMode="PAY_PER_REQUEST",
    )

    assert (error.code, error.text) == ("ResourceInUseException", "Table already exists: table")


ON_DEMAND = {"BillingMode": "PAY_PER_REQUEST"}
PK = {"KeySchema": key_schema("pk"), "AttributeDefinitions": definitions(pk="S")}
PK_SK = {"KeySchema": key_schema("pk", "sk"), "AttributeDefinitions": definitions(pk="S", sk="S")}


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (
            PK,
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits "
            "must both be specified when BillingMode is PROVISIONED",
        ),
        (
            {
                **PK,
                **ON_DEMAND,
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
            },
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor "
            "WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            {**PK, **ON_DEMAND, "KeySchema": key_schema("pk", "pk")},
            "Invalid KeySchema: Some index key attribute have no definition",
        ),
        (
            {**PK_SK, **ON_DEMAND, "KeySchema": key_schema("pk", "pk")},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            {**PK_SK, **ON_DEMAND, "KeySchema": key_schema("pk")},
            "One or more parameter values were invalid: Number of attributes in KeySchema does "
            "not exactly match number of attributes defined in AttributeDefinitions",
        ),
        (
            {**PK, **ON_DEMAND, "KeySchema": key_schema("other")},
            "One or more parameter values were invalid: Some index key attributes are not defined "
            "in AttributeDefinitions. Keys: [other], AttributeDefinitions: [pk]",
        ),
        (
            {**PK_SK, **ON_DEMAND, "KeySchema": [*reversed(key_schema("pk", "sk"))]},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {**PK, **ON_DEMAND, "LocalSecondaryIndexes": [index("loc", "pk", "pk")]},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            {**PK, **ON_DEMAND, "LocalSecondaryIndexes": [index("loc", "pk", "x")]},
            "One or more parameter values were invalid: Table KeySchema does not have a range "
            "key, which is required when specifying a LocalSecondaryIndex",
        ),
        (
            {**PK_SK, **ON_DEMAND, "LocalSecondaryIndexes": [index("loc", "sk", "pk")]},
            "One or more parameter values were invalid: Index KeySchema does not have the same "
            "leading hash key as table KeySchema for index: loc. index hash key: sk, table hash "
            "key: pk",
        ),
        (
            {**PK, **ON_DEMAND, "GlobalSecondaryIndexes": [index("one", "pk"), index("one", "pk")]},
            "One or more parameter values were invalid: Duplicate index name: one",
        ),
        (
            {
                **PK,
                **ON_DEMAND,
                "GlobalSecondaryIndexes": [index("one", "pk", projection="INCLUDE")],
            },
            "One or more parameter values were invalid: ProjectionType is INCLUDE, but "
            "NonKeyAttributes is not specified",
        ),
        (
            {**PK, **ON_DEMAND, "GlobalSecondaryIndexes": [index("one", "pk", include=("x",))]},
            "One or more parameter values were invalid: ProjectionType is ALL, but "
            "NonKeyAttributes is specified",
        ),
        (
            {**PK, **ON_DEMAND, "StreamSpecification": {"StreamEnabled": True}},
            "StreamSpecification is not supported: Skyfold does not implement DynamoDB Streams yet",
        ),
        (
            {**PK, **ON_DEMAND, "SSESpecification": {"Enabled": True}},
            "SSESpecification is not supported: Skyfold does not implement customer managed "
            "encryption keys yet",
        ),
        (
            {**PK, **ON_DEMAND, "OnDemandThroughput": {"MaxReadRequestUnits": 5}},
            "OnDemandThroughput is not supported: Skyfold does not implement maximum on-demand "
            "throughput yet",
        ),
    ],
)
async def test_a_table_that_cannot_be_is_refused_in_dynamodbs_words(
    dynamo: Dynamo, request_: Any, problem: str
) -> None:
    error = await dynamo.refused("CreateTable", TableName="table", **request_)

    assert (error.code, error.text) == ("ValidationException", problem)
    assert (await dynamo("ListTables"))["TableNames"] == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ab", "Member must have length greater than or equal to 3"),
        ("a b c", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("a" * 256, "Member must have length less than or equal to 255"),
    ],
)
async def test_a_table_name_has_3_to_255_safe_characters(
    dynamo: Dynamo, name: str, problem: str
) -> None:
    error = await dynamo.refused("CreateTable", TableName=name, **PK, **ON_DEMAND)

    assert error.text == (
        f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy "
        f"constraint: {problem}"
    )


async def test_tables_are_listed_in_pages_in_order(dynamo: Dynamo) -> None:
    for name in ("ccc", "aaa", "bbb"):
        await dynamo.table(name)

    first = await dynamo("ListTables", Limit=2)
    rest = await dynamo("ListTables", ExclusiveStartTableName=first["LastEvaluatedTableName"])

    assert first == {"TableNames": ["aaa", "bbb"], "LastEvaluatedTableName": "bbb"}
    assert rest == {"TableNames": ["ccc"]}


async def test_a_protected_table_is_deleted_only_once_protection_is_off(dynamo: Dynamo) -> None:
    await dynamo.table(DeletionProtectionEnabled=True)

    error = await dynamo.refused("DeleteTable", TableName="table")
    await dynamo("UpdateTable", TableName="table", DeletionProtectionEnabled=False)
    await dynamo("DeleteTable", TableName="table")

    assert error.text == (
        "Resource cannot be deleted as it is currently protected against deletion. "
        "Disable deletion protection first."
    )


async def test_billing_moves_between_its_modes(dynamo: Dynamo) -> None:
    await dynamo.table()
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}

    await dynamo(
        "UpdateTable", TableName="table", BillingMode="PROVISIONED", ProvisionedThroughput=units
    )
    provisioned = (await dynamo("DescribeTable", TableName="table"))["Table"]
    unchanged = await dynamo.refused("UpdateTable", TableName="table", ProvisionedThroughput=units)
    await dynamo("UpdateTable", TableName="table", BillingMode="PAY_PER_REQUEST")
    on_demand = (await dynamo("DescribeTable", TableName="table"))["Table"]

    assert provisioned["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert provisioned["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    assert unchanged.text.startswith(
        "The provisioned throughput for the table will not change. The requested value equals"
    )
    assert on_demand["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert on_demand["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


async def test_throughput_is_lowered_four_times_a_day_and_then_once_an_hour(
    dynamo: Dynamo,
) -> None:
    def units(read: int) -> dict[str, int]:
        return {"ReadCapacityUnits": read, "WriteCapacityUnits": 1}

    await dynamo.table(BillingMode="PROVISIONED", ProvisionedThroughput=units(100))
    for read in (99, 98, 97, 96):
        await dynamo("UpdateTable", TableName="table", ProvisionedThroughput=units(read))

    fifth = await dynamo.refused("UpdateTable", TableName="table", ProvisionedThroughput=units(95))
    await dynamo.world.advance(3600)
    await dynamo("UpdateTable", TableName="table", ProvisionedThroughput=units(95))
    described = (await dynamo("DescribeTable", TableName="table"))["Table"]

    assert fifth.code == "LimitExceededException"
    assert described["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 5


async def test_a_new_index_is_filled_in_pages_before_it_can_be_read(
    dynamo: Dynamo, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dynamo.table()
    for start in range(0, 600, 25):
        writes = [
            {"PutRequest": {"Item": {"pk": S(f"{n:04}"), "grp": S("g")}}}
            for n in range(start, start + 25)
        ]
        await dynamo("BatchWriteItem", RequestItems={"table": writes})
    assert filling.PAGE_ITEMS < 600
    query = {
        "TableName": "table",
        "IndexName": "byg",
        "KeyConditionExpression": "grp = :g",
        "ExpressionAttributeValues": {":g": S("g")},
    }

    told = await dynamo(
        "UpdateTable",
        TableName="table",
        AttributeDefinitions=definitions(grp="S"),
        GlobalSecondaryIndexUpdates=[{"Create": index("byg", "grp")}],
    )
    filling_ = (await dynamo("DescribeTable", TableName="table"))["Table"]
    early = await dynamo.refused("Query", **query)
    busy = await dynamo.refused(
        "UpdateTable",
        TableName="table",
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "byg"}}],
    )
    await dynamo("DeleteItem", TableName="table", Key={"pk": S("0000")})
    await dynamo.put({"pk": S("new"), "grp": S("g")})
    await dynamo.world.advance(1)
    filled = (await dynamo("DescribeTable", TableName="table"))["Table"]
    found = await dynamo.everything("Query", **query)

    assert told["TableDescription"]["TableStatus"] == "UPDATING"
    assert told["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    assert filling_["GlobalSecondaryIndexes"][0]["Backfilling"] is True
    assert early.text == "Cannot read from backfilling global secondary index: byg"
    assert busy.code == "ResourceInUseException"
    assert filled["TableStatus"] == "ACTIVE"
    assert filled["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"
    assert filled["GlobalSecondaryIndexes"][0]["ItemCount"] == 600
    assert {item["pk"]["S"] for item in found} == {
        *(f"{n:04}" for n in range(1, 600)),
        "new",
    }


async def test_indexes_are_added_and_deleted_one_at_a_time(dynamo: Dynamo) -> None:
    await dynamo.table(attributes={"pk": "S", "x": "S"}, GlobalSecondaryIndexes=[index("byx", "x")])

    def updating(*updates: Any) -> dict[str, Any]:
        return {"TableName": "table", "GlobalSecondaryIndexUpdates": [*updates]}

    exists = await dynamo.refused("UpdateTable", **updating({"Create": index("byx", "x")}))
    unknown = await dynamo.refused("UpdateTable", **updating({"Delete": {"IndexName": "none"}}))
    undefined = await dynamo.refused("UpdateTable", **updating({"Create": index("byy", "y")}))
    two = await dynamo.refused(
        "UpdateTable", **updating({"Create": index("by2", "x")}, {"Delete": {"IndexName": "byx"}})
    )
    deleted = await dynamo("UpdateTable", **updating({"Delete": {"IndexName": "byx"}}))
    left = (await dynamo("DescribeTable", TableName="table"))["Table"]

    assert exists.text == "Attempting to create an index which already exists"
    assert unknown.code == "ResourceNotFoundException"
    assert "Some index key attributes are not defined" in undefined.text
    assert two.code == "LimitExceededException"
    assert deleted["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "DELETING"
    assert "GlobalSecondaryIndexes" not in left
    assert left["AttributeDefinitions"] == definitions(pk="S")


async def test_an_index_made_again_under_its_old_name_holds_nothing_old(dynamo: Dynamo) -> None:
    await dynamo.table(attributes={"pk": "S", "x": "S"}, GlobalSecondaryIndexes=[index("byx", "x")])
    await dynamo.put({"pk": S("1"), "x": S("x")})
    change = "GlobalSecondaryIndexUpdates"
    await dynamo("UpdateTable", TableName="table", **{change: [{"Delete": {"IndexName": "byx"}}]})
    await dynamo("DeleteItem", TableName="table", Key={"pk": S("1")})

    await dynamo(
        "UpdateTable",
        TableName="table",
        AttributeDefinitions=definitions(x="S"),
        **{change: [{"Create": index("byx", "x")}]},
    )

    assert await dynamo.everything("Scan", TableName="table", IndexName="byx") == []


async def test_tables_are_tagged_listed_in_pages_and_untagged(dynamo: Dynamo) -> None:
    await dynamo.table(Tags=[{"Key": "made", "Value": "with"}])
    more = [{"Key": f"k{n:02}", "Value": "v"} for n in range(12)]

    await dynamo("TagResource", ResourceArn=arn("table"), Tags=more)
    await dynamo("UntagResource", ResourceArn=arn("table"), TagKeys=["k00", "unknown"])
    first = await dynamo("ListTagsOfResource", ResourceArn=arn("table"))
    rest = await dynamo(
        "ListTagsOfResource", ResourceArn=arn("table"), NextToken=first["NextToken"]
    )
    missing = await dynamo.refused("ListTagsOfResource", ResourceArn=arn("none"))

    tags = {tag["Key"]: tag["Value"] for tag in (*first["Tags"], *rest["Tags"])}
    assert tags == {"made": "with", **{f"k{n:02}": "v" for n in range(1, 12)}}
    assert len(first["Tags"]) == 10
    assert "NextToken" not in rest
    assert missing.code == "ResourceNotFoundException"


async def test_a_table_may_be_named_by_its_arn(dynamo: Dynamo) -> None:
    await dynamo.table()

    await dynamo.put({"pk": S("a")}, table=arn("table"))

    assert await dynamo.get({"pk": S("a")}) == {"pk": S("a")}


async def test_limits_endpoints_and_backups_are_told(dynamo: Dynamo) -> None:
    await dynamo.table()

    limits = await dynamo("DescribeLimits")
    endpoints = await dynamo("DescribeEndpoints")
    backups = await dynamo("DescribeContinuousBackups", TableName="table")

    assert limits["TableMaxReadCapacityUnits"] == 40_000
    assert endpoints["Endpoints"][0]["Address"] == "localhost:4566"
    assert backups["ContinuousBackupsDescription"]["ContinuousBackupsStatus"] == "DISABLED"


async def test_a_new_index_leaves_out_items_whose_attribute_is_of_another_type(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("text"), "x": S("x")})
    await dynamo.put({"pk": S("number"), "x": N(1)})

    await dynamo(
        "UpdateTable",
        TableName="table",
        AttributeDefinitions=definitions(x="N"),
        GlobalSecondaryIndexUpdates=[{"Create": index("byx", "x")}],
    )
    found = await dynamo.everything("Scan", TableName="table", IndexName="byx")
    await dynamo("DeleteItem", TableName="table", Key={"pk": S("text")})
    table = (await dynamo("DescribeTable", TableName="table"))["Table"]

    assert found == [{"pk": S("number"), "x": N(1)}]
    assert table["GlobalSecondaryIndexes"][0]["ItemCount"] == 1
