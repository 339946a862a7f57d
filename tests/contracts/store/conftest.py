"""The engines under the contract: each test that takes ``store`` runs on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from skyfold.store.api import Store
from skyfold.store.engines.faulty import FaultyStore
from skyfold.store.engines.memory import MemoryStore
from skyfold.store.engines.postgres import PostgresStore
from skyfold.store.engines.rocks import RocksStore
from tests.contracts.store.postgres_server import PostgresServer

ENGINES = ("memory", "faulty", "rocks", "rocks-relaxed", "rocks-holes", "postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_engine(request.param, request, tmp_path)
    yield opened
    await opened.close()


async def open_engine(name: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    if name == "memory":
        return MemoryStore()
    if name == "faulty":
        return FaultyStore(MemoryStore(), seed=7, conflicts=0.3)
    if name == "rocks":
        return RocksStore(folder / "store")
    if name == "rocks-relaxed":
        return RocksStore(folder / "store", durability="relaxed")
    if name == "rocks-holes":  # remembers after every scan what it found empty
        return RocksStore(folder / "store", slow_scan_s=-1.0)
    return PostgresStore(await emptied(request.getfixturevalue("postgres_server")))


async def emptied(server: PostgresServer) -> str:
    """The DSN of an empty database."""
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("DROP TABLE IF EXISTS skyfold")
    await connection.close()
    return server.dsn
