"""The CloudFormation types of SNS."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Provision, Provisioned
from skyfold.services.sns import resources
from tests.services.sns.conftest import Cloud
from tests.support.world import ACCOUNT

TYPES = {kind.name.rpartition(":")[2]: kind for kind in resources.TYPES}


def provision(cloud: Cloud, want: Any, had: Any = None, physical_id: str = "") -> Provision:
    return Provision(
        want=want,
        had=had or {},
        physical_id=physical_id,
        api=cloud.world.call().api,
        account=ACCOUNT,
        region="us-east-1",
        stack_name="stack",
        stack_id="id",
        logical_id="Topic",
        token="0123456789abcdef",
    )


async def made(cloud: Cloud, kind: str, want: dict[str, Any]) -> str:
    found = await TYPES[kind].create(provision(cloud, want))
    assert isinstance(found, Provisioned)
    return found.physical_id


async def listed(cloud: Cloud, topic: str) -> set[str]:
    answer = await cloud.ask("ListSubscriptionsByTopic", TopicArn=topic)
    return {found["Endpoint"] for found in answer["Subscriptions"]}


async def test_a_topic_comes_with_the_subscriptions_written_in_it(cloud: Cloud) -> None:
    one, other = await cloud.queue("one"), await cloud.queue("other")
    had = {
        "DisplayName": "Shown",
        "Subscription": [{"Protocol": "sqs", "Endpoint": one}],
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    want = {"Subscription": [{"Protocol": "sqs", "Endpoint": other}]}

    topic = await made(cloud, "Topic", had)
    assert topic == f"arn:aws:sns:us-east-1:{ACCOUNT}:stack-Topic-0123456789AB"
    assert await listed(cloud, topic) == {one}
    await TYPES["Topic"].update(provision(cloud, want, had, topic))

    assert await listed(cloud, topic) == {other}
    attributes = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]
    assert attributes["DisplayName"] == ""
    assert (await cloud.ask("ListTagsForResource", ResourceArn=topic))["Tags"] == []
    await TYPES["Topic"].delete(provision(cloud, {}, want, topic))
    assert (await cloud.ask("ListTopics"))["Topics"] == []


async def test_a_fifo_topic_gets_a_name_of_its_kind(cloud: Cloud) -> None:
    assert (await made(cloud, "Topic", {"FifoTopic": True})).endswith(".fifo")


async def test_a_topic_with_what_is_not_built_is_refused(cloud: Cloud) -> None:
    with pytest.raises(AwsError, match="KmsMasterKeyId"):
        await made(cloud, "Topic", {"KmsMasterKeyId": "alias/mine"})
    with pytest.raises(AwsError, match="DataProtectionPolicy"):
        await made(cloud, "Topic", {"DataProtectionPolicy": {"Name": "x"}})


async def test_a_subscription_follows_its_properties(cloud: Cloud, topic: str, queue: str) -> None:
    where = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue}
    had = {**where, "RawMessageDelivery": True, "FilterPolicy": {"a": ["b"]}}
    want = {**where, "FilterPolicy": {"a": {"b": ["c"]}}, "FilterPolicyScope": "MessageBody"}

    arn = await made(cloud, "Subscription", had)
    await TYPES["Subscription"].update(provision(cloud, want, had, arn))

    shown = (await cloud.ask("GetSubscriptionAttributes", SubscriptionArn=arn))["Attributes"]
    assert shown["RawMessageDelivery"] == "false"
    assert json.loads(shown["FilterPolicy"]) == want["FilterPolicy"]
    assert shown["FilterPolicyScope"] == "MessageBody"
    await TYPES["Subscription"].update(provision(cloud, had, want, arn))
    shown = (await cloud.ask("GetSubscriptionAttributes", SubscriptionArn=arn))["Attributes"]
    assert shown["FilterPolicyScope"] == "MessageAttributes"
    for _ in range(2):
        await TYPES["Subscription"].delete(provision(cloud, {}, want, arn))
    assert await listed(cloud, topic) == set()


@pytest.mark.parametrize("kind", ["TopicPolicy", "TopicInlinePolicy"])
async def test_a_policy_is_put_and_removed(cloud: Cloud, topic: str, kind: str) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": topic}
    where = {"Topics": [topic]} if kind == "TopicPolicy" else {"TopicArn": topic}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    want = {"PolicyDocument": document, **where}

    name = await made(cloud, kind, want)

    shown = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]
    assert json.loads(shown["Policy"]) == document
    await TYPES[kind].delete(provision(cloud, {}, want, name))
    shown = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]
    assert json.loads(shown["Policy"])["Id"] == "__default_policy_ID"
