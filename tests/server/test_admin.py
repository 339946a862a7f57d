"""The platform's own pages."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from skyfold.testing.cloud import TestCloud, running


@pytest.fixture
def cloud() -> Iterator[TestCloud]:
    with running() as cloud:
        yield cloud


def ask(
    cloud: TestCloud, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    request = urllib.request.Request(cloud.endpoint + path, raw, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def group_names(cloud: TestCloud) -> list[str]:
    return [g["logGroupName"] for g in cloud.client("logs").describe_log_groups()["logGroups"]]


@pytest.mark.parametrize("path", ["/_skyfold/health", "/_localstack/health"])
def test_health_lists_the_services(cloud: TestCloud, path: str) -> None:
    status, body = ask(cloud, "GET", path)
    assert status == 200
    assert json.loads(body)["services"]["lambda"] == "available"


def test_an_operation_that_is_not_here_is_501_and_counted(cloud: TestCloud) -> None:
    kinesis = cloud.client("kinesis")
    for _ in range(2):
        with pytest.raises(kinesis.exceptions.ClientError) as refused:
            kinesis.list_streams()
        kinesis.meta.config.retries = {"max_attempts": 1}
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert answer["Error"]["Message"] == "kinesis:ListStreams is not implemented by Skyfold."

    _, body = ask(cloud, "GET", "/_skyfold/coverage")

    assert json.loads(body)["refused"]["kinesis:ListStreams"] >= 2
    assert json.loads(body)["services"]["logs"]["CreateLogGroup"] is True
    assert json.loads(body)["services"]["logs"]["CreateDelivery"] is False


def test_reset_forgets_everything_and_the_keys_still_work(cloud: TestCloud) -> None:
    cloud.client("logs").create_log_group(logGroupName="g")
    assert ask(cloud, "POST", "/_skyfold/reset")[0] == 200
    assert group_names(cloud) == []


def test_a_page_of_another_origin_cannot_reset(cloud: TestCloud) -> None:
    cloud.client("logs").create_log_group(logGroupName="g")
    status, _ = ask(cloud, "POST", "/_skyfold/reset", Origin="http://evil.example")
    assert status == 403
    assert group_names(cloud) == ["g"]


def test_a_snapshot_brings_back_what_was(cloud: TestCloud) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="before")
    _, saved = ask(cloud, "GET", "/_skyfold/snapshot")
    logs.create_log_group(logGroupName="after")

    status, counts = ask(cloud, "POST", "/_skyfold/snapshot", saved)

    assert status == 200
    assert json.loads(counts)["pairs"] > 0
    assert group_names(cloud) == ["before"]


def test_a_damaged_snapshot_is_refused_and_changes_nothing(cloud: TestCloud) -> None:
    cloud.client("logs").create_log_group(logGroupName="g")
    _, saved = ask(cloud, "GET", "/_skyfold/snapshot")

    status, why = ask(cloud, "POST", "/_skyfold/snapshot", saved[: len(saved) // 2])

    assert status == 400
    assert json.loads(why)["message"]
    assert group_names(cloud) == ["g"]


def test_the_clock_stands_runs_and_moves_on(cloud: TestCloud) -> None:
    _, frozen = ask(cloud, "POST", "/_skyfold/clock", {"freeze": True})
    _, moved = ask(cloud, "POST", "/_skyfold/clock", {"advance_seconds": 3600})
    assert json.loads(moved)["now_ms"] == json.loads(frozen)["now_ms"] + 3_600_000
    assert json.loads(moved)["frozen"]
    _, running_on = ask(cloud, "POST", "/_skyfold/clock", {"resume": True})
    assert not json.loads(running_on)["frozen"]


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"advance_seconds": -1}'])
def test_a_clock_that_cannot_be_moved_so_says_why(cloud: TestCloud, body: bytes) -> None:
    status, why = ask(cloud, "POST", "/_skyfold/clock", body)
    assert status == 400
    assert json.loads(why)["message"]


def test_what_is_not_there_is_404(cloud: TestCloud) -> None:
    assert ask(cloud, "GET", "/_skyfold/nothing")[0] == 404
