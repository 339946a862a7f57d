"""A loaded server is killed again and again: whatever it acknowledged is there, nothing is left."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from skyfold.store.blobs import Blobs
from skyfold.store.engines.rocks import RocksStore
from tests.crash.clients import ALL, Client
from tests.support.server import Server, running

OPEN_MS_MAX = 1_500
"""The whole start of a process on a busy machine with two cores, the store's opening with it."""


class Storm:
    """Rounds of load, SIGKILL, restart and comparison. Only what was acknowledged is believed."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.random = server, random.Random(seed)
        here = [kind for kind in ALL if all(map(server.serves, kind.needs))]
        self.clients: list[Client] = [kind(server, seed) for kind in here]
        self.missing = [kind.__name__ for kind in ALL if kind not in here]
        self.wrong: list[str] = []
        self.kills = 0
        self.starts_s: list[float] = []
        for client in self.clients:
            client.prepare()

    def round(self, number: int) -> None:
        """Load, kill, start and check once; every fifth time the start is killed as well."""
        for client in self.clients:
            client.begin_round(number)
        threads = [threading.Thread(target=self._work, args=(one,)) for one in self.clients]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.2, 1.2))
        self._kill()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs on a server that is gone"
        if number % 5 == 0:
            self.server.launch()
            time.sleep(self.random.uniform(0.05, 0.9))
            self._kill()
        self.starts_s.append(self.server.start())
        for client in self.clients:
            self.wrong += client.check()

    def _kill(self) -> None:
        self.server.kill()
        self.kills += 1
        self.wrong += [f"process {pid} outlived the server" for pid in self.server.survivors()]

    def _work(self, client: Client) -> None:
        while True:
            try:
                client.act()
            except ClientError as refused:
                self.wrong.append(f"{type(client).__name__}: {refused}")
                return
            except (BotoCoreError, OSError):
                client.unanswered += 1
                return

    def finish(self) -> None:
        for client in self.clients:
            self.wrong += client.finish()

    def totals(self) -> dict[str, int]:
        sums = Counter({type(one).__name__: one.acknowledged for one in self.clients})
        return {**sums, "unanswered": sum(one.unanswered for one in self.clients)}


async def collect(state: Path) -> int:
    """What a running server collects in an hour: how many files belonged to nothing."""
    store, blobs = RocksStore(state / "store"), Blobs(state / "blobs")
    try:
        return await blobs.collect(store, 1_000, 0)
    finally:
        await store.close()


def leftovers(state: Path) -> list[str]:
    """What is in the data folder of a stopped server, was collected, and is still no body."""
    asyncio.run(collect(state))
    drafts = [path for path in state.rglob("*") if path.name.endswith(".draft")]
    assert asyncio.run(collect(state)) == 0, "everything was collected the first time"
    return [str(path) for path in [*drafts, *state.glob("upload-*")]]


def survive(folder: Path, kills: int, seed: int) -> Storm:
    with running(folder) as server:
        began = time.monotonic()
        storm = Storm(server, seed)
        number = 0
        while storm.kills < kills:
            number += 1
            storm.round(number)
            assert storm.wrong == [], f"after {storm.kills} kills"
        storm.finish()
        took = time.monotonic() - began
        status = server.stop()
        left = server.survivors()
        temporary = list(server.temporary.iterdir())
    print(f"\n{storm.kills} kills in {took:.0f} s, starts {max(storm.starts_s):.2f} s at most")
    print(f"acknowledged: {storm.totals()}; not served yet: {storm.missing}")
    print(f"ready after (ms): {sorted(server.ready_ms())}")
    assert storm.wrong == []
    assert all(storm.totals()[type(client).__name__] for client in storm.clients)
    assert (status, left, temporary) == (0, [], [])
    assert leftovers(server.state) == []
    assert "Traceback" not in server.log.read_text()
    assert sorted(server.ready_ms())[-2] < OPEN_MS_MAX
    return storm


def test_five_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    storm = survive(tmp_path / "server", kills=5, seed=20)
    assert storm.kills >= 5


@pytest.mark.slow
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    storm = survive(tmp_path / "server", kills=50, seed=2)
    assert storm.kills >= 50


def test_two_servers_cannot_have_the_same_data_folder(tmp_path: Path) -> None:
    with running(tmp_path / "one") as first:
        second = Server(tmp_path / "two")
        second.state = first.state
        with pytest.raises(AssertionError, match=r"skyfold up: .*in use"):
            second.start()
        assert first.answers()
        assert second.survivors() == []
