"""RocksDB's files: how they are opened, synced in a thread, and opened again after a failure."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DBCompressionType,
    Options,
    Rdict,
)

from skyfold.base.clock import stopwatch
from skyfold.store.api import Pair, StoreInUse, StoreUnavailable

_MIB = 1024 * 1024
_WRITE_BUFFER_BYTES = 8 * _MIB
"""Also what is replayed, at the most, by the start after a crash (0.1 s)."""
_RESERVE_BYTES = 64 * _MIB
"""Writes are refused while the volume has less than this left (or a tenth, on a small volume), so
that RocksDB's own background work never meets a full disk."""
_HEAL_EVERY_S = 0.5
_LOOK_EVERY_S = 0.2


class Disk:
    """One open RocksDB, and what is known of the health of the disk under it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.trouble = ""
        """Why writes fail; empty while they do not."""
        self.lost = ""
        """Why it cannot even be read; empty while it can."""
        self._broken = False
        self._views = 0
        self._healed_at = self._looked_at = 0.0
        space = os.statvfs(folder)
        self._reserve = min(_RESERVE_BYTES, space.f_blocks * space.f_frsize // 10)
        self.db = self._open()
        self._owner.write_text(f"{os.getpid()}\n")

    @property
    def _owner(self) -> Path:
        return self._folder / "pid"

    def _open(self) -> Rdict:
        try:
            return Rdict(str(self._folder), _options())
        except Exception as error:
            if "While lock file" in str(error) or "lock hold by" in str(error):
                raise StoreInUse(self._who()) from None
            raise StoreUnavailable(f"{self._folder} cannot be opened: {error}") from error

    def _who(self) -> str:
        owner = "another process"
        with suppress(OSError):
            pid = self._owner.read_text().strip()
            owner = "this process" if pid == str(os.getpid()) else f"process {pid}"
        return f"The data folder {self._folder} is in use by {owner}."

    def sync(self) -> None:
        """Put the log on disk; called in the flusher's thread."""
        try:
            self.db.flush_wal(True)
        except Exception as error:
            # RocksDB refuses to sync a log whose last append failed, but what was appended
            # before is whole, and its writers need no failure.
            self.broken(str(error))
            for log in self._folder.glob("*.log"):
                _sync_file(log)
        self._look()

    def broken(self, why: str) -> None:
        """A write failed: RocksDB has to be opened again before the next."""
        self._broken = True
        self.trouble = why

    def _look(self) -> None:
        """Note in time that the volume runs full."""
        now = stopwatch()
        if self._broken or now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self.trouble = "" if self._has_room() else self._full

    @property
    def _full(self) -> str:
        return f"less than {self._reserve // _MIB} MiB are free for {self._folder}"

    def _has_room(self) -> bool:
        space = os.statvfs(self._folder)
        return space.f_bavail * space.f_frsize >= self._reserve

    def heal(self) -> bool:
        """Make the database writable again, or raise StoreUnavailable; True if it was reopened.

        No other thread may use it meanwhile.
        """
        now = stopwatch()
        if now - self._healed_at < _HEAL_EVERY_S and self._broken:
            raise StoreUnavailable(f"The store takes no writes: {self.trouble}")
        self._healed_at = now
        if not self._has_room():
            self.trouble = self._full
            raise StoreUnavailable(f"The store takes no writes: {self._full}.")
        if self._broken:
            self._reopen()
        self.trouble = ""
        reopened, self._broken = self._broken, False
        return reopened

    def _reopen(self) -> None:
        """Replays the log, whose last entry may be torn; goes on reading as long as it can."""
        if self._views:
            raise StoreUnavailable(f"The store takes no writes while it is copied: {self.trouble}")
        logs_bytes = sum(log.stat().st_size for log in self._folder.glob("*.log"))
        try:
            _try_room(self._folder / "room", logs_bytes + 4 * _MIB)
        except OSError as error:
            raise StoreUnavailable(f"The store takes no writes: {error}") from error
        with suppress(Exception):  # it repeats the failure that made it necessary
            self.db.close()
        self.lost = f"{self._folder} could not be opened again after: {self.trouble}"
        self.db = self._open()
        self.lost = ""

    @contextmanager
    def view(self) -> Iterator[View]:
        """All pairs as they stand now."""
        view = View(self.db)
        self._views += 1
        try:
            yield view
        finally:
            self._views -= 1
            view.drop()

    def close(self) -> None:
        with suppress(Exception):
            self.db.flush(True)  # so that the next start has no log to replay
        with suppress(Exception):
            self.db.close()
        del self.db
        self._owner.unlink(missing_ok=True)


class View:
    """The only holder of an iterator: RocksDB stays open for as long as one exists anywhere."""

    def __init__(self, db: Rdict) -> None:
        self._items: Iterator[Any] | None = db.snapshot().items()

    def next(self, count: int) -> list[Pair]:
        return list(islice(self._items or (), count))

    def drop(self) -> None:
        self._items = None


class Flusher:
    """The one thread that syncs."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._jobs: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="skyfold-flusher", daemon=True)
        self._thread.start()

    def sync(self, done: Callable[..., None], *args: Any) -> None:
        """Sync, then call ``done(*args, failure)`` on the loop that asked."""
        self._jobs.put((asyncio.get_running_loop(), done, args))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, done, args = job
            failure: StoreUnavailable | None = None
            try:
                self._disk.sync()
            except Exception as error:
                failure = StoreUnavailable(f"The write may not have reached the disk: {error}")
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(done, *args, failure)

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()


def _sync_file(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _try_room(path: Path, size: int) -> None:
    """Raise OSError unless a file may become ``size`` bytes long here."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)
        path.unlink()


def _options() -> Options:
    """For point reads and short scans of small rows, in little memory."""
    table = BlockBasedOptions()
    table.set_block_cache(Cache(24 * _MIB))
    table.set_bloom_filter(10, False)
    table.set_format_version(5)
    # Indexes and filters are cut into small blocks: one of a megabyte fits no shard of the cache,
    # and would be read again by every look-up.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(4096)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_top_level_index_and_filter(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    table.set_data_block_hash_ratio(0.75)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_level_zero_file_num_compaction_trigger(4)
    # Queues leave files of little else than deletions behind: those are compacted first.
    options.add_compact_on_deletion_collector_factory(1024, 512, 0.5)
    options.set_max_background_jobs(2)
    options.set_max_open_files(512)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
