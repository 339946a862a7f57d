"""Capacity units: what an operation consumes, and the ConsumedCapacity that reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.services.dynamodb.limits import READ_UNIT_BYTES, WRITE_UNIT_BYTES

Units = int | float
TRANSACTIONAL = 2
"""A transaction costs twice."""


def read_units(size: int, *, consistent: bool) -> Units:
    """For ``size`` bytes; nothing found costs as much as the smallest item."""
    units = max(1, -(-size // READ_UNIT_BYTES))
    return units if consistent else units / 2


def write_units(size: int) -> int:
    return max(1, -(-size // WRITE_UNIT_BYTES))


class Consumed:
    """Units of one table and its indexes."""

    __slots__ = ("global_", "local", "table")

    def __init__(self, table: Units = 0) -> None:
        self.table = table
        self.local: dict[str, Units] = {}
        self.global_: dict[str, Units] = {}

    def add_index(self, name: str, units: Units, *, is_global: bool) -> None:
        units_of = self.global_ if is_global else self.local
        units_of[name] = units_of.get(name, 0) + units

    def add(self, other: Consumed) -> None:
        self.table += other.table
        for name, units in other.local.items():
            self.add_index(name, units, is_global=False)
        for name, units in other.global_.items():
            self.add_index(name, units, is_global=True)

    def times(self, factor: int) -> Consumed:
        scaled = Consumed(self.table * factor)
        scaled.local = {name: units * factor for name, units in self.local.items()}
        scaled.global_ = {name: units * factor for name, units in self.global_.items()}
        return scaled

    @property
    def total(self) -> Units:
        return self.table + sum(self.local.values()) + sum(self.global_.values())

    def reply(
        self, request: Mapping[str, Any], table: str, *, split: str = ""
    ) -> dict[str, Any] | None:
        """ConsumedCapacity as ``request`` wants it; ``split`` is Read or Write where the API tells
        the two apart."""
        mode = request.get("ReturnConsumedCapacity", "NONE")
        if mode == "NONE":
            return None
        out: dict[str, Any] = {"TableName": table, **_units(self.total, split)}
        if mode == "INDEXES":
            out["Table"] = _units(self.table, split)
            for member, units_of in (
                ("LocalSecondaryIndexes", self.local),
                ("GlobalSecondaryIndexes", self.global_),
            ):
                if units_of:
                    out[member] = {name: _units(units, split) for name, units in units_of.items()}
        return out


def _units(units: Units, split: str) -> dict[str, float]:
    counted = {"CapacityUnits": float(units)}
    if split:
        counted[f"{split}CapacityUnits"] = float(units)
    return counted
