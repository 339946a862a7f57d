"""Permissions: single statements added to a queue's policy, and taken out by their label."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import InvalidParameterValue, OverLimit, invalid, missing
from skyfold.services.sqs.operations.queues import queue_at
from skyfold.services.sqs.tables import QUEUES, Queue
from skyfold.store.api import Tx


async def add_permission(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    label, accounts, actions = request["Label"], request["AWSAccountIds"], request["Actions"]
    if not limits.LABEL.fullmatch(label):
        raise InvalidParameterValue(
            f"Value {label} for parameter Label is invalid. Reason: Must be 1 to 80 alphanumeric "
            "characters, hyphens, or underscores."
        )
    _check_actions(actions)
    principals = [_principal(account) for account in accounts]
    if not principals:
        raise missing("AWSAccountIds")
    policy = _policy(queue)
    if any(statement.get("Sid") == label for statement in policy["Statement"]):
        raise invalid(label, "Label", "Already exists.")
    if len(policy["Statement"]) >= limits.STATEMENTS_MAX:
        raise OverLimit(f"{limits.STATEMENTS_MAX + 1} statements were found, maximum allowed is "
                        f"{limits.STATEMENTS_MAX}.")  # fmt: skip
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all(principals)},
        "Action": _one_or_all([f"SQS:{action}" for action in actions]),
        "Resource": queue.arn,
    }
    _keep(tx, queue, {**policy, "Statement": [*policy["Statement"], statement]}, call.now)


async def remove_permission(tx: Tx, call: Call, request: Request) -> None:
    queue = await queue_at(tx, call, request["QueueUrl"])
    policy, label = _policy(queue), request["Label"]
    left = [s for s in policy["Statement"] if s.get("Sid") != label]
    if len(left) == len(policy["Statement"]):
        raise invalid(label, "Label", "can't find label.")
    _keep(tx, queue, {**policy, "Statement": left}, call.now)


ACTIONS = frozenset(
    {
        "*",
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
    }
)
"""What a queue's owner can share; the rest is the owner's alone."""


def _check_actions(actions: list[str]) -> None:
    if not actions:
        raise missing("Actions")
    if len(actions) > limits.ACTIONS_MAX:
        raise OverLimit(
            f"{len(actions)} Actions were found, maximum allowed is {limits.ACTIONS_MAX}."
        )
    for action in actions:
        if action not in ACTIONS:
            raise invalid(
                f"SQS:{action}",
                "ActionName",
                "Only the queue owner is allowed to invoke this action.",
            )


def _principal(account: str) -> str:
    if not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise invalid(f'"[{account}]"', "PrincipalId", "Unable to verify.")
    return f"arn:aws:iam::{account}:root"


def _policy(queue: Queue) -> dict[str, Any]:
    if not queue.policy:
        return {"Version": "2008-10-17", "Id": f"{queue.arn}/SQSDefaultPolicy", "Statement": []}
    policy: dict[str, Any] = json.loads(queue.policy)
    statements = policy["Statement"]
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _keep(tx: Tx, queue: Queue, policy: dict[str, Any], now: int) -> None:
    text = json.dumps(policy, separators=(",", ":")) if policy["Statement"] else ""
    QUEUES.put(tx, replace(queue, policy=text, modified_at=now))


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
