"""Log events: putting, reading a stream, searching a group."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

from skyfold.kernel import pages
from skyfold.kernel.call import Call
from skyfold.kernel.logs import (
    BY_TIME,
    EVENT_BYTES_MAX,
    EVENT_OVERHEAD_BYTES,
    EVENTS,
    LogEvent,
    LogGroup,
    NewEvent,
    append,
)
from skyfold.kernel.service import Request, reply
from skyfold.services.logs import limits
from skyfold.services.logs.engine.patterns import BadPattern, Match, compiled
from skyfold.services.logs.errors import InvalidParameterException
from skyfold.services.logs.operations.groups import group_of, stream_of
from skyfold.store.api import ReadTx, Tx

FOREVER_MS = 1 << 62


async def put_log_events(tx: Tx, call: Call, request: Request) -> Any:
    group = await group_of(tx, call, request)
    stream = await stream_of(tx, group, request["logStreamName"])
    events = request["logEvents"]
    _check_batch(events)
    kept, rejected = _in_time(events, call.now, group)
    if kept:
        fresh = [NewEvent(event["timestamp"], event["message"]) for event in kept]
        stream = await append(tx, group, stream.name, fresh, now=call.now)
        size = sum(len(e.message.encode()) + EVENT_OVERHEAD_BYTES for e in fresh)
        call.meter("DataProcessing-Bytes", size)
        call.metric("AWS/Logs", "IncomingBytes", size, "Bytes", LogGroupName=group.name)
        count = len(fresh)
        call.metric("AWS/Logs", "IncomingLogEvents", count, "Count", LogGroupName=group.name)
    return reply(
        nextSequenceToken=f"{stream.next_sequence:056d}", rejectedLogEventsInfo=rejected or None
    )


def _check_batch(events: Any) -> None:
    moments = [event["timestamp"] for event in events]
    if any(later < earlier for earlier, later in pairwise(moments)):
        raise InvalidParameterException(
            "Log events in a single PutLogEvents request must be in chronological order."
        )
    if moments[-1] - moments[0] > limits.BATCH_SPAN_MS_MAX:
        raise InvalidParameterException(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 "
            "hours."
        )
    sizes = [len(event["message"].encode()) + EVENT_OVERHEAD_BYTES for event in events]
    if max(sizes) > EVENT_BYTES_MAX:
        raise InvalidParameterException(f"Log event too large: {max(sizes)} bytes exceeds limit of "
                                        f"{EVENT_BYTES_MAX}")  # fmt: skip
    if sum(sizes) > limits.BATCH_BYTES_MAX:
        raise InvalidParameterException(
            f"Upload too large: {sum(sizes)} bytes exceeds limit of {limits.BATCH_BYTES_MAX}"
        )


def _in_time(events: Any, now: int, group: LogGroup) -> tuple[list[Any], dict[str, int]]:
    """The events to keep, and where the too old and the too new ones begin and end."""
    oldest = now - limits.EVENT_AGE_MS_MAX
    expired = now - group.retention_days * limits.DAY_MS if group.retention_days else 0
    newest = now + limits.EVENT_AHEAD_MS_MAX
    kept: list[Any] = []
    rejected: dict[str, int] = {}
    for at, event in enumerate(events):
        if event["timestamp"] > newest:
            rejected.setdefault("tooNewLogEventStartIndex", at)
        elif event["timestamp"] < expired:
            rejected["expiredLogEventEndIndex"] = at + 1
        elif event["timestamp"] < oldest:
            rejected["tooOldLogEventEndIndex"] = at + 1
        else:
            kept.append(event)
    return kept, rejected


async def get_log_events(tx: ReadTx, call: Call, request: Request) -> Any:
    group = await group_of(tx, call, request)
    name = request["logStreamName"]
    await stream_of(tx, group, name)
    size = request.get("limit", limits.PAGE_EVENTS_MAX)
    first, end = request.get("startTime", 0), request.get("endTime", FOREVER_MS)
    forward, above, below = bool(request.get("startFromHead")), None, None
    if token := request.get("nextToken"):
        forward, position = _stream_token(token)
        above, below = (position, None) if forward else (None, position)
    found = await EVENTS.scan(
        tx,
        group.id,
        name,
        limit=size,
        above=above or (first - 1, FOREVER_MS),
        below=below or (end,),
        reverse=not forward,
    )
    page = _within_bytes(found)
    if not forward:
        page.reverse()
    head = (page[0].at, page[0].sequence) if page else (below or above or (0, 0))
    tail = (page[-1].at, page[-1].sequence) if page else (above or below or (0, 0))
    return reply(
        events=[
            {"timestamp": e.at, "message": e.message, "ingestionTime": e.ingested_at} for e in page
        ],
        nextForwardToken="f/" + pages.token("logs.events", *tail),
        nextBackwardToken="b/" + pages.token("logs.events", *head),
    )


def _stream_token(token: str) -> tuple[bool, tuple[Any, ...]]:
    try:
        if token[:2] in ("f/", "b/"):
            return token[0] == "f", pages.position("logs.events", token[2:])
    except pages.BadToken:
        pass
    raise InvalidParameterException("The specified nextToken is invalid.")


def _within_bytes(events: list[LogEvent]) -> list[LogEvent]:
    size = 0
    page: list[LogEvent] = []
    for event in events:
        size += len(event.message.encode()) + EVENT_OVERHEAD_BYTES
        if size > limits.PAGE_BYTES_MAX and page:
            break
        page.append(event)
    return page


async def filter_log_events(tx: ReadTx, call: Call, request: Request) -> Any:
    group = await group_of(tx, call, request)
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise InvalidParameterException(
            "Parameters 'logStreamNames' and 'logStreamNamePrefix' are mutually exclusive."
        )
    match = matcher(request.get("filterPattern", ""))
    wanted = set(names) if names else None
    size = request.get("limit", limits.PAGE_EVENTS_MAX)
    first, end = request.get("startTime", 0), request.get("endTime")
    above: tuple[Any, ...] = (first - 1,)
    if token := request.get("nextToken"):
        try:
            above = pages.position("logs.filter", token)
        except pages.BadToken:
            raise InvalidParameterException("The specified nextToken is invalid.") from None
    found: list[LogEvent] = []
    entries = await BY_TIME.scan(
        tx,
        group.id,
        limit=limits.SEARCHED_EVENTS_MAX,
        above=above,
        below=None if end is None else (end + 1,),
    )
    last: tuple[Any, ...] | None = None
    for _, at, stream, sequence in entries:
        last = (at, stream, sequence)
        chosen = wanted is None or stream in wanted
        if not chosen or (prefix and not stream.startswith(prefix)):
            continue
        event = await EVENTS.get(tx, group.id, stream, at, sequence)
        if event is not None and match(event.message):
            found.append(event)
            if len(found) == size:
                break
    more = len(found) == size or len(entries) == limits.SEARCHED_EVENTS_MAX
    return reply(
        events=[_shown(event) for event in found],
        searchedLogStreams=[],
        nextToken=pages.token("logs.filter", *last) if more and last else None,
    )


async def test_metric_filter(tx: ReadTx, call: Call, request: Request) -> Any:
    match = matcher(request["filterPattern"])
    return reply(
        matches=[
            {"eventNumber": number, "eventMessage": message, "extractedValues": {}}
            for number, message in enumerate(request["logEventMessages"], 1)
            if match(message)
        ]
    )


def matcher(pattern: str) -> Match:
    try:
        return compiled(pattern)
    except BadPattern as bad:
        raise InvalidParameterException(f"Invalid filter pattern: {bad}") from bad


def _shown(event: LogEvent) -> dict[str, Any]:
    position = f"{event.at}/{event.stream}/{event.sequence}".encode()
    return {
        "logStreamName": event.stream,
        "timestamp": event.at,
        "message": event.message,
        "ingestionTime": event.ingested_at,
        "eventId": base64.urlsafe_b64encode(position).decode(),
    }
