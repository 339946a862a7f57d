"""Time. The only module that may ask the operating system what time it is."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Moments are whole milliseconds since the epoch, everywhere."""

    def now(self) -> int: ...

    async def sleep_until(self, when_ms: int) -> None: ...


class SystemClock:
    """The time of the machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_until(self, when_ms: int) -> None:
        # A sleep is cut into hours so that a machine that was suspended does not oversleep.
        while (left_ms := when_ms - self.now()) > 0:  # noqa: ASYNC110 - it is the clock
            await asyncio.sleep(min(left_ms, 3_600_000) / 1000)


class VirtualClock:
    """A clock that moves only when told to; sleepers wake in the order of their deadlines."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now = now_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now

    async def sleep_until(self, when_ms: int) -> None:
        if when_ms <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when_ms, next(self._order), woken))
        await woken

    @property
    def next_deadline(self) -> int | None:
        """The moment at which the next sleeper wakes, if one sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Move on at once and wake everyone whose deadline has passed."""
        self._now += int(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


def stopwatch() -> float:
    """Seconds on a clock that never goes back: for durations, never for moments."""
    return time.perf_counter()


class AdjustableClock:
    """The time of the machine, until someone moves it on or stops it (``skyfold clock``).

    It never goes back: what has happened stays in the past.
    """

    def __init__(self) -> None:
        self._offset_ms = 0
        self._frozen_at: int | None = None
        self._moved = asyncio.Event()

    def now(self) -> int:
        if self._frozen_at is not None:
            return self._frozen_at
        return time.time_ns() // 1_000_000 + self._offset_ms

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def resume(self) -> None:
        """Run on from where it stands."""
        if self._frozen_at is not None:
            self._offset_ms = self._frozen_at - time.time_ns() // 1_000_000
            self._frozen_at = None
            self._wake()

    def move_to(self, when_ms: int) -> None:
        """Go on to ``when_ms`` and wake who has waited for it; the past is refused."""
        if when_ms < self.now():
            raise ValueError("The clock does not go back.")
        if self._frozen_at is not None:
            self._frozen_at = when_ms
        else:
            self._offset_ms = when_ms - time.time_ns() // 1_000_000
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, when_ms: int) -> None:
        while (left_ms := when_ms - self.now()) > 0:
            patience = None if self.frozen else min(left_ms, 3_600_000) / 1000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), patience)
