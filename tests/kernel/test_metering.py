"""Usage and metrics: counted in memory, written with a group commit, summed by hour and minute."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.metering import HOUR_MS, usage_between
from skyfold.kernel.telemetry import METRICS
from tests.support.world import ACCOUNT, World


async def usage(world: World) -> list[tuple[int, str, float]]:
    await world.platform.store.flush()
    rows = await world.platform.store.read(usage_between, ACCOUNT, 0, 1 << 40)
    return [(row.hour, row.usage_type, row.quantity) for row in rows]


async def test_a_counter_is_one_row_for_its_hour_however_often_it_is_flushed() -> None:
    world = World()
    hour = world.clock.now() // HOUR_MS

    for _ in range(3):
        world.call().meter("Requests", 2)
        rows = await usage(world)

    assert rows == [(hour, "Requests", 6)]


async def test_an_hour_later_a_new_row_begins() -> None:
    world = World()
    world.call().meter("Requests")
    await usage(world)
    world.clock.advance(3600)
    world.call().meter("Requests", 5)

    assert [quantity for _, _, quantity in await usage(world)] == [1, 5]


async def test_only_the_hours_asked_for_are_read() -> None:
    world = World()
    hour = world.clock.now() // HOUR_MS
    world.call().meter("Requests")
    await world.platform.store.flush()

    assert not await world.platform.store.read(usage_between, ACCOUNT, hour + 1, hour + 2)
    assert await world.platform.store.read(usage_between, ACCOUNT, hour, hour + 1)


async def test_a_metric_keeps_count_sum_and_extremes_of_its_minute() -> None:
    world = World()
    for value in (3.0, 1.0, 8.0):
        world.call().metric("AWS/Toy", "Latency", value, "Milliseconds", Name="a")
    await world.platform.store.flush()

    rows: list[Any] = await world.platform.store.read(lambda tx: METRICS.scan(tx, limit=10))

    (row,) = rows
    assert (row.count, row.sum, row.minimum, row.maximum) == (3, 12, 1, 8)
    assert (row.dimensions, row.unit) == ("Name=a", "Milliseconds")
