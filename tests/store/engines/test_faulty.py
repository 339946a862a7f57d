"""Injected faults are those of the seed, and leave nothing behind."""

from __future__ import annotations

import pytest

from skyfold.store.api import ReadTx, StoreUnavailable, Tx
from skyfold.store.engines.faulty import FaultyStore
from skyfold.store.engines.memory import MemoryStore


async def attempts_of(seed: int) -> list[int]:
    """How often each of 30 transactions ran."""
    store = FaultyStore(MemoryStore(), seed=seed, conflicts=0.5)
    counts = []

    async def count(tx: Tx, runs: list[int]) -> None:
        runs.append(1)

    for _ in range(30):
        runs: list[int] = []
        await store.write(count, runs)
        counts.append(len(runs))
    return counts


async def test_the_same_seed_has_the_same_conflicts() -> None:
    assert await attempts_of(1) == await attempts_of(1) != await attempts_of(2)
    assert max(await attempts_of(1)) > 1


async def test_a_failure_writes_nothing() -> None:
    store = FaultyStore(MemoryStore(), seed=1, conflicts=0, failures=1)

    async def put(tx: Tx) -> None:
        tx.put(b"k", b"v")

    async def get(tx: ReadTx) -> bytes | None:
        return await tx.get(b"k")

    with pytest.raises(StoreUnavailable):
        await store.write(put)
    assert await store.read(get) is None
