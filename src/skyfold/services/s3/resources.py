"""CloudFormation: AWS::S3::Bucket and AWS::S3::BucketPolicy."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType
from skyfold.services.s3.engine.tagging import to_tag_set
from skyfold.services.s3.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    NoSuchBucket,
)
from skyfold.services.s3.operations.public_access import FLAGS

_SETTINGS_ORDER = (
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
    "BucketEncryption",
    "VersioningConfiguration",
    "CorsConfiguration",
    "LifecycleConfiguration",
    "Tags",
    "NotificationConfiguration",
)
_HANDLED = {*_SETTINGS_ORDER, "BucketName", "AccessControl"}
_EVENTS = (
    ("LambdaConfigurations", "Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
    ("QueueConfigurations", "Queue", "QueueConfigurations", "QueueArn"),
    ("TopicConfigurations", "Topic", "TopicConfigurations", "TopicArn"),
)
"""The list in a template and its target's property; the list in the API and its member."""


async def create_bucket(provision: Provision) -> Provisioned:
    _refuse_unbuilt(provision.want)
    s3 = provision.api("s3")
    name = provision.want.get("BucketName") or provision.default_name(limit=63, lower=True)
    configuration: dict[str, Any] = {"Tags": to_tag_set(_system_tags(provision).items())}
    if provision.region != "us-east-1":
        configuration["LocationConstraint"] = provision.region
    request: dict[str, Any] = {"Bucket": name, "CreateBucketConfiguration": configuration}
    if "AccessControl" in provision.want:
        request["ACL"] = _canned(provision.want["AccessControl"])
    try:
        await s3.create_bucket(**request)
    except BucketAlreadyOwnedByYou as owned:
        raise BucketAlreadyExists(f"{name} already exists") from owned
    await _apply(provision, s3, name, had={})
    return _described(provision, name)


def _system_tags(provision: Provision) -> dict[str, str]:
    """By them CreateBucket tells an attempt that a crash cut short from a bucket of another's."""
    return {
        "aws:cloudformation:logical-id": provision.logical_id,
        "aws:cloudformation:stack-id": provision.stack_id,
        "aws:cloudformation:stack-name": provision.stack_name,
    }


def _refuse_unbuilt(wanted: Properties) -> None:
    unbuilt = sorted(set(wanted) - _HANDLED)
    if unbuilt:
        raise NotImplementedHere(
            f"{', '.join(unbuilt)} of AWS::S3::Bucket is not implemented by Skyfold."
        )


def _canned(acl: str) -> str:
    """``BucketOwnerFullControl`` to ``bucket-owner-full-control``."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in acl).removeprefix("-")


async def update_bucket(provision: Provision) -> Provisioned:
    _refuse_unbuilt(provision.want)
    await _apply(provision, provision.api("s3"), provision.physical_id, had=provision.had)
    return _described(provision, provision.physical_id)


async def delete_bucket(provision: Provision) -> None:
    try:
        await provision.api("s3").delete_bucket(Bucket=provision.physical_id)
    except NoSuchBucket:
        return


def _described(provision: Provision, name: str) -> Provisioned:
    region = provision.region
    attributes = {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{region}.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
    }
    return Provisioned(physical_id=name, attributes=attributes)


async def _apply(provision: Provision, s3: Any, name: str, *, had: Properties) -> None:
    """Bring every setting that the template has, or had, to what it now wants."""
    for prop in _SETTINGS_ORDER:
        wanted, before = provision.want.get(prop), had.get(prop)
        if wanted == before:
            continue
        setter = _SETTERS[prop]
        if wanted is not None:
            await setter.put(s3, name, wanted)
        else:
            await setter.remove(s3, name)


async def _put_ownership(s3: Any, name: str, wanted: Any) -> None:
    rules = [{"ObjectOwnership": rule["ObjectOwnership"]} for rule in wanted["Rules"]]
    await s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": rules})


async def _default_ownership(s3: Any, name: str) -> None:
    await _put_ownership(s3, name, {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})


async def _put_block(s3: Any, name: str, wanted: Any) -> None:
    flags = {flag: _truth(wanted.get(flag, False)) for flag in FLAGS}
    await s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=flags)


async def _default_block(s3: Any, name: str) -> None:
    await _put_block(s3, name, dict.fromkeys(FLAGS, True))


def _truth(value: Any) -> bool:
    """A boolean of a template, which may be written as text."""
    return value if isinstance(value, bool) else str(value).lower() == "true"


async def _put_encryption(s3: Any, name: str, wanted: Any) -> None:
    rules = []
    for rule in wanted["ServerSideEncryptionConfiguration"]:
        one: dict[str, Any] = {
            "ApplyServerSideEncryptionByDefault": dict(rule["ServerSideEncryptionByDefault"])
        }
        if "BucketKeyEnabled" in rule:
            one["BucketKeyEnabled"] = _truth(rule["BucketKeyEnabled"])
        rules.append(one)
    configuration = {"Rules": rules}
    await s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=configuration)


async def _remove_encryption(s3: Any, name: str) -> None:
    await s3.delete_bucket_encryption(Bucket=name)


async def _put_versioning(s3: Any, name: str, wanted: Any) -> None:
    status = {"Status": wanted["Status"]}
    await s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)


async def _suspend_versioning(s3: Any, name: str) -> None:
    await _put_versioning(s3, name, {"Status": "Suspended"})


async def _put_cors(s3: Any, name: str, wanted: Any) -> None:
    names = {"ExposedHeaders": "ExposeHeaders", "Id": "ID", "MaxAge": "MaxAgeSeconds"}
    rules = [_renamed(rule, names) for rule in wanted["CorsRules"]]
    for rule in rules:
        if "MaxAgeSeconds" in rule:
            rule["MaxAgeSeconds"] = int(rule["MaxAgeSeconds"])
    await s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})


def _renamed(properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in properties.items()}


async def _remove_cors(s3: Any, name: str) -> None:
    await s3.delete_bucket_cors(Bucket=name)


async def _put_lifecycle(s3: Any, name: str, wanted: Any) -> None:
    request: dict[str, Any] = {"Bucket": name}
    if "TransitionDefaultMinimumObjectSize" in wanted:
        request["TransitionDefaultMinimumObjectSize"] = wanted["TransitionDefaultMinimumObjectSize"]
    rules = [_lifecycle_rule(rule) for rule in wanted["Rules"]]
    await s3.put_bucket_lifecycle_configuration(**request, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule in the API's form: a template spreads filter and actions over properties."""
    for unbuilt in ("Transition", "Transitions", "NoncurrentVersionTransition"):
        if unbuilt in rule or f"{unbuilt}s" in rule:
            raise NotImplementedHere("Lifecycle transitions are not implemented by Skyfold.")
    sizes = {n: int(rule[n]) for n in ("ObjectSizeGreaterThan", "ObjectSizeLessThan") if n in rule}
    scope: dict[str, Any] = dict(sizes)
    if "Prefix" in rule:
        scope["Prefix"] = rule["Prefix"]
    tags = list(rule.get("TagFilters", []))
    if len(scope) + len(tags) > 1:
        scope = {"And": scope | ({"Tags": tags} if tags else {})}
    elif tags:
        scope = {"Tag": tags[0]}
    expiration = {
        there: rule[here]
        for here, there in (
            ("ExpirationInDays", "Days"),
            ("ExpirationDate", "Date"),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
        )
        if here in rule
    }
    if "Days" in expiration:
        expiration["Days"] = int(expiration["Days"])
    if "Date" in expiration:
        expiration["Date"] = _moment(str(expiration["Date"]))
    if "ExpiredObjectDeleteMarker" in expiration:
        expiration["ExpiredObjectDeleteMarker"] = _truth(expiration["ExpiredObjectDeleteMarker"])
    found: dict[str, Any] = {"Status": rule["Status"], "Filter": scope}
    if "Id" in rule:
        found["ID"] = rule["Id"]
    if expiration:
        found["Expiration"] = expiration
    noncurrent = _noncurrent(rule)
    if noncurrent:
        found["NoncurrentVersionExpiration"] = noncurrent
    abort = rule.get("AbortIncompleteMultipartUpload")
    if abort:
        days = int(abort["DaysAfterInitiation"])
        found["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return found


def _noncurrent(rule: Mapping[str, Any]) -> dict[str, int]:
    if "NoncurrentVersionExpirationInDays" in rule:
        return {"NoncurrentDays": int(rule["NoncurrentVersionExpirationInDays"])}
    wanted = rule.get("NoncurrentVersionExpiration") or {}
    return {name: int(value) for name, value in wanted.items()}


def _moment(text: str) -> int:
    """An ISO 8601 date of a template in milliseconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


async def _remove_lifecycle(s3: Any, name: str) -> None:
    await s3.delete_bucket_lifecycle(Bucket=name)


async def _put_tags(s3: Any, name: str, wanted: Any) -> None:
    tag_set = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in wanted]
    await s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_set})


async def _remove_tags(s3: Any, name: str) -> None:
    await s3.delete_bucket_tagging(Bucket=name)


async def _put_notifications(s3: Any, name: str, wanted: Any) -> None:
    unknown = set(wanted) - {one[0] for one in _EVENTS}
    if unknown:
        raise NotImplementedHere(f"{min(unknown)} is not implemented by Skyfold.")
    configuration = {
        there: [_event(one, target, member) for one in wanted[here]]
        for here, target, there, member in _EVENTS
        if here in wanted
    }
    await s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration=configuration
    )


def _event(one: Mapping[str, Any], target: str, member: str) -> dict[str, Any]:
    found: dict[str, Any] = {member: one[target], "Events": [one["Event"]]}
    rules = ((one.get("Filter") or {}).get("S3Key") or {}).get("Rules")
    if rules:
        filters = [{"Name": rule["Name"], "Value": rule["Value"]} for rule in rules]
        found["Filter"] = {"Key": {"FilterRules": filters}}
    return found


async def _remove_notifications(s3: Any, name: str) -> None:
    await _put_notifications(s3, name, {})


class _Setter(NamedTuple):
    put: Callable[[Any, str, Any], Awaitable[None]]
    remove: Callable[[Any, str], Awaitable[None]]


_SETTERS = {
    "OwnershipControls": _Setter(_put_ownership, _default_ownership),
    "PublicAccessBlockConfiguration": _Setter(_put_block, _default_block),
    "BucketEncryption": _Setter(_put_encryption, _remove_encryption),
    "VersioningConfiguration": _Setter(_put_versioning, _suspend_versioning),
    "CorsConfiguration": _Setter(_put_cors, _remove_cors),
    "LifecycleConfiguration": _Setter(_put_lifecycle, _remove_lifecycle),
    "Tags": _Setter(_put_tags, _remove_tags),
    "NotificationConfiguration": _Setter(_put_notifications, _remove_notifications),
}


async def put_policy(provision: Provision) -> Provisioned:
    bucket = provision.want["Bucket"]
    document = provision.want["PolicyDocument"]
    text = document if isinstance(document, str) else json.dumps(document)
    await provision.api("s3").put_bucket_policy(Bucket=bucket, Policy=text)
    return Provisioned(physical_id=bucket)


async def delete_policy(provision: Provision) -> None:
    try:
        await provision.api("s3").delete_bucket_policy(Bucket=provision.physical_id)
    except NoSuchBucket:
        return


BUCKET = ResourceType(
    name="AWS::S3::Bucket",
    create=create_bucket,
    update=update_bucket,
    delete=delete_bucket,
    replaced_when_changed=frozenset({"BucketName"}),
)
BUCKET_POLICY = ResourceType(
    name="AWS::S3::BucketPolicy",
    create=put_policy,
    update=put_policy,
    delete=delete_policy,
    replaced_when_changed=frozenset({"Bucket"}),
)
