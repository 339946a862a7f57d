"""What a storage engine must offer. Services see transactions; only the server sees an engine.

Architecture invariant: a function that takes a ``tx`` awaits nothing but that ``tx``, and has no
effect outside it. It may therefore be run again after a conflict, and composed with any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Pair = tuple[bytes, bytes]
"""A key and its value."""


class Conflict(Exception):
    """Another transaction got there first: run this one again."""


class StoreUnavailable(Exception):
    """The write failed and changed nothing: a full disk, a lost database. Says why."""


class StoreInUse(Exception):
    """Another process has this data folder open."""


class ReadTx(Protocol):
    async def get(self, key: bytes) -> bytes | None:
        """The value at ``key`` as this transaction sees it, its own writes included."""

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Pair]:
        """Up to ``limit`` pairs with start <= key < stop, in key order (or from the end)."""


class Tx(ReadTx, Protocol):
    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None:
        """Forget ``key``; nothing happens where there is none."""

    def delete_range(self, start: bytes, stop: bytes) -> None:
        """Forget every key with start <= key < stop."""

    async def claim(self, start: bytes, stop: bytes, *, limit: int) -> list[Pair]:
        """Like ``scan``, but skips pairs that another open transaction has claimed.

        For queues: each of several concurrent claimers gets different pairs. The claim ends with
        the transaction, which is expected to delete or move what it claimed.
        """


class Watch(Protocol):
    def __enter__(self) -> Watch: ...

    def __exit__(self, *exc: object) -> None: ...

    async def changed(self) -> None:
        """Return once a commit has touched the prefix since the watch began or last returned."""


class Store(Protocol):
    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``fn(tx, *args)`` on one consistent view."""

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``fn(tx, *args)`` in a serializable transaction and return when it is durable.

        ``fn`` runs again after a conflict. Where it raises, nothing is written.
        """

    def watch(self, prefix: bytes) -> Watch:
        """Begin noticing commits under ``prefix``. Watch first and look second, or miss one."""

    def on_commit(self, prefix: bytes, heard: Callable[[], None]) -> None:
        """Call ``heard`` at every commit that touches ``prefix``, before its writer is answered.

        For caches that must not outlive what they were made from.
        """

    def at_flush(self, source: Callable[[], Iterable[Pair]]) -> None:
        """Ask ``source`` for pairs to write along with every group commit: counters, mostly."""

    async def flush(self) -> None:
        """Write what the flush sources hold and return when all before it is durable."""

    def pairs(self) -> AsyncIterator[list[Pair]]:
        """Every pair in key order, in pieces, all as they stood at one moment."""

    async def close(self) -> None: ...
