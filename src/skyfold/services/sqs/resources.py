"""CloudFormation: AWS::SQS::Queue, AWS::SQS::QueuePolicy and AWS::SQS::QueueInlinePolicy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType
from skyfold.services.sqs.errors import QueueDoesNotExist
from skyfold.services.sqs.operations.queues import account_and_name

ATTRIBUTES: Final[Mapping[str, str | None]] = {
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "DelaySeconds": "0",
    "FifoQueue": None,
    "FifoThroughputLimit": "perQueue",
    "KmsDataKeyReusePeriodSeconds": None,
    "KmsMasterKeyId": None,
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "RedriveAllowPolicy": "",
    "RedrivePolicy": "",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
"""Properties that are queue attributes of the same name, each with what a stack update sets where
the property was taken out of the template; None leaves the attribute as it is."""


# --- AWS::SQS::Queue ------------------------------------------------------------------------------


async def _create(provision: Provision) -> Provisioned:
    suffix = ".fifo" if _is_true(provision.want.get("FifoQueue")) else ""
    name = provision.want.get("QueueName") or provision.default_name(limit=80, suffix=suffix)
    created = await provision.api("sqs").create_queue(
        QueueName=name, Attributes=_attributes(provision.want), tags=_tags(provision.want)
    )
    return _described(provision, created["QueueUrl"])


async def _update(provision: Provision) -> Provisioned:
    sqs, url = provision.api("sqs"), provision.physical_id
    removed = ATTRIBUTES.keys() & (provision.had.keys() - provision.want.keys())
    restored = {name: value for name in removed if (value := ATTRIBUTES[name]) is not None}
    wanted = restored | _attributes(provision.want)
    wanted.pop("FifoQueue", None)
    if wanted:
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
    had, want = _tags(provision.had), _tags(provision.want)
    if gone := sorted(had.keys() - want.keys()):
        await sqs.untag_queue(QueueUrl=url, TagKeys=gone)
    if want != had and want:
        await sqs.tag_queue(QueueUrl=url, Tags=want)
    return _described(provision, url)


async def _delete(provision: Provision) -> None:
    try:
        await provision.api("sqs").delete_queue(QueueUrl=provision.physical_id)
    except QueueDoesNotExist:
        return


def _attributes(properties: Properties) -> dict[str, str]:
    """``FifoQueue: false`` in a template means what leaving it out means."""
    found = {name: _text(properties[name]) for name in ATTRIBUTES if name in properties}
    if found.get("FifoQueue", "").lower() == "false":
        del found["FifoQueue"]
    return found


def _text(value: Any) -> str:
    """Queue attributes are strings on the wire, whatever a template writes."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _is_true(value: Any) -> bool:
    return _text(value).lower() == "true"


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}


def _described(provision: Provision, url: str) -> Provisioned:
    account, name = account_and_name(url)
    arn = f"arn:aws:sqs:{provision.region}:{account}:{name}"
    return Provisioned(physical_id=url, attributes={"Arn": arn, "QueueName": name, "QueueUrl": url})


QUEUE = ResourceType(name="AWS::SQS::Queue", create=_create, update=_update, delete=_delete)


# --- policies -------------------------------------------------------------------------------------


def _urls(properties: Properties) -> set[str]:
    """Of a QueuePolicy, or of a QueueInlinePolicy."""
    urls = properties.get("Queues", ())
    return {*urls, properties["Queue"]} if "Queue" in properties else {*urls}


async def _put_policy(provision: Provision) -> Provisioned:
    await _set_policies(provision, _urls(provision.had) - _urls(provision.want), "")
    text = _text(provision.want["PolicyDocument"])
    await _set_policies(provision, _urls(provision.want), text)
    name = provision.physical_id or provision.default_name()
    return Provisioned(physical_id=name, attributes={"Id": name})


async def _remove_policy(provision: Provision) -> None:
    await _set_policies(provision, _urls(provision.had), "")


async def _set_policies(provision: Provision, urls: Iterable[str], policy: str) -> None:
    sqs = provision.api("sqs")
    for url in sorted(urls):
        try:
            await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        except QueueDoesNotExist:
            if policy:
                raise


QUEUE_POLICY, QUEUE_INLINE_POLICY = (
    ResourceType(name=name, create=_put_policy, update=_put_policy, delete=_remove_policy)
    for name in ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy")
)
