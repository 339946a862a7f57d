"""The embedded engine: RocksDB, with one sync to disk for all writers that wait at a time.

A transaction function runs to its end on the event loop, so nothing comes between its reads and
its writes. Its writes go to RocksDB's log unsynced, as one batch; the writer is answered after a
group commit, which is one sync in a thread for everything written since the last one began.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Literal, TypeVar

from rocksdict import Rdict, ReadOptions, WriteBatch

from skyfold.base.clock import stopwatch
from skyfold.store.api import Pair, StoreUnavailable
from skyfold.store.engines.holes import Holes
from skyfold.store.engines.overlay import Overlay, run_to_end
from skyfold.store.engines.rocks_disk import Disk, Flusher
from skyfold.store.watches import WatchedPrefix, Watches

T = TypeVar("T")
_log = logging.getLogger(__name__)
_CLOSED = "The store is closed."
_SLOW_SCAN_S = 100e-6
"""A scan that needs longer than this (and 1 us a pair) has stepped over deleted keys."""
_DELETES_MAX = 512
"""Up to so many keys of a deleted range are deleted one by one. Range tombstones are for long
ranges: each one makes the next read rebuild the list of them all."""
_RELAXED_S = 1.0
_PIECE = 1000


class RocksTx(Overlay):
    """The database with this transaction's writes laid over it."""

    __slots__ = ("_get", "_store")

    def __init__(self, store: RocksStore) -> None:
        # As Overlay does; a call to it would cost a twentieth of a small transaction.
        self.writes = {}
        self.gone = []
        self._order = None
        self._store = store
        self._get = store.get

    async def get(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        if self.gone and self.hides(key):
            return None
        return self._get(key)

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Pair]:
        if limit <= 0 or start >= stop:
            return []
        written = self.written(start, stop) if self.writes else None
        if not written and not self.gone:
            return self._store.scan(start, stop, limit, reverse)
        written = written or []
        parts = self.shining(start, stop)
        base: list[Pair] = []
        for low, high in reversed(parts) if reverse else parts:
            if (left := limit + len(written) - len(base)) > 0:
                base += self._store.scan(low, high, left, reverse)
        return self.merged(base, written, limit, reverse)

    async def claim(self, start: bytes, stop: bytes, *, limit: int) -> list[Pair]:
        return await self.scan(start, stop, limit=limit)


class RocksStore:
    """One RocksDB in one folder, owned by one process.

    ``durability="relaxed"`` answers writers before the sync, which then happens within a second:
    a crash of the machine may forget the last second. (A crash of the process alone forgets
    nothing, as the operating system has the log.)
    """

    def __init__(
        self,
        folder: Path,
        *,
        durability: Literal["strict", "relaxed"] = "strict",
        slow_scan_s: float = _SLOW_SCAN_S,
    ) -> None:
        self._disk = Disk(folder)
        self._strict = durability == "strict"
        self._listeners = Watches()
        """They hear of a write at once."""
        self._watches = Watches()
        """They hear of a write when it is durable."""
        self._sources: list[Callable[[], Iterable[Pair]]] = []
        self._counted: dict[bytes, bytes] = {}
        """What the flush sources gave and no batch has written yet."""
        self._holes = Holes()
        self._slow_scan_s = slow_scan_s
        self._waiting: list[asyncio.Future[None]] = []
        self._touched: list[Overlay] = []
        self._unsynced = self._flushing = False
        self._shut = ""
        """Why nothing can be read; empty while it can."""
        self._relaxed_timer: asyncio.TimerHandle | None = None
        self._use(self._disk.db)
        self._flusher = Flusher(self._disk)

    def _use(self, db: Rdict) -> None:
        self._db = db
        self.get: Callable[[bytes], bytes | None] = db.get

    # --- transactions -------------------------------------------------------------------------

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        if self._shut:
            raise StoreUnavailable(self._shut)
        return run_to_end(fn, RocksTx(self), args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        if self._shut or self._disk.trouble:
            self._be_well()
        tx = RocksTx(self)
        result = run_to_end(fn, tx, args)
        if tx.writes or tx.gone:
            self._commit(tx)
        if self._strict and (self._unsynced or self._flushing):
            # Also without writes of its own: the answer may tell of what others have written.
            await self._durable()
        return result

    def scan(self, start: bytes, stop: bytes, limit: int, reverse: bool) -> list[Pair]:
        """Pairs of the database itself."""
        if self._holes and (start := self._holes.skip(start)) >= stop:
            return []
        bounds = ReadOptions()
        if reverse:
            bounds.set_iterate_upper_bound(stop)
            items: Iterator[Any] = self._db.items(True, stop, bounds)
            # rocksdict 0.3.29 takes a lower bound for an upper one.
            return list(islice(takewhile(lambda pair: pair[0] >= start, items), limit))
        bounds.set_iterate_upper_bound(stop)
        begun = stopwatch()
        found: list[Any] = list(islice(self._db.items(False, start, bounds), limit))
        if stopwatch() - begun > self._slow_scan_s + 1e-6 * len(found):
            self._holes.add(start, found[0][0] if found else stop)
        return found

    def _commit(self, tx: Overlay) -> None:
        batch = WriteBatch(True)
        for start, stop in tx.gone:
            self._delete_range(batch, start, stop)
        put = batch.put
        for key, value in tx.writes.items():
            if value is None:
                batch.delete(key)
            else:
                put(key, value)
        self._write(batch)
        if self._holes:
            for key in tx.writes:
                self._holes.fill(key)
        _tell(self._listeners, tx)
        if self._watches:
            self._touched.append(tx)
        if not self._strict:
            self._relax()

    def _delete_range(self, batch: WriteBatch, start: bytes, stop: bytes) -> None:
        few = [key for key, _ in self.scan(start, stop, _DELETES_MAX + 1, False)]
        if len(few) > _DELETES_MAX:
            batch.delete_range(start, stop)
        else:
            for key in few:
                batch.delete(key)

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._db.write(batch)
        except Exception as error:
            self._disk.broken(str(error))
            raise StoreUnavailable(f"The write failed and changed nothing: {error}") from error
        self._unsynced = True

    def _be_well(self) -> None:
        """Raise StoreUnavailable unless the disk takes writes (again)."""
        if self._shut == _CLOSED:
            raise StoreUnavailable(_CLOSED)
        if self._flushing:
            raise StoreUnavailable(f"The store takes no writes: {self._disk.trouble}")
        try:
            reopened = self._disk.heal()
        finally:
            self._shut = self._disk.lost
        if reopened:
            self._use(self._disk.db)
            self._holes.clear()
            self._listeners.notice_all()

    # --- group commit -------------------------------------------------------------------------

    async def _durable(self) -> None:
        """Return when everything written so far is on disk."""
        loop = asyncio.get_running_loop()
        synced = loop.create_future()
        self._waiting.append(synced)
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._begin_flush)
        await synced

    def _begin_flush(self) -> None:
        self._count()
        self._unsynced = False
        waiting, self._waiting = self._waiting, []
        touched, self._touched = self._touched, []
        self._flusher.sync(self._end_flush, waiting, touched)

    def _end_flush(
        self,
        waiting: list[asyncio.Future[None]],
        touched: list[Overlay],
        failure: StoreUnavailable | None,
    ) -> None:
        for tx in touched:
            _tell(self._watches, tx)
        for synced in waiting:
            if synced.done():  # cancelled
                continue
            if failure is None:
                synced.set_result(None)
            else:
                synced.set_exception(StoreUnavailable(*failure.args))
        if self._waiting:
            self._begin_flush()
        else:
            self._flushing = False

    def _count(self) -> None:
        """Write what the flush sources hold; what fails to be written is kept for the next time."""
        for source in self._sources:
            try:
                self._counted.update(source())
            except Exception:  # the writers that wait must not suffer for it
                _log.exception("A flush source failed")
        if not self._counted or self._disk.trouble:
            return
        batch = WriteBatch(True)
        for key, value in self._counted.items():
            batch.put(key, value)
            self._holes.fill(key)
        try:
            self._write(batch)
        except StoreUnavailable:
            return
        self._counted = {}

    def _relax(self) -> None:
        touched, self._touched = self._touched, []
        for tx in touched:
            _tell(self._watches, tx)
        if self._relaxed_timer is None:
            loop = asyncio.get_running_loop()
            self._relaxed_timer = loop.call_later(_RELAXED_S, self._relaxed_flush)

    def _relaxed_flush(self) -> None:
        self._relaxed_timer = None
        if not self._flushing:
            self._flushing = True
            self._begin_flush()

    # --- the rest of the contract -------------------------------------------------------------

    def watch(self, prefix: bytes) -> WatchedPrefix:
        return self._watches.watch(prefix)

    def on_commit(self, prefix: bytes, heard: Callable[[], None]) -> None:
        self._listeners.listen(prefix, heard)

    def at_flush(self, source: Callable[[], Iterable[Pair]]) -> None:
        self._sources.append(source)

    async def flush(self) -> None:
        if self._shut or self._disk.trouble:
            self._be_well()
        self._count()
        if self._unsynced or self._flushing:
            await self._durable()

    async def pairs(self) -> AsyncIterator[list[Pair]]:
        if self._shut:
            raise StoreUnavailable(self._shut)
        with self._disk.view() as view:
            while piece := await asyncio.to_thread(view.next, _PIECE):
                yield piece

    async def close(self) -> None:
        if self._shut == _CLOSED:
            return
        self._shut = _CLOSED
        if self._relaxed_timer is not None:
            self._relaxed_timer.cancel()
        try:
            self._count()
            while self._unsynced or self._flushing:
                await self._durable()
        finally:
            await asyncio.to_thread(self._flusher.stop)
            await asyncio.to_thread(self._disk.close)
            del self._db, self.get


def _tell(watches: Watches, tx: Overlay) -> None:
    if not watches:
        return
    watches.notice(tx.writes)
    for start, stop in tx.gone:
        watches.notice_range(start, stop)
