"""What a transaction has written so far, laid over what the database holds."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from skyfold.store.api import Pair

T = TypeVar("T")


class Overlay:
    """The writes of one transaction; the engines' transactions are overlays that can also read.

    A range that was deleted hides the base under it; what is put there later shows again, since
    ``writes`` lies over ``gone``, which lies over the base.
    """

    __slots__ = ("_order", "gone", "writes")

    def __init__(self) -> None:
        self.writes: dict[bytes, bytes | None] = {}
        self.gone: list[tuple[bytes, bytes]] = []
        self._order: list[bytes] | None = None
        """The keys of ``writes`` in order, once a scan has needed them."""

    def put(self, key: bytes, value: bytes) -> None:
        if self._order is not None and key not in self.writes:
            insort(self._order, key)
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        if self._order is not None and key not in self.writes:
            insort(self._order, key)
        self.writes[key] = None

    def delete_range(self, start: bytes, stop: bytes) -> None:
        if start >= stop:
            return
        for key in self.written(start, stop):
            del self.writes[key]
        self._order = None
        self.gone.append((start, stop))

    def hides(self, key: bytes) -> bool:
        """Whether a deleted range covers the base at ``key``."""
        return any(start <= key < stop for start, stop in self.gone)

    def written(self, start: bytes, stop: bytes) -> list[bytes]:
        """The keys written in a range, in order."""
        if not self.writes:
            return []
        if self._order is None:
            self._order = sorted(self.writes)
        order = self._order
        return order[bisect_left(order, start) : bisect_left(order, stop)]

    def shining(self, start: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
        """The parts of a range whose base no deleted range covers, in order."""
        parts = [(start, stop)]
        for gone_start, gone_stop in self.gone:
            cut: list[tuple[bytes, bytes]] = []
            for low, high in parts:
                if gone_stop <= low or high <= gone_start:
                    cut.append((low, high))
                    continue
                if low < gone_start:
                    cut.append((low, gone_start))
                if gone_stop < high:
                    cut.append((gone_stop, high))
            parts = cut
        return parts

    def merged(
        self, base: Iterable[Pair], written: list[bytes], limit: int, reverse: bool
    ) -> list[Pair]:
        """``base`` with what was written in its range, in order, ``limit`` pairs at the most.

        ``base`` must reach ``limit + len(written)`` pairs far, as the writes may delete that many.
        """
        seen = dict(base)
        for key in written:
            value = self.writes[key]
            if value is None:
                seen.pop(key, None)
            else:
                seen[key] = value
        return [(key, seen[key]) for key in sorted(seen, reverse=reverse)[:limit]]


def run_to_end(fn: Callable[..., Awaitable[T]], tx: object, args: tuple[Any, ...]) -> T:
    """The result of ``fn(tx, *args)``, whose awaits must all be answered without waiting.

    Nothing else runs in between: that is what makes an embedded transaction serializable.
    """
    running: Any = fn(tx, *args)
    try:
        running.send(None)
    except StopIteration as end:
        return end.value
    where = _suspended_at(running)
    running.close()
    raise RuntimeError(
        f"A function of tx waited for something else than its tx: {where}. It must await nothing "
        "but the methods of tx."
    )


def _suspended_at(running: Any) -> str:
    """Which await a coroutine stopped at, innermost frame first to be blamed."""
    frames = []
    while (frame := getattr(running, "cr_frame", None)) is not None:
        code = frame.f_code
        frames.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        running = running.cr_await
    return f"{frames[-1] if frames else 'the call'} awaits {running!r}"
