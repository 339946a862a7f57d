"""Notification configurations and events: which apply, and the JSON that S3 sends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus

import msgspec

from skyfold.kernel.wire.timestamps import to_iso8601_ms
from skyfold.services.s3.tables import NULL, Bucket, Version

_LATER_VERSION = ("ObjectTagging:", "ObjectAcl:", "LifecycleExpiration:")
_EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


class Destination(msgspec.Struct, frozen=True, array_like=True):
    """One notification configuration, as it is kept."""

    kind: str
    """``Queue``, ``Topic`` or ``CloudFunction``, as the XML calls them."""
    id: str
    arn: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None

    def hears(self, event: str, key: str) -> bool:
        """Whether an event (without ``s3:``) about ``key`` is for this destination."""
        if not key.startswith(self.prefix or "") or not key.endswith(self.suffix or ""):
            return False
        group = f"s3:{event.partition(':')[0]}:*"
        return any(named in (group, f"s3:{event}") for named in self.events)

    def overlaps(self, other: Destination) -> bool:
        """Whether one event could be for both."""
        if not any(_same_event(one, two) for one in self.events for two in other.events):
            return False
        starts = _nested(self.prefix or "", other.prefix or "", str.startswith)
        return starts and _nested(self.suffix or "", other.suffix or "", str.endswith)


def _same_event(one: str, two: str) -> bool:
    return one == two or (
        one.rpartition(":")[0] == two.rpartition(":")[0]
        and (one.endswith("*") or two.endswith("*"))
    )


def _nested(one: str, two: str, test: Any) -> bool:
    return test(one, two) or test(two, one)


def principal_id(account: str) -> str:
    """The short customer id of an account, as events show owners."""
    digest = hashlib.sha256(f"customer {account}".encode()).hexdigest()
    return "A" + digest[:13].upper()


def sequencer(sequence: int) -> str:
    return f"{sequence:018X}"


def record(
    event: str,
    bucket: Bucket,
    row: Version,
    sequence: int,
    destination: Destination,
    request: Mapping[str, Any],
) -> dict[str, Any]:
    """One record of a notification. ``request`` has who and when: see ``operations/events``."""
    later = event.startswith(_LATER_VERSION)
    described: dict[str, Any] = {"key": quote_plus(row.key, safe="/")}
    if event == "ObjectRemoved:DeleteMarkerCreated":
        described["eTag"] = _EMPTY_MD5
    elif not event.startswith(("ObjectRemoved:", "LifecycleExpiration:")):
        if not later:
            described["size"] = row.size
        described["eTag"] = row.etag
    if row.version_id != NULL:
        described["versionId"] = row.version_id
    if not later:
        described["sequencer"] = sequencer(sequence)
    return {
        "eventVersion": "2.3" if later else "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": to_iso8601_ms(request["now"]),
        "eventName": event,
        "userIdentity": {"principalId": request["who"]},
        "requestParameters": {"sourceIPAddress": request["source_ip"]},
        "responseElements": {
            "x-amz-request-id": request["request_id"],
            "x-amz-id-2": request["host_id"],
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": destination.id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": principal_id(bucket.account)},
                "arn": bucket.arn,
            },
            "object": described,
        },
    }


def notification(records: Iterable[Mapping[str, Any]]) -> str:
    return msgspec.json.encode({"Records": list(records)}).decode()


def test_event(bucket: str, now: int, request_id: str, host_id: str) -> str:
    """What a destination is sent when it is configured."""
    return msgspec.json.encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": to_iso8601_ms(now),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": host_id,
        }
    ).decode()
