"""Telling the destinations of a bucket what happened, in the transaction in which it happened."""

from __future__ import annotations

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.platform import Platform
from skyfold.services.s3.engine.event import Destination, notification, record
from skyfold.services.s3.tables import Bucket, Version, setting
from skyfold.store.api import ReadTx, Tx

SETTING = "notification"
SUBJECT = "Amazon S3 Notification"


async def destinations(tx: ReadTx, bucket: str) -> list[Destination]:
    kept = await setting(tx, bucket, SETTING)
    return msgspec.convert(kept or [], list[Destination])


async def notify(
    tx: Tx, call: Call, bucket: Bucket, event: str, row: Version, *, sequence: int = 0
) -> None:
    """Send ``event`` about ``row`` to every destination that wants it.

    A destination that has gone, or refuses by now, hears nothing, and the request goes on: the
    sender of an object is not to know who listens.
    """
    if not bucket.notifies:
        return
    request = {
        "now": call.now,
        "who": _who(call),
        "source_ip": call.source_ip,
        "request_id": call.request_id,
        "host_id": host_id(call.platform, call.request_id),
    }
    sender = call.as_service("s3", source_arn=bucket.arn)
    for destination in await destinations(tx, bucket.name):
        if not destination.hears(event, row.key):
            continue
        sent = record(event, bucket, row, sequence or row.sequence, destination, request)
        parcel = Parcel(body=notification([sent]), subject=SUBJECT)
        try:
            await deliver(tx, sender, destination.arn, parcel)
        except AwsError:
            continue


async def notify_removal(tx: Tx, call: Call, bucket: Bucket, event: str, row: Version) -> None:
    """As ``notify``; a removal comes after everything that the version has seen."""
    if bucket.notifies:
        sequence = max(call.now << 20, row.sequence + (0 if row.marker else 1))
        await notify(tx, call, bucket, event, row, sequence=sequence)


def _who(call: Call) -> str:
    if call.principal.kind == "anonymous":
        return "Anonymous"
    return f"AWS:{call.principal.id or call.principal.account}"


def host_id(platform: Platform, request_id: str) -> str:
    """The x-amz-id-2 that goes with a request id."""
    return platform.catalog.wire("s3").host_id(request_id)
