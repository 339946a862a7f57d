"""Blobs come back as they were written, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyfold.store.api import ReadTx, StoreUnavailable, Tx
from skyfold.store.blobs import PIECE_BYTES, Blob, BlobDamaged, Blobs
from skyfold.store.engines.memory import MemoryStore

HOUR_MS = 3_600_000
SIZES = (0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def body(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read_all(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def files(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", SIZES)
async def test_a_body_comes_back_as_it_was_written(blobs: Blobs, size: int) -> None:
    whole = await blobs.write(body(size))
    streamed = await blobs.write(in_pieces(body(size), 100_000))

    for blob in (whole, streamed):
        assert blob.size == size
        assert await blobs.read_bytes(blob.id) == body(size)
        assert await read_all(blobs.read(blob.id)) == body(size)
        assert blobs.path(blob.id).read_bytes() == body(size)
    assert whole.id != streamed.id


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 900_000), stop=st.none() | st.integers(0, 900_000))
async def test_a_range_of_a_body_is_that_slice(blobs: Blobs, start: int, stop: int | None) -> None:
    data = body(3 * PIECE_BYTES + 7)
    blob = await blobs.write(data)

    assert await read_all(blobs.read(blob.id, start, stop)) == data[start:stop]


async def test_pieces_are_small(blobs: Blobs) -> None:
    blob = await blobs.write(body(3 * PIECE_BYTES + 7))

    sizes = [len(piece) async for piece in blobs.read(blob.id, 5)]

    assert sizes == [PIECE_BYTES - 5, PIECE_BYTES, PIECE_BYTES, 7]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 9), max_size=5), start=st.integers(0, 30), stop=st.integers(0, 50)
)
async def test_parts_read_as_one_body(
    blobs: Blobs, sizes: list[int], start: int, stop: int
) -> None:
    bodies = [body(size) for size in sizes]
    parts: list[Blob] = [await blobs.write(part) for part in bodies]

    assert await read_all(blobs.read_parts(parts)) == b"".join(bodies)
    assert await read_all(blobs.read_parts(parts, start, stop)) == b"".join(bodies)[start:stop]


async def test_digests_see_the_whole_body_in_order(blobs: Blobs) -> None:
    data = body(700_000)
    md5, sha = hashlib.md5(), hashlib.sha256()

    await blobs.write(in_pieces(data, 33_333), digests=[md5, sha])

    assert md5.digest() == hashlib.md5(data).digest()
    assert sha.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("size", "harm"),
    [
        *((size, harm) for size in SIZES[1:] for harm in ("flip", "cut", "grow", "remove")),
        (PIECE_BYTES + 1, "lose sums"),
    ],
)
async def test_a_damaged_or_missing_file_is_an_error(blobs: Blobs, size: int, harm: str) -> None:
    blob = await blobs.write(body(size))
    path = blobs.path(blob.id)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    if harm == "flip":
        path.write_bytes(data)
    elif harm == "cut":
        os.truncate(path, size - 1)
    elif harm == "grow":
        os.truncate(path, size + 1)
    elif harm == "remove":
        path.unlink()
    else:
        path.with_suffix(".sums").unlink()

    with pytest.raises(BlobDamaged):
        await blobs.read_bytes(blob.id)
    with pytest.raises(BlobDamaged):
        await read_all(blobs.read(blob.id, size - 1))


async def test_a_writer_that_breaks_off_leaves_nothing(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield body(2 * PIECE_BYTES)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.write(broken())

    assert files(blobs) == []


async def test_a_cancelled_writer_leaves_nothing(blobs: Blobs) -> None:
    stuck = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield body(2 * PIECE_BYTES)
        stuck.set()
        await asyncio.Event().wait()

    writing = asyncio.ensure_future(blobs.write(slow()))
    await stuck.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert files(blobs) == []


async def test_a_full_disk_is_unavailable_and_leaves_nothing(blobs: Blobs) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
    try:
        for data in (body(1_500_000), in_pieces(body(1_500_000), 300_000)):
            with pytest.raises(StoreUnavailable):
                await blobs.write(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert files(blobs) == []


# --- collecting -------------------------------------------------------------------------------


async def hold(tx: Tx, blobs: Blobs, blob: Blob, *owners: str) -> None:
    for owner in owners:
        blobs.hold(tx, blob.id, owner)


async def release(tx: Tx, blobs: Blobs, blob: Blob, owner: str) -> None:
    blobs.release(tx, blob.id, owner)


async def test_garbage_is_what_no_row_has_named_for_an_hour(blobs: Blobs) -> None:
    store = MemoryStore()
    held, stray = await blobs.write(b"held"), await blobs.write(body(PIECE_BYTES + 1))
    await store.write(hold, blobs, held, "one", "two")

    assert await blobs.collect(store, 0) == 0
    assert await blobs.collect(store, HOUR_MS - 1) == 0
    assert await blobs.collect(store, HOUR_MS) == 1
    assert files(blobs) == [held.id]
    with pytest.raises(BlobDamaged):
        await blobs.read_bytes(stray.id)

    await store.write(release, blobs, held, "one")
    for now in (2 * HOUR_MS, 3 * HOUR_MS, 4 * HOUR_MS):
        assert await blobs.collect(store, now) == 0
    await store.write(release, blobs, held, "two")
    assert await blobs.collect(store, 5 * HOUR_MS) == 0
    assert await blobs.collect(store, 6 * HOUR_MS) == 1
    assert files(blobs) == []


async def test_a_blob_that_is_named_again_begins_anew(blobs: Blobs) -> None:
    store = MemoryStore()
    blob = await blobs.write(b"held")
    await blobs.collect(store, 0)
    await store.write(hold, blobs, blob, "me")
    await blobs.collect(store, HOUR_MS)
    await store.write(release, blobs, blob, "me")

    assert await blobs.collect(store, 2 * HOUR_MS) == 0
    assert await blobs.collect(store, 3 * HOUR_MS) == 1


async def test_a_reader_goes_on_after_the_blob_was_collected(blobs: Blobs) -> None:
    store = MemoryStore()
    data = body(2 * PIECE_BYTES)
    blob = await blobs.write(data)
    pieces = blobs.read(blob.id)
    first = await anext(pieces)

    await blobs.collect(store, 0)
    assert await blobs.collect(store, HOUR_MS) == 1

    assert first + await read_all(pieces) == data


async def test_what_a_crash_left_half_written_is_collected(blobs: Blobs) -> None:
    store = MemoryStore()
    blob = await blobs.write(b"x")
    blobs.path(blob.id).rename(blobs.path(blob.id).with_name("0123456789abcdef0123.draft"))

    await blobs.collect(store, 0)
    await blobs.collect(store, HOUR_MS)

    assert files(blobs) == []


async def test_a_body_still_being_written_is_not_collected(blobs: Blobs) -> None:
    store = MemoryStore()
    data = body(4 * PIECE_BYTES)

    async def slow() -> AsyncIterator[bytes]:
        for hour, at in enumerate(range(0, len(data), PIECE_BYTES)):
            yield data[at : at + PIECE_BYTES]
            await blobs.collect(store, hour * HOUR_MS)

    blob = await blobs.write(slow())

    assert await blobs.read_bytes(blob.id) == data


async def test_nothing_is_collected_while_blobs_are_kept(blobs: Blobs) -> None:
    store = MemoryStore()
    await blobs.write(b"x")
    await blobs.collect(store, 0)

    with blobs.kept():
        assert await blobs.collect(store, HOUR_MS) == 0
    assert await blobs.collect(store, HOUR_MS) == 1


async def test_a_blob_is_restored_under_its_id_and_only_as_it_was(
    blobs: Blobs, tmp_path: Path
) -> None:
    data = body(PIECE_BYTES + 5)
    blob = await blobs.write(data)
    other = Blobs(tmp_path / "other")

    with pytest.raises(BlobDamaged):
        await other.restore(blob.id, in_pieces(data[:-1] + b"x", 1000))
    assert files(other) == []
    await other.restore(blob.id, in_pieces(data, 1000))
    await other.restore(blob.id, in_pieces(data, 1000))

    assert await other.read_bytes(blob.id) == data


async def test_restoring_mends_a_damaged_blob(blobs: Blobs) -> None:
    data = body(PIECE_BYTES + 5)
    blob = await blobs.write(data)
    blobs.path(blob.id).write_bytes(b"x" * len(data))

    await blobs.restore(blob.id, in_pieces(data, 1000))

    assert await blobs.read_bytes(blob.id) == data


async def test_holding_is_undone_with_its_transaction(blobs: Blobs) -> None:
    store = MemoryStore()
    blob = await blobs.write(b"x")

    async def fail(tx: Tx) -> None:
        blobs.hold(tx, blob.id, "me")
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail)

    async def rows(tx: ReadTx) -> int:
        return len(await tx.scan(b"", b"\xff", limit=9))

    assert await store.read(rows) == 0
