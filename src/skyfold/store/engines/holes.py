"""Ranges known to hold no key, so that a queue's deleted head is walked over only once."""

from __future__ import annotations

from bisect import bisect_right

_HOLES_MAX = 256


class Holes:
    """Disjoint ranges ``start <= key < stop`` without a key.

    A log-structured database keeps deleted keys for a while as tombstones, and a scan has to step
    over them: a hundred thousand deleted messages at the head of a queue cost every receive
    milliseconds. An engine ``add``s what a slow scan found empty, ``fill``s what is written, and
    begins its next scan where ``skip`` says.
    """

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._stops: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    def skip(self, start: bytes) -> bytes:
        """The first key from ``start`` on that may exist."""
        at = bisect_right(self._starts, start) - 1
        return self._stops[at] if at >= 0 and start < self._stops[at] else start

    def add(self, start: bytes, stop: bytes) -> None:
        if start >= stop:
            return
        low = bisect_right(self._starts, start)
        if low and self._stops[low - 1] >= start:  # grows the one before
            low -= 1
            start, stop = self._starts[low], max(stop, self._stops[low])
        high = bisect_right(self._starts, stop)
        if high > low:
            stop = max(stop, self._stops[high - 1])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]
        if len(self._starts) > _HOLES_MAX:
            self.clear()

    def fill(self, key: bytes) -> None:
        """``key`` was written: the hole around it now ends before it."""
        at = bisect_right(self._starts, key) - 1
        if at < 0 or key >= self._stops[at]:
            return
        if self._starts[at] == key:
            del self._starts[at], self._stops[at]
        else:
            self._stops[at] = key

    def clear(self) -> None:
        self._starts.clear()
        self._stops.clear()
