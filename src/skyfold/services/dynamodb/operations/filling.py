"""Work over a whole table, cut into pages: filling a new index, noting when items expire."""

from __future__ import annotations

import msgspec

from skyfold.services.dynamodb.engine.keys import successor
from skyfold.services.dynamodb.engine.schema import IndexSchema, Schema, projected_size
from skyfold.services.dynamodb.operations.storage import (
    count_entries,
    expires_at,
    item_of,
    note_expiry,
    packed,
    size_of,
)
from skyfold.services.dynamodb.tables import TABLES, TableRow
from skyfold.store.api import Tx

PAGE_ITEMS = 250


async def fill_page(tx: Tx, schema: Schema, index: IndexSchema, after: bytes) -> bytes:
    """Put the entries of the items behind ``after`` into the index; where to go on, or b''."""
    start = after + b"\0" if after else schema.root
    pairs = await tx.scan(start, successor(schema.root), limit=PAGE_ITEMS)
    entries = added = 0
    for _, raw in pairs:
        item = item_of(raw)
        if not index.holds(item):
            continue
        entry = index.project(item)
        size = projected_size(index, entry, size_of(raw))
        place = schema.entry_key(index, item)
        if await tx.get(place) is None:  # a write since the index was made has not put it there
            entries += 1
            added += size
            tx.put(place, packed(entry, size))
    if entries:
        await count_entries(tx, schema, index.number, entries, added)
    return pairs[-1][0] if len(pairs) == PAGE_ITEMS else b""


def filled(row: TableRow, tree: int) -> TableRow:
    """The table with that index ready to be read."""
    indexes = tuple(
        msgspec.structs.replace(index, status="ACTIVE") if index.tree == tree else index
        for index in row.indexes
    )
    return msgspec.structs.replace(row, indexes=indexes)


async def note_page(tx: Tx, schema: Schema, after: bytes) -> bytes:
    """Note when the items behind ``after`` expire; where to go on, or b''."""
    start = after + b"\0" if after else schema.root
    pairs = await tx.scan(start, successor(schema.root), limit=PAGE_ITEMS)
    for key, raw in pairs:
        second = expires_at(schema, item_of(raw))
        if second is not None:
            await note_expiry(tx, schema, key, second)
    return pairs[-1][0] if len(pairs) == PAGE_ITEMS else b""


def put_row(tx: Tx, row: TableRow) -> Schema:
    TABLES.put(tx, row)
    return Schema(row)
