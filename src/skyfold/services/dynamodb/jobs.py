"""What runs on a timer: expiry of items, filling of new indexes."""

from __future__ import annotations

import msgspec

from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.limits import TTL_OLDEST_S
from skyfold.services.dynamodb.operations.filling import fill_page, filled, note_page, put_row
from skyfold.services.dynamodb.operations.storage import (
    EXPIRE,
    expires_at,
    item_of,
    replace,
)
from skyfold.services.dynamodb.operations.tables import FILL, NOTE, row_of
from skyfold.store.api import Tx
from skyfold.store.keys import after as past
from skyfold.store.keys import pack, unpack

PAGE_ITEMS = 100
_PACKED_INT = 9
_SECOND_MS = 1000


async def _schema(tx: Tx, row: JobRow) -> Schema | None:
    payload = row.payload
    return await row_of(tx, payload["account"], payload["region"], payload["name"])


async def fill(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """One page of a new index."""
    schema = await _schema(tx, row)
    tree = int(row.key)
    index = next((i for i in schema.indexes if i.number == tree), None) if schema else None
    if schema is None or index is None:
        return None
    after = await fill_page(tx, schema, index, row.payload["after"])
    if after:
        return Again(platform.clock.now(), {**row.payload, "after": after})
    put_row(tx, filled(schema.row, tree))
    return None


async def note_expiries(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """One page of the items that were there when time to live was turned on."""
    schema = await _schema(tx, row)
    if schema is None or not schema.ttl:
        return None
    now = platform.clock.now()
    after = await note_page(tx, schema, row.payload["after"])
    if after:
        return Again(now, {**row.payload, "after": after})
    put_row(tx, msgspec.structs.replace(schema.row, ttl_status="ENABLED"))
    return None


async def expire(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """Delete what has expired, a page at a time; then wait for what expires next."""
    schema = await _schema(tx, row)
    if schema is None or not schema.ttl:
        return None
    now = platform.clock.now()
    second = now // _SECOND_MS
    stop = schema.expiry + pack(second)
    due = await tx.scan(schema.expiry, stop, limit=PAGE_ITEMS)
    deleted = 0
    for place, _ in due:
        key = place[len(schema.expiry) + _PACKED_INT :]
        expired = int(unpack(place[len(schema.expiry) :][:_PACKED_INT])[0])
        tx.delete(place)
        raw = await tx.get(key)
        stale = raw is None or expires_at(schema, item_of(raw)) != expired
        if stale or expired < second - TTL_OLDEST_S:
            continue
        await replace(tx, schema, key, raw, None, 0)
        deleted += 1
    _measure(platform, schema, deleted)
    if len(due) == PAGE_ITEMS:
        return Again(now)
    upcoming = await tx.scan(stop, past(schema.expiry), limit=1)
    if not upcoming:
        return None
    next_second = int(unpack(upcoming[0][0][len(schema.expiry) :][:_PACKED_INT])[0])
    return Again((next_second + 1) * _SECOND_MS)


def _measure(platform: Platform, schema: Schema, deleted: int) -> None:
    if deleted:
        platform.metrics.record(
            schema.row.account,
            schema.row.region,
            "AWS/DynamoDB",
            "TimeToLiveDeletedItemCount",
            deleted,
            "Count",
            {"TableName": schema.name},
        )


JOBS = {
    FILL: Job(tx=fill),
    NOTE: Job(tx=note_expiries),
    EXPIRE: Job(tx=expire),
}
