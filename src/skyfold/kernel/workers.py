"""Long-running work beside the requests: one worker for each row, a few tasks at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform

log = logging.getLogger("skyfold.workers")

RESTART_MS = 1_000

Work = Callable[[], Awaitable[None]]


async def keep_working(
    platform: Platform, prefix: bytes, wanted: Callable[[], Awaitable[Mapping[str, Work]]]
) -> None:
    """Run what ``wanted`` names, and look again at every commit under ``prefix``.

    Work whose name disappears is cancelled; work that ends or fails is begun again after a second.
    A name should therefore change with whatever the work depends on.
    """
    running: dict[str, asyncio.Task[None]] = {}
    try:
        with platform.store.watch(prefix) as watching:
            while True:
                names = await wanted()
                for gone in running.keys() - names.keys():
                    running.pop(gone).cancel()
                for name in names.keys() - running.keys():
                    running[name] = asyncio.create_task(_again(platform, name, names[name]))
                await watching.changed()
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _again(platform: Platform, name: str, work: Work) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed; it is begun again", name)
        await platform.clock.sleep_until(platform.clock.now() + RESTART_MS)


class Lanes:
    """At most ``count`` tasks at once: wait for a free lane, then start a task in it."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait(self) -> None:
        """Take a lane. It is given back by the task started in it, or by ``give_back``."""
        await self._free.acquire()

    def give_back(self) -> None:
        self._free.release()

    def start(self, task: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``task`` in the lane that was taken; what it raises is logged."""
        started = asyncio.create_task(self._run(task, name))
        self._tasks.add(started)
        started.add_done_callback(self._tasks.discard)

    async def _run(self, task: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await task
        except Exception:
            log.exception("%s failed", name)
        finally:
            self._free.release()
