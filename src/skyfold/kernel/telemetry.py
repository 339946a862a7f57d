"""AWS/... metrics: per minute and node, summed in memory, written with every group commit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

import msgspec

from skyfold.store.api import Pair
from skyfold.store.tables import Table

MINUTE_MS = 60_000
KEPT_MINUTES = 3


class MetricMinute(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one node saw of one metric in one minute."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: str
    """``name=value`` pairs, sorted, joined by NUL."""
    minute: int
    """Minutes since the epoch."""
    node: str
    unit: str
    count: float
    sum: float
    minimum: float
    maximum: float


METRICS = Table(
    "kernel.metrics",
    MetricMinute,
    key=("account", "region", "namespace", "name", "dimensions", "minute", "node"),
)

_Series = tuple[str, str, str, str, str, int]


class Metrics:
    """The metrics of one run of one node."""

    def __init__(self, node: str, now: Callable[[], int]) -> None:
        self._node, self._now = node, now
        self._seen: dict[_Series, list[float]] = {}
        """Count, sum, minimum and maximum."""
        self._known: dict[_Series, tuple[bytes, str]] = {}
        """The packed key of each row, and its unit."""
        self._changed: set[_Series] = set()
        self._oldest = 0

    def record(
        self,
        account: str,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        dimensions: Mapping[str, str],
    ) -> None:
        packed = _packed(*dimensions.items())
        series = (account, region, namespace, name, packed, self._now() // MINUTE_MS)
        seen = self._seen.get(series)
        if seen is None:
            self._seen[series] = [1, value, value, value]
            self._known[series] = METRICS.prefix(*series, self._node), unit
        else:
            seen[0] += 1
            seen[1] += value
            if value < seen[2]:
                seen[2] = value
            elif value > seen[3]:
                seen[3] = value
        self._changed.add(series)

    def take_changed(self) -> Iterable[Pair]:
        """The rows of what changed since the last time."""
        changed, self._changed = self._changed, set()
        pairs = []
        for series in changed:
            account, region, namespace, name, dimensions, minute = series
            count, total, low, high = self._seen[series]
            key, unit = self._known[series]
            row = MetricMinute(
                account=account,
                region=region,
                namespace=namespace,
                name=name,
                dimensions=dimensions,
                minute=minute,
                node=self._node,
                unit=unit,
                count=count,
                sum=total,
                minimum=low,
                maximum=high,
            )
            pairs.append((key, _encode(row)))
        self._forget_before(self._now() // MINUTE_MS - KEPT_MINUTES)
        return pairs

    def _forget_before(self, oldest: int) -> None:
        """Once a minute: there may be many series, and a flush comes after every few requests."""
        if oldest == self._oldest:
            return
        self._oldest = oldest
        for old in [s for s in self._seen if s[5] < oldest]:
            del self._seen[old], self._known[old]


_encode = msgspec.msgpack.Encoder().encode


@functools.lru_cache(maxsize=4096)
def _packed(*dimensions: tuple[str, str]) -> str:
    return "\0".join(f"{name}={value}" for name, value in sorted(dimensions))
