"""UpdateTable: billing, throughput, global indexes, protection, table class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import cancel, schedule
from skyfold.kernel.service import Request
from skyfold.services.dynamodb.engine import definitions
from skyfold.services.dynamodb.engine.keys import successor
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.errors import (
    LimitExceededException,
    ResourceInUseException,
    ResourceNotFoundException,
    ValidationException,
    invalid,
)
from skyfold.services.dynamodb.limits import DAY_MS, FREE_DECREASES_PER_DAY, HOUR_MS
from skyfold.services.dynamodb.operations import descriptions
from skyfold.services.dynamodb.operations.filling import fill_page, filled, put_row
from skyfold.services.dynamodb.operations.storage import counts_of, forget_counts
from skyfold.services.dynamodb.operations.tables import (
    FILL,
    checked_billing,
    named_table,
    new_tree,
    status_of,
)
from skyfold.services.dynamodb.tables import IndexRow, TableRow, Units
from skyfold.store.api import Tx

replaced = msgspec.structs.replace
_CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "GlobalSecondaryIndexUpdates",
    "SSESpecification",
    "ReplicaUpdates",
    "DeletionProtectionEnabled",
    "TableClass",
    "WarmThroughput",
    "OnDemandThroughput",
)


async def update_table(tx: Tx, call: Call, request: Request) -> Any:
    definitions.refuse_unsupported(request)
    if not any(request.get(change) not in (None, []) for change in _CHANGES):
        raise ValidationException(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
            "GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"
        )
    schema = await named_table(tx, call, request["TableName"])
    if status_of(schema.row) != "ACTIVE":
        raise ResourceInUseException(
            f"Attempt to change a resource which is still in use: Table is being updated: "
            f"{schema.name}"
        )
    updates = _index_updates(request)
    row = _billing(call, request, schema.row, updates)
    row = _settings(request, row)
    changing: dict[str, str] = {}
    for update in updates:
        row = await _index_update(tx, call, request, schema, row, update, changing)
    definitions.check_indexes(row.indexes)
    definitions.check_defined([row.key, *(index.key for index in row.indexes)], row.attributes)
    put_row(tx, row)
    described = row
    if "DELETING" in changing.values():
        gone = [index for index in schema.row.indexes if changing.get(index.name) == "DELETING"]
        described = replaced(row, indexes=(*row.indexes, *gone))
    counts = await counts_of(tx, schema)
    status = "UPDATING" if changing or row.units != schema.row.units else "ACTIVE"
    return {"TableDescription": descriptions.table(described, counts, status, changing=changing)}


def _index_updates(request: Request) -> list[tuple[str, Mapping[str, Any]]]:
    """What is to be done with indexes, as pairs of Create, Update or Delete and its parameters."""
    updates: list[tuple[str, Mapping[str, Any]]] = []
    for each in request.get("GlobalSecondaryIndexUpdates") or ():
        if len(each) != 1:
            raise invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        updates.extend(each.items())
    names = [given["IndexName"] for _, given in updates]
    for name in names:
        if names.count(name) > 1:
            raise invalid(
                "Only one global secondary index update per index is allowed simultaneously. "
                f"Index: {name}"
            )
    if sum(action != "Update" for action, _ in updates) > 1:
        raise LimitExceededException(
            "Subscriber limit exceeded: Only 1 online index can be created or deleted "
            "simultaneously per table"
        )
    return updates


def _billing(
    call: Call, request: Request, row: TableRow, updates: list[tuple[str, Mapping[str, Any]]]
) -> TableRow:
    mode = request.get("BillingMode")
    on_demand = row.on_demand if mode is None else mode == "PAY_PER_REQUEST"
    given = request.get("ProvisionedThroughput")
    if on_demand and not row.on_demand:
        checked_billing(request, on_demand=True)
        indexes = tuple(replaced(index, units=Units()) for index in row.indexes)
        since = call.now
        return replaced(row, on_demand=True, on_demand_since=since, units=Units(), indexes=indexes)
    if on_demand:
        checked_billing(request, on_demand=True)
        return row
    if row.on_demand:
        units = checked_billing(request, on_demand=False)
        named = {params["IndexName"] for action, params in updates if action != "Create"}
        for index in row.indexes:
            if index.is_global and index.name not in named:
                raise invalid(f"ProvisionedThroughput must be specified for index: {index.name}")
        return replaced(row, on_demand=False, units=units)
    if given is None:
        return row
    return replaced(row, units=_changed(call, row.units, given, "table"))


def _changed(call: Call, old: Units, given: Mapping[str, int], what: str) -> Units:
    """New throughput, with what is remembered of increases and decreases."""
    new = definitions.units_of(given)
    if (new.read, new.write) == (old.read, old.write):
        raise ValidationException(
            f"The provisioned throughput for the {what} will not change. The requested value "
            f"equals the current value. Current ReadCapacityUnits provisioned for the {what}: "
            f"{old.read}. Requested ReadCapacityUnits: {new.read}. Current WriteCapacityUnits "
            f"provisioned for the {what}: {old.write}. Requested WriteCapacityUnits: {new.write}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request "
            "higher limits."
        )
    now, decreases = call.now, old.decreases_today
    increased_at, decreased_at = old.increased_at, old.decreased_at
    if new.read > old.read or new.write > old.write:
        increased_at = now
    if new.read < old.read or new.write < old.write:
        if decreased_at // DAY_MS != now // DAY_MS:
            decreases = 0
        if decreases >= FREE_DECREASES_PER_DAY and now - decreased_at < HOUR_MS:
            raise LimitExceededException(
                "Subscriber limit exceeded: Provisioned throughput decreases are limited within "
                "a given UTC day. After the first 4 decreases, each subsequent decrease in the "
                "same UTC day can be performed at most once every 3600 seconds."
            )
        decreases, decreased_at = decreases + 1, now
    return replaced(
        new, increased_at=increased_at, decreased_at=decreased_at, decreases_today=decreases
    )


def _settings(request: Request, row: TableRow) -> TableRow:
    warm = request.get("WarmThroughput")
    if warm is not None:
        asked = (warm.get("ReadUnitsPerSecond", 0), warm.get("WriteUnitsPerSecond", 0))
        row = replaced(row, warm=asked)
    return replaced(
        row,
        protected=request.get("DeletionProtectionEnabled", row.protected),
        table_class=request.get("TableClass", row.table_class),
    )


async def _index_update(
    tx: Tx,
    call: Call,
    request: Request,
    schema: Schema,
    row: TableRow,
    update: tuple[str, Mapping[str, Any]],
    changing: dict[str, str],
) -> TableRow:
    action, given = update
    name = given["IndexName"]
    index = next((each for each in row.indexes if each.name == name and each.is_global), None)
    if action == "Create":
        changing[name] = "CREATING"
        return await _create_index(tx, call, request, row, given)
    if index is None:
        raise ResourceNotFoundException
    if action == "Delete":
        changing[name] = "DELETING"
        return await _delete_index(tx, schema, row, index)
    if "ProvisionedThroughput" not in given or row.on_demand:
        definitions.refuse_unsupported(given)
        raise invalid(f"ProvisionedThroughput cannot be updated for index: {name}")
    changing[name] = "UPDATING"
    units = _changed(call, index.units, given["ProvisionedThroughput"], "index")
    return _with_index(row, replaced(index, units=units))


def _with_index(row: TableRow, new: IndexRow) -> TableRow:
    indexes = tuple(new if index.name == new.name else index for index in row.indexes)
    return replaced(row, indexes=indexes)


async def _create_index(
    tx: Tx, call: Call, request: Request, row: TableRow, given: Mapping[str, Any]
) -> TableRow:
    """Add the index and fill its first page; a job does the rest of a larger table."""
    name = given["IndexName"]
    if any(index.name == name for index in row.indexes):
        raise ValidationException("Attempting to create an index which already exists")
    index = definitions.index_of(
        given, new_tree(call), is_global=True, on_demand=row.on_demand, status="CREATING"
    )
    attributes = dict(row.attributes)
    attributes.update(definitions.attributes_of(request.get("AttributeDefinitions", ())))
    used = {n for each in (*row.indexes, index) for n in definitions.names_of(each.key)}
    used |= set(definitions.names_of(row.key))
    kept = tuple((n, kind) for n, kind in attributes.items() if n in used)
    for n, kind in row.attributes:
        if attributes[n] != kind:
            raise invalid(f"Attribute {n} is already defined with type {kind}")
    if not set(definitions.names_of(index.key)) <= set(attributes):
        definitions.check_defined([row.key, index.key], tuple(attributes.items()))
    row = replaced(row, attributes=kept, indexes=(*row.indexes, index))
    schema = Schema(row)
    after = await fill_page(tx, schema, schema.by_name[name], b"")
    if not after:
        return filled(row, index.tree)
    payload = {"account": row.account, "region": row.region, "name": row.name, "after": after}
    await schedule(tx, FILL, str(index.tree), due_at=call.now, payload=payload)
    return row


async def _delete_index(tx: Tx, schema: Schema, row: TableRow, index: IndexRow) -> TableRow:
    tree = schema.by_name[index.name]
    tx.delete_range(tree.root, successor(tree.root))
    await cancel(tx, FILL, str(index.tree))
    await forget_counts(tx, schema, index.tree)
    left = tuple(each for each in row.indexes if each.name != index.name)
    used = {n for key in (row.key, *(each.key for each in left)) for n in definitions.names_of(key)}
    attributes = tuple((n, kind) for n, kind in row.attributes if n in used)
    return replaced(row, indexes=left, attributes=attributes)
