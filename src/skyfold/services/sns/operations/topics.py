"""Topics: creating, listing and deleting them, and their attributes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from skyfold.base.arn import Arn
from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags, put_tags, tags_of
from skyfold.services.sns import limits
from skyfold.services.sns.engine.arns import topic_arn
from skyfold.services.sns.engine.tags import accepted_tags
from skyfold.services.sns.errors import NotFoundException, invalid
from skyfold.services.sns.operations import signing
from skyfold.services.sns.tables import (
    ENDPOINTS,
    SENT,
    SENT_EXPIRY,
    SEQUENCES,
    SUBSCRIPTIONS,
    TOPICS,
    Fifo,
    Topic,
    find_topic,
)
from skyfold.store.api import ReadTx, Tx

# --- finding --------------------------------------------------------------------------------------


def arn_in(call: Call, request: Request) -> str:
    """The topic that a request is about, for IAM."""
    return str(topic_arn(request["TopicArn"], call.region))


async def topic_at(tx: ReadTx, call: Call, text: str, parameter: str = "TopicArn") -> Topic:
    """The topic with this ARN. Raises NotFound."""
    return await topic_of(tx, topic_arn(text, call.region, parameter))


async def topic_of(tx: ReadTx, arn: Arn) -> Topic:
    topic = await find_topic(tx, arn.account, arn.region, arn.resource)
    if topic is None:
        raise NotFoundException
    return topic


async def policy_of(tx: ReadTx, arn: str) -> str | None:
    """The policy attached to the topic with this ARN, for the kernel's decisions.

    The default policy is none: it says no more than that the owner's account may do everything.
    """
    parts = arn.split(":")
    topic = await find_topic(tx, parts[4], parts[3], parts[5]) if len(parts) >= 6 else None
    return topic.policy or None if topic else None


# --- life -----------------------------------------------------------------------------------------


async def create_topic(tx: Tx, call: Call, request: Request) -> Any:
    name, asked = request["Name"], dict(request.get("Attributes", {}))
    tags = accepted_tags({}, request.get("Tags", ()))
    fifo = _boolean("FifoTopic", asked.pop("FifoTopic", "false"))
    if not (limits.FIFO_NAME if fifo else limits.TOPIC_NAME).fullmatch(name):
        raise invalid("Topic Name")
    if request.get("DataProtectionPolicy"):
        raise NotImplementedHere("SNS data protection policies are not implemented by Skyfold.")
    blank = Topic(
        account=call.account,
        region=call.region,
        name=name,
        created_at=call.now,
        fifo=Fifo() if fifo else None,
    )
    wanted = blank
    for attribute, text in asked.items():
        wanted = _with(wanted, attribute, text, within="Attributes")
    found = await find_topic(tx, call.account, call.region, name)
    if found is not None:
        shown, same = _settable(found), _settable(wanted)
        if any(shown.get(attribute) != same.get(attribute) for attribute in asked):
            raise invalid("Attributes", "Topic already exists with different attributes")
        if not tags.items() <= (await tags_of(tx, found.arn)).items():
            raise invalid("Tags", "Topic already exists with different tags")
        return reply(TopicArn=found.arn)
    if wanted.signature_version:
        await signing.ensure_key(tx, call)
    TOPICS.put(tx, wanted)
    put_tags(tx, wanted.arn, tags)
    return reply(TopicArn=wanted.arn)


async def delete_topic(tx: Tx, call: Call, request: Request) -> None:
    arn = topic_arn(request["TopicArn"], call.region)
    TOPICS.delete(tx, arn.account, arn.region, arn.resource)
    SUBSCRIPTIONS.delete_all(tx, arn.account, arn.region, arn.resource)
    for table in (ENDPOINTS, SENT, SENT_EXPIRY, SEQUENCES):
        table.delete_all(tx, str(arn))
    forget_tags(tx, str(arn))


async def list_topics(tx: ReadTx, call: Call, request: Request) -> Any:
    after = page_after("ListTopics", request)
    found = await TOPICS.scan(
        tx, call.account, call.region, above=after or None, limit=limits.PAGE + 1
    )
    page = found[: limits.PAGE]
    more = len(found) > limits.PAGE
    return reply(
        Topics=[{"TopicArn": topic.arn} for topic in page],
        NextToken=token("ListTopics", page[-1].name) if more else None,
    )


def page_after(operation: str, request: Request) -> tuple[Any, ...]:
    """The position behind which the page that NextToken asks for begins."""
    text = request.get("NextToken")
    if not text:
        return ()
    try:
        return position(operation, text)
    except BadToken as bad:
        raise invalid("NextToken") from bad


# --- attributes -----------------------------------------------------------------------------------


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise invalid("Attributes", f"{name}: Invalid value [{text}]. Must be true or false.")
    return text.lower() == "true"


REFUSED: Final = frozenset(
    {
        "ArchivePolicy",
        "DataProtectionPolicy",
        "DeliveryPolicy",
        "KmsMasterKeyId",
        *(
            f"{protocol}{kind}"
            for protocol in ("HTTP", "Firehose", "Lambda", "Application", "SQS")
            for kind in (
                "SuccessFeedbackRoleArn",
                "SuccessFeedbackSampleRate",
                "FailureFeedbackRoleArn",
            )
        ),
    }
)
"""Attributes that AWS has and that Skyfold cannot obey yet."""


def _with(topic: Topic, name: str, text: str, *, within: str = "") -> Topic:
    """``topic`` with an attribute set. ``within``: the parameter that the attribute came in."""
    if name in REFUSED:
        if text:
            raise NotImplementedHere(f"SNS topics with {name} are not implemented by Skyfold.")
        return topic
    if name == "DisplayName":
        if len(text) > 100:
            raise _value_error(name, "must be 100 characters or less", within)
        return replace(topic, display_name=text)
    if name == "Policy":
        return replace(topic, policy=_policy(text, within))
    if name == "SignatureVersion":
        if text not in {"1", "2"}:
            raise _value_error(name, f"Invalid value [{text}]. Must be 1 or 2.", within)
        return replace(topic, signature_version=text)
    if name == "TracingConfig":
        if text == "Active":
            raise NotImplementedHere("SNS active tracing is not implemented by Skyfold.")
        if text != "PassThrough":
            raise _value_error(name, f"Invalid value [{text}].", within)
        return replace(topic, tracing=text)
    if topic.fifo is not None and name == "ContentBasedDeduplication":
        return replace(topic, fifo=replace(topic.fifo, content_based=_boolean(name, text)))
    if topic.fifo is not None and name == "FifoThroughputScope":
        if text not in {"Topic", "MessageGroup"}:
            raise _value_error(name, f"Invalid value [{text}].", within)
        return replace(topic, fifo=replace(topic.fifo, per_group=text == "MessageGroup"))
    raise invalid(within, f"Unknown attribute {name}") if within else invalid("AttributeName")


def _value_error(name: str, reason: str, within: str) -> Exception:
    return invalid(within, f"{name}: {reason}") if within else invalid(f"{name}: {reason}")


def _policy(text: str, within: str) -> str:
    if not text:
        return ""
    try:
        validated(text, "resource")
    except MalformedPolicyDocument as bad:
        raise _value_error("Policy", f"Error {bad.text}", within) from bad
    return text


async def set_topic_attributes(tx: Tx, call: Call, request: Request) -> None:
    topic = await topic_at(tx, call, request["TopicArn"])
    changed = _with(topic, request["AttributeName"], request.get("AttributeValue", ""))
    if changed.signature_version:
        await signing.ensure_key(tx, call)
    TOPICS.put(tx, changed)


async def get_topic_attributes(tx: ReadTx, call: Call, request: Request) -> Any:
    topic = await topic_at(tx, call, request["TopicArn"])
    confirmed, pending = await _subscription_counts(tx, topic)
    attributes = {
        "TopicArn": topic.arn,
        "Owner": topic.account,
        "Policy": topic.policy or default_policy(topic),
        "DisplayName": topic.display_name,
        "SubscriptionsConfirmed": str(confirmed),
        "SubscriptionsPending": str(pending),
        "SubscriptionsDeleted": str(topic.unsubscribed),
        "EffectiveDeliveryPolicy": EFFECTIVE_DELIVERY_POLICY,
        **_settable(topic),
    }
    return reply(Attributes=attributes)


async def _subscription_counts(tx: ReadTx, topic: Topic) -> tuple[int, int]:
    confirmed = pending = 0
    above: tuple[str, ...] | None = None
    while True:
        page = await SUBSCRIPTIONS.scan(
            tx, topic.account, topic.region, topic.name, above=above, limit=1000
        )
        waiting = sum(bool(subscription.token) for subscription in page)
        confirmed, pending = confirmed + len(page) - waiting, pending + waiting
        if len(page) < 1000:
            return confirmed, pending
        above = (page[-1].id,)


_SETTABLE: Final[Mapping[str, Callable[[Topic], str]]] = {
    "DisplayName": lambda topic: topic.display_name,
    "Policy": lambda topic: topic.policy,
    "SignatureVersion": lambda topic: topic.signature_version,
    "TracingConfig": lambda topic: topic.tracing,
}


def _settable(topic: Topic) -> dict[str, str]:
    """The attributes that somebody has set, and those that make a FIFO topic."""
    found = {name: text for name, show in _SETTABLE.items() if (text := show(topic))}
    if topic.fifo is not None:
        found["FifoTopic"] = "true"
        found["ContentBasedDeduplication"] = "true" if topic.fifo.content_based else "false"
        if topic.fifo.per_group:
            found["FifoThroughputScope"] = "MessageGroup"
    return found


EFFECTIVE_DELIVERY_POLICY: Final = json.dumps(
    {
        "http": {
            "defaultHealthyRetryPolicy": {
                "minDelayTarget": 20,
                "maxDelayTarget": 20,
                "numRetries": 3,
                "numMaxDelayRetries": 0,
                "numNoDelayRetries": 0,
                "numMinDelayRetries": 0,
                "backoffFunction": "linear",
            },
            "disableSubscriptionOverrides": False,
            "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
        }
    },
    separators=(",", ":"),
)
OWNERS_ACTIONS: Final = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)


def default_policy(topic: Topic) -> str:
    """What AWS shows as the policy of a topic that was given none."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in OWNERS_ACTIONS],
        "Resource": topic.arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": topic.account}},
    }
    policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    return json.dumps(policy, separators=(",", ":"))
