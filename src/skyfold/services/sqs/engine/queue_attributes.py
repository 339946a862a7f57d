"""Queue attributes: strings on the wire, typed fields in a queue's row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from skyfold.base.arn import parse_arn
from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.validation import validated
from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    invalid,
)
from skyfold.services.sqs.tables import Fifo, Queue, Redrive

# --- reading what was asked for -------------------------------------------------------------------


class _Number(NamedTuple):
    field: str
    low: int
    high: int


NUMBERS: Final[Mapping[str, _Number]] = {
    "DelaySeconds": _Number("delay_s", 0, limits.DELAY_MAX_S),
    "MaximumMessageSize": _Number("bytes_max", limits.MESSAGE_MIN_BYTES, limits.MESSAGE_MAX_BYTES),
    "MessageRetentionPeriod": _Number(
        "retention_s", limits.RETENTION_MIN_S, limits.RETENTION_MAX_S
    ),
    "ReceiveMessageWaitTimeSeconds": _Number("wait_s", 0, limits.WAIT_MAX_S),
    "VisibilityTimeout": _Number("visibility_s", 0, limits.VISIBILITY_MAX_S),
}


def fields(asked: Mapping[str, str], fifo: Fifo | None) -> dict[str, Any]:
    """The fields of a ``Queue`` that ``asked`` sets. Raises what SQS would."""
    found: dict[str, Any] = {}
    for name, text in asked.items():
        if name in NUMBERS:
            found[NUMBERS[name].field] = _number(name, text)
        elif name in _OTHERS:
            field, read = _OTHERS[name]
            found[field] = read(name, text)
        elif fifo is None or name not in _FIFO:
            raise unknown(name)
    if fifo is not None:
        found["fifo"] = _fifo(asked, fifo)
    found.pop("", None)
    return found


def unknown(name: str) -> InvalidAttributeName:
    return InvalidAttributeName(f"Unknown Attribute {name}.")


def refused(name: str) -> InvalidAttributeValue:
    return InvalidAttributeValue(f"Invalid value for the parameter {name}.")


def _number(name: str, text: str) -> int:
    _, low, high = NUMBERS[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise refused(name)
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise refused(name)
    return text.lower() == "true"


def _policy(name: str, text: str) -> str:
    if text:
        try:
            validated(text, "resource")
        except MalformedPolicyDocument as bad:
            raise refused(name) from bad
    return text


def _kms(name: str, text: str) -> None:
    """Encryption with keys of one's own is not built: to take the setting would be to lie."""
    if text:
        raise NotImplementedHere(f"SQS queues with {name} are not implemented by Skyfold.")


_REDRIVE: Final = ("deadLetterTargetArn", "maxReceiveCount")


def _redrive(name: str, text: str) -> Redrive | None:
    if not text:
        return None
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise invalid(text, name, "Redrive policy is not a valid JSON map.")
    for key in _REDRIVE:
        if key not in policy:
            raise invalid(
                text, name, f"Redrive policy does not contain mandatory attribute: {key}."
            )
    if policy.keys() - set(_REDRIVE):
        raise invalid(
            text, name, f"Only following attributes are supported: [{', '.join(_REDRIVE)}]."
        )
    count = str(policy["maxReceiveCount"])
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= limits.RECEIVES_MAX):
        raise invalid(
            text,
            name,
            f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to "
            f"{limits.RECEIVES_MAX} both inclusive.",
        )
    target = parse_arn(str(policy["deadLetterTargetArn"]))
    if target is None or target.service != "sqs":
        raise invalid(text, name, "Invalid value for deadLetterTargetArn.")
    return Redrive(str(target), int(count))


def _redrive_allow(name: str, text: str) -> str:
    if text and (problem := _redrive_allow_problem(text)):
        raise invalid(text, name, problem)
    return text


def _redrive_allow_problem(text: str) -> str:
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        return "Amazon SQS can't create the redrive allow policy, as it isn't in JSON format."
    if set(policy) - {"redrivePermission", "sourceQueueArns"}:
        return "Only following attributes are supported: [redrivePermission, sourceQueueArns]."
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in {"allowAll", "denyAll", "byQueue"}:
        return "redrivePermission must be one of: [allowAll, denyAll, byQueue]."
    if permission != "byQueue":
        return "sourceQueueArns is only allowed with byQueue." if sources is not None else ""
    if not isinstance(sources, list) or not 1 <= len(sources) <= limits.SOURCE_QUEUES_MAX:
        return f"sourceQueueArns must name 1 to {limits.SOURCE_QUEUES_MAX} queues."
    if not all(isinstance(s, str) and parse_arn(s) for s in sources):
        return "sourceQueueArns must be a list of ARNs."
    return ""


def may_use(dead_letters: Queue, source_arn: str) -> bool:
    """Whether the redrive allow policy of ``dead_letters`` lets ``source_arn`` send it letters."""
    if not dead_letters.redrive_allow:
        return True
    policy = json.loads(dead_letters.redrive_allow)
    if policy["redrivePermission"] == "byQueue":
        return source_arn in policy["sourceQueueArns"]
    return bool(policy["redrivePermission"] == "allowAll")


_Reader = Callable[[str, str], Any]
_OTHERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "Policy": ("policy", _policy),
    "RedrivePolicy": ("redrive", _redrive),
    "RedriveAllowPolicy": ("redrive_allow", _redrive_allow),
    "SqsManagedSseEnabled": ("encrypted", _boolean),
    "KmsMasterKeyId": ("", _kms),
    "KmsDataKeyReusePeriodSeconds": ("", _kms),
}
_FIFO: Final = frozenset(
    {"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}
)
_SCOPES: Final = {"queue": False, "messageGroup": True}
_LIMITS: Final = {"perQueue": False, "perMessageGroupId": True}


def _fifo(asked: Mapping[str, str], had: Fifo) -> Fifo:
    content_based, per_group, limit_per_group = (
        had.content_based,
        had.per_group,
        had.limit_per_group,
    )
    if (text := asked.get("ContentBasedDeduplication")) is not None:
        content_based = _boolean("ContentBasedDeduplication", text)
    if (text := asked.get("DeduplicationScope")) is not None:
        if text not in _SCOPES:
            raise refused("DeduplicationScope")
        per_group = _SCOPES[text]
    if (text := asked.get("FifoThroughputLimit")) is not None:
        if text not in _LIMITS:
            raise refused("FifoThroughputLimit")
        limit_per_group = _LIMITS[text]
    if limit_per_group and not per_group:
        raise InvalidParameterValue(
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is "
            "messageGroup."
        )
    return Fifo(content_based=content_based, per_group=per_group, limit_per_group=limit_per_group)


# --- showing what there is ------------------------------------------------------------------------

COUNTS: Final[Mapping[str, Literal["visible", "in_flight", "delayed"]]] = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
_SHOWN: Final[Mapping[str, Callable[[Queue], str]]] = {
    "QueueArn": lambda queue: queue.arn,
    "CreatedTimestamp": lambda queue: str(queue.created_at // 1000),
    "LastModifiedTimestamp": lambda queue: str(queue.modified_at // 1000),
    "VisibilityTimeout": lambda queue: str(queue.visibility_s),
    "MaximumMessageSize": lambda queue: str(queue.bytes_max),
    "MessageRetentionPeriod": lambda queue: str(queue.retention_s),
    "DelaySeconds": lambda queue: str(queue.delay_s),
    "ReceiveMessageWaitTimeSeconds": lambda queue: str(queue.wait_s),
    "SqsManagedSseEnabled": lambda queue: _text(queue.encrypted),
    "Policy": lambda queue: queue.policy,
    "RedrivePolicy": lambda queue: _redrive_text(queue.redrive),
    "RedriveAllowPolicy": lambda queue: queue.redrive_allow,
    "KmsMasterKeyId": lambda _queue: "",
    "KmsDataKeyReusePeriodSeconds": lambda _queue: "",
}
_SHOWN_FIFO: Final[Mapping[str, Callable[[Fifo], str]]] = {
    "FifoQueue": lambda _fifo: "true",
    "ContentBasedDeduplication": lambda fifo: _text(fifo.content_based),
    "DeduplicationScope": lambda fifo: "messageGroup" if fifo.per_group else "queue",
    "FifoThroughputLimit": lambda f: "perMessageGroupId" if f.limit_per_group else "perQueue",
}
KNOWN: Final = frozenset((*_SHOWN, *_SHOWN_FIFO, *COUNTS, "All"))


def wanted(names: Iterable[str]) -> frozenset[str]:
    """The attributes that ``names`` ask for. Raises InvalidAttributeName for one unknown."""
    for name in names:
        if name not in KNOWN:
            raise unknown(name)
    asked = frozenset(names)
    return KNOWN if "All" in asked else asked


def shown(queue: Queue, names: Iterable[str]) -> dict[str, str]:
    """The attributes among ``names`` that the queue has."""
    found = {name: _SHOWN[name](queue) for name in names if name in _SHOWN}
    if queue.fifo is not None:
        found |= {name: _SHOWN_FIFO[name](queue.fifo) for name in names if name in _SHOWN_FIFO}
    return {name: text for name, text in found.items() if text}


def _text(value: bool) -> str:
    return "true" if value else "false"


def _redrive_text(redrive: Redrive | None) -> str:
    if redrive is None:
        return ""
    policy = {"deadLetterTargetArn": redrive.target, "maxReceiveCount": redrive.receives_max}
    return json.dumps(policy, separators=(",", ":"))
