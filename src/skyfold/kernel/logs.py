"""Log groups, streams and events: the tables that functions write and CloudWatch Logs reads.

Data model. A group is a row; a stream is a row under its group; an event is a row keyed by its
stream, its moment and a sequence, so that a stream reads in order; ``BY_TIME`` holds the same
events ordered by moment over all streams of a group, for searching a whole group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.principal import Principal
from skyfold.store.api import Tx
from skyfold.store.tables import Index, Table

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform

log = logging.getLogger("skyfold.logs")

FLUSH_MS = 50
BUFFERED_MAX = 10_000
"""Events; beyond that a flush begins at once."""
EVENT_BYTES_MAX = 1_048_576
EVENT_OVERHEAD_BYTES = 26


class LogGroup(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    name: str
    id: str
    """Names the group in the keys of its streams and events; a group made anew gets a new one."""
    created_at: int
    retention_days: int = 0
    """0: for ever."""
    stored_bytes: int = 0
    log_class: str = "STANDARD"


class LogStream(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    group_id: str
    name: str
    created_at: int
    first_event_at: int = -1
    last_event_at: int = -1
    last_ingested_at: int = -1
    next_sequence: int = 0


class LogEvent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    group_id: str
    stream: str
    at: int
    """The event's own moment, ms."""
    sequence: int
    """Its place among the events of its stream."""
    ingested_at: int
    message: str


GROUPS = Table("logs.groups", LogGroup, key=("account", "region", "name"))
STREAMS = Table("logs.streams", LogStream, key=("group_id", "name"))
EVENTS = Table("logs.events", LogEvent, key=("group_id", "stream", "at", "sequence"))
BY_TIME = Index("logs.by_time", "group_id", "at", "stream", "sequence")


class NewEvent(NamedTuple):
    at: int
    message: str


async def append(
    tx: Tx, group: LogGroup, stream_name: str, events: Sequence[NewEvent], *, now: int
) -> LogStream:
    """Add ``events``, in the order of their moments, to a stream; it is made where it is missing.

    The caller has checked sizes and ages.
    """
    stream = await STREAMS.get(tx, group.id, stream_name)
    if stream is None:
        stream = LogStream(group_id=group.id, name=stream_name, created_at=now)
    sequence, size = stream.next_sequence, 0
    for event in events:
        row = LogEvent(
            group_id=group.id,
            stream=stream_name,
            at=event.at,
            sequence=sequence,
            ingested_at=now,
            message=event.message,
        )
        EVENTS.put(tx, row)
        BY_TIME.put(tx, group.id, event.at, stream_name, sequence)
        sequence += 1
        size += len(event.message.encode()) + EVENT_OVERHEAD_BYTES
    first, last = min(e.at for e in events), max(e.at for e in events)
    stream = msgspec.structs.replace(
        stream,
        first_event_at=first if stream.first_event_at < 0 else min(stream.first_event_at, first),
        last_event_at=max(stream.last_event_at, last),
        last_ingested_at=now,
        next_sequence=sequence,
    )
    STREAMS.put(tx, stream)
    GROUPS.put(tx, msgspec.structs.replace(group, stored_bytes=group.stored_bytes + size))
    return stream


class _Target(NamedTuple):
    principal: Principal
    region: str
    group: str
    stream: str


class LogBuffer:
    """What functions print, on its way to CloudWatch Logs: written a few times a second.

    Written as the function's role, which needs the permissions of AWSLambdaBasicExecutionRole as
    on AWS; without them the events are dropped, as on AWS.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._waiting: dict[_Target, list[NewEvent]] = {}
        self._count = 0
        self._some = asyncio.Event()

    def add(
        self, principal: Principal, region: str, group: str, stream: str, at: int, message: str
    ) -> None:
        """Note one event. ``principal`` is the role that writes it."""
        target = _Target(principal, region, group, stream)
        self._waiting.setdefault(target, []).append(NewEvent(at, message))
        self._count += 1
        self._some.set()

    async def run_forever(self) -> None:
        wall = self._platform.wall
        while True:
            await self._some.wait()
            if self._count < BUFFERED_MAX:
                await wall.sleep_until(wall.now() + FLUSH_MS)
            self._some.clear()
            try:
                await self.flush()
            except Exception:
                log.exception("log events could not be written and are lost")

    async def flush(self) -> None:
        """Write what waits, in one transaction for all streams."""
        waiting, self._waiting, self._count = self._waiting, {}, 0
        if waiting:
            await self._platform.store.write(self._write, waiting)

    async def _write(self, tx: Tx, waiting: dict[_Target, list[NewEvent]]) -> None:
        now = self._platform.clock.now()
        for target, events in waiting.items():
            principal, region, name, stream = target
            call = self._platform.call(principal, region=region)
            arn = f"arn:aws:logs:{region}:{principal.account}:log-group:{name}"
            try:
                group = await GROUPS.get(tx, principal.account, region, name)
                if group is None:
                    await call.allowed(tx, "logs:CreateLogGroup", arn)
                    group = LogGroup(
                        account=principal.account,
                        region=region,
                        name=name,
                        id=call.new_id(),
                        created_at=now,
                    )
                await call.allowed(tx, "logs:CreateLogStream", f"{arn}:log-stream:{stream}")
                await call.allowed(tx, "logs:PutLogEvents", f"{arn}:log-stream:{stream}")
            except AwsError:
                continue
            await append(tx, group, stream, sorted(events, key=lambda e: e.at), now=now)
