"""Usage that will be billed: counters in memory, written with every group commit.

A counter belongs to an hour and a node and only ever rises, so its row is overwritten with the sum
so far. What a client was told to be done has been flushed, and its usage with it; usage of reads
is flushed within a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from skyfold.store.api import Pair, ReadTx
from skyfold.store.tables import Table

if TYPE_CHECKING:
    from skyfold.kernel.call import Call

HOUR_MS = 3_600_000


class Usage(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one node counted of one usage type of one resource in one hour."""

    account: str
    hour: int
    """Hours since the epoch."""
    region: str
    service: str
    usage_type: str
    operation: str
    resource: str
    node: str
    quantity: float


USAGE = Table(
    "kernel.usage",
    Usage,
    key=("account", "hour", "region", "service", "usage_type", "operation", "resource", "node"),
)

_Counter = tuple[str, int, str, str, str, str, str]


class Meters:
    """The counters of one run of one node. ``node`` must be new for every run."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._sums: dict[_Counter, float] = {}
        self._keys: dict[_Counter, bytes] = {}
        """The packed key of each row."""
        self._changed: set[_Counter] = set()
        self._newest = 0
        """The hour that was counted last."""

    def count(self, call: Call, usage_type: str, quantity: float, resource: str) -> None:
        hour = call.now // HOUR_MS
        service, _, operation = call.operation.partition(":")
        counter = (call.account, hour, call.region, service, usage_type, operation, resource)
        self._sums[counter] = self._sums.get(counter, 0) + quantity
        self._changed.add(counter)

    def take_changed(self) -> Iterable[Pair]:
        """The rows of the counters that rose since the last time."""
        changed, self._changed = self._changed, set()
        pairs, newest = [], self._newest
        for counter in changed:
            account, hour, region, service, usage_type, operation, resource = counter
            row = Usage(
                account=account,
                hour=hour,
                region=region,
                service=service,
                usage_type=usage_type,
                operation=operation,
                resource=resource,
                node=self._node,
                quantity=self._sums[counter],
            )
            key = self._keys.get(counter)
            if key is None:
                key = self._keys[counter] = USAGE.key_of(row)
                newest = max(newest, hour)
            pairs.append((key, _encode(row)))
        if newest > self._newest:  # once an hour: there may be many counters
            self._newest = newest
            for old in [c for c in self._sums if c[1] < newest and c not in self._changed]:
                del self._sums[old], self._keys[old]
        return pairs


_encode = msgspec.msgpack.Encoder().encode


async def usage_between(tx: ReadTx, account: str, first_hour: int, end_hour: int) -> list[Usage]:
    """Rows of ``account`` with first_hour <= hour < end_hour."""
    return await USAGE.scan(
        tx, account, above=(first_hour - 1,), below=(end_hour,), limit=1_000_000
    )
