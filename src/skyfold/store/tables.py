"""Typed tables and indexes over the key-value store.

Rows are frozen ``msgspec.Struct`` with ``array_like=True``: they are kept as msgpack arrays, so a
new field goes last and has a default, and no field is ever taken out of the middle.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from skyfold.store import keys
from skyfold.store.api import ReadTx, Tx
from skyfold.store.keys import Part, after, pack

R = TypeVar("R", bound=msgspec.Struct)
SCAN_MAX = 1_000_000
"""For scans whose end the caller knows to be near; paged scans name their own limit."""


class Table(Generic[R]):
    """Rows of one frozen Struct, found by the fields named in ``key``.

    Rows are values: to change one, ``put`` a ``msgspec.structs.replace`` of it.
    """

    def __init__(self, name: str, row: type[R], *, key: tuple[str, ...]) -> None:
        assert set(key) <= set(row.__struct_fields__), f"{name}: the key names no field"
        self.name, self.row, self.key = name, row, key
        self._root = pack(name)
        self._key_of: Any = attrgetter(*key)
        self._single = len(key) == 1
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(row).decode

    def prefix(self, *parts: Part) -> bytes:
        """The packed key of a row, or of all rows that begin with ``parts``."""
        return self._root + pack(*parts)

    def key_of(self, row: R) -> bytes:
        found = self._key_of(row)
        return self._root + (pack(found) if self._single else pack(*found))

    async def get(self, tx: ReadTx, *key: Part) -> R | None:
        assert len(key) == len(self.key), f"{self.name} is keyed by {self.key}"
        found = await tx.get(self._root + pack(*key))
        return None if found is None else self._decode(found)

    def put(self, tx: Tx, row: R) -> None:
        tx.put(self.key_of(row), self._encode(row))

    def delete(self, tx: Tx, *key: Part) -> None:
        assert len(key) == len(self.key), f"{self.name} is keyed by {self.key}"
        tx.delete(self._root + pack(*key))

    def delete_all(self, tx: Tx, *prefix: Part) -> None:
        """Forget every row whose key begins with ``prefix``."""
        start = self.prefix(*prefix)
        tx.delete_range(start, after(start))

    async def scan(
        self,
        tx: ReadTx,
        *prefix: Part,
        limit: int,
        above: tuple[Part, ...] | None = None,
        below: tuple[Part, ...] | None = None,
        reverse: bool = False,
    ) -> list[R]:
        """Rows whose key begins with ``prefix``, in key order, ``limit`` at the most.

        ``above`` and ``below`` are further key parts behind the prefix. Rows at or under ``above``
        are left out (so the last row of a page is the ``above`` of the next page), and so are rows
        at or past ``below``.
        """
        start, stop = bounds(self.prefix(*prefix), above, below)
        decode = self._decode
        return [decode(v) for _, v in await tx.scan(start, stop, limit=limit, reverse=reverse)]

    async def claim(
        self, tx: Tx, *prefix: Part, limit: int, below: tuple[Part, ...] | None = None
    ) -> list[R]:
        """The first rows under ``prefix`` that no other open transaction has claimed."""
        start, stop = bounds(self.prefix(*prefix), None, below)
        return [self._decode(value) for _, value in await tx.claim(start, stop, limit=limit)]


class Index:
    """Tuples in order, with nothing behind them: an ordered set."""

    def __init__(self, name: str, *parts: str) -> None:
        self.name, self.parts = name, parts
        self._root = pack(name)

    def prefix(self, *parts: Part) -> bytes:
        return self._root + pack(*parts)

    def put(self, tx: Tx, *parts: Part) -> None:
        assert len(parts) == len(self.parts), f"{self.name} holds {self.parts}"
        tx.put(self._root + pack(*parts), b"")

    def delete(self, tx: Tx, *parts: Part) -> None:
        assert len(parts) == len(self.parts), f"{self.name} holds {self.parts}"
        tx.delete(self._root + pack(*parts))

    def delete_all(self, tx: Tx, *prefix: Part) -> None:
        start = self.prefix(*prefix)
        tx.delete_range(start, after(start))

    async def has(self, tx: ReadTx, *parts: Part) -> bool:
        return await tx.get(self._root + pack(*parts)) is not None

    async def scan(
        self,
        tx: ReadTx,
        *prefix: Part,
        limit: int,
        above: tuple[Part, ...] | None = None,
        below: tuple[Part, ...] | None = None,
        reverse: bool = False,
    ) -> list[tuple[Any, ...]]:
        """The tuples that begin with ``prefix``, whole; bounds as in ``Table.scan``."""
        start, stop = bounds(self.prefix(*prefix), above, below)
        found = await tx.scan(start, stop, limit=limit, reverse=reverse)
        return [keys.unpack(key)[1:] for key, _ in found]

    async def claim(
        self, tx: Tx, *prefix: Part, limit: int, below: tuple[Part, ...] | None = None
    ) -> list[tuple[Any, ...]]:
        start, stop = bounds(self.prefix(*prefix), None, below)
        return [keys.unpack(key)[1:] for key, _ in await tx.claim(start, stop, limit=limit)]


def bounds(
    prefix: bytes, above: tuple[Part, ...] | None, below: tuple[Part, ...] | None
) -> tuple[bytes, bytes]:
    """The byte range under ``prefix`` strictly between ``above`` and ``below``.

    ``above`` excludes whatever begins with it; ``below`` excludes itself and all after it.
    """
    start = prefix if above is None else after(prefix + pack(*above))
    stop = after(prefix) if below is None else prefix + pack(*below)
    return start, stop
