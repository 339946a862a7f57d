"""TableDescription and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.services.dynamodb.engine.definitions import names_of
from skyfold.services.dynamodb.tables import IndexRow, KeyRow, TableRow, Units

Counts = Mapping[int, list[int]]
_ON_DEMAND_WARM = (12_000, 4_000)
"""What AWS says a new on-demand table can take at once, in units per second."""


def key_schema(key: KeyRow) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [
        {"AttributeName": name, "KeyType": kind}
        for name, kind in zip(names_of(key), kinds, strict=False)
    ]


def throughput(units: Units) -> dict[str, int]:
    described = {
        "NumberOfDecreasesToday": units.decreases_today,
        "ReadCapacityUnits": units.read,
        "WriteCapacityUnits": units.write,
    }
    if units.increased_at:
        described["LastIncreaseDateTime"] = units.increased_at
    if units.decreased_at:
        described["LastDecreaseDateTime"] = units.decreased_at
    return described


def warm(row: TableRow, units: Units, status: str) -> dict[str, Any]:
    floor = _ON_DEMAND_WARM if row.on_demand else (units.read, units.write)
    return {
        "ReadUnitsPerSecond": max(floor[0], row.warm[0]),
        "WriteUnitsPerSecond": max(floor[1], row.warm[1]),
        "Status": status,
    }


def _index(row: TableRow, index: IndexRow, counts: Counts, status: str) -> dict[str, Any]:
    items, size = counts.get(index.tree, (0, 0))
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.included:
        projection["NonKeyAttributes"] = list(index.included)
    described = {
        "IndexName": index.name,
        "KeySchema": key_schema(index.key),
        "Projection": projection,
        "IndexSizeBytes": size,
        "ItemCount": items,
        "IndexArn": f"{row.arn}/index/{index.name}",
    }
    if index.is_global:
        described["IndexStatus"] = status or index.status
        described["ProvisionedThroughput"] = throughput(index.units)
        if index.status == "CREATING":
            described["Backfilling"] = True
        if not status:
            described["WarmThroughput"] = warm(row, index.units, "ACTIVE")
    return described


def table(row: TableRow, counts: Counts, status: str, *, changing: Any = None) -> dict[str, Any]:
    """The description. ``status`` is the table's; ``changing`` is set for the reply to a change,
    which tells the state that the change begins with: indexes by name and their status."""
    items, size = counts.get(row.tree, (0, 0))
    described: dict[str, Any] = {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in row.attributes
        ],
        "TableName": row.name,
        "KeySchema": key_schema(row.key),
        "TableStatus": status,
        "CreationDateTime": row.created_at,
        "ProvisionedThroughput": throughput(row.units),
        "TableSizeBytes": size,
        "ItemCount": items,
        "TableArn": row.arn,
        "TableId": row.id,
        "DeletionProtectionEnabled": row.protected,
    }
    states: Mapping[str, str] = changing or {}
    for member, is_global in (("LocalSecondaryIndexes", False), ("GlobalSecondaryIndexes", True)):
        indexes = [
            _index(row, index, counts, states.get(index.name, ""))
            for index in row.indexes
            if index.is_global is is_global
        ]
        if indexes:
            described[member] = indexes
    if changing is None:
        described["WarmThroughput"] = warm(row, row.units, "ACTIVE")
    elif row.warm != (0, 0):
        described["WarmThroughput"] = warm(row, row.units, "UPDATING")
    described.update(_modes(row))
    return described


def _modes(row: TableRow) -> dict[str, Any]:
    modes: dict[str, Any] = {}
    if row.on_demand or row.on_demand_since:
        summary: dict[str, Any] = {
            "BillingMode": "PAY_PER_REQUEST" if row.on_demand else "PROVISIONED"
        }
        if row.on_demand_since:
            summary["LastUpdateToPayPerRequestDateTime"] = row.on_demand_since
        modes["BillingModeSummary"] = summary
    if row.table_class:
        modes["TableClassSummary"] = {"TableClass": row.table_class}
    return modes


def deleted(row: TableRow, counts: Counts) -> dict[str, Any]:
    """What DeleteTable says of the table that it deletes."""
    whole = table(row, counts, "DELETING", changing={})
    kept = (
        "TableName",
        "TableStatus",
        "ProvisionedThroughput",
        "TableSizeBytes",
        "ItemCount",
        "TableArn",
        "TableId",
        "DeletionProtectionEnabled",
        "BillingModeSummary",
        "TableClassSummary",
    )
    return {name: whole[name] for name in kept if name in whole}
