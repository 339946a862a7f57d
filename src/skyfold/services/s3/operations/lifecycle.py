"""Lifecycle configurations: kept as they came, and as rules that a daily job obeys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel import jobs
from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.lifecycle import DAY_MS, Rule, midnight_after
from skyfold.services.s3.errors import (
    InvalidArgument,
    InvalidRequest,
    MalformedXML,
    NoSuchLifecycleConfiguration,
)
from skyfold.services.s3.limits import LIFECYCLE_RULES_MAX
from skyfold.services.s3.operations import expiry
from skyfold.services.s3.operations.buckets import LIFECYCLE_JOB
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.operations.versions import replace
from skyfold.services.s3.tables import BUCKETS, SETTINGS, Setting, setting
from skyfold.store.api import ReadTx, Tx

SETTING = "lifecycle"
_MINIMUM_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
_ACTIONS = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")


async def put_bucket_lifecycle_configuration(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutLifecycleConfiguration")
    minimum = request.get("TransitionDefaultMinimumObjectSize", _MINIMUM_SIZES[0])
    if minimum not in _MINIMUM_SIZES:
        raise InvalidRequest(f"Invalid TransitionDefaultMinimumObjectSize found: {minimum}")
    wanted = (request.get("LifecycleConfiguration") or {}).get("Rules")
    if not wanted or len(wanted) > LIFECYCLE_RULES_MAX:
        raise MalformedXML
    named = [dict(rule) | {"ID": rule.get("ID") or call.new_id()} for rule in wanted]
    if len({rule["ID"] for rule in named}) != len(named):
        raise InvalidArgument(
            "Rule ID must be unique. Found same ID for more than one rule",
            ArgumentName="ID",
            ArgumentValue=_repeated([rule["ID"] for rule in named]),
        )
    rules = [_rule(one) for one in named]
    name = bucket.name
    SETTINGS.put(tx, Setting(bucket=name, name=SETTING, value=[named, minimum]))
    kept = msgspec.to_builtins(rules)
    SETTINGS.put(tx, Setting(bucket=name, name=expiry.SETTING, value=kept))
    BUCKETS.put(tx, replace(bucket, has_lifecycle=True))
    await jobs.schedule(tx, LIFECYCLE_JOB, name, due_at=midnight_after(call.now, 0))
    call.meter("Requests-Tier1", resource=name)
    return {"TransitionDefaultMinimumObjectSize": minimum}


def _repeated(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _rule(one: Mapping[str, Any]) -> Rule:
    if one.get("Transitions") or one.get("NoncurrentVersionTransitions"):
        raise NotImplementedHere("Lifecycle transitions are not implemented by Skyfold.")
    if not any(one.get(action) for action in _ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    if ("Filter" in one) == ("Prefix" in one) or one.get("Status") not in ("Enabled", "Disabled"):
        raise MalformedXML
    if len(one["ID"]) > 255:
        raise InvalidArgument("ID length should not exceed allowed limit of 255")
    expiration = one.get("Expiration") or {}
    noncurrent = one.get("NoncurrentVersionExpiration") or {}
    abort = one.get("AbortIncompleteMultipartUpload") or {}
    scope = _scope(one)
    markers = bool(expiration.get("ExpiredObjectDeleteMarker", False))
    if (markers or abort) and scope.get("tags"):
        what = "ExpiredObjectDeleteMarker" if markers else "AbortIncompleteMultipartUpload"
        raise InvalidRequest(f"{what} cannot be specified with Tags.")
    if len(expiration) > 1:
        raise MalformedXML
    return Rule(
        id=one["ID"],
        enabled=one["Status"] == "Enabled",
        days=_days(expiration, "Days", "Expiration"),
        date=_midnight(expiration.get("Date")),
        expired_markers=markers,
        noncurrent_days=_days(noncurrent, "NoncurrentDays", "NoncurrentVersionExpiration"),
        newer_noncurrent=noncurrent.get("NewerNoncurrentVersions", 0),
        abort_days=_days(abort, "DaysAfterInitiation", "AbortIncompleteMultipartUpload"),
        **scope,
    )


def _days(action: Mapping[str, Any], member: str, name: str) -> int | None:
    days = action.get(member)
    if days is not None and days <= 0:
        raise InvalidArgument(
            f"'{member}' for {name} action must be a positive integer"
            if member != "Days"
            else "'Days' for Expiration action must be a positive integer"
        )
    return days


def _midnight(date: int | None) -> int | None:
    if date is not None and date % DAY_MS:
        raise InvalidArgument("'Date' must be at midnight GMT")
    return date


def _scope(one: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule is about: prefix, tags and sizes."""
    wanted = one.get("Filter")
    if wanted is None:
        return {"prefix": one["Prefix"]}
    if len([name for name in wanted if wanted[name] is not None]) > 1:
        raise MalformedXML
    both = wanted.get("And") or {}
    tags = both.get("Tags") or ([wanted["Tag"]] if wanted.get("Tag") else [])
    if len({tag["Key"] for tag in tags}) != len(tags):
        raise InvalidRequest("Duplicate Tag Keys are not allowed.")
    inner = both or wanted
    return {
        "prefix": inner.get("Prefix") or "",
        "tags": tuple((tag["Key"], tag["Value"]) for tag in tags),
        "larger_than": inner.get("ObjectSizeGreaterThan"),
        "smaller_than": inner.get("ObjectSizeLessThan"),
    }


async def get_bucket_lifecycle_configuration(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetLifecycleConfiguration")
    kept = await setting(tx, bucket.name, SETTING)
    if kept is None:
        raise NoSuchLifecycleConfiguration(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(Rules=kept[0], TransitionDefaultMinimumObjectSize=kept[1])


async def delete_bucket_lifecycle(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutLifecycleConfiguration")
    SETTINGS.delete(tx, bucket.name, SETTING)
    SETTINGS.delete(tx, bucket.name, expiry.SETTING)
    BUCKETS.put(tx, replace(bucket, has_lifecycle=False))
    await jobs.cancel(tx, LIFECYCLE_JOB, bucket.name)
    return {}
