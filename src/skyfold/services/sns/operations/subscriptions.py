"""Subscriptions: who gets what is published to a topic, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.pages import token as page_token
from skyfold.kernel.service import Request, reply
from skyfold.services.sns import limits
from skyfold.services.sns.engine import envelopes, filter_policies
from skyfold.services.sns.engine.arns import subscription_arn
from skyfold.services.sns.engine.patterns import PatternError
from skyfold.services.sns.errors import NotFoundException, invalid
from skyfold.services.sns.operations import signing
from skyfold.services.sns.operations.topics import page_after, topic_at
from skyfold.services.sns.tables import (
    ENDPOINTS,
    SUBSCRIPTIONS,
    TOPICS,
    Subscription,
    Topic,
    find_topic,
)
from skyfold.store.api import ReadTx, Tx

ENDPOINT_NAMES: Final = {"sqs": "SQS endpoint ARN", "lambda": "Lambda endpoint ARN"}
NOT_YET: Final = ("http", "https", "email", "email-json", "sms", "application", "firehose")
PENDING: Final = "pending confirmation"


# --- subscribing ----------------------------------------------------------------------------------


async def subscribe(tx: Tx, call: Call, request: Request) -> Any:
    topic = await topic_at(tx, call, request["TopicArn"])
    protocol, endpoint = request["Protocol"], request.get("Endpoint", "")
    owner = _checked_endpoint(topic, protocol, endpoint)
    asked = request.get("Attributes", {})
    blank = Subscription(
        account=topic.account,
        region=topic.region,
        topic=topic.name,
        id=call.new_id(),
        owner=call.principal.account or call.account,
        protocol=protocol,
        endpoint=endpoint,
        principal=call.principal.caller_arn,
    )
    wanted = _with_all(topic, blank, asked)
    known = await ENDPOINTS.scan(tx, topic.arn, protocol, endpoint, limit=1)
    if known:
        found = await SUBSCRIPTIONS.get(tx, topic.account, topic.region, topic.name, known[0][3])
        assert found is not None, "an endpoint outlived its subscription"
        shown, same = _set_attributes(found), _set_attributes(wanted)
        if any(shown.get(name) != same.get(name) for name in asked):
            raise invalid("Attributes", "Subscription already exists with different attributes")
        return reply(SubscriptionArn=_shown_arn(found, request))
    if owner != blank.owner:  # whoever owns the endpoint has to agree first
        wanted = replace(wanted, token=call.platform.ids.hex(64))
        await _ask_to_confirm(tx, call, topic, wanted)
    SUBSCRIPTIONS.put(tx, wanted)
    ENDPOINTS.put(tx, topic.arn, protocol, endpoint, wanted.id)
    return reply(SubscriptionArn=_shown_arn(wanted, request))


def _shown_arn(subscription: Subscription, request: Request) -> str:
    if subscription.token and not request.get("ReturnSubscriptionArn"):
        return PENDING
    return subscription.arn


def _checked_endpoint(topic: Topic, protocol: str, endpoint: str) -> str:
    """The account that an endpoint belongs to. Raises what SNS would."""
    if protocol in NOT_YET:
        raise NotImplementedHere(
            f"SNS subscriptions with protocol {protocol} are not implemented by Skyfold."
        )
    if protocol not in ENDPOINT_NAMES:
        raise invalid(f"Amazon SNS does not support this protocol string: {protocol}")
    arn = parse_arn(endpoint)
    if arn is None or arn.service != protocol:
        raise invalid(ENDPOINT_NAMES[protocol])
    if protocol == "sqs" and topic.fifo is None and arn.resource.endswith(".fifo"):
        raise invalid("Invalid parameter: Endpoint", "FIFO SQS Queues can not be subscribed to "
                      "standard SNS topics")  # fmt: skip
    if protocol != "sqs" and topic.fifo is not None:
        raise invalid("Invalid parameter: Endpoint", "FIFO topics deliver to SQS queues only")
    return arn.account


async def _ask_to_confirm(tx: Tx, call: Call, topic: Topic, subscription: Subscription) -> None:
    """Send the endpoint the token with which it is confirmed. A function finds it in its event."""
    token = subscription.token
    members = {
        "Type": "SubscriptionConfirmation",
        "MessageId": call.new_id(),
        "Token": token,
        "TopicArn": topic.arn,
        "Message": f"You have chosen to subscribe to the topic {topic.arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": envelopes.subscribe_url(call.endpoint, topic.arn, token),
        "Timestamp": envelopes.timestamp(call.now),
    }
    signed = None
    if topic.signature_version:
        text = envelopes.confirmation_to_sign(members)
        signed = await signing.signed(tx, call, topic.signature_version, text)
    sender = call.as_service("sns", source_arn=topic.arn)
    parcel = Parcel(body=envelopes.confirmation(members, signed))
    try:
        await deliver(tx, sender, subscription.endpoint, parcel)
    except AwsError:
        return  # it stays pending: who cannot be reached cannot confirm


async def confirm_subscription(tx: Tx, call: Call, request: Request) -> Any:
    topic = await topic_at(tx, call, request["TopicArn"])
    token = request["Token"]
    above: tuple[str, ...] | None = None
    while page := await SUBSCRIPTIONS.scan(
        tx, topic.account, topic.region, topic.name, above=above, limit=limits.PAGE
    ):
        for subscription in page:
            if token and subscription.token == token:
                SUBSCRIPTIONS.put(tx, replace(subscription, token=""))
                return reply(SubscriptionArn=subscription.arn)
        above = (page[-1].id,)
    raise invalid("Token")


async def unsubscribe(tx: Tx, call: Call, request: Request) -> None:
    arn, name = subscription_arn(request["SubscriptionArn"])
    found = await SUBSCRIPTIONS.get(tx, arn.account, arn.region, arn.resource, name)
    if found is None:
        return
    SUBSCRIPTIONS.delete(tx, arn.account, arn.region, arn.resource, name)
    ENDPOINTS.delete(tx, found.topic_arn, found.protocol, found.endpoint, found.id)
    topic = await find_topic(tx, arn.account, arn.region, arn.resource)
    if topic is not None:
        TOPICS.put(tx, replace(topic, unsubscribed=topic.unsubscribed + 1))


# --- listing --------------------------------------------------------------------------------------


async def list_subscriptions(tx: ReadTx, call: Call, request: Request) -> Any:
    above = page_after("ListSubscriptions", request)
    found = await SUBSCRIPTIONS.scan(
        tx, call.account, call.region, above=above or None, limit=limits.PAGE + 1
    )
    return _page("ListSubscriptions", found, lambda last: (last.topic, last.id))


async def list_subscriptions_by_topic(tx: ReadTx, call: Call, request: Request) -> Any:
    topic = await topic_at(tx, call, request["TopicArn"])
    above = page_after("ListSubscriptionsByTopic", request)
    found = await SUBSCRIPTIONS.scan(
        tx,
        topic.account,
        topic.region,
        topic.name,
        above=above or None,
        limit=limits.PAGE + 1,
    )
    return _page("ListSubscriptionsByTopic", found, lambda last: (last.id,))


def _page(operation: str, found: list[Subscription], position: Any) -> Any:
    page = found[: limits.PAGE]
    more = len(found) > limits.PAGE
    return reply(
        Subscriptions=[_listed(subscription) for subscription in page],
        NextToken=page_token(operation, *position(page[-1])) if more else None,
    )


def _listed(subscription: Subscription) -> dict[str, str]:
    return {
        "SubscriptionArn": "PendingConfirmation" if subscription.token else subscription.arn,
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic_arn,
    }


# --- attributes -----------------------------------------------------------------------------------


async def subscription_at(tx: ReadTx, text: str) -> Subscription:
    """The subscription with this ARN. Raises NotFound."""
    arn, name = subscription_arn(text)
    found = await SUBSCRIPTIONS.get(tx, arn.account, arn.region, arn.resource, name)
    if found is None:
        raise NotFoundException("Subscription does not exist")
    return found


async def get_subscription_attributes(tx: ReadTx, call: Call, request: Request) -> Any:
    found = await subscription_at(tx, request["SubscriptionArn"])
    pending = "true" if found.token else "false"
    attributes = {
        **_listed(found),
        "SubscriptionArn": found.arn,
        "ConfirmationWasAuthenticated": "false" if found.token else "true",
        "PendingConfirmation": pending,
        "SubscriptionPrincipal": found.principal,
        **_set_attributes(found),
    }
    return reply(Attributes=attributes)


def _set_attributes(subscription: Subscription) -> dict[str, str]:
    found = {"RawMessageDelivery": "true" if subscription.raw else "false"}
    if subscription.filter_policy:
        found["FilterPolicy"] = subscription.filter_policy
        found["FilterPolicyScope"] = subscription.filter_scope or "MessageAttributes"
    if subscription.dead_letter_arn:
        policy = {"deadLetterTargetArn": subscription.dead_letter_arn}
        found["RedrivePolicy"] = json.dumps(policy, separators=(",", ":"))
    return found


async def set_subscription_attributes(tx: Tx, call: Call, request: Request) -> None:
    found = await subscription_at(tx, request["SubscriptionArn"])
    topic = await topic_at(tx, call, found.topic_arn)
    name, text = request["AttributeName"], request.get("AttributeValue", "")
    try:
        SUBSCRIPTIONS.put(tx, _checked_filter(_with(topic, found, name, text)))
    except _Refused as refused:
        raise invalid(str(refused)) from refused


def _with_all(topic: Topic, blank: Subscription, asked: Mapping[str, str]) -> Subscription:
    try:
        for name, text in asked.items():
            blank = _with(topic, blank, name, text)
        return _checked_filter(blank)
    except _Refused as refused:
        raise invalid("Attributes", str(refused)) from refused


class _Refused(Exception):
    """What is wrong with an attribute: where it came from says how that is put."""


def _with(topic: Topic, subscription: Subscription, name: str, text: str) -> Subscription:
    if name == "RawMessageDelivery":
        if text.lower() not in {"true", "false"}:
            raise _Refused(f"{name}: Invalid value [{text}]. Must be true or false.")
        if text.lower() == "true" and subscription.protocol == "lambda":
            raise _Refused(f"{name}: Invalid value [{text}]. Not supported for lambda.")
        return replace(subscription, raw=text.lower() == "true")
    if name == "FilterPolicy":
        return replace(subscription, filter_policy="" if text.strip() in {"", "{}"} else text)
    if name == "FilterPolicyScope":
        if text not in {"MessageAttributes", "MessageBody"}:
            raise _Refused(
                f"{name}: Invalid value [{text}]. Please use either MessageBody or "
                "MessageAttributes"
            )
        return replace(subscription, filter_scope=text)
    if name == "RedrivePolicy":
        return replace(subscription, dead_letter_arn=_dead_letter_arn(topic, text))
    if name in {"DeliveryPolicy", "ReplayPolicy", "SubscriptionRoleArn"}:
        if text:
            raise NotImplementedHere(
                f"SNS subscriptions with {name} are not implemented by Skyfold."
            )
        return subscription
    raise _Refused("AttributeName")


def _dead_letter_arn(topic: Topic, text: str) -> str:
    if not text.strip():
        return ""
    try:
        policy = json.loads(text)
    except ValueError as bad:
        raise _Refused("RedrivePolicy: failed to parse JSON.") from bad
    target = policy.get("deadLetterTargetArn") if isinstance(policy, dict) else None
    if target is None:
        return ""
    arn = parse_arn(target) if isinstance(target, str) else None
    if arn is None or arn.service != "sqs":
        raise _Refused("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if topic.fifo is not None and not arn.resource.endswith(".fifo"):
        raise _Refused(
            "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
        )
    return str(target)


def _checked_filter(subscription: Subscription) -> Subscription:
    """Hold the filter policy and its scope against each other: either may just have been set."""
    if subscription.filter_policy:
        try:
            filter_policies.matcher(
                subscription.filter_policy, subscription.filter_scope == "MessageBody"
            )
        except PatternError as bad:
            raise _Refused(f"FilterPolicy: {bad}") from bad
    return subscription
