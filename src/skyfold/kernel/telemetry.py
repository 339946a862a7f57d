"""AWS/... metrics: per minute and node, summed in memory, written with every group commit."""

from __future__ import annotations

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
        self._units: dict[_Series, str] = {}
        self._changed: set[_Series] = set()

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
        packed = "\0".join(f"{k}={v}" for k, v in sorted(dimensions.items()))
        series = (account, region, namespace, name, packed, self._now() // MINUTE_MS)
        seen = self._seen.get(series)
        if seen is None:
            self._seen[series] = [1, value, value, value]
            self._units[series] = unit
        else:
            seen[0] += 1
            seen[1] += value
            seen[2] = min(seen[2], value)
            seen[3] = max(seen[3], value)
        self._changed.add(series)

    def take_changed(self) -> Iterable[Pair]:
        """The rows of what changed since the last time."""
        changed, self._changed = self._changed, set()
        pairs = []
        for series in changed:
            account, region, namespace, name, dimensions, minute = series
            count, total, low, high = self._seen[series]
            row = MetricMinute(
                account=account,
                region=region,
                namespace=namespace,
                name=name,
                dimensions=dimensions,
                minute=minute,
                node=self._node,
                unit=self._units[series],
                count=count,
                sum=total,
                minimum=low,
                maximum=high,
            )
            pairs.append((METRICS.key_of(row), msgspec.msgpack.encode(row)))
        oldest = self._now() // MINUTE_MS - KEPT_MINUTES
        for old in [s for s in self._seen if s[5] < oldest]:
            del self._seen[old], self._units[old]
        return pairs
