"""CloudFormation: AWS::SNS::Topic, Subscription, TopicPolicy and TopicInlinePolicy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType
from skyfold.services.sns.errors import NotFoundException

TOPIC_ATTRIBUTES: Final = (
    "ArchivePolicy",
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoThroughputScope",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
"""Properties that are topic attributes of the same name."""
RESTORED: Final = {"ContentBasedDeduplication": "false", "DisplayName": "", "SignatureVersion": "1"}
"""What a stack update sets where the property was taken out of the template."""
SUBSCRIPTION_ATTRIBUTES: Final = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "ReplayPolicy",
    "SubscriptionRoleArn",
)
SUBSCRIPTION_RESTORED: Final = {
    "FilterPolicy": "{}",
    "FilterPolicyScope": "MessageAttributes",
    "RawMessageDelivery": "false",
    "RedrivePolicy": "",
}


def _text(value: Any) -> str:
    """Attributes are strings on the wire, whatever a template writes."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


# --- AWS::SNS::Topic ------------------------------------------------------------------------------


async def _create_topic(provision: Provision) -> Provisioned:
    want, sns = provision.want, provision.api("sns")
    fifo = _text(want.get("FifoTopic", False)).lower() == "true"
    suffix = ".fifo" if fifo else ""
    name = want.get("TopicName") or provision.default_name(limit=256, suffix=suffix)
    attributes = {key: _text(want[key]) for key in TOPIC_ATTRIBUTES if key in want}
    if fifo:
        attributes["FifoTopic"] = "true"
    _refuse_unbuilt(want)
    created = await sns.create_topic(Name=name, Attributes=attributes, Tags=want.get("Tags", []))
    arn = created["TopicArn"]
    for subscription in _subscriptions(want):
        await sns.subscribe(TopicArn=arn, **subscription)
    return _described(arn)


def _refuse_unbuilt(want: Properties) -> None:
    """Properties that the API has other names for, refused in the API's words."""
    for name in ("DataProtectionPolicy", "DeliveryStatusLogging"):
        if want.get(name):
            raise NotImplementedHere(f"SNS topics with {name} are not implemented by Skyfold.")


def _subscriptions(properties: Properties) -> list[dict[str, str]]:
    """The subscriptions that are written inside of a topic."""
    return [
        {"Protocol": item["Protocol"], "Endpoint": item["Endpoint"]}
        for item in properties.get("Subscription", ())
    ]


async def _update_topic(provision: Provision) -> Provisioned:
    want, had, arn = provision.want, provision.had, provision.physical_id
    sns = provision.api("sns")
    _refuse_unbuilt(want)
    for name in TOPIC_ATTRIBUTES:
        if name in want and want[name] != had.get(name):
            text = _text(want[name])
        elif name in had and name not in want and name in RESTORED:
            text = RESTORED[name]
        else:
            continue
        await sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=text)
    await _update_tags(sns, arn, had, want)
    await _update_subscriptions(sns, arn, had, want)
    return _described(arn)


async def _update_tags(sns: Any, arn: str, had: Properties, want: Properties) -> None:
    before = {tag["Key"]: tag["Value"] for tag in had.get("Tags", ())}
    now = {tag["Key"]: tag["Value"] for tag in want.get("Tags", ())}
    if gone := sorted(before.keys() - now.keys()):
        await sns.untag_resource(ResourceArn=arn, TagKeys=gone)
    if now and now != before:
        tags = [{"Key": key, "Value": value} for key, value in now.items()]
        await sns.tag_resource(ResourceArn=arn, Tags=tags)


async def _update_subscriptions(sns: Any, arn: str, had: Properties, want: Properties) -> None:
    before, now = _subscriptions(had), _subscriptions(want)
    for subscription in now:
        if subscription not in before:
            await sns.subscribe(TopicArn=arn, **subscription)
    gone = [subscription for subscription in before if subscription not in now]
    if not gone:
        return
    token: dict[str, str] = {}
    while True:
        page = await sns.list_subscriptions_by_topic(TopicArn=arn, **token)
        for found in page["Subscriptions"]:
            if {"Protocol": found["Protocol"], "Endpoint": found["Endpoint"]} in gone:
                await sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


async def _delete_topic(provision: Provision) -> None:
    await provision.api("sns").delete_topic(TopicArn=provision.physical_id)


def _described(arn: str) -> Provisioned:
    name = arn.rpartition(":")[2]
    return Provisioned(physical_id=arn, attributes={"TopicArn": arn, "TopicName": name})


# --- AWS::SNS::Subscription -----------------------------------------------------------------------


async def _create_subscription(provision: Provision) -> Provisioned:
    want = provision.want
    attributes = {key: _text(want[key]) for key in SUBSCRIPTION_ATTRIBUTES if key in want}
    created = await provision.api("sns").subscribe(
        TopicArn=want["TopicArn"],
        Protocol=want["Protocol"],
        Endpoint=want.get("Endpoint", ""),
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    arn = created["SubscriptionArn"]
    return Provisioned(physical_id=arn, attributes={"Arn": arn})


async def _update_subscription(provision: Provision) -> Provisioned:
    want, had, arn = provision.want, provision.had, provision.physical_id
    attributes = {
        name: _text(want[name])
        for name in SUBSCRIPTION_ATTRIBUTES
        if name in want and want[name] != had.get(name)
    }
    for name, text in SUBSCRIPTION_RESTORED.items():
        if name in had and name not in want:
            attributes[name] = text
    # A policy has to fit the scope at every moment, and only MessageBody takes nested ones.
    last = "FilterPolicy" if want.get("FilterPolicyScope") == "MessageBody" else "FilterPolicyScope"
    for name in sorted(attributes, key=last.__eq__):
        await provision.api("sns").set_subscription_attributes(
            SubscriptionArn=arn, AttributeName=name, AttributeValue=attributes[name]
        )
    return Provisioned(physical_id=arn, attributes={"Arn": arn})


async def _delete_subscription(provision: Provision) -> None:
    await provision.api("sns").unsubscribe(SubscriptionArn=provision.physical_id)


# --- policies -------------------------------------------------------------------------------------


def _arns(properties: Properties) -> set[str]:
    """Of a TopicPolicy, or of a TopicInlinePolicy."""
    arns = properties.get("Topics", ())
    return {*arns, properties["TopicArn"]} if "TopicArn" in properties else {*arns}


async def _put_policy(provision: Provision) -> Provisioned:
    await _set_policies(provision, _arns(provision.had) - _arns(provision.want), "")
    await _set_policies(provision, _arns(provision.want), _text(provision.want["PolicyDocument"]))
    name = provision.physical_id or provision.default_name()
    return Provisioned(physical_id=name, attributes={"Id": name})


async def _remove_policy(provision: Provision) -> None:
    await _set_policies(provision, _arns(provision.had), "")


async def _set_policies(provision: Provision, arns: Iterable[str], policy: str) -> None:
    for arn in sorted(arns):
        try:
            await provision.api("sns").set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=policy
            )
        except NotFoundException:
            if policy:
                raise


TYPES: Final = (
    ResourceType(
        name="AWS::SNS::Topic", create=_create_topic, update=_update_topic, delete=_delete_topic
    ),
    ResourceType(
        name="AWS::SNS::Subscription",
        create=_create_subscription,
        update=_update_subscription,
        delete=_delete_subscription,
    ),
    *(
        ResourceType(name=name, create=_put_policy, update=_put_policy, delete=_remove_policy)
        for name in ("AWS::SNS::TopicPolicy", "AWS::SNS::TopicInlinePolicy")
    ),
)
