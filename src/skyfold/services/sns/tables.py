"""What SNS keeps.

A topic is one row and each of its subscriptions another, keyed so that a publish reads the topic
and scans its subscriptions. What a subscription's row means to a publish (its compiled filter, its
envelope) is cached by the row's bytes, so there is nothing to invalidate. ``ENDPOINTS`` finds the
subscription of an endpoint, for an endpoint is subscribed to a topic once. ``SENT`` remembers the
deduplication ids of FIFO topics for five minutes.
"""

from __future__ import annotations

import functools

import msgspec

from skyfold.store.api import ReadTx
from skyfold.store.tables import Index, Table


class Fifo(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What only FIFO topics have."""

    content_based: bool = False
    per_group: bool = False


class Topic(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    account: str
    region: str
    name: str
    created_at: int
    display_name: str = ""
    policy: str = ""
    """Empty: the default policy, which lets the owner's account do everything."""
    signature_version: str = ""
    """Empty where nobody has asked for signatures."""
    tracing: str = ""
    fifo: Fifo | None = None
    unsubscribed: int = 0
    """How many subscriptions have been deleted."""

    @property
    def arn(self) -> str:
        return f"arn:aws:sns:{self.region}:{self.account}:{self.name}"


class Subscription(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    account: str
    region: str
    topic: str
    """The topic's name; account and region are the topic's, too."""
    id: str
    owner: str
    protocol: str
    endpoint: str
    principal: str
    """The ARN of who subscribed."""
    raw: bool = False
    filter_policy: str = ""
    filter_scope: str = ""
    """MessageAttributes or MessageBody; empty where nobody has said."""
    dead_letter_arn: str = ""
    token: str = ""
    """What confirms the subscription; empty where it is confirmed."""

    @property
    def topic_arn(self) -> str:
        return f"arn:aws:sns:{self.region}:{self.account}:{self.topic}"

    @property
    def arn(self) -> str:
        return f"{self.topic_arn}:{self.id}"


class Sent(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What was answered to the first message with a deduplication id."""

    topic_arn: str
    scope: str
    deduplication_id: str
    message_id: str
    sequence: int
    expires_at: int


class Sequence(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The last sequence number of a FIFO topic."""

    topic_arn: str
    last: int


class SigningKey(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The key that notifications are signed with, made when the first topic wants signatures."""

    name: str
    id: str
    private_pem: bytes
    certificate_pem: bytes


TOPICS = Table("sns.topics", Topic, key=("account", "region", "name"))
SUBSCRIPTIONS = Table("sns.subscriptions", Subscription, key=("account", "region", "topic", "id"))
ENDPOINTS = Index("sns.endpoints", "topic_arn", "protocol", "endpoint", "id")
SENT = Table("sns.sent", Sent, key=("topic_arn", "scope", "deduplication_id"))
SENT_EXPIRY = Index("sns.sent_expiry", "topic_arn", "expires_at", "scope", "deduplication_id")
SEQUENCES = Table("sns.sequences", Sequence, key=("topic_arn",))
KEYS = Table("sns.keys", SigningKey, key=("name",))


async def find_topic(tx: ReadTx, account: str, region: str, name: str) -> Topic | None:
    """As ``TOPICS.get``, for every publish asks it: keys and rows are packed and unpacked once."""
    found = await tx.get(_topic_key(account, region, name))
    return None if found is None else _topic(found)


_topic_key = functools.lru_cache(maxsize=4096)(TOPICS.prefix)
_topic = functools.lru_cache(maxsize=4096)(msgspec.msgpack.Decoder(Topic).decode)
"""By the row's bytes, so that there is nothing to invalidate."""
