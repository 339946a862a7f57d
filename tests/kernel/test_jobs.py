"""Jobs: run when due, in order, at least once, and again when their node has died."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from skyfold.kernel.jobs import JOBS, LEASE_MS, cancel, schedule
from skyfold.store.api import Tx
from tests.kernel.toys import Toys
from tests.support.world import World


async def put(world: World, kind: str, key: str, seconds: float) -> None:
    due_at = world.clock.now() + int(seconds * 1000)

    async def scheduled(tx: Tx) -> None:
        await schedule(tx, kind, key, due_at=due_at)

    await world.platform.store.write(scheduled)


async def left(world: World) -> list[Any]:
    return await world.platform.store.read(lambda tx: JOBS.scan(tx, limit=100))


@pytest.mark.parametrize("kind", ["toy.live", "toy.tx"])
async def test_a_job_runs_when_it_is_due_and_is_forgotten(kind: str) -> None:
    toys = Toys()
    world = toys.world()
    begin = world.clock.now()
    await put(world, kind, "a", 60)

    await world.advance(59)
    assert toys.ran == []

    await world.advance(1)
    assert toys.ran == [("a", begin + 60_000)]
    assert await left(world) == []


async def test_jobs_run_in_the_order_of_their_moments() -> None:
    toys = Toys()
    world = toys.world()
    for key, seconds in (("c", 30), ("a", 10), ("b", 20)):
        await put(world, "toy.tx", key, seconds)

    await world.advance(60)

    assert [key for key, _ in toys.ran] == ["a", "b", "c"]


async def test_a_job_that_asks_for_it_runs_again() -> None:
    toys = Toys()
    world = toys.world()
    toys.again = [world.clock.now() + 90_000]
    await put(world, "toy.live", "a", 30)

    await world.advance(120)

    assert len(toys.ran) == 2


async def test_scheduling_again_replaces_the_earlier_moment() -> None:
    toys = Toys()
    world = toys.world()
    await put(world, "toy.live", "a", 10)
    await put(world, "toy.live", "a", 50)

    await world.advance(20)
    assert toys.ran == []
    await world.advance(30)
    assert len(toys.ran) == 1


async def test_a_cancelled_job_never_runs() -> None:
    toys = Toys()
    world = toys.world()
    await put(world, "toy.live", "a", 10)

    await world.platform.store.write(lambda tx: cancel(tx, "toy.live", "a"))
    await world.advance(60)

    assert toys.ran == []
    assert await left(world) == []


async def test_a_bug_in_a_job_is_logged_and_the_job_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    toys = Toys()
    world = toys.world()
    toys.trouble = [ZeroDivisionError()]
    await put(world, "toy.live", "a", 0)

    await world.advance(0)
    assert len(toys.ran) == 1
    assert "toy.live/a failed" in caplog.text

    await world.advance(1)
    assert len(toys.ran) == 2
    assert await left(world) == []


async def test_a_job_rescheduled_while_it_runs_keeps_its_new_moment() -> None:
    toys = Toys()
    world = toys.world()
    begin = world.clock.now()
    await put(world, "toy.live", "a", 0)
    assert await world.platform.jobs.run_due() == 1  # claimed, not yet run

    await put(world, "toy.live", "a", 40)
    await world.platform.jobs.settle()

    assert [row.due_at for row in await left(world)] == [begin + 40_000]


async def test_what_a_dead_process_was_running_is_due_at_once_after_recovery() -> None:
    toys = Toys()
    world = toys.world()
    await put(world, "toy.live", "a", 0)
    await world.platform.jobs.run_due()
    await world.platform.jobs.stop()  # as if the process had died over it
    assert toys.ran == []

    assert await world.platform.jobs.recover() == 1
    await world.platform.jobs.settle()

    assert [key for key, _ in toys.ran] == ["a"]


async def test_a_lease_that_is_not_renewed_runs_out() -> None:
    toys = Toys()
    world = toys.world()
    await put(world, "toy.live", "a", 0)
    await world.platform.jobs.run_due()
    await world.platform.jobs.stop()

    await world.advance(LEASE_MS / 1000)

    assert [key for key, _ in toys.ran] == ["a"]


async def test_no_more_of_a_kind_run_at_once_than_it_allows() -> None:
    toys = Toys()
    world = toys.world()
    for key in "abcde":
        await put(world, "toy.live", key, 0)

    assert await world.platform.jobs.run_due() == 2
    assert await world.platform.jobs.run_due() == 0
    await world.platform.jobs.settle()

    assert sorted(key for key, _ in toys.ran) == list("abcde")


async def test_the_loop_wakes_for_new_jobs_and_for_moments_that_come() -> None:
    toys = Toys()
    world = toys.world()
    loop = asyncio.ensure_future(world.platform.jobs.run_forever())
    await asyncio.sleep(0)

    await put(world, "toy.live", "now", 0)
    await put(world, "toy.live", "soon", 5)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [key for key, _ in toys.ran] == ["now"]

    world.clock.advance(5)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [key for key, _ in toys.ran] == ["now", "soon"]
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
