"""The cells of one runtime that wait, parked, for a function to need one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from skyfold.base.clock import stopwatch
from skyfold.compute import environment
from skyfold.compute.api import ComputeError
from skyfold.compute.cells import Cell
from skyfold.compute.runtimes import Interpreter
from skyfold.compute.spawners import Spawner, SpawnerPlan, program_there

PARKED = 2
"""How many cells wait for each runtime that is in use."""
ROTATE_AFTER_FORKS = 1000
ROTATE_AFTER_S = 3600
"""Forks of one spawner share their address layout: begin anew from time to time."""
_REFILL_DELAY_S = 0.03
"""A cold start that goes on now needs the processor more than the next one will."""


class Pool:
    """Spawners and parked cells of one runtime, in one way of starting it.

    ``mode``: ``python`` and ``program`` (Node) cells have booted their runtime; ``later`` ones wait
    before they start a program, for functions whose environment is read when a program starts.
    """

    def __init__(
        self,
        runtime: str,
        interpreter: Interpreter,
        *,
        level: int,
        folder: Path,
        new_cell: Callable[[Spawner], Awaitable[Cell]],
        ports: list[int],
        preload: str,
        mode: str,
        parked: int = PARKED,
    ) -> None:
        self.runtime, self.interpreter = runtime, interpreter
        self.last_used = stopwatch()
        self._level, self._folder, self._new_cell = level, folder, new_cell
        self._ports, self._preload, self._mode = ports, preload, mode
        self._target = parked
        self._parked: deque[Cell] = deque()
        self._spawner: Spawner | None = None
        self._born = 0.0
        self._old: list[Spawner] = []
        self._starting = asyncio.Lock()
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    async def prepare(self, roots: tuple[Path, ...]) -> None:
        """Start the spawner and park cells, so that the first invocation finds them."""
        self.last_used = stopwatch()
        await self._ready_spawner(roots)
        self._refill_soon(roots, 0)

    async def take(self, roots: tuple[Path, ...]) -> Cell:
        """A cell that is nobody's yet."""
        self.last_used = stopwatch()
        spawner = await self._ready_spawner(roots)
        cell = None
        while self._parked and cell is None:
            cell = self._parked.popleft()
            if not cell.alive or cell.spawner is not spawner:
                cell.kill()
                cell = None
        if cell is None:
            cell = await self._spawn(spawner)
        self._refill_soon(roots, _REFILL_DELAY_S)
        return cell

    def rest(self) -> None:
        """Out of use for a while: keep nothing that costs memory."""
        if self._refill is not None:
            self._refill.cancel()
        for cell in self._parked:
            cell.kill()
        self._parked.clear()
        if self._spawner is not None:
            self._old.append(self._spawner)
            self._spawner = None

    def let_go(self) -> list[Spawner]:
        """Spawners that were replaced and whose last cell is gone; the caller ends them."""
        done = [spawner for spawner in self._old if spawner.cells == 0]
        self._old = [spawner for spawner in self._old if spawner.cells > 0]
        return done

    async def close(self) -> None:
        """Make no more cells."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refill
        self._parked.clear()

    async def end_spawners(self) -> None:
        """After the last cell."""
        spawners = [*self._old, *([self._spawner] if self._spawner else [])]
        await asyncio.gather(*(spawner.ended() for spawner in spawners))

    @property
    def idle(self) -> bool:
        return self._spawner is None and not self._old

    async def _ready_spawner(self, roots: tuple[Path, ...]) -> Spawner:
        if (spawner := self._usable(roots)) is not None and not self._closed:
            return spawner
        async with self._starting:
            if (spawner := self._usable(roots)) is not None:
                return spawner
            if self._closed:
                raise ComputeError("The sandboxes have been stopped.")
            spawner = Spawner(
                SpawnerPlan(
                    self.runtime,
                    self.interpreter,
                    self._level,
                    self._folder,
                    roots,
                    self._preload,
                    self._mode,
                )
            )
            await spawner.start()
            if self._spawner is not None:
                self._old.append(self._spawner)
            self._spawner, self._born = spawner, stopwatch()
            return spawner

    def _usable(self, roots: tuple[Path, ...]) -> Spawner | None:
        spawner = self._spawner
        if spawner is None or not spawner.alive or spawner.plan.roots != roots:
            return None
        if spawner.spawned >= ROTATE_AFTER_FORKS or stopwatch() - self._born > ROTATE_AFTER_S:
            return None
        return spawner

    def _refill_soon(self, roots: tuple[Path, ...], delay_s: float) -> None:
        if self._refill is None or self._refill.done():
            self._refill = asyncio.create_task(self._fill(roots, delay_s))

    async def _fill(self, roots: tuple[Path, ...], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        with contextlib.suppress(ComputeError):  # whoever needs a cell is told
            while len(self._parked) < self._target:
                spawner = await self._ready_spawner(roots)
                self._parked.append(await self._spawn(spawner))

    async def _spawn(self, spawner: Spawner) -> Cell:
        cell = await self._new_cell(spawner)
        order: dict[str, Any] = {
            "mode": self._mode,
            "ports": self._ports,
            "hold": cell.group is not None and cell.group.attaches_late,
        }
        if self._mode == "program":
            order["argv"] = [
                program_there(self.interpreter, self._level),
                spawner.inside + "/node.cjs",
            ]
            order["environment"] = environment.base(self.runtime)
        try:
            await cell.spawn(order)
            await cell.ready()
        except BaseException:
            cell.kill()
            raise
        return cell
