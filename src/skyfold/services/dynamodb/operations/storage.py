"""Items in the store: the one place that writes them, and with them all that follows from them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from skyfold.kernel.jobs import schedule, scheduled
from skyfold.services.dynamodb.engine.capacity import Consumed, write_units
from skyfold.services.dynamodb.engine.schema import Schema, projected_size
from skyfold.services.dynamodb.engine.values import Item, Value
from skyfold.services.dynamodb.errors import ItemCollectionSizeLimitExceededException
from skyfold.services.dynamodb.limits import COLLECTION_BYTES_MAX
from skyfold.store.api import ReadTx, Tx
from skyfold.store.keys import pack

EXPIRE = "dynamodb.expire"
"""The kind of job that deletes what has expired; its key is the table's ARN."""

_HEADER = b"\x92\xce"
"""msgpack for an array of two whose first is a 32-bit number: the size is bytes 2 to 6."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
Counts = dict[int, list[int]]
"""Items and bytes by tree."""
_decode_counts = msgspec.msgpack.Decoder(Counts).decode
_decode_number = msgspec.msgpack.Decoder(int).decode
_NO_COUNT = [0, 0]
_SECOND_MS = 1000
_FURTHEST_S = 1 << 60


class Written(NamedTuple):
    """What a write consumed, and on tables with local indexes the bytes its partition now has."""

    consumed: Consumed
    collection_bytes: int = 0


def packed(item: Item, size: int) -> bytes:
    return _HEADER + size.to_bytes(4) + _encode(item)


def size_of(raw: bytes) -> int:
    return int.from_bytes(raw[2:6])


def item_of(raw: bytes) -> Item:
    return _decode(raw)[1]


async def replace(
    tx: Tx,
    schema: Schema,
    key: bytes,
    old_raw: bytes | None,
    item: Item | None,
    size: int,
) -> Written:
    """Put ``item`` (or nothing, for None) where ``old_raw`` was."""
    raw = None if item is None else packed(item, size)
    if raw is None:
        tx.delete(key)
    else:
        tx.put(key, raw)
    old_size = 0 if old_raw is None else size_of(old_raw)
    consumed = Consumed(write_units(max(size, old_size)))
    change = [(raw is not None) - (old_raw is not None), size - old_size]
    if schema.plain:
        if change != _NO_COUNT:
            await _count(tx, schema, key, {schema.number: change})
        return Written(consumed)
    old = None if old_raw is None else item_of(old_raw)
    changes: Counts = {schema.number: change}
    local_bytes = await _update_indexes(
        tx, schema, old, old_size, item, raw, size, consumed, changes
    )
    await _count(tx, schema, key, changes)
    if schema.ttl:
        await _update_expiry(tx, schema, key, old, item)
    if not schema.local:
        return Written(consumed)
    owner = item if item is not None else old
    if owner is None:
        return Written(consumed)
    counter = schema.collection(key, owner)
    return Written(consumed, await _grow_collection(tx, counter, change[1] + local_bytes))


async def _update_indexes(
    tx: Tx,
    schema: Schema,
    old: Item | None,
    old_size: int,
    item: Item | None,
    raw: bytes | None,
    size: int,
    consumed: Consumed,
    changes: Counts,
) -> int:
    """Bring every index up to date; the bytes by which the local ones grew."""
    local_bytes = 0
    for index in schema.indexes:
        before = index.project(old) if old is not None and index.holds(old) else None
        after = index.project(item) if item is not None and index.holds(item) else None
        if before == after:
            continue
        old_key = None if before is None else schema.entry_key(index, before)
        new_key = None if after is None else schema.entry_key(index, after)
        if old_key is not None and index.row.status != "ACTIVE" and await tx.get(old_key) is None:
            before = old_key = None  # the index is being filled and has not come to this item
        was = 0 if before is None else projected_size(index, before, old_size)
        becomes = 0 if after is None else projected_size(index, after, size)
        if old_key is not None and old_key != new_key:
            tx.delete(old_key)
        if new_key is not None and after is not None:
            whole = raw if index.projected is None and raw is not None else packed(after, becomes)
            tx.put(new_key, whole)
        if old_key == new_key:
            units = write_units(max(was, becomes))
        else:
            units = sum(write_units(s) for s, k in ((was, old_key), (becomes, new_key)) if k)
        consumed.add_index(index.name, units, is_global=index.is_global)
        changes[index.number] = [(new_key is not None) - (old_key is not None), becomes - was]
        if not index.is_global:
            local_bytes += becomes - was
    return local_bytes


async def _count(tx: Tx, schema: Schema, key: bytes, changes: Counts) -> None:
    place = schema.counts[key[len(schema.root) + 1] % len(schema.counts)]
    found = await tx.get(place)
    counts: Counts = {} if found is None else _decode_counts(found)
    for tree, (items, size) in changes.items():
        sums = counts.get(tree)
        if sums is None:
            counts[tree] = [items, size]
        else:
            sums[0] += items
            sums[1] += size
    tx.put(place, _encode(counts))


async def counts_of(tx: ReadTx, schema: Schema) -> Counts:
    """Items and bytes of the table and of each of its indexes."""
    sums: Counts = {}
    for place in schema.counts:
        found = await tx.get(place)
        for tree, (items, size) in ({} if found is None else _decode_counts(found)).items():
            total = sums.setdefault(tree, [0, 0])
            total[0] += items
            total[1] += size
    return sums


async def count_entries(tx: Tx, schema: Schema, tree: int, items: int, size: int) -> None:
    """Add to the counts of an index that is being filled."""
    await _count(tx, schema, schema.root + b"\0\0", {tree: [items, size]})


async def forget_counts(tx: Tx, schema: Schema, tree: int) -> None:
    """An index is gone."""
    for place in schema.counts:
        found = await tx.get(place)
        counts: Counts = {} if found is None else _decode_counts(found)
        if counts.pop(tree, None) is not None:
            tx.put(place, _encode(counts))


async def _grow_collection(tx: Tx, counter: bytes, by: int) -> int:
    found = await tx.get(counter)
    size = by if found is None else _decode_number(found) + by
    if size > COLLECTION_BYTES_MAX and by > 0:
        raise ItemCollectionSizeLimitExceededException
    if size:
        tx.put(counter, _encode(size))
    else:
        tx.delete(counter)
    return size


def expires_at(schema: Schema, item: Item | None) -> int | None:
    """The second after which an item may be deleted, if its table and it have one."""
    value: Value | None = None if item is None else item.get(schema.ttl)
    if value is None or "N" not in value:
        return None
    second = int(value["N"].partition(".")[0] or 0)
    return second if 0 <= second < _FURTHEST_S else None


def expiry_key(schema: Schema, second: int, key: bytes) -> bytes:
    return schema.expiry + pack(second) + key


async def _update_expiry(
    tx: Tx, schema: Schema, key: bytes, old: Item | None, item: Item | None
) -> None:
    before, after = expires_at(schema, old), expires_at(schema, item)
    if before == after:
        return
    if before is not None:
        tx.delete(expiry_key(schema, before, key))
    if after is not None:
        await note_expiry(tx, schema, key, after)


async def note_expiry(tx: Tx, schema: Schema, key: bytes, second: int) -> None:
    """Have the item deleted once ``second`` has passed."""
    tx.put(expiry_key(schema, second, key), b"")
    due_at = (second + 1) * _SECOND_MS
    waiting = await scheduled(tx, EXPIRE, schema.arn)
    if waiting is None or waiting.due_at > due_at:
        payload = {"account": schema.row.account, "region": schema.row.region, "name": schema.name}
        await schedule(tx, EXPIRE, schema.arn, due_at=due_at, payload=payload)
