"""What a client knows of its writes: acknowledged, or sent without an answer."""

from __future__ import annotations

import hashlib
from collections import Counter


def hashed(body: bytes | str) -> str:
    data = body.encode() if isinstance(body, str) else body
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:24]}"


class Registers:
    """Values by key, each key written by one client alone, one write at a time.

    A write without an answer may or may not have happened; the next look decides, for good.
    """

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}
        self._open: dict[str, list[str | None]] = {}
        self.acknowledged = 0

    def begin(self, key: str, value: str | None) -> None:
        self._open.setdefault(key, []).append(value)

    def acknowledge(self, key: str) -> None:
        self.known[key] = self._open.pop(key)[-1]
        self.acknowledged += 1

    def keys(self) -> set[str]:
        return set(self.known) | set(self._open)

    def settle(self, key: str, found: str | None) -> str | None:
        """What is wrong with having found this; nothing where it is what was written."""
        allowed = [self.known.get(key), *self._open.pop(key, [])]
        self.known[key] = found
        return None if found in allowed else f"{key} is {found}, and should be one of {allowed}"


class Counters:
    """Sums by key: each acknowledged increment counts once, each unanswered one at most once."""

    def __init__(self) -> None:
        self.least: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.acknowledged = 0

    def begin(self, key: str) -> None:
        self.most[key] += 1

    def acknowledge(self, key: str) -> None:
        self.least[key] += 1
        self.acknowledged += 1

    def settle(self, key: str, found: int) -> str | None:
        least, most = self.least[key], self.most[key]
        self.least[key] = self.most[key] = found
        return None if least <= found <= most else f"{key} is {found}, not in {least}..{most}"


class Arrivals:
    """Things that must arrive at least once somewhere, unless they were unanswered."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.sent: set[str] = set()
        self.arrived: set[str] = set()

    @property
    def acknowledged(self) -> int:
        return len(self.wanted)

    @property
    def missing(self) -> set[str]:
        return self.wanted - self.arrived

    @property
    def invented(self) -> set[str]:
        return self.arrived - self.sent
