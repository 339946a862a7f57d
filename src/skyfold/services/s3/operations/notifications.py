"""Notification configurations: checked against the destinations before they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.event import Destination, test_event
from skyfold.services.s3.errors import InvalidArgument, MalformedXML
from skyfold.services.s3.limits import NOTIFICATIONS_MAX
from skyfold.services.s3.operations import events
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.operations.versions import replace
from skyfold.services.s3.tables import BUCKETS, SETTINGS, Bucket, Setting
from skyfold.store.api import ReadTx, Tx

_KINDS = (
    ("QueueConfigurations", "QueueArn", "Queue", "sqs"),
    ("TopicConfigurations", "TopicArn", "Topic", "sns"),
    ("LambdaFunctionConfigurations", "LambdaFunctionArn", "CloudFunction", "lambda"),
)
"""The list in the request, its ARN's member, the name in errors, and the ARN's service."""
_UNABLE = "Unable to validate the following destination configurations"
_OVERLAP = (
    "Configurations overlap. Configurations on the same bucket cannot share a common event type."
)


async def put_bucket_notification_configuration(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketNotification")
    wanted = request["NotificationConfiguration"]
    if wanted.get("EventBridgeConfiguration") is not None:
        raise NotImplementedHere(
            "Notifications to Amazon EventBridge are not implemented by Skyfold."
        )
    found = [
        _destination(call, bucket, one, arn, kind, service)
        for member, arn, kind, service in _KINDS
        for one in wanted.get(member) or []
    ]
    if len(found) > NOTIFICATIONS_MAX:
        raise MalformedXML
    for number, one in enumerate(found):
        if any(one.overlaps(other) for other in found[:number]):
            raise InvalidArgument(
                _OVERLAP, ArgumentName1="Event", ArgumentValue1=", ".join(one.events)
            )
    if not request.get("SkipDestinationValidation"):
        await _check_destinations(tx, call, bucket, found)
    value = msgspec.to_builtins(found)
    SETTINGS.put(tx, Setting(bucket=bucket.name, name=events.SETTING, value=value))
    BUCKETS.put(tx, replace(bucket, notifies=bool(found)))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


def _destination(
    call: Call, bucket: Bucket, one: Mapping[str, Any], member: str, kind: str, service: str
) -> Destination:
    text = one[member]
    arn = parse_arn(text)
    if arn is None or arn.service != service:
        raise InvalidArgument("The ARN could not be parsed", ArgumentName=kind, ArgumentValue=text)
    if arn.region != bucket.region:
        raise InvalidArgument(
            "The notification destination service region is not valid for the bucket location"
            " constraint",
            ArgumentName=kind,
            ArgumentValue=text,
        )
    if service == "sqs" and text.endswith(".fifo"):
        raise InvalidArgument(
            _UNABLE, ArgumentName1=text, ArgumentValue1="FIFO SQS queues are not supported"
        )
    prefix, suffix = _filter(one.get("Filter") or {})
    return Destination(
        kind=kind,
        id=one.get("Id") or call.new_id(),
        arn=text,
        events=tuple(one["Events"]),
        prefix=prefix,
        suffix=suffix,
    )


def _filter(wanted: Mapping[str, Any]) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    for rule in (wanted.get("Key") or {}).get("FilterRules") or []:
        name = str(rule.get("Name", "")).lower()
        if name not in ("prefix", "suffix"):
            raise InvalidArgument(
                "filter rule name must be either prefix or suffix",
                ArgumentName="FilterRule.Name",
                ArgumentValue=rule.get("Name", ""),
            )
        if name in found:
            raise InvalidArgument(
                f"Cannot specify more than one {name} rule in a filter.",
                ArgumentName="FilterRule.Name",
                ArgumentValue=rule["Name"],
            )
        found[name] = rule.get("Value", "")
    return found.get("prefix"), found.get("suffix")


async def _check_destinations(tx: Tx, call: Call, bucket: Bucket, found: list[Destination]) -> None:
    """Send queues and topics a test event; functions must allow the bucket to invoke them."""
    sender = call.as_service("s3", source_arn=bucket.arn)
    host_id = events.host_id(call.platform, call.request_id)
    event = test_event(bucket.name, call.now, call.request_id, host_id)
    for one in found:
        try:
            if one.kind == "CloudFunction":
                arn = parse_arn(one.arn)
                there = sender.acting_as(sender.principal, account=arn.account if arn else "")
                await there.allowed(tx, "lambda:InvokeFunction", one.arn)
            else:
                await deliver(tx, sender, one.arn, Parcel(body=event, subject=events.SUBJECT))
        except AwsError as refused:
            why = await _why(tx, sender, one)
            name = f"{one.arn}, null" if one.kind == "CloudFunction" else one.arn
            raise InvalidArgument(_UNABLE, ArgumentName1=name, ArgumentValue1=why) from refused


async def _why(tx: Tx, sender: Call, one: Destination) -> str:
    """Why a destination refused. The transaction is lost by now, so it may be asked once more."""
    if one.kind == "CloudFunction":
        return f"Not authorized to invoke function [{one.arn}]"
    kind = one.kind.lower()
    arn = parse_arn(one.arn)
    service = sender.platform.service_of_arn(arn) if arn else None
    if arn is not None and service and service.accepts and service.accepts.tx:
        there = sender.acting_as(sender.principal, account=arn.account, region=arn.region)
        try:
            await service.accepts.tx(tx, there, arn, Parcel(body="s3:TestEvent"))
        except AwsError:
            return f"The destination {kind} does not exist"
    return (
        f"Permissions on the destination {kind} do not allow S3 to publish notifications from"
        " this bucket"
    )


async def get_bucket_notification_configuration(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketNotification")
    found = await events.destinations(tx, bucket.name)
    shown = {
        member: [_shown(one, arn) for one in found if one.kind == kind] or None
        for member, arn, kind, _ in _KINDS
    }
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(**shown)


def _shown(one: Destination, member: str) -> dict[str, Any]:
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("Prefix", one.prefix), ("Suffix", one.suffix))
        if value is not None
    ]
    return reply(
        Id=one.id,
        Events=list(one.events),
        Filter={"Key": {"FilterRules": rules}} if rules else None,
        **{member: one.arn},
    )
