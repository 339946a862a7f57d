"""BatchGetItem and BatchWriteItem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.dynamodb.engine.capacity import Consumed, read_units
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.engine.values import Item, clean_item
from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.limits import (
    BATCH_GET_BYTES_MAX,
    BATCH_GET_KEYS_MAX,
    BATCH_WRITES_MAX,
    ITEM_BYTES_MAX,
)
from skyfold.services.dynamodb.operations.access import open_table, reads_done, writes_done
from skyfold.services.dynamodb.operations.items import (
    UNCONDITIONAL,
    collection_metrics,
    delete,
    projection_of,
    put,
    returns,
)
from skyfold.services.dynamodb.operations.storage import item_of, size_of
from skyfold.store.api import ReadTx, Tx

_DUPLICATES = "Provided list of item keys contains duplicates"


async def batch_get_item(tx: ReadTx, call: Call, request: Request) -> Any:
    wanted: Mapping[str, Any] = request["RequestItems"]
    if not wanted:
        raise ValidationException("The requestItems parameter is required for BatchGetItem")
    _check_projections(wanted)
    projections = {name: projection_of(each) for name, each in wanted.items()}
    if sum(len(each["Keys"]) for each in wanted.values()) > BATCH_GET_KEYS_MAX:
        raise ValidationException("Too many items requested for the BatchGetItem call")
    responses: dict[str, list[Item]] = {}
    unprocessed: dict[str, Any] = {}
    capacities = []
    read_bytes = 0
    for name, each in wanted.items():
        schema, keys = await _open_keys(tx, call, request, name, each)
        found, left = responses.setdefault(name, []), []
        consumed, consistent = Consumed(), each.get("ConsistentRead", False)
        projection = projections[name]
        if projection is not None and projection.nested:
            schema.check_nested(projection.nested)
        for place, key in keys:
            raw = await tx.get(place)
            size = 0 if raw is None else size_of(raw)
            if read_bytes + size > BATCH_GET_BYTES_MAX:
                left.append(key)
                continue
            read_bytes += size
            consumed.table += read_units(size, consistent=consistent)
            if raw is not None:
                item = item_of(raw)
                found.append(item if projection is None else projection(item))
        if left:
            unprocessed[name] = {**each, "Keys": left}
        reads_done(call, schema, consumed)
        capacities.append(consumed.reply(request, name))
    return reply(
        Responses=responses,
        UnprocessedKeys=unprocessed,
        ConsumedCapacity=_listed(capacities),
    )


def _check_projections(wanted: Mapping[str, Any]) -> None:
    """Old and new projections may not be mixed, not even between tables."""
    old = any("AttributesToGet" in each for each in wanted.values())
    new = any("ProjectionExpression" in each for each in wanted.values())
    if old and new:
        raise ValidationException(
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} "
            "Expression parameters: {ProjectionExpression}"
        )


def _listed(capacities: list[dict[str, Any] | None]) -> list[dict[str, Any]] | None:
    told = [capacity for capacity in capacities if capacity is not None]
    return told or None


async def _open_keys(
    tx: ReadTx, call: Call, request: Request, name: str, wanted: Mapping[str, Any]
) -> tuple[Schema, list[tuple[bytes, Item]]]:
    """The table and the places of the wanted keys in it, each once."""
    cleaned = [clean_item(key)[0] for key in wanted["Keys"]]
    attributes = {attribute for key in cleaned for attribute in key}
    schema = await open_table(
        tx,
        call,
        name,
        "BatchGetItem",
        keys=cleaned,
        attributes=attributes,
        context=returns(request),
    )
    keys: dict[bytes, Item] = {}
    for key in cleaned:
        place = schema.item_key(key)
        if place in keys:
            raise ValidationException(_DUPLICATES)
        keys[place] = key
    return schema, list(keys.items())


class _Write(NamedTuple):
    """One of a batch: ``item`` is None for a delete."""

    place: bytes
    key: Item
    item: Item | None
    size: int


async def batch_write_item(tx: Tx, call: Call, request: Request) -> Any:
    wanted: Mapping[str, Any] = request["RequestItems"]
    if not wanted:
        raise ValidationException("The requestItems parameter is required for BatchWriteItem")
    if sum(len(each) for each in wanted.values()) > BATCH_WRITES_MAX:
        raise ValidationException("Too many items requested for the BatchWriteItem call")
    cleaned = {name: [_cleaned(each) for each in writes] for name, writes in wanted.items()}
    opened = [(name, *await _open_writes(tx, call, name, cleaned[name])) for name in wanted]
    capacities = []
    metrics: dict[str, list[dict[str, Any]]] = {}
    for name, schema, writes in opened:
        consumed = Consumed()
        for write in writes:
            if write.item is None:
                _, written = await delete(tx, call, schema, UNCONDITIONAL, write.place)
            else:
                _, written = await put(
                    tx, call, schema, UNCONDITIONAL, write.place, write.item, write.size
                )
            consumed.add(written.consumed)
            measured = collection_metrics(request, schema, written, write.key)
            if measured is not None:
                metrics.setdefault(name, []).append(measured)
        writes_done(call, schema, consumed)
        capacities.append(consumed.reply(request, name))
    return reply(
        UnprocessedItems={},
        ItemCollectionMetrics=metrics or None,
        ConsumedCapacity=_listed(capacities),
    )


def _cleaned(write: Mapping[str, Any]) -> tuple[Item, int, bool]:
    """The item or key of one write, its size, and whether it is a put."""
    if len(write) != 1:
        raise ValidationException(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes"
        )
    if "PutRequest" not in write:
        return *clean_item(write["DeleteRequest"]["Key"]), False
    item, size = clean_item(write["PutRequest"]["Item"])
    if size > ITEM_BYTES_MAX:
        raise ValidationException("Item size has exceeded the maximum allowed size")
    return item, size, True


async def _open_writes(
    tx: Tx, call: Call, name: str, cleaned: list[tuple[Item, int, bool]]
) -> tuple[Schema, list[_Write]]:
    items = [item for item, _, _ in cleaned]
    attributes = {attribute for item in items for attribute in item}
    schema = await open_table(tx, call, name, "BatchWriteItem", keys=items, attributes=attributes)
    writes: dict[bytes, _Write] = {}
    for item, size, is_put in cleaned:
        if is_put:
            key = {name: item[name] for name in schema.names if name in item}
            schema.item_key(key)
            write = _Write(schema.new_item_key(item), key, item, size)
        else:
            write = _Write(schema.item_key(item), item, None, 0)
        if write.place in writes:
            raise ValidationException(_DUPLICATES)
        writes[write.place] = write
    return schema, list(writes.values())
