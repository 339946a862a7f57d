"""A function's output, cut into log events."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

_MAGIC = b"\xa5\x5a\x00"
"""How a framed event begins, as AWS's runtimes write them; no UTF-8 text can begin a character
so. Then: a byte of level and format, the length (4 bytes), the microsecond (8 bytes)."""
_FRAME_HEAD = 16
_EVENT_BYTES_MAX = 256 * 1024
_KEPT_BYTES_MAX = 8 * 1024**2
_READ_BYTES = 1 << 18


class Splitter:
    """Cuts a stream of bytes into events: framed ones whole, everything else line by line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        data = self._rest + data
        events: list[bytes] = []
        at = 0
        while at < len(data):
            if data.startswith(_MAGIC, at):
                if at + _FRAME_HEAD > len(data):
                    break
                length = int.from_bytes(data[at + 4 : at + 8], "big")
                end = at + _FRAME_HEAD + length
                if end > len(data) and length <= _EVENT_BYTES_MAX * 8:
                    break
                events += _cut(data[at + _FRAME_HEAD : end].removesuffix(b"\n"))
                at = end
                continue
            end = self._line_end(data, at)
            if end < 0:
                break
            events += _cut(data[at:end].replace(b"\r", b"\n").removesuffix(b"\n"))
            at = end + (data[end : end + 1] == b"\n")
        self._rest = data[at:]
        return events

    def finish(self) -> list[bytes]:
        """What was written without a newline at the end."""
        rest, self._rest = self._rest, b""
        return _cut(rest) if rest else []

    def _line_end(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at)
        frame = data.find(_MAGIC, at)
        if frame >= 0 and (newline < 0 or frame < newline):
            return frame
        if newline < 0 and len(data) - at > _EVENT_BYTES_MAX:
            return at + _EVENT_BYTES_MAX
        return newline


def _cut(event: bytes) -> list[bytes]:
    if len(event) <= _EVENT_BYTES_MAX:
        return [event]
    return [event[at : at + _EVENT_BYTES_MAX] for at in range(0, len(event), _EVENT_BYTES_MAX)]


class Record:
    """The log events of one invocation; the oldest are let go where there are too many."""

    def __init__(self, on_log: Callable[[bytes], None] | None) -> None:
        self._on_log = on_log
        self._events: deque[bytes] = deque()
        self._size = 0

    def add(self, event: bytes) -> None:
        if self._on_log is not None:
            self._on_log(event)
        self._events.append(event)
        self._size += len(event) + 1
        while self._size > _KEPT_BYTES_MAX:
            self._size -= len(self._events.popleft()) + 1

    @property
    def text(self) -> bytes:
        return b"\n".join((*self._events, b"")) if self._events else b""


class LogPipe:
    """The reading end of a cell's output."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._open = True
        os.set_blocking(fd, False)
        self._splitter = Splitter()
        self.record: Record | None = None
        """Who gets what is written; without one it waits for the next invocation."""
        self._early: list[bytes] = []

    def begin(self, record: Record) -> None:
        self.record = record
        early, self._early = self._early, []
        for event in early:
            record.add(event)

    def read(self) -> bool:
        """Take what is in the pipe now; False when nobody can write to it any more."""
        if not self._open:
            return False
        try:
            data = os.read(self.fd, _READ_BYTES)  # more than a pipe holds
        except BlockingIOError:
            return True
        for event in self._splitter.feed(data):
            self._add(event)
        return bool(data)

    def finish(self) -> None:
        """The invocation is over: what it wrote is in the pipe already, for it wrote that first."""
        self.read()
        for event in self._splitter.finish():
            self._add(event)
        self.record = None

    def close(self) -> None:
        self._open = False
        os.close(self.fd)

    def _add(self, event: bytes) -> None:
        if self.record is not None:
            self.record.add(event)
        elif len(self._early) < 10_000:
            self._early.append(event)
