"""Encryption at rest as it is asked for and reported: AES256, or aws:kms with AWS's own key.

Every object is encrypted whatever is said here (engine/sealing.py). ``aws:kms`` names the key that
AWS manages for S3 in an account and region, ``alias/aws/s3``; keys of customers need KMS, which is
not here yet, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.base.errors import AwsError, NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.services.s3.operations.entry import Request
from skyfold.services.s3.tables import MANAGED_KEYS, Bucket, ManagedKey
from skyfold.store.api import Tx

ALIAS = "alias/aws/s3"
NAMES = frozenset({"ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled"})
AES256: Mapping[str, Any] = {"ServerSideEncryption": "AES256"}


class KeyNotFound(AwsError):
    code = "KMS.NotFoundException"


async def managed_key(tx: Tx, call: Call, bucket: Bucket) -> str:
    """The ARN of the key that is managed for S3 where the bucket is; made when first needed."""
    key = await MANAGED_KEYS.get(tx, bucket.account, bucket.region)
    if key is None:
        key = ManagedKey(account=bucket.account, region=bucket.region, id=call.new_id())
        MANAGED_KEYS.put(tx, key)
    return f"arn:aws:kms:{key.region}:{key.account}:key/{key.id}"


async def chosen_key(tx: Tx, call: Call, bucket: Bucket, asked: str) -> str:
    """The ARN of the key that is asked for; empty asks for the managed one."""
    managed = await managed_key(tx, call, bucket)
    if asked in ("", ALIAS, managed, managed.rpartition("/")[2]):
        return managed
    raise KeyNotFound(f"Invalid keyId '{asked}'")


async def of_write(tx: Tx, call: Call, bucket: Bucket, request: Request) -> Mapping[str, Any]:
    """What a new object says of its encryption: by the request, else by its bucket's default."""
    algorithm = request.get("ServerSideEncryption")
    if algorithm is None:
        if not bucket.kms_key:
            return AES256
        said: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": bucket.kms_key}
    elif algorithm == "aws:kms":
        if "SSEKMSEncryptionContext" in request:
            raise NotImplementedHere("Encryption contexts are not implemented by Skyfold.")
        key = await chosen_key(tx, call, bucket, request.get("SSEKMSKeyId", ""))
        said = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    else:
        return AES256
    if request.get("BucketKeyEnabled"):
        said["BucketKeyEnabled"] = True
    return said


def kept(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of ``said`` is kept with the object: nothing where it is the usual."""
    return {} if said is AES256 else said


def of_object(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an object with these kept headers says of its encryption."""
    if "ServerSideEncryption" not in headers:
        return AES256
    return {name: headers[name] for name in NAMES if name in headers}


def without(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """``headers`` for a copy, whose encryption is its own."""
    if "ServerSideEncryption" not in headers:
        return headers
    return {name: value for name, value in headers.items() if name not in NAMES}
