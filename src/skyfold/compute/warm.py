"""The idle cells that are some function's already, most recently used last."""

from __future__ import annotations

from collections import OrderedDict

from skyfold.base.clock import stopwatch
from skyfold.compute.cells import Cell


class Warm:
    """Idle cells by key. It holds them within a total of memory by ending the oldest."""

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb
        self._used_mb = 0
        self._cells: OrderedDict[Cell, int] = OrderedDict()
        self._by_key: dict[str, list[Cell]] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def put(self, cell: Cell, key: str) -> None:
        cell.last_used = stopwatch()
        size = cell.max_memory_mb
        self._cells[cell] = size
        self._used_mb += size
        self._by_key.setdefault(key, []).append(cell)
        while self._used_mb > self._memory_mb and len(self._cells) > 1:
            self._end(next(iter(self._cells)))

    def take(self, key: str) -> Cell | None:
        """The cell of ``key`` that was used last: the others may grow old and end."""
        cells = self._by_key.get(key)
        while cells:
            cell = cells[-1]
            self.remove(cell)
            if cell.alive:
                return cell
        return None

    def remove(self, cell: Cell) -> None:
        size = self._cells.pop(cell, None)
        if size is None or cell.spec is None:
            return
        self._used_mb -= size
        key = cell.spec.key
        cells = self._by_key[key]
        cells.remove(cell)
        if not cells:
            del self._by_key[key]

    def end_key(self, key: str) -> None:
        for cell in list(self._by_key.get(key, ())):
            self._end(cell)

    def end_older(self, idle_s: float) -> None:
        """End what has not been used for ``idle_s``."""
        limit = stopwatch() - idle_s
        for cell in list(self._cells):
            if cell.last_used > limit:
                return
            self._end(cell)

    def _end(self, cell: Cell) -> None:
        self.remove(cell)
        cell.kill()
