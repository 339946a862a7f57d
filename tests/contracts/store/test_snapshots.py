"""A snapshot carries a whole store from any engine to any engine, or touches nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skyfold.store import snapshot
from skyfold.store.api import Pair, Store, Tx
from skyfold.store.blobs import PIECE_BYTES, Blob, Blobs
from skyfold.store.engines.memory import MemoryStore
from skyfold.store.keys import pack
from skyfold.store.snapshot import Progress, SnapshotDamaged

LARGE = bytes(range(256)) * (PIECE_BYTES // 256) + b"and more"


async def fill(tx: Tx, blobs: Blobs, *held: Blob) -> None:
    for number in range(1200):
        tx.put(pack("rows", number), b"%d" % number * 20)
    for blob in held:
        blobs.hold(tx, blob.id, "one")
        blobs.hold(tx, blob.id, "two")


async def put(tx: Tx, key: bytes) -> None:
    tx.put(key, b"")


async def everything(store: Store) -> list[Pair]:
    return [pair async for piece in store.pairs() for pair in piece]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
async def saved(tmp_path: Path, blobs: Blobs) -> AsyncIterator[tuple[Path, list[Pair], list[Blob]]]:
    """A snapshot, and what is in it."""
    store = MemoryStore()
    held = [await blobs.write(b"small"), await blobs.write(LARGE), await blobs.write(b"")]
    await blobs.write(b"garbage")
    await store.write(fill, blobs, *held)
    file = tmp_path / "snapshot.tar"
    progress = await snapshot.save(store, blobs, file)
    assert progress == Progress(pairs=1206, blobs=3, bytes=progress.bytes)
    yield file, await everything(store), held


async def test_a_snapshot_goes_from_any_engine_to_another(
    store: Store, blobs: Blobs, tmp_path: Path
) -> None:
    blob = await blobs.write(LARGE)
    await store.write(fill, blobs, blob)
    file = tmp_path / "snapshot.tar"
    seen: list[int] = []

    await snapshot.save(store, blobs, file, lambda progress: seen.append(progress.pairs))
    target, target_blobs = MemoryStore(), Blobs(tmp_path / "others")
    await snapshot.load(file, target, target_blobs)

    assert await everything(target) == await everything(store)
    assert await target_blobs.read_bytes(blob.id) == LARGE
    assert seen[-1] == 1202


async def test_a_load_replaces_everything(
    store: Store, saved: tuple[Path, list[Pair], list[Blob]], tmp_path: Path
) -> None:
    file, pairs, held = saved
    await store.write(put, pack("before"))
    heard: list[int] = []
    store.on_commit(pack("before"), lambda: heard.append(1))
    blobs = Blobs(tmp_path / "others")

    progress = await snapshot.load(file, store, blobs)

    assert (progress.pairs, progress.blobs) == (1206, 3)
    assert await everything(store) == pairs
    assert [await blobs.read_bytes(blob.id) for blob in held] == [b"small", LARGE, b""]
    assert heard
    assert not await snapshot.interrupted(store)
    assert len([path for path in blobs.folder.rglob("*") if path.is_file()]) == 4  # no garbage


async def test_a_snapshot_is_of_one_moment_while_others_write(
    store: Store, blobs: Blobs, tmp_path: Path
) -> None:
    """Each commit puts a pair on both ends of the key space: either both are in, or none."""
    await store.write(fill, blobs)
    done = asyncio.Event()

    async def both_ends(tx: Tx, number: int) -> None:
        tx.put(pack("aaa", number), b"")
        tx.put(pack("zzz", number), b"")

    async def write_on() -> None:
        number = 0
        while not done.is_set():
            await store.write(both_ends, number)
            number += 1
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(write_on())
    await asyncio.sleep(0.01)
    await snapshot.save(store, blobs, tmp_path / "snapshot.tar")
    done.set()
    await writing
    target = MemoryStore()
    await snapshot.load(tmp_path / "snapshot.tar", target, blobs)

    keys = [key for key, _ in await everything(target)]
    low, high = ([key for key in keys if key.startswith(pack(end))] for end in ("aaa", "zzz"))
    assert len(low) == len(high) > 0


@pytest.mark.parametrize("harm", ["cut", "cut at the manifest", "flip", "no tar", "empty"])
async def test_a_damaged_file_is_refused_and_nothing_touched(
    saved: tuple[Path, list[Pair], list[Blob]], blobs: Blobs, tmp_path: Path, harm: str
) -> None:
    file, _, _ = saved
    data = bytearray(file.read_bytes())
    if harm == "cut":
        data = data[: len(data) // 2]
    elif harm == "cut at the manifest":
        data = data[: data.rindex(b"manifest.json")]
    elif harm == "flip":
        data[len(data) // 3] ^= 1
    else:
        data = bytearray(b"" if harm == "empty" else b"no tar" * 1000)
    file.write_bytes(data)
    store = MemoryStore()
    await store.write(put, b"before")

    with pytest.raises(SnapshotDamaged):
        await snapshot.load(file, store, Blobs(tmp_path / "others"))

    assert await everything(store) == [(b"before", b"")]
    assert not (tmp_path / "others").exists()


async def test_a_flipped_bit_is_noticed_or_means_nothing(
    saved: tuple[Path, list[Pair], list[Blob]], tmp_path: Path
) -> None:
    file, pairs, _ = saved
    data = file.read_bytes()
    refused = 0
    for at in range(0, len(data) - 10_000, 997):
        if not any(data[at : at + 64]):  # padding between members means nothing
            continue
        harmed = bytearray(data)
        harmed[at] ^= 0x40
        file.write_bytes(harmed)
        store = MemoryStore()
        try:
            await snapshot.load(file, store, Blobs(tmp_path / "others"))
        except SnapshotDamaged:
            refused += 1
        else:
            assert await everything(store) == pairs
    assert refused > 100


async def test_an_interrupted_load_is_known_and_can_be_done_again(
    saved: tuple[Path, list[Pair], list[Blob]], tmp_path: Path
) -> None:
    file, pairs, _ = saved
    store = MemoryStore()

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await snapshot.load(file, store, Blobs(tmp_path / "others"), interrupt)
    assert await snapshot.interrupted(store)

    await snapshot.load(file, store, Blobs(tmp_path / "others"))
    assert not await snapshot.interrupted(store)
    assert await everything(store) == pairs


async def test_a_save_that_fails_leaves_no_file(tmp_path: Path, blobs: Blobs) -> None:
    store = MemoryStore()
    blob = await blobs.write(b"x")
    await store.write(fill, blobs, blob)
    blobs.path(blob.id).unlink()

    with pytest.raises(Exception, match="is missing"):
        await snapshot.save(store, blobs, tmp_path / "snapshot.tar")

    assert not [name for name in os.listdir(tmp_path) if name.startswith("snapshot")]
