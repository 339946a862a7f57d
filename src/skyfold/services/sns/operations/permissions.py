"""Permissions: single statements added to a topic's policy, and taken out by their label."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.services.sns.errors import invalid
from skyfold.services.sns.operations.topics import OWNERS_ACTIONS, default_policy, topic_at
from skyfold.services.sns.tables import TOPICS, Topic
from skyfold.store.api import Tx


async def add_permission(tx: Tx, call: Call, request: Request) -> None:
    topic = await topic_at(tx, call, request["TopicArn"])
    label, accounts, actions = request["Label"], request["AWSAccountId"], request["ActionName"]
    if not label:
        raise invalid("Label")
    for account in accounts:
        if not (len(account) == 12 and account.isascii() and account.isdigit()):
            raise invalid("Policy statement principal", f"Unable to verify: {account}")
    for action in actions:
        if action not in OWNERS_ACTIONS:
            raise invalid("Policy statement action out of service scope!")
    policy = _policy(topic)
    if any(statement.get("Sid") == label for statement in policy["Statement"]):
        raise invalid("Statement already exists")
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all(principals)},
        "Action": _one_or_all([f"SNS:{action}" for action in actions]),
        "Resource": topic.arn,
    }
    _keep(tx, topic, policy, [*policy["Statement"], statement])


async def remove_permission(tx: Tx, call: Call, request: Request) -> None:
    topic = await topic_at(tx, call, request["TopicArn"])
    policy, label = _policy(topic), request["Label"]
    _keep(tx, topic, policy, [s for s in policy["Statement"] if s.get("Sid") != label])


def _policy(topic: Topic) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(topic.policy or default_policy(topic))
    statements = policy["Statement"]
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _keep(tx: Tx, topic: Topic, policy: dict[str, Any], statements: list[Any]) -> None:
    text = json.dumps({**policy, "Statement": statements}, separators=(",", ":"))
    is_default = text == default_policy(topic)
    TOPICS.put(tx, replace(topic, policy="" if is_default or not statements else text))


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
