"""Who owns what, and the ACLs that say so: ownership controls, bucket and object ACLs."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.services.s3.engine.names import canonical_id
from skyfold.services.s3.errors import (
    AccessControlListNotSupported,
    MalformedXML,
    OwnershipControlsNotFoundError,
)
from skyfold.services.s3.operations import events, objects, versions
from skyfold.services.s3.operations.buckets import OWNERSHIPS
from skyfold.services.s3.operations.entry import Request, check_acl, enter, find, owner
from skyfold.services.s3.tables import BUCKETS, Bucket
from skyfold.store.api import ReadTx, Tx


async def put_bucket_ownership_controls(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketOwnershipControls")
    rules = request["OwnershipControls"].get("Rules") or []
    if len(rules) != 1 or rules[0].get("ObjectOwnership") not in OWNERSHIPS:
        raise MalformedXML
    BUCKETS.put(tx, versions.replace(bucket, ownership=rules[0]["ObjectOwnership"]))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_bucket_ownership_controls(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketOwnershipControls")
    if not bucket.ownership:
        raise OwnershipControlsNotFoundError(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}


async def delete_bucket_ownership_controls(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketOwnershipControls")
    BUCKETS.put(tx, versions.replace(bucket, ownership=""))
    return {}


async def put_bucket_acl(tx: Tx, call: Call, request: Request) -> Any:
    context = {"s3:x-amz-acl": request["ACL"]} if "ACL" in request else {}
    bucket, call = await enter(tx, call, request, "s3:PutBucketAcl", context=context)
    _check_acl(bucket, request)
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def put_object_acl(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await find(tx, call, request)
    version_id = request.get("VersionId")
    action = "s3:PutObjectVersionAcl" if version_id else "s3:PutObjectAcl"
    context = {"s3:x-amz-acl": request["ACL"]} if "ACL" in request else {}
    await call.allowed(tx, action, f"{bucket.arn}/{request['Key']}", context)
    row = await versions.wanted(tx, bucket, request["Key"], version_id, "PUT")
    _check_acl(bucket, request)
    await events.notify(tx, call, bucket, "ObjectAcl:Put", row)
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


def _check_acl(bucket: Bucket, request: Request) -> None:
    """Accept an ACL that gives the owner full control and nobody else anything."""
    policy = request.get("AccessControlPolicy")
    if policy is not None:
        grants = policy.get("Grants") or []
        full = {"Type": "CanonicalUser", "ID": canonical_id(bucket.account)}
        alone = len(grants) == 1 and grants[0].get("Permission") == "FULL_CONTROL"
        grantee = grants[0].get("Grantee", {}) if alone else {}
        if {name: grantee.get(name) for name in full} != full:
            if bucket.ownership == "BucketOwnerEnforced":
                raise AccessControlListNotSupported
            raise NotImplementedHere(
                "ACLs that grant more than the owner's full control are not implemented by"
                " Skyfold; use a bucket policy."
            )
        return
    if "ACL" not in request and not any(name.startswith("Grant") for name in request):
        raise MalformedXML
    check_acl(bucket, request)


async def get_bucket_acl(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketAcl")
    call.meter("Requests-Tier2", resource=bucket.name)
    return _full_control(bucket)


async def get_object_acl(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call, _ = await objects.read_version(tx, call, request, suffix="Acl")
    call.meter("Requests-Tier2", resource=bucket.name)
    return _full_control(bucket)


def _full_control(bucket: Bucket) -> dict[str, Any]:
    grantee = {"Type": "CanonicalUser", **owner(bucket.account)}
    return {
        "Owner": owner(bucket.account),
        "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}],
    }
