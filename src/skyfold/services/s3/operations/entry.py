"""Every request's first steps: find the bucket, decide in its owner's account, refuse the unbuilt.

The declared operations are ``open`` because a bucket's ARN names no account: only its row tells
whether the caller is at home or a guest, so IAM is asked here, in the same transaction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.services.s3.engine.names import canonical_id
from skyfold.services.s3.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    InvalidArgument,
    InvalidBucketOwnerAWSAccountID,
    InvalidRequest,
    InvalidStorageClass,
    NoSuchBucket,
)
from skyfold.services.s3.tables import BUCKETS, Bucket
from skyfold.store.api import ReadTx

Request = Mapping[str, Any]

STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
        "REDUCED_REDUNDANCY",
    }
)
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE", "SNOW", "OUTPOSTS", "EXPRESS_ONEZONE"})
_CUSTOMER_KEYS = frozenset(
    start + "SSECustomer" + end
    for start in ("", "CopySource")
    for end in ("Algorithm", "Key", "KeyMD5")
)
_GRANTS = frozenset(
    {"GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"}
)
_LOCKS = frozenset(
    {
        "ObjectLockMode",
        "ObjectLockRetainUntilDate",
        "ObjectLockLegalHoldStatus",
        "ObjectLockEventHold",
        "ObjectLockEventHoldDurationDays",
        "ObjectLockEventHoldDurationYears",
    }
)
_KMS = frozenset({"SSEKMSKeyId", "SSEKMSEncryptionContext"})
_SPECIAL = (
    _CUSTOMER_KEYS
    | _GRANTS
    | _LOCKS
    | _KMS
    | {"ACL", "ServerSideEncryption", "StorageClass", "WriteOffsetBytes"}
)
OWNERS_ACLS = frozenset(("private", "bucket-owner-full-control"))
"""Canned ACLs that say what holds anyway: the owner has all rights and nobody else has any."""


async def enter(
    tx: ReadTx,
    call: Call,
    request: Request,
    action: str,
    key: str = "",
    context: Mapping[str, Any] | None = None,
) -> tuple[Bucket, Call]:
    """The bucket that ``request`` names, and the call as its owner's account sees it.

    Raises NoSuchBucket, and AccessDenied unless the caller may do ``action`` on the bucket or on
    its object ``key``.
    """
    bucket, there = await find(tx, call, request)
    resource = f"arn:aws:s3:::{bucket.name}/{key}" if key else bucket.arn
    await there.allowed(tx, action, resource, context)
    return bucket, there


async def find(tx: ReadTx, call: Call, request: Request) -> tuple[Bucket, Call]:
    """As ``enter``, for callers that ask IAM themselves, once they know more."""
    name = request["Bucket"]
    bucket = await BUCKETS.get(tx, name)
    if bucket is None:
        raise NoSuchBucket(BucketName=name)
    if "ExpectedBucketOwner" in request:
        check_owner(request["ExpectedBucketOwner"], bucket)
    return bucket, at_home(call, bucket)


def at_home(call: Call, bucket: Bucket) -> Call:
    """``call`` in the account and region of the bucket: decisions, meters and events go there."""
    if call.account == bucket.account and call.region == bucket.region:
        return call
    return dataclasses.replace(call, account=bucket.account, region=bucket.region)


def check_owner(expected: str, bucket: Bucket) -> None:
    if len(expected) != 12 or not expected.isdigit():
        raise InvalidBucketOwnerAWSAccountID(
            "The value of the expected bucket owner parameter must be an AWS Account ID..."
            f" [{expected}]"
        )
    if expected != bucket.account:
        raise AccessDenied


def check_write_parameters(bucket: Bucket, request: Request) -> None:
    """Refuse what a write asks for that cannot be obeyed."""
    if _SPECIAL.isdisjoint(request):
        return
    refuse_customer_keys(request)
    check_acl(bucket, request)
    if not _LOCKS.isdisjoint(request):
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
    if "WriteOffsetBytes" in request:
        raise NotImplementedHere("Appending to objects is not implemented by Skyfold.")
    encryption = request.get("ServerSideEncryption")
    if encryption is not None:
        check_encryption(encryption)
    if encryption != "aws:kms" and not _KMS.isdisjoint(request):
        raise InvalidArgument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header"
            " x-amz-server-side-encryption : aws:kms",
            ArgumentName="x-amz-server-side-encryption",
        )
    check_storage_class(request.get("StorageClass", "STANDARD"))


def check_storage_class(storage_class: str) -> None:
    if storage_class in STORAGE_CLASSES:
        return
    if storage_class in _ARCHIVES:
        raise NotImplementedHere(
            f"The storage class {storage_class} is not implemented by Skyfold."
        )
    raise InvalidStorageClass(StorageClassRequested=storage_class)


def refuse_customer_keys(request: Request) -> None:
    if not _CUSTOMER_KEYS.isdisjoint(request):
        raise NotImplementedHere("Customer-provided keys (SSE-C) are not implemented by Skyfold.")


def check_encryption(algorithm: str) -> None:
    if algorithm.startswith("aws:") and algorithm != "aws:kms":
        raise NotImplementedHere(
            f"Server-side encryption by {algorithm} is not implemented by Skyfold; AES256 "
            "and aws:kms are."
        )
    if algorithm not in ("AES256", "aws:kms"):
        raise InvalidArgument(
            "The encryption method specified is not supported",
            ArgumentName="x-amz-server-side-encryption",
            ArgumentValue=algorithm,
        )


def check_acl(bucket: Bucket, request: Request) -> None:
    """Accept an ACL that changes nothing; others are not supported, or not built."""
    acl = request.get("ACL")
    if _GRANTS.isdisjoint(request) and (acl is None or acl in OWNERS_ACLS):
        return
    if bucket.ownership == "BucketOwnerEnforced":
        raise AccessControlListNotSupported
    raise NotImplementedHere(
        "ACLs that grant more than the owner's full control are not implemented by Skyfold; use a"
        " bucket policy."
    )


def write_context(request: Request) -> dict[str, Any]:
    """The condition keys that come from a write's own parameters."""
    context: dict[str, Any] = {}
    for member, key in (
        ("ACL", "s3:x-amz-acl"),
        ("StorageClass", "s3:x-amz-storage-class"),
        ("ServerSideEncryption", "s3:x-amz-server-side-encryption"),
    ):
        if member in request:
            context[key] = request[member]
    return context


def owner(account: str) -> dict[str, str]:
    return {"ID": canonical_id(account)}
