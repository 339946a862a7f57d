"""Tables and indexes find rows by their key, in its order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skyfold.store.api import ReadTx, Tx
from skyfold.store.engines.memory import MemoryStore
from skyfold.store.tables import Index, Table


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    queue: str
    number: int
    body: str = ""


MESSAGES = Table("test.messages", Message, key=("queue", "number"))
NAMES = Index("test.names", "account", "name")


@pytest.fixture
async def store() -> MemoryStore:
    """Queues a, aa and b with messages -1 to 3 each."""

    async def fill(tx: Tx) -> None:
        for queue in ("a", "aa", "b"):
            for number in range(-1, 4):
                MESSAGES.put(tx, Message(queue=queue, number=number, body=f"{queue}{number}"))
                NAMES.put(tx, queue, f"n{number}")

    store = MemoryStore()
    await store.write(fill)
    return store


async def numbers(tx: ReadTx, **how: Any) -> list[int]:
    return [row.number for row in await MESSAGES.scan(tx, "a", **{"limit": 9, **how})]


async def test_a_row_is_found_by_its_key(store: MemoryStore) -> None:
    async def look(tx: ReadTx) -> tuple[Message | None, Message | None]:
        return await MESSAGES.get(tx, "a", -1), await MESSAGES.get(tx, "a", 4)

    assert await store.read(look) == (Message(queue="a", number=-1, body="a-1"), None)


async def test_a_scan_stays_under_its_prefix(store: MemoryStore) -> None:
    assert await store.read(numbers) == [-1, 0, 1, 2, 3]


async def test_a_page_begins_above_the_last_row_of_the_page_before(store: MemoryStore) -> None:
    async def page(tx: ReadTx) -> list[list[int]]:
        return [
            await numbers(tx, above=(0,), limit=2),
            await numbers(tx, below=(1,)),
            await numbers(tx, above=(-1,), below=(3,), reverse=True),
            await numbers(tx, above=(3,)),
        ]

    assert await store.read(page) == [[1, 2], [-1, 0], [2, 1, 0], []]


async def test_delete_all_forgets_what_begins_with_the_prefix(store: MemoryStore) -> None:
    async def forget(tx: Tx) -> tuple[int, int]:
        MESSAGES.delete_all(tx, "a")
        MESSAGES.delete(tx, "b", 0)
        return len(await numbers(tx)), len(await MESSAGES.scan(tx, limit=99))

    assert await store.write(forget) == (0, 9)


async def test_rows_may_be_claimed_up_to_a_bound(store: MemoryStore) -> None:
    async def claim(tx: Tx) -> list[int]:
        return [row.number for row in await MESSAGES.claim(tx, "a", limit=9, below=(1,))]

    assert await store.write(claim) == [-1, 0]


async def test_an_older_row_takes_the_defaults_of_newer_fields(store: MemoryStore) -> None:
    async def old(tx: Tx) -> Message | None:
        tx.put(MESSAGES.prefix("c", 1), msgspec.msgpack.encode(["c", 1]))
        return await MESSAGES.get(tx, "c", 1)

    assert await store.write(old) == Message(queue="c", number=1)


async def test_an_index_is_an_ordered_set_of_tuples(store: MemoryStore) -> None:
    async def look(tx: Tx) -> list[Any]:
        NAMES.delete(tx, "a", "n0")
        return [
            await NAMES.scan(tx, "a", limit=2),
            await NAMES.scan(tx, "a", above=("n1",), limit=9),
            await NAMES.has(tx, "a", "n0"),
            await NAMES.has(tx, "a", "n1"),
        ]

    assert await store.write(look) == [
        [("a", "n-1"), ("a", "n1")],
        [("a", "n2"), ("a", "n3")],
        False,
        True,
    ]
