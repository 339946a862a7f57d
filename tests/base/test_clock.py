"""Clocks: virtual ones for tests, an adjustable one for people."""

from __future__ import annotations

import asyncio

import pytest

from skyfold.base.clock import AdjustableClock, VirtualClock


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock, woken = VirtualClock(0), []

    async def sleeper(name: str, until: int) -> None:
        await clock.sleep_until(until)
        woken.append(name)

    tasks = [asyncio.ensure_future(sleeper(n, t)) for n, t in (("b", 20), ("a", 10), ("c", 30))]
    await asyncio.sleep(0)
    clock.advance(0.025)
    await asyncio.wait(tasks, timeout=0.01)

    assert woken == ["a", "b"]
    assert clock.next_deadline == 30
    tasks[2].cancel()


async def test_a_moved_clock_wakes_who_has_waited_for_the_moment() -> None:
    clock = AdjustableClock()
    sleeping = asyncio.ensure_future(clock.sleep_until(clock.now() + 3_600_000))
    await asyncio.sleep(0)

    clock.move_to(clock.now() + 3_600_001)

    await asyncio.wait_for(sleeping, 1)


def test_a_frozen_clock_stands_until_it_is_moved_or_resumed() -> None:
    clock = AdjustableClock()
    clock.freeze()
    stood = clock.now()

    clock.move_to(stood + 5_000)
    assert clock.now() == stood + 5_000

    clock.resume()
    assert clock.now() >= stood + 5_000
    assert not clock.frozen


def test_the_clock_does_not_go_back() -> None:
    clock = AdjustableClock()
    with pytest.raises(ValueError, match="does not go back"):
        clock.move_to(clock.now() - 10_000)
