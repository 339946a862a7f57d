"""What RocksStore promises beyond the contract: durability, one owner, and full disks survived."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from skyfold.store.api import ReadTx, StoreInUse, StoreUnavailable, Tx
from skyfold.store.engines.rocks import RocksStore

MIB = 1024 * 1024
WRITER = Path(__file__).with_name("rocks_writer.py")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RocksStore]:
    opened = RocksStore(tmp_path / "store")
    yield opened
    await opened.close()


async def put(tx: Tx, key: bytes, value: bytes = b"") -> None:
    tx.put(key, value)


async def get(tx: ReadTx, key: bytes) -> bytes | None:
    return await tx.get(key)


async def all_keys(store: RocksStore) -> set[bytes]:
    return {key async for piece in store.pairs() for key, _ in piece}


async def writable_again(store: RocksStore) -> None:
    for _ in range(100):
        try:
            return await store.write(put, b"again")
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("it never recovered")


# --- durability -------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def acknowledged_until_killed(folder: Path, run: int, count: int) -> list[bytes]:
    """What a writing process says is done, until it is killed after ``count`` writes or more."""
    with subprocess.Popen(
        [sys.executable, WRITER, folder, str(run)], stdout=subprocess.PIPE, env=environment()
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(count)]
        child.kill()
        lines += child.stdout.readlines()
    return [line[:-1] for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("seed", range(4))
async def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    acknowledged: list[bytes] = []
    for run in range(2):  # the second on what the first has left
        acknowledged += acknowledged_until_killed(tmp_path, run, dice.randrange(1, 3000))
        store = RocksStore(tmp_path)
        found = await all_keys(store)
        await store.close()
        assert acknowledged
        assert [key for key in acknowledged if b"a/" + key not in found] == []
        # A transaction is there as a whole or not at all.
        halves = [{key[2:] for key in found if key[:1] == half} for half in (b"a", b"b")]
        assert halves[0] == halves[1]


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for durability in ("strict", "relaxed"):
        store = RocksStore(tmp_path, durability=durability)  # type: ignore[arg-type]  # a literal
        await store.write(put, durability.encode())
        await store.close()

    store = RocksStore(tmp_path)
    assert await all_keys(store) == {b"strict", b"relaxed"}
    await store.close()


async def test_listeners_hear_at_once_and_watches_when_it_is_durable(store: RocksStore) -> None:
    heard: list[str] = []
    store.on_commit(b"k", lambda: heard.append("listener"))
    store._watches.listen(b"k", lambda: heard.append("watch"))

    writing = asyncio.ensure_future(store.write(put, b"k"))
    await asyncio.sleep(0)
    assert heard == ["listener"]
    assert await store.read(get, b"k") == b""  # readers may see what is not durable yet

    await writing
    assert heard == ["listener", "watch"]


async def test_an_answer_that_depends_on_anothers_write_waits_for_it(store: RocksStore) -> None:
    order: list[str] = []

    async def create() -> None:
        await store.write(put, b"k")
        order.append("created")

    async def find() -> None:
        assert await store.write(get, b"k") == b""
        order.append("found")

    await asyncio.gather(create(), find())

    assert order == ["created", "found"]


async def test_what_is_counted_is_written_with_the_next_group_commit(store: RocksStore) -> None:
    counted = [(b"hits", b"1")]
    store.at_flush(lambda: [counted.pop()] if counted else [])

    await store.write(put, b"k")

    assert await store.read(get, b"hits") == b"1"


async def test_a_flush_source_that_fails_harms_no_writer(store: RocksStore) -> None:
    def fail() -> list[tuple[bytes, bytes]]:
        raise LookupError

    store.at_flush(fail)
    store.at_flush(lambda: [(b"hits", b"1")])

    await store.write(put, b"k")

    assert await all_keys(store) == {b"hits", b"k"}


async def test_many_writers_share_a_sync(store: RocksStore) -> None:
    syncs = []
    store.at_flush(lambda: syncs.append(1) or [])  # type: ignore[func-returns-value]  # counts

    await asyncio.gather(*(store.write(put, b"%d" % n) for n in range(200)))

    assert len(syncs) < 20


# --- transactions -----------------------------------------------------------------------------


async def test_a_function_that_awaits_something_else_is_told_where(store: RocksStore) -> None:
    async def sneaky(tx: Tx) -> None:
        tx.put(b"k", b"v")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"(?s)sleep.*awaits"):
        await store.write(sneaky)
    assert await store.read(get, b"k") is None


async def test_a_queues_deleted_head_is_walked_over_once(store: RocksStore) -> None:
    async def fill(tx: Tx) -> None:
        for n in range(20_000):
            tx.put(b"q%06d" % n, b"")

    async def drain(tx: Tx) -> None:
        for n in range(19_000):
            tx.delete(b"q%06d" % n)

    async def head(tx: ReadTx) -> bytes:
        return (await tx.scan(b"q", b"r", limit=1))[0][0]

    await store.write(fill)
    await store.write(drain)
    assert await store.read(head) == b"q019000"
    assert store._holes.skip(b"q") == b"q019000"

    await store.write(put, b"q000005")

    assert await store.read(head) == b"q000005"


# --- one owner --------------------------------------------------------------------------------


def subprocess_run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment())


async def test_a_folder_opened_twice_is_refused_and_names_the_owner(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)

    with pytest.raises(StoreInUse, match="in use by this process"):
        RocksStore(tmp_path)
    other = subprocess_run([sys.executable, str(WRITER), str(tmp_path), "0"])
    assert f"StoreInUse: The data folder {tmp_path} is in use by process {os.getpid()}." in (
        other.stderr
    )

    await store.close()
    await RocksStore(tmp_path).close()


# --- disks that fail --------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="skyfold-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def fill_up(folder: Path, left_bytes: int) -> Path:
    ballast = folder / "ballast"
    space = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left_bytes)
    return ballast


@pytest.mark.parametrize("left_bytes", [0, 3 * MIB])
async def test_a_full_disk_fails_writes_and_harms_nothing(
    small_disk: Path, left_bytes: int
) -> None:
    store = RocksStore(small_disk / "store")
    answers: dict[bytes, bool] = {}

    async def write(number: int) -> None:
        key = b"%06d" % number
        try:
            await store.write(put, key, os.urandom(5000))
            answers[key] = True
        except StoreUnavailable:
            answers[key] = False

    await asyncio.gather(*(write(number) for number in range(100)))
    ballast = fill_up(small_disk, left_bytes)
    for batch in range(1, 100):
        await asyncio.gather(*(write(batch * 100 + number) for number in range(20)))
        if not all(answers.values()):
            break
        await asyncio.sleep(0.01)
    assert not all(answers.values())
    assert await store.read(get, b"000000") is not None

    ballast.unlink()
    await writable_again(store)
    for _ in range(2):
        found = await all_keys(store)
        assert {key: key in found for key in answers} == answers
        await store.close()
        store = RocksStore(small_disk / "store")
    await store.close()


async def test_a_file_that_may_not_grow_fails_writes_and_harms_nothing(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    answers: dict[bytes, bool] = {}

    async def write(key: bytes) -> None:
        try:
            await store.write(put, key, os.urandom(20_000))
            answers[key] = True
        except StoreUnavailable:
            answers[key] = False

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        await asyncio.gather(*(write(b"%03d" % number) for number in range(100)))
        assert 0 < sum(answers.values()) < 100
        assert await store.read(get, b"000") is not None
        with pytest.raises(StoreUnavailable):
            await store.write(put, b"later")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    await writable_again(store)
    for _ in range(2):
        found = await all_keys(store)
        assert {key: key in found for key in answers} == answers
        await store.close()
        store = RocksStore(tmp_path)
    await store.close()
