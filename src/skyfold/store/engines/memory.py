"""The engine that forgets: a sorted dict in memory, for tests and ephemeral clouds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from sortedcontainers import SortedDict

from skyfold.store.api import Conflict, Pair, StoreUnavailable
from skyfold.store.engines.overlay import Overlay, run_to_end
from skyfold.store.watches import WatchedPrefix, Watches

T = TypeVar("T")
_CLOSED = "The store is closed."


class MemoryTx(Overlay):
    """A view of the data with this transaction's writes laid over it."""

    __slots__ = ("_data",)

    def __init__(self, data: SortedDict[bytes, bytes]) -> None:
        super().__init__()
        self._data = data

    async def get(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        if self.gone and self.hides(key):
            return None
        return self._data.get(key)

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Pair]:
        if limit <= 0 or start >= stop:
            return []
        written = self.written(start, stop)
        if not written and not self.gone:
            return self._base(start, stop, limit, reverse)
        parts = self.shining(start, stop)
        base: list[Pair] = []
        for low, high in reversed(parts) if reverse else parts:
            if (left := limit + len(written) - len(base)) > 0:
                base += self._base(low, high, left, reverse)
        return self.merged(base, written, limit, reverse)

    def _base(self, start: bytes, stop: bytes, limit: int, reverse: bool) -> list[Pair]:
        data = self._data
        names = islice(data.irange(start, stop, (True, False), reverse), limit)
        return [(key, data[key]) for key in names]

    async def claim(self, start: bytes, stop: bytes, *, limit: int) -> list[Pair]:
        return await self.scan(start, stop, limit=limit)


class MemoryStore:
    """Transactions run one at a time, to their end: nothing ever conflicts unless told to."""

    def __init__(self) -> None:
        self._data: SortedDict[bytes, bytes] = SortedDict()
        self._watches = Watches()
        self._sources: list[Callable[[], Iterable[Pair]]] = []
        self._closed = False
        self.conflicts_to_inject = 0

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        return run_to_end(fn, MemoryTx(self._data), args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        while True:
            tx = MemoryTx(self._data)
            result = run_to_end(fn, tx, args)
            try:
                self._commit(tx)
            except Conflict:
                continue
            return result

    def _commit(self, tx: MemoryTx) -> None:
        if self.conflicts_to_inject and (tx.writes or tx.gone):
            self.conflicts_to_inject -= 1
            raise Conflict
        data = self._data
        touched: list[bytes] = []
        for start, stop in tx.gone:
            touched += data.irange(start, stop, (True, False))
        for key in touched:
            data.pop(key, None)
        for key, value in tx.writes.items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self._watches.notice([*touched, *tx.writes] if touched else tx.writes)

    async def pairs(self) -> AsyncIterator[list[Pair]]:
        items = iter(list(self._data.items()))
        while piece := list(islice(items, 1000)):
            yield piece

    def watch(self, prefix: bytes) -> WatchedPrefix:
        return self._watches.watch(prefix)

    def on_commit(self, prefix: bytes, heard: Callable[[], None]) -> None:
        self._watches.listen(prefix, heard)

    def at_flush(self, source: Callable[[], Iterable[Pair]]) -> None:
        self._sources.append(source)

    async def flush(self) -> None:
        for source in self._sources:
            self._data.update(source())

    async def close(self) -> None:
        await self.flush()
        self._closed = True
