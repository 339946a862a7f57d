"""Smaller settings of buckets: versioning, encryption, and what no bucket here ever has."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.errors import (
    InvalidArgument,
    MalformedXML,
    NoSuchWebsiteConfiguration,
    ObjectLockConfigurationNotFoundError,
    ReplicationConfigurationNotFoundError,
)
from skyfold.services.s3.operations import encryption
from skyfold.services.s3.operations.entry import Request, check_encryption, enter
from skyfold.services.s3.operations.versions import replace
from skyfold.services.s3.tables import BUCKETS, SETTINGS, Setting, setting
from skyfold.store.api import ReadTx, Tx

BUCKET_KEY = "bucket_key"


async def put_bucket_versioning(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketVersioning")
    wanted = request["VersioningConfiguration"]
    if wanted.get("MFADelete") == "Enabled" or "MFA" in request:
        raise NotImplementedHere("MFA Delete is not implemented by Skyfold.")
    if wanted.get("Status") not in ("Enabled", "Suspended"):
        raise MalformedXML
    BUCKETS.put(tx, replace(bucket, versioning=wanted["Status"]))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_bucket_versioning(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketVersioning")
    call.meter("Requests-Tier2", resource=bucket.name)
    return reply(Status=bucket.versioning or None)


async def put_bucket_encryption(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutEncryptionConfiguration")
    rules = request["ServerSideEncryptionConfiguration"].get("Rules") or []
    default = rules[0].get("ApplyServerSideEncryptionByDefault") if len(rules) == 1 else None
    if default is None:
        raise MalformedXML
    if "KMSMasterKeyID" in default and default["SSEAlgorithm"] == "AES256":
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or"
            " aws:kms:dsse",
            ArgumentName="ApplyServerSideEncryptionByDefault",
        )
    check_encryption(default["SSEAlgorithm"])
    if "BlockedEncryptionTypes" in rules[0]:
        raise NotImplementedHere("BlockedEncryptionTypes is not implemented by Skyfold.")
    kms_key = ""
    if default["SSEAlgorithm"] == "aws:kms":
        asked = default.get("KMSMasterKeyID", "")
        kms_key = await encryption.chosen_key(tx, call, bucket, asked)
    if kms_key != bucket.kms_key:
        BUCKETS.put(tx, replace(bucket, kms_key=kms_key))
    bucket_key = bool(rules[0].get("BucketKeyEnabled", False))
    SETTINGS.put(tx, Setting(bucket=bucket.name, name=BUCKET_KEY, value=bucket_key))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_bucket_encryption(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetEncryptionConfiguration")
    algorithm = "aws:kms" if bucket.kms_key else "AES256"
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm},
        "BucketKeyEnabled": bool(await setting(tx, bucket.name, BUCKET_KEY)),
    }
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


async def delete_bucket_encryption(tx: Tx, call: Call, request: Request) -> Any:
    """Back to the default, which is AES256 too: objects are encrypted, always."""
    bucket, call = await enter(tx, call, request, "s3:PutEncryptionConfiguration")
    SETTINGS.delete(tx, bucket.name, BUCKET_KEY)
    if bucket.kms_key:
        BUCKETS.put(tx, replace(bucket, kms_key=""))
    return {}


# Tools read these of every bucket. Nothing here can set them, so the answers are the true ones.


async def get_bucket_accelerate_configuration(tx: ReadTx, call: Call, request: Request) -> Any:
    await enter(tx, call, request, "s3:GetAccelerateConfiguration")
    return {}


async def get_bucket_logging(tx: ReadTx, call: Call, request: Request) -> Any:
    await enter(tx, call, request, "s3:GetBucketLogging")
    return {}


async def get_bucket_replication(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, _ = await enter(tx, call, request, "s3:GetReplicationConfiguration")
    raise ReplicationConfigurationNotFoundError(BucketName=bucket.name)


async def get_bucket_request_payment(tx: ReadTx, call: Call, request: Request) -> Any:
    await enter(tx, call, request, "s3:GetBucketRequestPayment")
    return {"Payer": "BucketOwner"}


async def get_bucket_website(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, _ = await enter(tx, call, request, "s3:GetBucketWebsite")
    raise NoSuchWebsiteConfiguration(BucketName=bucket.name)


async def get_object_lock_configuration(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, _ = await enter(tx, call, request, "s3:GetBucketObjectLockConfiguration")
    raise ObjectLockConfigurationNotFoundError(BucketName=bucket.name)
