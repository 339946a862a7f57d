"""The distributed engine: any number of equal nodes on one PostgreSQL database.

One table holds all pairs. Transactions are SERIALIZABLE and run again after a conflict. Writes are
kept in the transaction's overlay and sent as one statement, which also notifies the other nodes of
the keys it touches, so that their watches and caches hear of it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeVar

from skyfold.base.clock import SystemClock
from skyfold.base.ids import Ids
from skyfold.store.api import Pair, StoreUnavailable
from skyfold.store.engines.overlay import Overlay
from skyfold.store.watches import WatchedPrefix, Watches

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
_log = logging.getLogger(__name__)
_CLOSED = "The store is closed."
_CHANNEL = "skyfold"
_CONNECTIONS_MAX = 16
_PIECE = 1000
KEY_BYTES_MAX = 2600
"""What fits an index entry of PostgreSQL, a third of a page."""
_NOTICE_BYTES_MAX = 7_900
"""PostgreSQL takes payloads under 8000 bytes."""
_NOTICED_KEY_BYTES = 96
"""A touched key is told of by so many bytes of it; whoever watches more of it is woken too."""
_COUNT_AFTER_S = 0.1
_RECONNECT_MS = 500
_CLOSE_S = 10
_BACKOFF_MS = (0, 0, 1, 2, 4, 8, 16, 32)
_BACKOFF_MS_MAX = 64

_CREATE = """
SELECT pg_advisory_xact_lock(7311154);
CREATE TABLE IF NOT EXISTS skyfold (key bytea PRIMARY KEY, value bytea NOT NULL);
"""
_SESSION = {
    # Only ever the primary key: reading the whole table would conflict with every writer.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "application_name": "skyfold",
}
_GET = "SELECT value FROM skyfold WHERE key = $1"
_SCAN = "SELECT key, value FROM skyfold WHERE key >= $1 AND key < $2 ORDER BY key {} LIMIT $3"
_UP, _DOWN = _SCAN.format(""), _SCAN.format("DESC")
_CLAIM = _UP + " FOR UPDATE SKIP LOCKED"
_ALL = "SELECT key, value FROM skyfold ORDER BY key"
_DELETE_RANGE = "DELETE FROM skyfold WHERE key >= $1 AND key < $2"
_PUT = (
    "INSERT INTO skyfold SELECT * FROM unnest($1::bytea[], $2::bytea[])"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_WRITE = (
    f"WITH put AS ({_PUT}), deleted AS (DELETE FROM skyfold WHERE key = ANY($3::bytea[]))"
    f" SELECT pg_notify('{_CHANNEL}', $4)"
)


class PostgresTx(Overlay):
    """A snapshot of the database with this transaction's writes laid over it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__()
        self._connection = connection

    async def get(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        if self.gone and self.hides(key):
            return None
        found: bytes | None = await self._connection.fetchval(_GET, key)
        return found

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Pair]:
        return await self._scan(_DOWN if reverse else _UP, start, stop, limit, reverse)

    async def claim(self, start: bytes, stop: bytes, *, limit: int) -> list[Pair]:
        return await self._scan(_CLAIM, start, stop, limit, False)

    async def _scan(
        self, query: str, start: bytes, stop: bytes, limit: int, reverse: bool
    ) -> list[Pair]:
        if limit <= 0 or start >= stop:
            return []
        written = self.written(start, stop)
        parts = self.shining(start, stop) if self.gone else [(start, stop)]
        base: list[Pair] = []
        for low, high in reversed(parts) if reverse else parts:
            if (left := limit + len(written) - len(base)) > 0:
                rows = await self._connection.fetch(query, low, high, left)
                base += [(key, value) for key, value in rows]
        if not written:
            return base
        return self.merged(base, written, limit, reverse)

    async def send(self, node: str) -> None:
        """Write what the overlay holds, before the commit."""
        for start, stop in self.gone:
            await self._connection.execute(_DELETE_RANGE, start, stop)
        puts = [(key, value) for key, value in self.writes.items() if value is not None]
        for key, _ in puts:
            if len(key) > KEY_BYTES_MAX:
                raise ValueError(f"A key may have {KEY_BYTES_MAX} bytes here, not {len(key)}.")
        await self._connection.execute(
            _WRITE,
            [key for key, _ in puts],
            [value for _, value in puts],
            [key for key, value in self.writes.items() if value is None],
            _notice(node, self),
        )


class PostgresStore:
    """The store of one node. Connects at its first use."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._ids = Ids()
        self._clock = SystemClock()
        self._node = self._ids.hex(16)
        self._pool: asyncpg.Pool | None = None
        self._listening: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._again = asyncio.Lock()
        """Transactions that had a conflict run one after another, or they would go on having it."""
        self._listeners = Watches()
        self._watches = Watches()
        self._sources: list[Callable[[], Iterable[Pair]]] = []
        self._counted: dict[bytes, bytes] = {}
        self._counting: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._at_work = 0
        self._rested = asyncio.Event()

    # --- transactions -------------------------------------------------------------------------

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        async with self._working() as pool, _snapshot(pool) as connection:
            return await fn(PostgresTx(connection), *args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        import asyncpg

        async with self._working() as pool:
            lane: Any = nullcontext()
            for longest_ms in chain(_BACKOFF_MS, repeat(_BACKOFF_MS_MAX)):
                try:
                    async with lane:
                        result, tx = await self._attempt(pool, fn, args)
                    break
                except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                    lane = self._again
                    wait_ms = int(longest_ms * self._ids.fraction())
                    await self._clock.sleep_until(self._clock.now() + wait_ms)
        if tx.writes or tx.gone:
            _tell(self._listeners, tx)
            _tell(self._watches, tx)
            self._count_soon()
        return result

    async def _attempt(
        self, pool: asyncpg.Pool, fn: Callable[..., Awaitable[T]], args: tuple[Any, ...]
    ) -> tuple[T, PostgresTx]:
        async with pool.acquire() as connection, connection.transaction(isolation="serializable"):
            tx = PostgresTx(connection)
            result = await fn(tx, *args)
            if tx.writes or tx.gone:
                await tx.send(self._node)
        return result, tx

    # --- connections --------------------------------------------------------------------------

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[asyncpg.Pool]:
        """The connections, kept open meanwhile; their failures are StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        self._at_work += 1
        try:
            with _unavailable():
                yield self._pool or await self._connect()
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._rested.set()

    async def _connect(self) -> asyncpg.Pool:
        import asyncpg

        async with self._connecting:
            if self._pool is not None:
                return self._pool
            pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=_CONNECTIONS_MAX,
                max_queries=1_000_000_000,
                reset=_nothing_to_reset,
                server_settings=_SESSION,
                timeout=10,
            )
            try:
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute(_CREATE)
                listener = await self._listen()
            except BaseException:
                pool.terminate()
                raise
            self._listening = asyncio.create_task(self._keep_listening(listener))
            self._pool = pool
            return pool

    async def _listen(self) -> asyncpg.Connection:
        import asyncpg

        connection = await asyncpg.connect(self._dsn, timeout=10)
        await connection.add_listener(_CHANNEL, self._heard)
        return connection

    async def _keep_listening(self, connection: asyncpg.Connection) -> None:
        """Listen again whenever the connection breaks; nobody knows what was missed meanwhile."""
        while True:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _, gone=gone: gone.set())
            try:
                if not connection.is_closed():
                    await gone.wait()
            except asyncio.CancelledError:
                await connection.close(timeout=_CLOSE_S)
                raise
            while connection.is_closed():
                await self._clock.sleep_until(self._clock.now() + _RECONNECT_MS)
                with suppress(StoreUnavailable), _unavailable():
                    connection = await self._listen()
            self._listeners.notice_all()
            self._watches.notice_all()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        """Another node's commit."""
        node, *keys = str(payload).split(" ")
        if node == self._node:
            return
        for watches in (self._listeners, self._watches):
            if not keys:
                watches.notice_all()
            for key in keys:
                start = base64.b64decode(key)
                watches.notice_range(start, start + b"\xff" * 8)

    # --- the rest of the contract -------------------------------------------------------------

    def watch(self, prefix: bytes) -> WatchedPrefix:
        return self._watches.watch(prefix)

    def on_commit(self, prefix: bytes, heard: Callable[[], None]) -> None:
        self._listeners.listen(prefix, heard)

    def at_flush(self, source: Callable[[], Iterable[Pair]]) -> None:
        self._sources.append(source)

    def _count_soon(self) -> None:
        """There is no group commit to go along with: what is counted follows shortly."""
        if self._sources and self._counting is None:
            loop = asyncio.get_running_loop()
            self._counting = loop.call_later(_COUNT_AFTER_S, self._count_now)

    def _count_now(self) -> None:
        self._counting = None
        flush = asyncio.create_task(self._flush_quietly())
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except StoreUnavailable as error:
            _log.warning("What was counted waits for the next flush: %s", error)

    async def flush(self) -> None:
        async with self._working() as pool:
            for source in self._sources:
                self._counted.update(source())
            if not self._counted:
                return
            counted, self._counted = self._counted, {}
            try:
                await pool.execute(_PUT, [*counted], [*counted.values()])
            except BaseException:
                self._counted = {**counted, **self._counted}
                raise

    async def pairs(self) -> AsyncIterator[list[Pair]]:
        async with self._working() as pool, _snapshot(pool) as connection:
            cursor = await connection.cursor(_ALL)
            while rows := await cursor.fetch(_PIECE):
                yield [(key, value) for key, value in rows]

    async def close(self) -> None:
        if self._closed:
            return
        try:
            if self._pool is not None:
                await self.flush()
        finally:
            self._closed = True
            if self._counting is not None:
                self._counting.cancel()
            with suppress(TimeoutError):
                while self._at_work:
                    self._rested.clear()
                    await asyncio.wait_for(self._rested.wait(), _CLOSE_S)
            await self._disconnect()

    async def _disconnect(self) -> None:
        await asyncio.gather(*self._flushes)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._pool is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._pool.close(), _CLOSE_S)
            self._pool = None


@asynccontextmanager
async def _snapshot(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    """Transactions leave nothing behind, so connections go back without a round trip."""


def _notice(node: str, tx: Overlay) -> str:
    """What other nodes are told: beginnings of the touched keys, shorter ones if they are many."""
    touched = [*tx.writes, *(_common(start, stop) for start, stop in tx.gone)]
    for length in (_NOTICED_KEY_BYTES, _NOTICED_KEY_BYTES // 4):
        encoded = {base64.b64encode(key[:length]).decode() for key in touched}
        notice = " ".join((node, *sorted(encoded)))
        if b"" not in touched and len(notice) <= _NOTICE_BYTES_MAX:
            return notice
    return node


def _common(start: bytes, stop: bytes) -> bytes:
    """What all keys from ``start`` up to ``stop`` begin with."""
    length = 0
    while length < min(len(start), len(stop)) and start[length] == stop[length]:
        length += 1
    return start[:length]


def _tell(watches: Watches, tx: Overlay) -> None:
    watches.notice(tx.writes)
    for start, stop in tx.gone:
        watches.notice_range(start, stop)


@contextmanager
def _unavailable() -> Iterator[None]:
    """Say of a database that is gone, full or read-only that the store is unavailable."""
    import asyncpg

    try:
        yield
    except (
        OSError,
        TimeoutError,
        asyncpg.exceptions.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.PostgresIOError,
    ) as error:
        raise StoreUnavailable(f"The database is unavailable: {error}") from error
