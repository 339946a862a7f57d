"""Publishing: one transaction from a publisher to all subscribers of a topic."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.jobs import schedule
from skyfold.kernel.principal import Principal, service_principal
from skyfold.kernel.service import Request, reply
from skyfold.services.sns import limits
from skyfold.services.sns.engine import envelopes, filter_policies, message_attributes
from skyfold.services.sns.engine.arns import topic_arn
from skyfold.services.sns.engine.envelopes import Notification, Signed
from skyfold.services.sns.engine.patterns import Matcher
from skyfold.services.sns.errors import (
    BatchEntryIdsNotDistinctException,
    BatchRequestTooLongException,
    EmptyBatchRequestException,
    InvalidBatchEntryIdException,
    TooManyEntriesInBatchRequestException,
    invalid,
)
from skyfold.services.sns.operations import deduplication, signing, usage
from skyfold.services.sns.operations.topics import topic_of
from skyfold.services.sns.tables import SUBSCRIPTIONS, Subscription, Topic
from skyfold.store.api import Tx
from skyfold.store.keys import after

FANOUT_JOB: Final = "sns.fanout"

# --- the API --------------------------------------------------------------------------------------


def target_in(call: Call, request: Request) -> str:
    """The topic that is published to, for IAM."""
    return str(_target(call, request))


def _target(call: Call, request: Request) -> Any:
    if request.get("PhoneNumber"):
        raise NotImplementedHere("SNS text messages are not implemented by Skyfold.")
    for parameter in ("TopicArn", "TargetArn"):
        if parameter in request:
            text = request[parameter]
            if ":endpoint/" in text:
                raise NotImplementedHere("SNS mobile push is not implemented by Skyfold.")
            return topic_arn(text, call.region, parameter)
    raise invalid("TopicArn or TargetArn", "no value for required parameter")


async def publish(tx: Tx, call: Call, request: Request) -> Any:
    topic = await topic_of(tx, _target(call, request))
    notification, size = _notification(topic, call, request)
    if size > limits.MESSAGE_MAX_BYTES:
        raise invalid("Message too long")
    first = await _publish(tx, call, topic, notification, size)
    return reply(MessageId=first.message_id, SequenceNumber=first.sequence or None)


async def publish_batch(tx: Tx, call: Call, request: Request) -> Any:
    entries = request["PublishBatchRequestEntries"]
    _check_entries(entries)
    topic = await topic_of(tx, topic_arn(request["TopicArn"], call.region))
    made = [_notification(topic, call, entry) for entry in entries]
    if sum(size for _, size in made) > limits.MESSAGE_MAX_BYTES:
        raise BatchRequestTooLongException
    done = []
    for entry, (notification, size) in zip(entries, made, strict=True):
        first = await _publish(tx, call, topic, notification, size)
        answer = reply(
            Id=entry["Id"], MessageId=first.message_id, SequenceNumber=first.sequence or None
        )
        done.append(answer)
    return reply(Successful=done, Failed=[])


def _check_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        raise EmptyBatchRequestException
    if len(entries) > limits.BATCH_ENTRIES_MAX:
        raise TooManyEntriesInBatchRequestException
    names = [entry["Id"] for entry in entries]
    if len(set(names)) != len(names):
        raise BatchEntryIdsNotDistinctException
    if not all(limits.BATCH_ENTRY_ID.fullmatch(name) for name in names):
        raise InvalidBatchEntryIdException


# --- what is published ----------------------------------------------------------------------------


def _notification(topic: Topic, call: Call, entry: Mapping[str, Any]) -> tuple[Notification, int]:
    """The message of a request, and its size in bytes. Raises what SNS would."""
    message: str = entry["Message"]
    if not message:
        raise invalid("Empty message")
    subject = entry.get("Subject", "")
    if "Subject" in entry and not limits.SUBJECT.fullmatch(subject):
        raise invalid("Subject")
    attributes = entry.get("MessageAttributes") or {}
    size = len(message) if message.isascii() else len(message.encode("utf-8", "surrogatepass"))
    if attributes:
        attributes = message_attributes.accepted(attributes)
        size += message_attributes.size(attributes)
    texts: Mapping[str, str] = {}
    if structure := entry.get("MessageStructure"):
        texts = _texts(structure, message)
        message = texts["default"]
    return Notification(
        topic_arn=topic.arn,
        message_id=call.new_id(),
        at=call.now,
        message=message,
        texts=texts,
        subject=subject,
        attributes=attributes,
        group=_group(topic, entry),
        deduplication_id=_deduplication_id(topic, entry, message),
        signature_version=topic.signature_version,
    ), size


def _texts(structure: str, message: str) -> dict[str, str]:
    if structure != "json":
        raise invalid("MessageStructure")
    try:
        texts = json.loads(message)
    except ValueError as bad:
        raise invalid("Message Structure - JSON message body failed to parse") from bad
    if not isinstance(texts, dict) or not isinstance(texts.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _group(topic: Topic, entry: Mapping[str, Any]) -> str:
    group: str = entry.get("MessageGroupId", "")
    if topic.fifo is not None and not group:
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    if group and not limits.FIFO_ID.fullmatch(group):
        raise invalid("MessageGroupId", "MessageGroupId can only include alphanumeric and "
                      "punctuation characters. 1 to 128 in length.")  # fmt: skip
    return group


def _deduplication_id(topic: Topic, entry: Mapping[str, Any], message: str) -> str:
    given: str = entry.get("MessageDeduplicationId", "")
    if topic.fifo is None:
        if given:
            raise invalid(
                "MessageDeduplicationId",
                "The request includes MessageDeduplicationId parameter that is not valid for this "
                "topic type",
            )
        return ""
    if given and not limits.FIFO_ID.fullmatch(given):
        raise invalid("MessageDeduplicationId", "MessageDeduplicationId can only include "
                      "alphanumeric and punctuation characters. 1 to 128 in length.")  # fmt: skip
    if not given and not topic.fifo.content_based:
        raise invalid(
            "The topic should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )
    return given or deduplication.of_content(message)


# --- to whom --------------------------------------------------------------------------------------


class Target:
    """A subscription as a publish needs it: compiled once for each state of its row."""

    __slots__ = ("arn", "body_filter", "filter", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription, self.arn = subscription, subscription.arn
        self.body_filter = subscription.filter_scope == "MessageBody"
        self.filter: Matcher | None = None
        if subscription.filter_policy:
            self.filter = filter_policies.matcher(subscription.filter_policy, self.body_filter)


_decode = msgspec.msgpack.Decoder(Subscription).decode


@functools.lru_cache(maxsize=10_000)
def _target_of(row: bytes) -> Target:
    return Target(_decode(row))


@functools.lru_cache(maxsize=1_000)
def _sender(account: str, arn: str) -> Principal:
    return service_principal("sns.amazonaws.com", account=account, source_arn=arn)


async def _publish(
    tx: Tx, call: Call, topic: Topic, notification: Notification, size: int
) -> Notification:
    """Publish, or find that the message was published before: what is answered either way."""
    if topic.fifo is not None:
        first = await deduplication.first_of(tx, topic, notification)
        if first.message_id != notification.message_id:
            return first
        notification = first
    sender = call.acting_as(_sender(topic.account, topic.arn), account=topic.account)
    await fan_out(tx, sender, topic, notification)
    usage.published(sender, topic, size)
    return notification


async def fan_out(
    tx: Tx, sender: Call, topic: Topic, notification: Notification, start: bytes = b""
) -> None:
    """Deliver to the next subscriptions, and leave those past a step's worth to a job."""
    prefix = SUBSCRIPTIONS.prefix(topic.account, topic.region, topic.name)
    rows = await tx.scan(start or prefix, after(prefix), limit=limits.FANOUT_STEP)
    if not rows:
        return
    fanout = Fanout(tx, sender, topic, notification)
    for _, row in rows:
        await fanout.to(_target_of(row))
    fanout.count()
    if len(rows) == limits.FANOUT_STEP:
        payload = {
            "notification": msgspec.msgpack.encode(notification),
            "start": rows[-1][0] + b"\0",
            "topic": [topic.account, topic.region, topic.name],
        }
        await schedule(
            tx,
            FANOUT_JOB,
            f"{notification.message_id}:{rows[-1][0].hex()}",
            due_at=sender.now,
            payload=payload,
        )


class Fanout:
    """One notification on its way to subscribers: what it looks like is made once, when needed."""

    def __init__(self, tx: Tx, sender: Call, topic: Topic, notification: Notification) -> None:
        self._tx, self._sender, self._topic = tx, sender, topic
        self._notification = notification
        self._attributes: dict[str, Any] | None = None
        self._body: dict[str, Any] | None = None
        self._body_read = False
        self._signed: dict[str, Signed | None] = {}
        self._envelopes: dict[str, tuple[str, str]] = {}
        self.delivered: dict[str, int] = {}
        self.failed = self.filtered = 0

    async def to(self, target: Target) -> None:
        """Deliver to one subscription, to its dead-letter queue, or to nobody."""
        subscription = target.subscription
        if subscription.token:
            return
        if target.filter is not None and not self._wanted(target):
            self.filtered += 1
            return
        parcel = await self._parcel(target)
        try:
            await deliver(self._tx, self._sender, subscription.endpoint, parcel)
            protocol = subscription.protocol
            self.delivered[protocol] = self.delivered.get(protocol, 0) + 1
        except AwsError:
            self.failed += 1
            await self._bury(subscription, parcel)

    async def _bury(self, subscription: Subscription, parcel: Parcel) -> None:
        if not subscription.dead_letter_arn:
            return
        try:
            await deliver(self._tx, self._sender, subscription.dead_letter_arn, parcel)
            usage.redriven(self._sender, self._topic)
        except AwsError:
            usage.lost(self._sender, self._topic)

    def _wanted(self, target: Target) -> bool:
        assert target.filter is not None
        if target.body_filter:
            if not self._body_read:
                text = self._notification.text_for(target.subscription.protocol)
                self._body, self._body_read = filter_policies.body_event(text), True
            return self._body is not None and target.filter(self._body)
        if self._attributes is None:
            self._attributes = filter_policies.attributes_event(self._notification.attributes)
        return target.filter(self._attributes)

    async def _parcel(self, target: Target) -> Parcel:
        notification, subscription = self._notification, target.subscription
        protocol = subscription.protocol
        text = notification.text_for(protocol)
        group, deduplication_id = notification.group, notification.deduplication_id
        if subscription.raw:
            return Parcel(
                body=text,
                attributes=notification.attributes,
                group_id=group,
                deduplication_id=deduplication_id,
            )
        url = envelopes.unsubscribe_url(self._sender.endpoint, target.arn)
        if protocol == "lambda":
            signed = await self._signature(text)
            body = envelopes.lambda_event(notification, text, signed, target.arn, url)
            return Parcel(body=body)
        parts = self._envelopes.get(text)
        if parts is None:
            signed = await self._signature(text)
            parts = self._envelopes[text] = envelopes.envelope(notification, text, signed)
        return Parcel(body=url.join(parts), group_id=group, deduplication_id=deduplication_id)

    async def _signature(self, text: str) -> Signed | None:
        version = self._notification.signature_version
        if not version:
            return None
        signed = self._signed.get(text)
        if signed is None:
            to_sign = envelopes.string_to_sign(self._notification, text)
            signed = await signing.signed(self._tx, self._sender, version, to_sign)
            self._signed[text] = signed
        return signed

    def count(self) -> None:
        usage.fanned_out(
            self._sender, self._topic, self.delivered, failed=self.failed, filtered=self.filtered
        )
