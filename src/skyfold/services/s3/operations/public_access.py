"""The public access block of a bucket, and what it forbids."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.services.s3.errors import NoSuchPublicAccessBlockConfiguration
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.tables import SETTINGS, Setting, setting
from skyfold.store.api import ReadTx, Tx

SETTING = "public_access_block"
FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NEW_BUCKETS = dict.fromkeys(FLAGS, True)


async def put_public_access_block(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketPublicAccessBlock")
    wanted = request["PublicAccessBlockConfiguration"]
    flags = {name: bool(wanted.get(name, False)) for name in FLAGS}
    SETTINGS.put(tx, Setting(bucket=bucket.name, name=SETTING, value=flags))
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def get_public_access_block(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:GetBucketPublicAccessBlock")
    flags = await setting(tx, bucket.name, SETTING)
    if flags is None:
        raise NoSuchPublicAccessBlockConfiguration(BucketName=bucket.name)
    call.meter("Requests-Tier2", resource=bucket.name)
    return {"PublicAccessBlockConfiguration": flags}


async def delete_public_access_block(tx: Tx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:PutBucketPublicAccessBlock")
    SETTINGS.delete(tx, bucket.name, SETTING)
    call.meter("Requests-Tier1", resource=bucket.name)
    return {}


async def forbids(tx: ReadTx, bucket: str, flag: str) -> bool:
    """Whether ``flag`` is set for the bucket."""
    flags = await setting(tx, bucket, SETTING)
    return flags is not None and bool(flags[flag])
