"""Notifications: the JSON that subscribers get around a message."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from skyfold.services.sns.engine import message_attributes


class Notification(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One published message, as all of its subscribers get it."""

    topic_arn: str
    message_id: str
    at: int
    """When it was published, ms."""
    message: str
    texts: Mapping[str, str] = {}
    """What to send instead of ``message``, by protocol (MessageStructure json)."""
    subject: str = ""
    attributes: Mapping[str, Mapping[str, Any]] = {}
    group: str = ""
    deduplication_id: str = ""
    sequence: str = ""
    signature_version: str = ""
    """Empty where the topic wants no signatures."""

    def text_for(self, protocol: str) -> str:
        return self.texts.get(protocol, self.message) if self.texts else self.message


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signature and where the certificate is found that it is checked with."""

    version: str
    signature: str
    certificate_url: str


def timestamp(now: int) -> str:
    return f"{_second(now // 1000)}.{now % 1000:03d}Z"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def string_to_sign(notification: Notification, text: str) -> bytes:
    """The lines that a signature covers, in the order that verifiers put them."""
    lines = ["Message", text, "MessageId", notification.message_id]
    if notification.subject:
        lines += ["Subject", notification.subject]
    lines += ["Timestamp", timestamp(notification.at), "TopicArn", notification.topic_arn]
    return "\n".join([*lines, "Type", "Notification", ""]).encode()


def envelope(notification: Notification, text: str, signed: Signed | None) -> tuple[str, str]:
    """A notification for queues and HTTP, in two parts: the unsubscribe URL goes in between.

    Everything else is the same for all subscriptions of a protocol.
    """
    quoted = json.dumps
    head = f'{{\n  "Type" : "Notification",\n  "MessageId" : "{notification.message_id}",\n'
    if notification.sequence:
        head += f'  "SequenceNumber" : "{notification.sequence}",\n'
    head += f'  "TopicArn" : "{notification.topic_arn}",\n'
    if notification.subject:
        head += f'  "Subject" : {quoted(notification.subject, ensure_ascii=False)},\n'
    head += f'  "Message" : {quoted(text, ensure_ascii=False)},\n'
    head += f'  "Timestamp" : "{timestamp(notification.at)}",\n'
    if signed is not None:
        head += f'  "SignatureVersion" : "{signed.version}",\n'
        head += f'  "Signature" : "{signed.signature}",\n'
        head += f'  "SigningCertURL" : "{signed.certificate_url}",\n'
    head += '  "UnsubscribeURL" : "'
    if not notification.attributes:
        return head, '"\n}'
    attributes = message_attributes.listed(notification.attributes)
    return head, f'",\n  "MessageAttributes" : {attributes}\n}}'


def lambda_event(
    notification: Notification,
    text: str,
    signed: Signed | None,
    subscription_arn: str,
    unsubscribe_url: str,
) -> str:
    """The event that a function gets."""
    sns: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": notification.message_id,
        "TopicArn": notification.topic_arn,
        "Subject": notification.subject or None,
        "Message": text,
        "Timestamp": timestamp(notification.at),
    }
    if signed is not None:
        sns["SignatureVersion"] = signed.version
        sns["Signature"] = signed.signature
        sns["SigningCertUrl"] = signed.certificate_url
    sns["UnsubscribeUrl"] = unsubscribe_url
    sns["MessageAttributes"] = message_attributes.shown(notification.attributes)
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": sns,
    }
    return json.dumps({"Records": [record]}, separators=(",", ":"), ensure_ascii=False)


def unsubscribe_url(endpoint: str, subscription_arn: str) -> str:
    return f"{endpoint}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"


def subscribe_url(endpoint: str, topic_arn: str, token: str) -> str:
    return f"{endpoint}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}"


def confirmation(members: Mapping[str, str], signed: Signed | None) -> str:
    """What an endpoint gets that has to confirm its subscription first."""
    shown = dict(members)
    if signed is not None:
        shown["SignatureVersion"] = signed.version
        shown["Signature"] = signed.signature
        shown["SigningCertURL"] = signed.certificate_url
    return json.dumps(shown, indent=2, separators=(",", " : "))


def confirmation_to_sign(members: Mapping[str, str]) -> bytes:
    lines = [line for name in sorted(members) for line in (name, members[name])]
    return "\n".join([*lines, ""]).encode()
