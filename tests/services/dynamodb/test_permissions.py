"""IAM decides on tables, indexes, partitions and attributes; tables have policies of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.principal import Principal, root_of
from tests.services.dynamodb.conftest import Dynamo, S, index
from tests.support.world import ACCOUNT

TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/table"


async def user(dynamo: Dynamo, *statements: dict[str, Any]) -> Principal:
    """A user who may do what ``statements`` say."""
    made = (await dynamo.world.iam("CreateUser", UserName="user"))["User"]
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        await dynamo.world.iam(
            "PutUserPolicy",
            UserName="user",
            PolicyName="policy",
            PolicyDocument=json.dumps(document),
        )
    return Principal(kind="user", account=ACCOUNT, arn=made["Arn"], id=made["UserId"], name="user")


def allow(action: Any, resource: Any = TABLE, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


async def denied(dynamo: Dynamo, by: Principal, operation: str, **request: Any) -> str:
    with pytest.raises(AwsError) as refusal:
        await dynamo.world.dynamodb(operation, by=by, **request)
    assert "AccessDenied" in refusal.value.code
    return refusal.value.text


async def allowed(dynamo: Dynamo, by: Principal, operation: str, **request: Any) -> Any:
    return await dynamo.world.dynamodb(operation, by=by, **request)


async def test_a_user_may_do_what_a_policy_allows_on_the_table(dynamo: Dynamo) -> None:
    await dynamo.table()
    reader = await user(dynamo, allow(["dynamodb:GetItem", "dynamodb:PutItem"]))
    item = {"TableName": "table", "Item": {"pk": S("a")}}

    await allowed(dynamo, reader, "PutItem", **item)
    await allowed(dynamo, reader, "GetItem", TableName="table", Key={"pk": S("a")})
    text = await denied(dynamo, reader, "DeleteItem", TableName="table", Key={"pk": S("a")})

    assert "dynamodb:DeleteItem" in text
    assert TABLE in text
    assert await dynamo.get({"pk": S("a")}) is not None


async def test_a_table_that_is_not_there_is_not_told_to_those_who_may_not_see_it(
    dynamo: Dynamo,
) -> None:
    nobody = await user(dynamo)

    await denied(dynamo, nobody, "GetItem", TableName="missing", Key={"pk": S("a")})


async def test_an_index_is_a_resource_of_its_own(dynamo: Dynamo) -> None:
    await dynamo.table(
        attributes={"pk": "S", "grp": "S"}, GlobalSecondaryIndexes=[index("byg", "grp")]
    )
    reader = await user(dynamo, allow(["dynamodb:Query", "dynamodb:Scan"], f"{TABLE}/index/*"))

    found = await allowed(dynamo, reader, "Scan", TableName="table", IndexName="byg")
    await denied(dynamo, reader, "Scan", TableName="table")

    assert found["Count"] == 0


async def test_leading_keys_keep_users_in_their_partitions(dynamo: Dynamo) -> None:
    await dynamo.table("table", "pk", "sk")
    tenant = await user(
        dynamo,
        allow(
            "dynamodb:*",
            **{"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}},
        ),
    )

    def key(partition: str) -> dict[str, Any]:
        return {"pk": S(partition), "sk": S("1")}

    def query(partition: str) -> dict[str, Any]:
        return {
            "TableName": "table",
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": S(partition)},
        }

    def batch(*partitions: str) -> dict[str, Any]:
        writes = [{"PutRequest": {"Item": key(each)}} for each in partitions]
        return {"RequestItems": {"table": writes}}

    def transaction(partition: str) -> dict[str, Any]:
        return {"TransactItems": [{"Put": {"TableName": "table", "Item": key(partition)}}]}

    await allowed(dynamo, tenant, "PutItem", TableName="table", Item=key("mine"))
    await allowed(dynamo, tenant, "Query", **query("mine"))
    await allowed(dynamo, tenant, "BatchWriteItem", **batch("mine"))
    await allowed(dynamo, tenant, "TransactWriteItems", **transaction("mine"))
    await denied(dynamo, tenant, "PutItem", TableName="table", Item=key("theirs"))
    await denied(dynamo, tenant, "GetItem", TableName="table", Key=key("theirs"))
    await denied(dynamo, tenant, "Query", **query("theirs"))
    await denied(dynamo, tenant, "BatchWriteItem", **batch("theirs"))
    await denied(dynamo, tenant, "TransactWriteItems", **transaction("theirs"))

    assert await dynamo.everything("Scan", TableName="table") == [key("mine")]


async def test_attributes_and_select_can_be_limited(dynamo: Dynamo) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a"), "open": S("x"), "secret": S("y")})
    reader = await user(
        dynamo,
        allow(
            ["dynamodb:Query"],
            **{
                "ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "plain"]},
                "StringEquals": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
            },
        ),
    )
    query = {
        "TableName": "table",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": S("a")},
    }

    await allowed(dynamo, reader, "Query", **query, ProjectionExpression="plain")
    await denied(dynamo, reader, "Query", **query, ProjectionExpression="secret")
    await denied(dynamo, reader, "Query", **query)


async def test_a_transaction_needs_the_action_of_each_of_its_parts(dynamo: Dynamo) -> None:
    await dynamo.table()
    writer = await user(dynamo, allow("dynamodb:PutItem"))
    put = {"Put": {"TableName": "table", "Item": {"pk": S("a")}}}
    check = {
        "ConditionCheck": {
            "TableName": "table",
            "Key": {"pk": S("b")},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }

    await allowed(dynamo, writer, "TransactWriteItems", TransactItems=[put])
    text = await denied(dynamo, writer, "TransactWriteItems", TransactItems=[put, check])

    assert "dynamodb:ConditionCheckItem" in text


async def test_a_policy_on_the_table_lets_a_user_in_and_goes_with_it(dynamo: Dynamo) -> None:
    await dynamo.table()
    someone = await user(dynamo)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": someone.arn},
        "Action": "dynamodb:GetItem",
        "Resource": TABLE,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    get = {"TableName": "table", "Key": {"pk": S("a")}}
    await denied(dynamo, someone, "GetItem", **get)

    put = await dynamo("PutResourcePolicy", ResourceArn=TABLE, Policy=policy)
    same = await dynamo("PutResourcePolicy", ResourceArn=TABLE, Policy=policy)
    found = await dynamo("GetResourcePolicy", ResourceArn=TABLE)
    await allowed(dynamo, someone, "GetItem", **get)
    stale = await dynamo.refused(
        "DeleteResourcePolicy", ResourceArn=TABLE, ExpectedRevisionId="other"
    )
    gone = await dynamo("DeleteResourcePolicy", ResourceArn=TABLE)
    await denied(dynamo, someone, "GetItem", **get)
    missing = await dynamo.refused("GetResourcePolicy", ResourceArn=TABLE)
    twice = await dynamo("DeleteResourcePolicy", ResourceArn=TABLE)

    assert put == same
    assert found == {"Policy": policy, **put}
    assert stale.code == missing.code == "PolicyNotFoundException"
    assert gone == put
    assert twice == {}


async def test_another_account_uses_the_table_by_its_arn_and_its_owner_pays(
    dynamo: Dynamo,
) -> None:
    await dynamo.table()
    await dynamo.put({"pk": S("a")})
    stranger = root_of("222222222222")
    get = {"TableName": TABLE, "Key": {"pk": S("a")}}
    await denied(dynamo, stranger, "GetItem", **get)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "222222222222"},
        "Action": "dynamodb:GetItem",
        "Resource": TABLE,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await dynamo("PutResourcePolicy", ResourceArn=TABLE, Policy=policy)

    found = await allowed(dynamo, stranger, "GetItem", **get)
    elsewhere = TABLE.replace("us-east-1", "eu-west-1")

    assert found["Item"] == {"pk": S("a")}
    usage = dynamo.world.platform.meters._sums
    assert {counter[0] for counter in usage if counter[4] == "ReadRequestUnits"} == {ACCOUNT}
    error = await dynamo.refused("GetItem", TableName=elsewhere, Key={"pk": S("a")})
    assert error.code == "ValidationException"


@pytest.mark.parametrize("policy", ["no json", "[]", '{"Statement": [{"Effect": "Allow"}]}'])
async def test_what_is_no_policy_is_refused(dynamo: Dynamo, policy: str) -> None:
    await dynamo.table()

    error = await dynamo.refused("PutResourcePolicy", ResourceArn=TABLE, Policy=policy)

    assert error.text == "Resource-based policy document is malformed"
