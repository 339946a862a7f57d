"""CloudWatch Logs: groups, streams, events in and out, searching, forgetting."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.services.logs.jobs import begin
from tests.support.world import World

DAY = 24 * 3600


@pytest.fixture
async def world() -> World:
    world = World()
    await world.logs("CreateLogGroup", logGroupName="/app")
    await world.logs("CreateLogStream", logGroupName="/app", logStreamName="one")
    return world


async def put(world: World, *messages: str, stream: str = "one", ago_ms: int = 0) -> Any:
    now = world.clock.now() - ago_ms
    events = [{"timestamp": now + n, "message": text} for n, text in enumerate(messages)]
    return await world.logs(
        "PutLogEvents", logGroupName="/app", logStreamName=stream, logEvents=events
    )


async def messages(world: World, **more: Any) -> list[str]:
    found = await world.logs("FilterLogEvents", logGroupName="/app", **more)
    return [event["message"] for event in found["events"]]


async def test_events_are_read_back_in_the_order_of_their_moments(world: World) -> None:
    await put(world, "c")
    await put(world, "a", "b", ago_ms=1000)
    found = await world.logs(
        "GetLogEvents", logGroupName="/app", logStreamName="one", startFromHead=True
    )
    assert [event["message"] for event in found["events"]] == ["a", "b", "c"]


async def test_a_stream_is_paged_both_ways(world: World) -> None:
    await put(world, *"abcde")
    where = {"logGroupName": "/app", "logStreamName": "one", "limit": 2}

    last = await world.logs("GetLogEvents", **where)
    before = await world.logs("GetLogEvents", **where, nextToken=last["nextBackwardToken"])
    again = await world.logs("GetLogEvents", **where, nextToken=before["nextForwardToken"])
    end = await world.logs("GetLogEvents", **where, nextToken=again["nextForwardToken"])

    assert [[e["message"] for e in page["events"]] for page in (last, before, again, end)] == [
        ["d", "e"],
        ["b", "c"],
        ["d", "e"],
        [],
    ]


async def test_a_group_is_searched_over_all_streams(world: World) -> None:
    await world.logs("CreateLogStream", logGroupName="/app", logStreamName="two")
    await put(world, "first error")
    world.clock.advance(1)
    await put(world, "second error", "fine", stream="two")

    assert await messages(world, filterPattern="error") == ["first error", "second error"]
    assert await messages(world, logStreamNames=["two"]) == ["second error", "fine"]
    assert await messages(world, startTime=world.clock.now()) == ["second error", "fine"]


async def test_a_search_goes_on_where_its_page_ended(world: World) -> None:
    await put(world, *"abcde")
    first = await world.logs("FilterLogEvents", logGroupName="/app", limit=3)
    rest = await messages(world, nextToken=first["nextToken"])
    assert [e["message"] for e in first["events"]] + rest == list("abcde")


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([(5, "b"), (4, "a")], "chronological order"),
        ([(0, "a"), (DAY * 1000 + 1, "b")], "span more than 24 hours"),
    ],
)
async def test_a_batch_that_breaks_a_rule_is_refused_whole(
    world: World, events: list[tuple[int, str]], why: str
) -> None:
    now = world.clock.now() - DAY * 1000
    batch = [{"timestamp": now + at, "message": text} for at, text in events]
    with pytest.raises(AwsError, match=why):
        await world.logs("PutLogEvents", logGroupName="/app", logStreamName="one", logEvents=batch)
    assert await messages(world) == []


async def test_events_too_old_or_too_new_are_rejected_and_said_so(world: World) -> None:
    old = await put(world, "old", ago_ms=15 * DAY * 1000)
    new = await put(world, "new", ago_ms=-3 * 3600 * 1000)
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    assert await messages(world) == []


async def test_retention_forgets_what_is_older(world: World) -> None:
    await begin(world.platform)
    await put(world, "old")
    await world.logs("PutRetentionPolicy", logGroupName="/app", retentionInDays=1)
    await world.advance(DAY - 3600)
    await put(world, "young")

    await world.advance(2 * 3600)

    assert await messages(world) == ["young"]


async def test_a_group_made_anew_is_empty(world: World) -> None:
    await put(world, "a")
    await world.logs("DeleteLogGroup", logGroupName="/app")
    await world.logs("CreateLogGroup", logGroupName="/app")
    assert await messages(world) == []
    assert (await world.logs("DescribeLogStreams", logGroupName="/app"))["logStreams"] == []


async def test_errors_have_awss_words(world: World) -> None:
    with pytest.raises(AwsError, match="The specified log group already exists"):
        await world.logs("CreateLogGroup", logGroupName="/app")
    with pytest.raises(AwsError, match="The specified log group does not exist"):
        await world.logs("FilterLogEvents", logGroupName="/none")
    with pytest.raises(AwsError, match="The specified log stream does not exist"):
        await put(world, "a", stream="none")
    with pytest.raises(AwsError, match="retentionInDays"):
        await world.logs("PutRetentionPolicy", logGroupName="/app", retentionInDays=2)
