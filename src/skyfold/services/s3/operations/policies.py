"""Bucket policies: kept, obeyed through ``resource_policy``, and refused where they are public."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.services.s3.engine.public import as_list, is_public
from skyfold.services.s3.errors import AccessDenied, MalformedPolicy, NoSuchBucketPolicy
from skyfold.services.s3.limits import POLICY_BYTES_MAX
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.operations.public_access import forbids
from skyfold.services.s3.tables import BUCKETS, SETTINGS, Bucket, Setting, setting
from skyfold.store.api import ReadTx, Tx

SETTING = "policy"


async def put_bucket_policy(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketPolicy")
    text = request["Policy"]
    public = is_public(_checked(bucket, text))
    if public and await forbids(tx, bucket.name, "BlockPublicPolicy"):
        who = call.principal.caller_arn
        raise AccessDenied(
            f"User: {who} is not authorized to perform: s3:PutBucketPolicy on resource:"
            f' "{bucket.arn}" because public policies are blocked by the BlockPublicPolicy block'
            " public access setting."
        )
    SETTINGS.put(tx, Setting(bucket=bucket.name, name=SETTING, value=[text, public]))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


def _checked(bucket: Bucket, text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    try:
        validated(text, "resource")
    except MalformedPolicyDocument as bad:
        raise MalformedPolicy(bad.text) from bad
    policy: dict[str, Any] = json.loads(text)
    for statement in as_list(policy["Statement"]):
        _check_scope(bucket, statement)
    return policy


def _check_scope(bucket: Bucket, statement: dict[str, Any]) -> None:
    """A bucket policy is about S3, and about this bucket."""
    for field in ("Action", "NotAction"):
        for action in as_list(statement.get(field, [])):
            if action != "*" and not action.lower().startswith("s3:"):
                raise MalformedPolicy("Policy has invalid action")
    for field in ("Resource", "NotResource"):
        for resource in as_list(statement.get(field, [])):
            if resource != bucket.arn and not resource.startswith(f"{bucket.arn}/"):
                raise MalformedPolicy("Policy has invalid resource")


async def get_bucket_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketPolicy")
    kept = await setting(tx, bucket.name, SETTING)
    if kept is None:
        raise NoSuchBucketPolicy(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"Policy": kept[0]}


async def get_bucket_policy_status(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketPolicyStatus")
    kept = await setting(tx, bucket.name, SETTING)
    if kept is None:
        raise NoSuchBucketPolicy(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"PolicyStatus": {"IsPublic": bool(kept[1])}}


async def delete_bucket_policy(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:DeleteBucketPolicy")
    SETTINGS.delete(tx, bucket.name, SETTING)
    return {}


async def resource_policy(tx: ReadTx, arn: str) -> str | None:
    """The policy of the bucket that a resource is in, as IAM is to apply it."""
    bucket = arn.partition(":::")[2].partition("/")[0]
    kept = await setting(tx, bucket, SETTING)
    if kept is None:
        return None
    text: str = kept[0]
    if kept[1] and await forbids(tx, bucket, "RestrictPublicBuckets"):
        row = await BUCKETS.get(tx, bucket)
        return _restricted(text, bucket, row.account) if row is not None else text
    return text


@lru_cache(maxsize=1024)
def _restricted(text: str, bucket: str, account: str) -> str:
    """A public policy under RestrictPublicBuckets: for its own account and AWS services alone."""
    policy = json.loads(text)
    arn = f"arn:aws:s3:::{bucket}"
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {
            "StringNotEquals": {"aws:PrincipalAccount": account},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
    }
    return json.dumps({**policy, "Statement": [*as_list(policy["Statement"]), deny]})
