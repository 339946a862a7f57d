"""Several nodes on one PostgreSQL hear of each other, and outlive its restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from skyfold.store.api import ReadTx, StoreUnavailable, Tx
from skyfold.store.engines.postgres import KEY_BYTES_MAX, PostgresStore
from skyfold.store.keys import after, pack
from tests.contracts.store.conftest import emptied
from tests.contracts.store.postgres_server import PostgresServer

Nodes = tuple[PostgresStore, PostgresStore]


@pytest.fixture
async def nodes(postgres_server: PostgresServer) -> AsyncIterator[Nodes]:
    dsn = await emptied(postgres_server)
    pair = PostgresStore(dsn), PostgresStore(dsn)
    await asyncio.gather(*(node.flush() for node in pair))  # connects, both at once
    yield pair
    for node in pair:
        await node.close()


async def put(tx: Tx, *keys: bytes) -> None:
    for key in keys:
        tx.put(key, b"")


async def get(tx: ReadTx, key: bytes) -> bytes | None:
    return await tx.get(key)


async def test_a_watch_hears_of_another_nodes_commit(nodes: Nodes) -> None:
    one, two = nodes
    with two.watch(pack("queue", "a")) as watch:
        await one.write(put, pack("queue", "a", 1))
        await asyncio.wait_for(watch.changed(), 5)


@pytest.mark.parametrize("count", [1, 150, 3000])
async def test_no_commit_is_too_wide_to_be_told_of(nodes: Nodes, count: int) -> None:
    one, two = nodes
    long = "x" * 150
    with two.watch(pack("queue", long)) as watch:
        await one.write(put, *(pack("queue", long, n) for n in range(count)))
        await asyncio.wait_for(watch.changed(), 5)


async def test_a_watch_hears_of_another_nodes_range_delete(nodes: Nodes) -> None:
    one, two = nodes

    async def forget(tx: Tx) -> None:
        tx.delete_range(pack("queue"), after(pack("queue")))

    with two.watch(pack("queue", "a")) as watch:
        await one.write(forget)
        await asyncio.wait_for(watch.changed(), 5)


async def test_on_commit_hears_of_other_nodes_but_not_of_other_prefixes(nodes: Nodes) -> None:
    one, two = nodes
    heard: list[str] = []
    two.on_commit(pack("policies"), lambda: heard.append("policies"))
    two.on_commit(pack("policiesandmore"), lambda: heard.append("more"))

    with two.watch(pack("policies")) as watch:
        await one.write(put, pack("policies", 1))
        await asyncio.wait_for(watch.changed(), 5)

    assert heard == ["policies"]


async def test_claimers_on_two_nodes_share_the_work(nodes: Nodes) -> None:
    one, _ = nodes
    await one.write(put, *(pack("job", n) for n in range(200)))

    async def take(tx: Tx) -> list[bytes]:
        claimed = await tx.claim(pack("job"), after(pack("job")), limit=5)
        for key, _ in claimed:
            tx.delete(key)
        return [key for key, _ in claimed]

    async def worker(node: PostgresStore) -> list[bytes]:
        taken: list[bytes] = []
        while some := await node.write(take):
            taken += some
        return taken

    hands = await asyncio.gather(*(worker(node) for node in nodes for _ in range(4)))
    taken = [key for hand in hands for key in hand] + await worker(one)
    assert sorted(taken) == [pack("job", n) for n in range(200)]


async def test_a_claim_passes_over_what_an_open_transaction_has_claimed(nodes: Nodes) -> None:
    one, two = nodes
    await one.write(put, *(pack("job", n) for n in range(4)))
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def claim_and_wait(tx: Tx) -> list[bytes]:
        found = await tx.claim(pack("job"), after(pack("job")), limit=2)
        claimed.set()
        await go_on.wait()
        return [key for key, _ in found]

    async def claim(tx: Tx) -> list[bytes]:
        return [key for key, _ in await tx.claim(pack("job"), after(pack("job")), limit=9)]

    first = asyncio.ensure_future(one.write(claim_and_wait))
    await claimed.wait()
    second = await asyncio.wait_for(two.write(claim), 5)
    go_on.set()

    assert await first == [pack("job", 0), pack("job", 1)]
    assert second == [pack("job", 2), pack("job", 3)]


async def test_a_restarted_database_is_unavailable_and_then_back(
    nodes: Nodes, postgres_server: PostgresServer
) -> None:
    one, two = nodes
    await one.write(put, b"before")
    heard: list[str] = []
    two.on_commit(b"policies", lambda: heard.append("policies"))
    hits = [(b"hits", b"1")]
    one.at_flush(lambda: [hits.pop()] if hits else [])

    with two.watch(b"x") as watch:
        postgres_server.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await one.write(put, b"during")
            with pytest.raises(StoreUnavailable):
                await one.read(get, b"before")
            with pytest.raises(StoreUnavailable):
                await one.flush()
        finally:
            postgres_server.start()

        await one.write(put, b"after")
        assert await one.read(get, b"before") == b""
        assert await two.read(get, b"during") is None
        await one.flush()
        assert await two.read(get, b"hits") == b"1"  # kept through the failure
        await asyncio.wait_for(watch.changed(), 5)  # listens again, and trusts nothing it knew
    assert heard == ["policies"]


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    store = PostgresStore("postgresql://nobody@/none?host=/nonexistent")

    with pytest.raises(StoreUnavailable):
        await store.read(get, b"k")
    await store.close()


async def test_a_key_too_long_for_the_index_is_an_error(nodes: Nodes) -> None:
    one, _ = nodes
    await one.write(put, b"x" * KEY_BYTES_MAX)

    with pytest.raises(ValueError, match="bytes"):
        await one.write(put, b"x" * (KEY_BYTES_MAX + 1))
