"""A process that writes until it is killed, and says on its output what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from skyfold.store.api import Tx
from skyfold.store.engines.rocks import RocksStore

CLIENTS = 16


async def put(tx: Tx, key: str) -> None:
    tx.put(f"a/{key}".encode(), key.encode() * 20)
    tx.put(f"b/{key}".encode(), b"")


async def write_for_ever(store: RocksStore, client: str) -> None:
    number = 0
    while True:
        key = f"{client}-{number}"
        await store.write(put, key)
        os.write(1, f"{key}\n".encode())
        number += 1


async def main(folder: Path, run: str) -> None:
    store = RocksStore(folder)
    await asyncio.gather(*(write_for_ever(store, f"{run}-{client}") for client in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
