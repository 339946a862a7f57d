"""Tags: one table for all resources."""

from __future__ import annotations

from skyfold.kernel import tags
from skyfold.store.api import Tx
from skyfold.store.engines.memory import MemoryStore


async def test_tags_are_put_removed_and_forgotten_by_resource() -> None:
    store = MemoryStore()

    async def change(tx: Tx) -> None:
        tags.put_tags(tx, "arn:a", {"b": "2", "a": "1", "c": "3"})
        tags.put_tags(tx, "arn:ab", {"x": "9"})
        tags.remove_tags(tx, "arn:a", ["c", "never there"])

    await store.write(change)
    assert await store.read(tags.tags_of, "arn:a") == {"a": "1", "b": "2"}

    async def forget(tx: Tx) -> None:
        tags.forget_tags(tx, "arn:a")

    await store.write(forget)
    assert await store.read(tags.tags_of, "arn:a") == {}
    assert await store.read(tags.tags_of, "arn:ab") == {"x": "9"}
