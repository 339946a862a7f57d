"""Buckets: creating, finding, listing and deleting them."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel import jobs, tags
from skyfold.kernel.call import Call
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import reply
from skyfold.services.s3.engine import names, sealing
from skyfold.services.s3.engine.tagging import SYSTEM, from_tag_set
from skyfold.services.s3.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    IllegalLocationConstraintException,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    InvalidLocationConstraint,
)
from skyfold.services.s3.limits import BUCKETS_PAGE_MAX
from skyfold.services.s3.operations.entry import OWNERS_ACLS, Request, enter, owner
from skyfold.services.s3.operations.multipart import drop_upload
from skyfold.services.s3.operations.public_access import NEW_BUCKETS, SETTING
from skyfold.services.s3.tables import (
    BUCKET_NAMES,
    BUCKETS,
    OBJECTS,
    SETTINGS,
    UPLOADS,
    Bucket,
    Setting,
)
from skyfold.store.api import ReadTx, Tx

HOME = "us-east-1"
OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
LIFECYCLE_JOB = "s3.lifecycle"
STORAGE_JOB = "s3.storage"
_REGIONS = frozenset(
    [
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-central-1",
        "ca-west-1",
        "cn-north-1",
        "cn-northwest-1",
        "EU",
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
        "sa-east-1",
        "us-east-2",
        "us-gov-east-1",
        "us-gov-west-1",
        "us-west-1",
        "us-west-2",
    ]
)
HOUR_MS = 3_600_000


async def create_bucket(tx: Tx, call: Call, request: Request) -> Any:
    name = request["Bucket"]
    configuration = request.get("CreateBucketConfiguration") or {}
    location = configuration.get("LocationConstraint") or ""
    context = {"s3:LocationConstraint": location} if location else {}
    if "ACL" in request:
        context["s3:x-amz-acl"] = request["ACL"]
    await call.allowed(tx, "s3:CreateBucket", f"arn:aws:s3:::{name}", context)
    names.check_bucket_name(name)
    region = _region(call, location)
    ownership = _ownership(request)
    if request.get("ObjectLockEnabledForBucket"):
        raise NotImplementedHere("Object Lock is not implemented by Skyfold.")
    if "Location" in configuration or "Bucket" in configuration:
        raise NotImplementedHere("Directory buckets are not implemented by Skyfold.")
    if request.get("BucketNamespace", "global") != "global":
        raise NotImplementedHere("Bucket namespaces of accounts are not implemented by Skyfold.")
    tag_set = {"TagSet": configuration.get("Tags") or []}
    own_tags = dict(from_tag_set(tag_set, of_bucket=True, system=not call.headers))
    taken = await BUCKETS.get(tx, name)
    if taken is None:
        await _create(tx, call, name, region, location, ownership)
        tags.put_tags(tx, f"arn:aws:s3:::{name}", own_tags)
    else:
        await _check_again(tx, call, taken, region, own_tags)
    call.meter("Requests-Tier1", resource=name)
    return reply(Location=_location(call, name, region), BucketArn=f"arn:aws:s3:::{name}")


async def _check_again(
    tx: Tx, call: Call, taken: Bucket, region: str, own_tags: dict[str, str]
) -> None:
    """Whether one may create a bucket that is there.

    One's own again in us-east-1, where nothing happens; and where the tags of a service
    (CloudFormation) say that it is the very same creation, tried once more.
    """
    if taken.account != call.account:
        raise BucketAlreadyExists(BucketName=taken.name)
    system = {key: value for key, value in own_tags.items() if key.startswith(SYSTEM)}
    if system:
        allowed = system.items() <= (await tags.tags_of(tx, taken.arn)).items()
    else:
        allowed = taken.region == region == HOME
    if not allowed:
        raise BucketAlreadyOwnedByYou(BucketName=taken.name)


async def _create(
    tx: Tx, call: Call, name: str, region: str, location: str, ownership: str
) -> None:
    bucket = Bucket(
        name=name,
        account=call.account,
        region=region,
        created_at=call.now - call.now % 1000,
        secret=call.platform.ids.bytes(sealing.KEY_BYTES),
        ownership=ownership,
        location=location,
    )
    BUCKETS.put(tx, bucket)
    BUCKET_NAMES.put(tx, call.account, name)
    SETTINGS.put(tx, Setting(bucket=name, name=SETTING, value=NEW_BUCKETS))
    first_hour = (call.now // HOUR_MS + 1) * HOUR_MS
    await jobs.schedule(tx, STORAGE_JOB, name, due_at=first_hour)


def _region(call: Call, location: str) -> str:
    """The region of a new bucket: one can ask the endpoint of us-east-1 for any."""
    if call.region == HOME or call.region == "aws-global":
        if location and location not in _REGIONS:
            raise InvalidLocationConstraint(LocationConstraint=location)
        return "eu-west-1" if location == "EU" else location or HOME
    if location == "EU" and call.region == "eu-west-1":
        return "eu-west-1"
    if location != call.region:
        shown = location or "unspecified"
        raise IllegalLocationConstraintException(
            f"The {shown} location constraint is incompatible for the region specific endpoint"
            " this request was sent to."
        )
    return location


def _ownership(request: Request) -> str:
    ownership = request.get("ObjectOwnership")
    if ownership is not None and ownership not in OWNERSHIPS:
        raise InvalidArgument(
            f"Invalid x-amz-object-ownership header: {ownership}",
            ArgumentName="x-amz-object-ownership",
        )
    acl = request.get("ACL")
    grants = any(name.startswith("Grant") for name in request)
    if grants or (acl is not None and acl not in OWNERS_ACLS):
        if ownership in (None, "BucketOwnerEnforced"):
            raise InvalidBucketAclWithObjectOwnership
        raise NotImplementedHere(
            "Bucket ACLs that grant more than the owner's full control are not implemented by"
            " Skyfold; use a bucket policy."
        )
    return ownership or "BucketOwnerEnforced"


def _location(call: Call, name: str, region: str) -> str:
    if region == HOME:
        return f"/{name}"
    scheme, _, host = call.endpoint.partition("://")
    return f"{scheme}://{name}.s3.{host}/" if "localhost" in host else f"/{name}"


async def delete_bucket(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:DeleteBucket")
    if await OBJECTS.scan(tx, bucket.name, limit=1):
        text = BucketNotEmpty.message
        if bucket.versioning:
            text += ". You must delete all versions in the bucket."
        raise BucketNotEmpty(text, BucketName=bucket.name)
    await _drop_uploads(tx, call, bucket)
    BUCKETS.delete(tx, bucket.name)
    BUCKET_NAMES.delete(tx, bucket.account, bucket.name)
    SETTINGS.delete_all(tx, bucket.name)
    tags.forget_tags(tx, bucket.arn)
    await jobs.cancel(tx, STORAGE_JOB, bucket.name)
    await jobs.cancel(tx, LIFECYCLE_JOB, bucket.name)
    return {}


async def _drop_uploads(tx: Tx, call: Call, bucket: Bucket) -> None:
    """Unfinished uploads do not keep a bucket from being deleted: they go with it."""
    while uploads := await UPLOADS.scan(tx, bucket.name, limit=1000):
        for upload in uploads:
            await drop_upload(tx, call, upload)


async def head_bucket(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:ListBucket")
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(BucketArn=bucket.arn, BucketRegion=bucket.region, AccessPointAlias=False)


async def get_bucket_location(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketLocation")
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(LocationConstraint=bucket.location or None)


async def list_buckets(tx: ReadTx, call: Call, request: Request) -> Any:
    await call.allowed(tx, "s3:ListAllMyBuckets", "*")
    prefix = request.get("Prefix", "")
    region = request.get("BucketRegion")
    limit = request.get("MaxBuckets", BUCKETS_PAGE_MAX)
    above = _resumed(request.get("ContinuationToken"))
    found: list[Bucket] = []
    more = False
    for _, name in await BUCKET_NAMES.scan(tx, call.account, above=above, limit=1_000_000):
        if not name.startswith(prefix):
            continue
        bucket = await BUCKETS.get(tx, name)
        if bucket is None or (region is not None and bucket.region != region):
            continue
        if len(found) == limit:
            more = True
            break
        found.append(bucket)
    shown = [
        {
            "Name": bucket.name,
            "CreationDate": bucket.created_at,
            "BucketRegion": bucket.region,
            "BucketArn": bucket.arn,
        }
        for bucket in found
    ]
    call.meter("Requests-Tier1")
    return reply(
        Buckets=shown,
        Owner=owner(call.account),
        ContinuationToken=token("s3.buckets", found[-1].name) if more else None,
        Prefix=prefix or None,
    )


def _resumed(text: str | None) -> tuple[str] | None:
    if text is None:
        return None
    try:
        (name,) = position("s3.buckets", text)
    except BadToken as bad:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from bad
    return (name,)
