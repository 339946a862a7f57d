"""The life of topics, their attributes, tags and policies."""

from __future__ import annotations

import json

import pytest

from tests.services.sns.conftest import Cloud
from tests.support.world import ACCOUNT


async def test_a_new_topic_has_the_attributes_that_aws_gives_it(cloud: Cloud, topic: str) -> None:
    attributes = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]

    policy = json.loads(attributes.pop("Policy"))
    assert policy["Id"] == "__default_policy_ID"
    assert policy["Statement"][0]["Resource"] == topic
    assert "http" in json.loads(attributes.pop("EffectiveDeliveryPolicy"))
    assert attributes == {
        "DisplayName": "",
        "Owner": ACCOUNT,
        "SubscriptionsConfirmed": "0",
        "SubscriptionsDeleted": "0",
        "SubscriptionsPending": "0",
        "TopicArn": topic,
    }


@pytest.mark.parametrize("name", ["", "a" * 257, "a.fifo", "sp ace", "a.b", "ä"])
async def test_a_topic_has_a_plain_name(cloud: Cloud, name: str) -> None:
    refused = await cloud.refused("CreateTopic", Name=name)

    assert refused.text == "Invalid parameter: Topic Name"


async def test_the_name_of_a_fifo_topic_ends_with_fifo(cloud: Cloud) -> None:
    refused = await cloud.refused("CreateTopic", Name="t", Attributes={"FifoTopic": "true"})

    assert refused.text == "Invalid parameter: Topic Name"


async def test_creating_a_topic_again_answers_with_it_unless_something_differs(
    cloud: Cloud,
) -> None:
    arn = await cloud.topic(DisplayName="Value1")

    assert await cloud.topic() == arn
    assert await cloud.topic(DisplayName="Value1") == arn
    for attributes in ({"DisplayName": "Value2"}, {"SignatureVersion": "2"}):
        refused = await cloud.refused("CreateTopic", Name="topic", Attributes=attributes)
        assert refused.text == (
            "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
        )
    refused = await cloud.refused("CreateTopic", Name="topic", Tags=[{"Key": "k", "Value": "v"}])
    assert refused.text == (
        "Invalid parameter: Tags Reason: Topic already exists with different tags"
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("FifoTopic", "false", "InvalidParameterException"),
        ("Colour", "blue", "InvalidParameterException"),
        ("Policy", "{", "InvalidParameterException"),
        ("SignatureVersion", "3", "InvalidParameterException"),
        ("KmsMasterKeyId", "alias/mine", "NotImplemented"),
        ("DeliveryPolicy", "{}", "NotImplemented"),
        ("TracingConfig", "Active", "NotImplemented"),
    ],
)
async def test_an_attribute_that_is_not_allowed_changes_nothing(
    cloud: Cloud, topic: str, name: str, value: str, code: str
) -> None:
    before = await cloud.ask("GetTopicAttributes", TopicArn=topic)

    refused = await cloud.refused(
        "SetTopicAttributes", TopicArn=topic, AttributeName=name, AttributeValue=value
    )

    assert refused.code == code
    assert await cloud.ask("GetTopicAttributes", TopicArn=topic) == before


async def test_a_deleted_topic_takes_its_subscriptions_and_tags_along(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(topic, queue)
    await cloud.ask("TagResource", ResourceArn=topic, Tags=[{"Key": "k", "Value": "v"}])

    await cloud.ask("DeleteTopic", TopicArn=topic)
    await cloud.ask("DeleteTopic", TopicArn=topic)

    assert (await cloud.refused("Publish", TopicArn=topic, Message="m")).code == "NotFoundException"
    assert (await cloud.ask("ListSubscriptions"))["Subscriptions"] == []
    await cloud.topic()
    assert (await cloud.ask("ListTagsForResource", ResourceArn=topic))["Tags"] == []
    assert (await cloud.ask("ListSubscriptionsByTopic", TopicArn=topic))["Subscriptions"] == []


async def test_topics_are_listed_a_hundred_at_a_time(cloud: Cloud) -> None:
    made = sorted([await cloud.topic(f"t{n:03d}") for n in range(150)])

    first = await cloud.ask("ListTopics")
    second = await cloud.ask("ListTopics", NextToken=first["NextToken"])

    listed = [topic["TopicArn"] for page in (first, second) for topic in page["Topics"]]
    assert listed == made
    assert len(first["Topics"]) == 100
    assert "NextToken" not in second


async def test_tags_are_added_and_removed(cloud: Cloud, topic: str) -> None:
    tags = [{"Key": "k1", "Value": "v1"}, {"Key": "k2", "Value": "v2"}]
    await cloud.ask("TagResource", ResourceArn=topic, Tags=tags)
    await cloud.ask("UntagResource", ResourceArn=topic, TagKeys=["k1"])

    assert await cloud.ask("ListTagsForResource", ResourceArn=topic) == {"Tags": tags[1:]}
    refused = await cloud.refused("TagResource", ResourceArn=topic, Tags=[tags[0], tags[0]])
    assert refused.text == "Invalid parameter: Duplicated keys are not allowed."
    missing = await cloud.refused("ListTagsForResource", ResourceArn=topic + "x")
    assert missing.code == "ResourceNotFoundException"


async def test_permissions_are_statements_of_the_policy(cloud: Cloud, topic: str) -> None:
    before = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]["Policy"]
    asked = {"TopicArn": topic, "Label": "other", "AWSAccountId": ["111111111111"]}

    await cloud.ask("AddPermission", ActionName=["Publish"], **asked)

    policy = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]["Policy"]
    assert json.loads(policy)["Statement"][1] == {
        "Sid": "other",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "SNS:Publish",
        "Resource": topic,
    }
    await cloud.refused("AddPermission", ActionName=["Publish"], **asked)
    await cloud.ask("RemovePermission", TopicArn=topic, Label="other")
    after = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]["Policy"]
    assert after == before


async def test_what_is_asked_of_another_region_is_refused(cloud: Cloud) -> None:
    elsewhere = f"arn:aws:sns:eu-central-1:{ACCOUNT}:topic"

    for operation in ("GetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic"):
        refused = await cloud.refused(operation, TopicArn=elsewhere)
        assert refused.text == "Invalid parameter: TopicArn"
