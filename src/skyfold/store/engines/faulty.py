"""An engine around another that has conflicts and failures, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from skyfold.base.ids import Ids
from skyfold.store.api import Conflict, Pair, Store, StoreUnavailable, Tx, Watch

T = TypeVar("T")


class FaultyStore:
    """``conflicts`` and ``failures`` are how often (0 to 1) a write has one.

    After a conflict the function runs again, as on a distributed engine; so one that has effects
    beside its tx is found out. A failure is a StoreUnavailable, and nothing was written.
    """

    def __init__(
        self, store: Store, *, seed: int, conflicts: float = 0.2, failures: float = 0.0
    ) -> None:
        self._store = store
        self._dice = Ids(seed)
        self._conflicts, self._failures = conflicts, failures

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        return await self._store.read(fn, *args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        while True:
            try:
                return await self._store.write(self._attempt, fn, args)
            except Conflict:
                continue

    async def _attempt(self, tx: Tx, fn: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
        result = await fn(tx, *args)
        # Raised last, when the function has run: where it raises, nothing is written.
        if self._dice.fraction() < self._conflicts:
            raise Conflict
        if self._dice.fraction() < self._failures:
            raise StoreUnavailable("An injected failure.")
        return result

    def watch(self, prefix: bytes) -> Watch:
        return self._store.watch(prefix)

    def on_commit(self, prefix: bytes, heard: Callable[[], None]) -> None:
        self._store.on_commit(prefix, heard)

    def at_flush(self, source: Callable[[], Iterable[Pair]]) -> None:
        self._store.at_flush(source)

    async def flush(self) -> None:
        await self._store.flush()

    def pairs(self) -> AsyncIterator[list[Pair]]:
        return self._store.pairs()

    async def close(self) -> None:
        await self._store.close()
