"""AWS::DynamoDB::Table: made, changed in place and deleted through the public API."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import InProgress, Provision, Provisioned
from skyfold.services.dynamodb import resources
from tests.services.dynamodb.conftest import Dynamo, N, S, definitions, index, key_schema
from tests.support.world import ACCOUNT

BASE = {
    "KeySchema": key_schema("pk"),
    "AttributeDefinitions": definitions(pk="S"),
    "BillingMode": "PAY_PER_REQUEST",
}


def provision(dynamo: Dynamo, want: Any, had: Any = None, physical_id: str = "") -> Provision:
    platform = dynamo.world.platform
    return Provision(
        want=want,
        had=had or {},
        physical_id=physical_id,
        api=lambda service: platform.api(service, dynamo.world.call()),
        account=ACCOUNT,
        region="us-east-1",
        stack_name="stack",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/stack/1",
        logical_id="Table",
        token="0123456789abcdef",
    )


async def settled(dynamo: Dynamo, step: Any, want: Any, had: Any, physical_id: str) -> Provisioned:
    """Run a step as CloudFormation does: again and again while it is in progress."""
    state: Any = {}
    for _ in range(20):
        had_now = {**(had or {}), **({"$state": state} if state else {})}
        result = await step(provision(dynamo, want, had_now, physical_id))
        if isinstance(result, Provisioned):
            return result
        assert isinstance(result, InProgress)
        state = result.state
        await dynamo.world.advance(result.retry_ms / 1000)
    raise AssertionError("never settled")


async def made(dynamo: Dynamo, want: Any) -> str:
    return (await settled(dynamo, resources.create, want, None, "")).physical_id


async def described(dynamo: Dynamo, name: str) -> Any:
    return (await dynamo("DescribeTable", TableName=name))["Table"]


async def test_a_table_is_made_with_all_it_should_have(dynamo: Dynamo) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:DeleteTable"}
    want = {
        **BASE,
        "AttributeDefinitions": definitions(pk="S", grp="S"),
        "GlobalSecondaryIndexes": [index("byg", "grp")],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "Tags": [{"Key": "a", "Value": "b"}],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
        "SSESpecification": {"SSEEnabled": False},
        "ResourcePolicy": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}},
    }

    result = await settled(dynamo, resources.create, want, None, "")

    name = result.physical_id
    table = await described(dynamo, name)
    assert name == "stack-Table-0123456789AB"
    assert result.attributes["Arn"] == table["TableArn"]
    assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "byg"
    ttl = await dynamo("DescribeTimeToLive", TableName=name)
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "ttl"
    tags = await dynamo("ListTagsOfResource", ResourceArn=table["TableArn"])
    assert tags["Tags"] == [{"Key": "a", "Value": "b"}]
    policy = await dynamo("GetResourcePolicy", ResourceArn=table["TableArn"])
    assert "dynamodb:DeleteTable" in policy["Policy"]


async def test_making_goes_on_after_a_crash_but_takes_over_no_other_table(dynamo: Dynamo) -> None:
    want = {**BASE, "TableName": "mine"}
    first = await resources.create(provision(dynamo, want))
    assert isinstance(first, InProgress)
    had = {"$state": first.state}

    once = await resources.create(provision(dynamo, want, had))
    again = await resources.create(provision(dynamo, want, had))
    with pytest.raises(AwsError, match="Table already exists: mine"):
        await resources.create(provision(dynamo, want))

    assert once == again


async def test_a_table_is_changed_in_place_to_what_is_wanted(dynamo: Dynamo) -> None:
    had = {
        **BASE,
        "AttributeDefinitions": definitions(pk="S", one="S", two="S"),
        "GlobalSecondaryIndexes": [index("gone", "one"), index("other", "two")],
        "TimeToLiveSpecification": {"AttributeName": "old", "Enabled": True},
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}],
    }
    name = await made(dynamo, had)
    await dynamo.put({"pk": S("x"), "two": S("t"), "three": N(3)}, table=name)
    units = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 3}
    want = {
        "KeySchema": had["KeySchema"],
        "AttributeDefinitions": definitions(pk="S", two="S", three="N"),
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": units,
        "GlobalSecondaryIndexes": [
            {**index("other", "two", projection="KEYS_ONLY"), "ProvisionedThroughput": units},
            {**index("new", "three"), "ProvisionedThroughput": units},
        ],
        "TimeToLiveSpecification": {"AttributeName": "new", "Enabled": True},
        "DeletionProtectionEnabled": True,
        "Tags": [{"Key": "b", "Value": "2"}],
    }

    await settled(dynamo, resources.update, want, had, name)

    table = await described(dynamo, name)
    indexes = {each["IndexName"]: each for each in table["GlobalSecondaryIndexes"]}
    assert set(indexes) == {"other", "new"}
    assert indexes["other"]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert indexes["new"]["ItemCount"] == 1
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 3
    assert table["DeletionProtectionEnabled"] is True
    ttl = await dynamo("DescribeTimeToLive", TableName=name)
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "new"
    tags = await dynamo("ListTagsOfResource", ResourceArn=table["TableArn"])
    assert tags["Tags"] == [{"Key": "b", "Value": "2"}]
    again = await settled(dynamo, resources.update, want, want, name)
    assert again.physical_id == name


async def test_a_table_that_is_gone_is_deleted(dynamo: Dynamo) -> None:
    name = await made(dynamo, BASE)

    first = await resources.delete(provision(dynamo, {}, BASE, name))
    second = await resources.delete(provision(dynamo, {}, BASE, name))

    assert first is second is None
    assert (await dynamo("ListTables"))["TableNames"] == []


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}, "StreamSpecification"),
        ({"SSESpecification": {"SSEEnabled": True}}, "SSESpecification"),
        (
            {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
            "PointInTimeRecoverySpecification",
        ),
        ({"KinesisStreamSpecification": {"StreamArn": "arn"}}, "KinesisStreamSpecification"),
        (
            {"ContributorInsightsSpecification": {"Enabled": True}},
            "ContributorInsightsSpecification",
        ),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 1}}, "OnDemandThroughput"),
    ],
)
async def test_what_cannot_be_obeyed_is_refused_by_name(
    dynamo: Dynamo, more: Any, named: str
) -> None:
    with pytest.raises(AwsError, match=f"{named} is not supported"):
        await made(dynamo, {**BASE, **more})

    assert (await dynamo("ListTables"))["TableNames"] == []
    name = await made(dynamo, BASE)
    with pytest.raises(AwsError, match=f"{named} is not supported"):
        await settled(dynamo, resources.update, {**BASE, **more}, BASE, name)
