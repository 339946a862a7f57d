"""Log groups and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel import pages, tags
from skyfold.kernel.call import Call
from skyfold.kernel.logs import BY_TIME, EVENTS, GROUPS, STREAMS, LogGroup, LogStream
from skyfold.kernel.service import Request, reply
from skyfold.services.logs import limits
from skyfold.services.logs.errors import (
    InvalidParameterException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from skyfold.store.api import ReadTx, Tx


async def create_log_group(tx: Tx, call: Call, request: Request) -> None:
    name = request["logGroupName"]
    if request.get("kmsKeyId"):
        raise InvalidParameterException("kmsKeyId: Skyfold has no customer managed keys yet.")
    if request.get("logGroupClass", "STANDARD") != "STANDARD":
        raise InvalidParameterException("Skyfold has log groups of class STANDARD only.")
    if await GROUPS.get(tx, call.account, call.region, name):
        raise ResourceAlreadyExistsException("The specified log group already exists")
    group = LogGroup(
        account=call.account, region=call.region, name=name, id=call.new_id(), created_at=call.now
    )
    GROUPS.put(tx, group)
    tags.put_tags(tx, arn_of(group), request.get("tags", {}))


async def delete_log_group(tx: Tx, call: Call, request: Request) -> None:
    group = await group_of(tx, call, request)
    GROUPS.delete(tx, group.account, group.region, group.name)
    STREAMS.delete_all(tx, group.id)
    EVENTS.delete_all(tx, group.id)
    BY_TIME.delete_all(tx, group.id)
    tags.forget_tags(tx, arn_of(group))


async def describe_log_groups(tx: ReadTx, call: Call, request: Request) -> Any:
    prefix, part = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    if prefix is not None and part is not None:
        raise InvalidParameterException(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    if request.get("logGroupIdentifiers") or request.get("accountIdentifiers"):
        raise InvalidParameterException("Skyfold looks up log groups by prefix or pattern only.")
    size = request.get("limit", limits.PAGE_GROUPS_MAX)
    above = _position("logs.groups", request.get("nextToken"))
    if request.get("logGroupClass", "STANDARD") != "STANDARD":
        return reply(logGroups=[])
    found = [
        group
        for group in await GROUPS.scan(tx, call.account, call.region, limit=100_000, above=above)
        if (prefix is None or group.name.startswith(prefix))
        and (part is None or part.lower() in group.name.lower())
    ]
    more = len(found) > size
    token = pages.token("logs.groups", found[size - 1].name) if more else None
    return reply(logGroups=[_described(group) for group in found[:size]], nextToken=token)


async def put_retention_policy(tx: Tx, call: Call, request: Request) -> None:
    days = request["retentionInDays"]
    if days not in limits.RETENTION_DAYS:
        allowed = ", ".join(str(d) for d in sorted(limits.RETENTION_DAYS))
        raise InvalidParameterException(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{allowed}]"
        )
    group = await group_of(tx, call, request)
    GROUPS.put(tx, msgspec.structs.replace(group, retention_days=days))


async def delete_retention_policy(tx: Tx, call: Call, request: Request) -> None:
    group = await group_of(tx, call, request)
    GROUPS.put(tx, msgspec.structs.replace(group, retention_days=0))


async def create_log_stream(tx: Tx, call: Call, request: Request) -> None:
    group, name = await group_of(tx, call, request), request["logStreamName"]
    if await STREAMS.get(tx, group.id, name):
        raise ResourceAlreadyExistsException("The specified log stream already exists")
    STREAMS.put(tx, LogStream(group_id=group.id, name=name, created_at=call.now))


async def delete_log_stream(tx: Tx, call: Call, request: Request) -> None:
    group, name = await group_of(tx, call, request), request["logStreamName"]
    await stream_of(tx, group, name)
    for event in await EVENTS.scan(tx, group.id, name, limit=1_000_000):
        BY_TIME.delete(tx, group.id, event.at, name, event.sequence)
    EVENTS.delete_all(tx, group.id, name)
    STREAMS.delete(tx, group.id, name)


async def describe_log_streams(tx: ReadTx, call: Call, request: Request) -> Any:
    group = await group_of(tx, call, request)
    order, prefix = request.get("orderBy", "LogStreamName"), request.get("logStreamNamePrefix", "")
    if order == "LastEventTime" and prefix:
        raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    found = [
        stream
        for stream in await STREAMS.scan(tx, group.id, limit=100_000)
        if stream.name.startswith(prefix)
    ]
    if order == "LastEventTime":
        found.sort(key=lambda stream: (stream.last_event_at, stream.name))
    if request.get("descending"):
        found.reverse()
    start = (_position("logs.streams", request.get("nextToken")) or (0,))[0]
    size = request.get("limit", limits.PAGE_GROUPS_MAX)
    more = len(found) > start + size
    return reply(
        logStreams=[_described_stream(group, s) for s in found[start : start + size]],
        nextToken=pages.token("logs.streams", start + size) if more else None,
    )


async def tag_resource(tx: Tx, call: Call, request: Request) -> None:
    group = await _tagged(tx, call, request["resourceArn"])
    await _put_tags(tx, group, request["tags"])


async def untag_resource(tx: Tx, call: Call, request: Request) -> None:
    group = await _tagged(tx, call, request["resourceArn"])
    tags.remove_tags(tx, arn_of(group), request["tagKeys"])


async def list_tags_for_resource(tx: ReadTx, call: Call, request: Request) -> Any:
    group = await _tagged(tx, call, request["resourceArn"])
    return reply(tags=await tags.tags_of(tx, arn_of(group)))


async def tag_log_group(tx: Tx, call: Call, request: Request) -> None:
    await _put_tags(tx, await group_of(tx, call, request), request["tags"])


async def untag_log_group(tx: Tx, call: Call, request: Request) -> None:
    group = await group_of(tx, call, request)
    tags.remove_tags(tx, arn_of(group), request["tags"])


async def list_tags_log_group(tx: ReadTx, call: Call, request: Request) -> Any:
    return reply(tags=await tags.tags_of(tx, arn_of(await group_of(tx, call, request))))


async def _put_tags(tx: Tx, group: LogGroup, wanted: Mapping[str, str]) -> None:
    arn = arn_of(group)
    if len({**await tags.tags_of(tx, arn), **wanted}) > tags.TAGS_MAX:
        raise InvalidParameterException("A resource can have 50 tags at the most.")
    tags.put_tags(tx, arn, wanted)


async def _tagged(tx: ReadTx, call: Call, arn: str) -> LogGroup:
    name = arn.split(":", 6)[-1].removesuffix(":*")
    return await group_of(tx, call, {"logGroupName": name})


async def group_of(tx: ReadTx, call: Call, request: Request) -> LogGroup:
    """The group that a request names, by name, ARN or identifier."""
    text = request.get("logGroupName") or request.get("logGroupIdentifier", "")
    name = text.split(":", 6)[-1].removesuffix(":*") if text.startswith("arn:") else text
    group = await GROUPS.get(tx, call.account, call.region, name)
    if group is None:
        raise ResourceNotFoundException("The specified log group does not exist.")
    return group


async def stream_of(tx: ReadTx, group: LogGroup, name: str) -> LogStream:
    stream = await STREAMS.get(tx, group.id, name)
    if stream is None:
        raise ResourceNotFoundException("The specified log stream does not exist.")
    return stream


def arn_of(group: LogGroup) -> str:
    return f"arn:aws:logs:{group.region}:{group.account}:log-group:{group.name}"


def _position(purpose: str, token: str | None) -> tuple[Any, ...] | None:
    if token is None:
        return None
    try:
        return pages.position(purpose, token)
    except pages.BadToken:
        raise InvalidParameterException("The specified nextToken is invalid.") from None


def _described(group: LogGroup) -> Any:
    return reply(
        logGroupName=group.name,
        creationTime=group.created_at,
        retentionInDays=group.retention_days or None,
        metricFilterCount=0,
        arn=f"{arn_of(group)}:*",
        storedBytes=group.stored_bytes,
        logGroupClass=group.log_class,
        logGroupArn=arn_of(group),
    )


def _described_stream(group: LogGroup, stream: LogStream) -> Any:
    def moment(at: int) -> int | None:
        return at if at >= 0 else None

    return reply(
        logStreamName=stream.name,
        creationTime=stream.created_at,
        firstEventTimestamp=moment(stream.first_event_at),
        lastEventTimestamp=moment(stream.last_event_at),
        lastIngestionTime=moment(stream.last_ingested_at),
        uploadSequenceToken=f"{stream.next_sequence:056d}" if stream.next_sequence else None,
        arn=f"{arn_of(group)}:log-stream:{stream.name}",
        storedBytes=0,
    )
