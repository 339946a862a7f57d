"""Subscribing, and the attributes of subscriptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.sns.conftest import Cloud
from tests.support.world import ACCOUNT


async def test_a_subscription_has_the_attributes_that_aws_gives_it(
    cloud: Cloud, topic: str, queue: str
) -> None:
    arn = await cloud.subscribe(topic, queue, RawMessageDelivery="true")

    answer = await cloud.ask("GetSubscriptionAttributes", SubscriptionArn=arn)

    assert answer["Attributes"] == {
        "ConfirmationWasAuthenticated": "true",
        "Endpoint": queue,
        "Owner": ACCOUNT,
        "PendingConfirmation": "false",
        "Protocol": "sqs",
        "RawMessageDelivery": "true",
        "SubscriptionArn": arn,
        "SubscriptionPrincipal": f"arn:aws:iam::{ACCOUNT}:root",
        "TopicArn": topic,
    }


async def test_an_endpoint_is_subscribed_once(cloud: Cloud, topic: str, queue: str) -> None:
    arn = await cloud.subscribe(topic, queue, RawMessageDelivery="true")

    assert await cloud.subscribe(topic, queue) == arn
    assert await cloud.subscribe(topic, queue, RawMessageDelivery="true") == arn
    refused = await cloud.refused(
        "Subscribe",
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queue,
        Attributes={"RawMessageDelivery": "false"},
    )
    assert refused.text == (
        "Invalid parameter: Attributes Reason: Subscription already exists with different "
        "attributes"
    )


@pytest.mark.parametrize(
    ("protocol", "endpoint", "text"),
    [
        ("sqs", "queue", "Invalid parameter: SQS endpoint ARN"),
        ("lambda", "function", "Invalid parameter: Lambda endpoint ARN"),
        ("fax", "1", "Invalid parameter: Amazon SNS does not support this protocol string: fax"),
        (
            "sqs",
            f"arn:aws:sqs:us-east-1:{ACCOUNT}:q.fifo",
            "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be "
            "subscribed to standard SNS topics",
        ),
    ],
)
async def test_what_is_no_endpoint_is_refused(
    cloud: Cloud, topic: str, protocol: str, endpoint: str, text: str
) -> None:
    refused = await cloud.refused("Subscribe", TopicArn=topic, Protocol=protocol, Endpoint=endpoint)

    assert refused.text == text


@pytest.mark.parametrize("protocol", ["http", "https", "email", "sms", "application", "firehose"])
async def test_a_protocol_that_is_not_built_is_refused(
    cloud: Cloud, topic: str, protocol: str
) -> None:
    refused = await cloud.refused("Subscribe", TopicArn=topic, Protocol=protocol, Endpoint="x")

    assert refused.status == 501
    assert (await cloud.ask("ListSubscriptions"))["Subscriptions"] == []


POLICIES: list[tuple[dict[str, Any], str]] = [
    ({"a": [["v"]]}, "Match value must be String, number, true, false, or null"),
    ({"a": [{"wrong-operator": True}]}, "Unrecognized match type wrong-operator"),
    ({"a": [{"suffix": "v", "prefix": "w"}]}, "Only one key allowed in match expression"),
    ({"a": [{"exists": None}]}, "exists match pattern must be either true or false."),
    ({"a": [{"exists": "no"}]}, "exists match pattern must be either true or false."),
    ({"a": [{"anything-but": {"suffix": "x"}}]}, "Unsupported anything-but pattern: suffix"),
    ({"a": [{"anything-but": {"prefix": False}}]}, "prefix match pattern must be a string"),
    ({"a": "value_one"}, '"a" must be an object or an array'),
    ({c: ["v"] for c in "abcdef"}, "Filter policy can not have more than 5 keys"),
    ({c: list("123456") for c in "abc"}, "Filter policy is too complex"),
    (
        {"a": {"b": ["v"]}},
        "Filter policy scope MessageAttributes does not support nested filter policy",
    ),
]


@pytest.mark.parametrize(("policy", "reason"), POLICIES)
async def test_a_filter_policy_that_sns_does_not_accept_is_refused_with_its_words(
    cloud: Cloud, topic: str, queue: str, policy: dict[str, Any], reason: str
) -> None:
    text = json.dumps(policy)
    arn = await cloud.subscribe(topic, queue)

    refused = await cloud.refused(
        "SetSubscriptionAttributes",
        SubscriptionArn=arn,
        AttributeName="FilterPolicy",
        AttributeValue=text,
    )
    assert refused.text == f"Invalid parameter: FilterPolicy: {reason}"
    other = await cloud.queue("other")
    refused = await cloud.refused(
        "Subscribe",
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=other,
        Attributes={"FilterPolicy": text},
    )
    assert refused.text == f"Invalid parameter: Attributes Reason: FilterPolicy: {reason}"
    assert len((await cloud.ask("ListSubscriptions"))["Subscriptions"]) == 1


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "FilterPolicyScope",
            "RandomValue",
            "FilterPolicyScope: Invalid value [RandomValue]. Please use either MessageBody or "
            "MessageAttributes",
        ),
        (
            "RawMessageDelivery",
            "wrongvalue",
            "RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false.",
        ),
        ("Colour", "blue", "AttributeName"),
        (
            "RedrivePolicy",
            '{"deadLetterTargetArn":"x"}',
            "RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
    ],
)
async def test_an_attribute_that_is_not_allowed_is_refused(
    cloud: Cloud, topic: str, queue: str, name: str, value: str, text: str
) -> None:
    arn = await cloud.subscribe(topic, queue)

    refused = await cloud.refused(
        "SetSubscriptionAttributes", SubscriptionArn=arn, AttributeName=name, AttributeValue=value
    )

    assert refused.text == f"Invalid parameter: {text}"


async def test_the_scope_is_shown_together_with_the_policy(
    cloud: Cloud, topic: str, queue: str
) -> None:
    arn = await cloud.subscribe(topic, queue, FilterPolicyScope="MessageBody")
    shown = (await cloud.ask("GetSubscriptionAttributes", SubscriptionArn=arn))["Attributes"]
    assert "FilterPolicyScope" not in shown

    await cloud.ask(
        "SetSubscriptionAttributes",
        SubscriptionArn=arn,
        AttributeName="FilterPolicy",
        AttributeValue='{"a":{"b":["c"]}}',
    )

    shown = (await cloud.ask("GetSubscriptionAttributes", SubscriptionArn=arn))["Attributes"]
    assert shown["FilterPolicyScope"] == "MessageBody"
    assert shown["FilterPolicy"] == '{"a":{"b":["c"]}}'


async def test_who_has_unsubscribed_gets_nothing_more(cloud: Cloud, topic: str, queue: str) -> None:
    arn = await cloud.subscribe(topic, queue)

    await cloud.ask("Unsubscribe", SubscriptionArn=arn)
    await cloud.ask("Unsubscribe", SubscriptionArn=arn)
    await cloud.ask("Publish", TopicArn=topic, Message="m")

    assert await cloud.bodies(queue) == []
    attributes = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]
    assert attributes["SubscriptionsDeleted"] == "1"
    missing = await cloud.refused("GetSubscriptionAttributes", SubscriptionArn=arn)
    assert missing.text == "Subscription does not exist"
    refused = await cloud.refused("Unsubscribe", SubscriptionArn="randomstring")
    assert refused.text == (
        "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"
    )


async def test_an_endpoint_of_another_account_has_to_confirm_first(
    cloud: Cloud, topic: str
) -> None:
    foreign = "arn:aws:sqs:us-east-1:999999999999:queue"
    request = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": foreign}

    answer = await cloud.ask("Subscribe", **request)
    full = await cloud.ask("Subscribe", ReturnSubscriptionArn=True, **request)

    assert answer["SubscriptionArn"] == "pending confirmation"
    assert full["SubscriptionArn"].startswith(topic)
    refused = await cloud.refused("ConfirmSubscription", TopicArn=topic, Token="made-up")
    assert refused.text == "Invalid parameter: Token"
    attributes = (await cloud.ask("GetTopicAttributes", TopicArn=topic))["Attributes"]
    assert attributes["SubscriptionsPending"] == "1"


async def test_subscriptions_are_listed_page_by_page(cloud: Cloud, topic: str) -> None:
    made = set()
    for n in range(103):
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q{n}"
        made.add(await cloud.subscribe(topic, queue))

    for operation, request in (
        ("ListSubscriptions", {}),
        ("ListSubscriptionsByTopic", {"TopicArn": topic}),
    ):
        first = await cloud.ask(operation, **request)
        second = await cloud.ask(operation, NextToken=first["NextToken"], **request)
        listed = [*first["Subscriptions"], *second["Subscriptions"]]
        assert {found["SubscriptionArn"] for found in listed} == made
        assert (len(first["Subscriptions"]), len(second["Subscriptions"])) == (100, 3)
        assert "NextToken" not in second
