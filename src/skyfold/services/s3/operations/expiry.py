"""When objects expire: the lifecycle rules of a bucket, looked up for a reply or a job."""

from __future__ import annotations

import msgspec

from skyfold.services.s3.engine.lifecycle import Rule, expiry_of
from skyfold.services.s3.engine.lifecycle import header as header_of
from skyfold.services.s3.tables import Bucket, Version, setting
from skyfold.store.api import ReadTx

SETTING = "lifecycle_rules"


async def rules(tx: ReadTx, bucket: str) -> list[Rule]:
    kept = await setting(tx, bucket, SETTING)
    return msgspec.convert(kept or [], list[Rule])


async def header(tx: ReadTx, bucket: Bucket, row: Version) -> str | None:
    """The x-amz-expiration of a current object, if a rule will take it away."""
    if row.marker or not bucket.has_lifecycle:
        return None
    expiry = expiry_of(await rules(tx, bucket.name), row)
    return None if expiry is None else header_of(expiry)
