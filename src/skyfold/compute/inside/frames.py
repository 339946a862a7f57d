"""The messages between the platform and a runtime: length, kind, payload on one stream socket."""

from __future__ import annotations

import os
import struct

HEADER = struct.Struct("<IB")

INVOKE = 1
"""To the runtime: a JSON header, a newline, the event."""
RESULT = 2
"""From it: the content type, a newline, the answer."""
ERROR = 3
"""The error's JSON, which names its type."""
INIT_ERROR = 4
ASSIGN = 5
"""To a waiting runtime: the JSON of who it is from now on."""
READY = 6
"""The handler is loaded."""
TOO_LARGE = 7
"""The answer had so many bytes (decimal) and was not sent."""
OUT_OF_MEMORY = 8
FATAL = 9
"""As ERROR, after which the runtime ends by itself."""


class Stream:
    """Blocking frames over a file descriptor, for the runtime's side."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, ahead: int = 65536) -> tuple[int, bytes]:
        """The next frame; EOFError when the platform has gone.

        One read is enough for a frame of ordinary size. ``ahead`` = 0 takes not a byte of the next.
        """
        data = os.read(self._fd, ahead or HEADER.size)
        while len(data) < HEADER.size:
            data += self._more(HEADER.size - len(data))
        length, kind = HEADER.unpack_from(data)
        missing = HEADER.size + length - len(data)
        if missing <= 0:
            return kind, data[HEADER.size :]
        parts = [data]
        while missing > 0:
            part = self._more(min(missing, 1 << 20))
            parts.append(part)
            missing -= len(part)
        return kind, b"".join(parts)[HEADER.size :]

    def write(self, kind: int, payload: bytes) -> None:
        data = memoryview(HEADER.pack(len(payload), kind) + payload)
        while data:
            data = data[os.write(self._fd, data) :]

    def _more(self, count: int) -> bytes:
        data = os.read(self._fd, count)
        if not data:
            raise EOFError
        return data
