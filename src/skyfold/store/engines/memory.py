"""The engine that forgets: a sorted dict in memory, for tests and ephemeral clouds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from sortedcontainers import SortedDict

from skyfold.store.api import Conflict, Pair
from skyfold.store.watches import WatchedPrefix, Watches

T = TypeVar("T")


class MemoryTx:
    """A view of the data with this transaction's writes laid over it."""

    def __init__(self, data: SortedDict[bytes, bytes]) -> None:
        self._data = data
        self.writes: dict[bytes, bytes | None] = {}

    async def get(self, key: bytes) -> bytes | None:
        return self.writes[key] if key in self.writes else self._data.get(key)

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Pair]:
        found: list[Pair] = []
        if limit <= 0 or start >= stop:
            return found
        names: Iterable[bytes] = self._data.irange(start, stop, (True, False), reverse)
        written = {k for k in self.writes if start <= k < stop}
        if written:
            names = sorted({*names, *written}, reverse=reverse)
        for key in names:
            value = self.writes[key] if key in written else self._data[key]
            if value is not None:
                found.append((key, value))
                if len(found) == limit:
                    break
        return found

    async def claim(self, start: bytes, stop: bytes, *, limit: int) -> list[Pair]:
        return await self.scan(start, stop, limit=limit)

    def put(self, key: bytes, value: bytes) -> None:
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        self.writes[key] = None

    def delete_range(self, start: bytes, stop: bytes) -> None:
        for key in [*self._data.irange(start, stop, (True, False))]:
            self.writes[key] = None
        for key in [k for k in self.writes if start <= k < stop]:
            self.writes[key] = None


class MemoryStore:
    """Transactions run one at a time, to their end: nothing ever conflicts unless told to."""

    def __init__(self) -> None:
        self._data: SortedDict[bytes, bytes] = SortedDict()
        self._watches = Watches()
        self._sources: list[Callable[[], Iterable[Pair]]] = []
        self.conflicts_to_inject = 0

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        return await fn(MemoryTx(self._data), *args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        while True:
            tx = MemoryTx(self._data)
            result = await fn(tx, *args)
            try:
                self._commit(tx)
            except Conflict:
                continue
            return result

    def _commit(self, tx: MemoryTx) -> None:
        if self.conflicts_to_inject and tx.writes:
            self.conflicts_to_inject -= 1
            raise Conflict
        for key, value in tx.writes.items():
            if value is None:
                self._data.pop(key, None)
            else:
                self._data[key] = value
        self._watches.notice(tx.writes)

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
