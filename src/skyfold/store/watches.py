"""Who wants to hear of which keys: watches and listeners, shared by the engines of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection


class Watches:
    """Prefixes in a dict by their length, so that a commit costs one look-up for each length."""

    def __init__(self) -> None:
        self._heard: dict[int, dict[bytes, list[Callable[[], None]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._heard)

    def watch(self, prefix: bytes) -> WatchedPrefix:
        return WatchedPrefix(self, prefix)

    def listen(self, prefix: bytes, heard: Callable[[], None]) -> None:
        self._heard.setdefault(len(prefix), {}).setdefault(prefix, []).append(heard)

    def unlisten(self, prefix: bytes, heard: Callable[[], None]) -> None:
        same_length = self._heard[len(prefix)]
        same_length[prefix].remove(heard)
        if not same_length[prefix]:
            del same_length[prefix]
        if not same_length:
            del self._heard[len(prefix)]

    def notice(self, keys: Collection[bytes]) -> None:
        """Tell everyone whose prefix one of ``keys`` begins with, once each."""
        if not self._heard:
            return
        told: dict[Callable[[], None], None] = {}
        for length, prefixes in self._heard.items():
            for key in keys:
                if found := prefixes.get(key[:length]):
                    told.update(dict.fromkeys(found))
        for heard in told:
            heard()

    def notice_range(self, start: bytes, stop: bytes) -> None:
        """Tell everyone whose prefix a key with start <= key < stop may begin with."""
        told: dict[Callable[[], None], None] = {}
        for length, prefixes in self._heard.items():
            for prefix, found in prefixes.items():
                if prefix < stop and prefix >= start[:length]:
                    told.update(dict.fromkeys(found))
        for heard in told:
            heard()

    def notice_all(self) -> None:
        """Tell everyone: nobody knows any more what changed."""
        for prefixes in [*self._heard.values()]:
            for heard in [heard for found in prefixes.values() for heard in found]:
                heard()


class WatchedPrefix:
    """Begins noticing when it is entered; ``changed`` returns once for each burst of commits."""

    def __init__(self, watches: Watches, prefix: bytes) -> None:
        self._watches, self._prefix = watches, prefix
        self._touched = asyncio.Event()

    def __enter__(self) -> WatchedPrefix:
        self._watches.listen(self._prefix, self._touched.set)
        return self

    def __exit__(self, *exc: object) -> None:
        self._watches.unlisten(self._prefix, self._touched.set)

    async def changed(self) -> None:
        await self._touched.wait()
        self._touched.clear()
