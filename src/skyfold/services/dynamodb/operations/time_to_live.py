"""UpdateTimeToLive and DescribeTimeToLive."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import cancel, schedule
from skyfold.kernel.service import Request
from skyfold.services.dynamodb.engine.keys import successor
from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.operations.filling import note_page, put_row
from skyfold.services.dynamodb.operations.storage import EXPIRE
from skyfold.services.dynamodb.operations.tables import NOTE, named_table
from skyfold.store.api import ReadTx, Tx


async def update_time_to_live(tx: Tx, call: Call, request: Request) -> Any:
    wanted = request["TimeToLiveSpecification"]
    enabled, attribute = wanted["Enabled"], wanted["AttributeName"]
    if not attribute:
        raise ValidationException("TimeToLiveSpecification AttributeName cannot be empty")
    schema = await named_table(tx, call, request["TableName"])
    row = schema.row
    if enabled == bool(row.ttl):
        raise ValidationException(f"TimeToLive is already {'enabled' if enabled else 'disabled'}")
    if not enabled and attribute != row.ttl:
        raise ValidationException(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {row.ttl}"
        )
    if enabled:
        row = msgspec.structs.replace(row, ttl=attribute, ttl_status="ENABLED")
        schema = put_row(tx, row)
        after = await note_page(tx, schema, b"")
        if after:
            put_row(tx, msgspec.structs.replace(row, ttl_status="ENABLING"))
            place = {"account": row.account, "region": row.region, "name": row.name}
            payload = {**place, "after": after}
            await schedule(tx, NOTE, row.arn, due_at=call.now, payload=payload)
    else:
        put_row(tx, msgspec.structs.replace(row, ttl="", ttl_status="DISABLED"))
        tx.delete_range(schema.expiry, successor(schema.expiry))
        await cancel(tx, EXPIRE, row.arn)
        await cancel(tx, NOTE, row.arn)
    return {"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}


async def describe_time_to_live(tx: ReadTx, call: Call, request: Request) -> Any:
    row = (await named_table(tx, call, request["TableName"])).row
    described = {"TimeToLiveStatus": row.ttl_status}
    if row.ttl:
        described["AttributeName"] = row.ttl
    return {"TimeToLiveDescription": described}
