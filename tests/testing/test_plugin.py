"""The pytest plugin: a cloud for each test that asks, empty again after it."""

from __future__ import annotations

import textwrap

import pytest

pytest_plugins = ["pytester"]


def test_the_fixture_points_boto3_at_an_empty_cloud(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        textwrap.dedent(
            """
            import boto3

            def names():
                return boto3.client("logs").describe_log_groups()["logGroups"]

            def test_one(skyfold):
                boto3.client("logs").create_log_group(logGroupName="g")
                assert len(names()) == 1

            def test_two(skyfold):
                assert names() == []

            def test_three(skyfold):
                skyfold.advance(3600)
            """
        )
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)


def test_a_test_cloud_answers_where_it_says() -> None:
    from skyfold.testing.cloud import running

    with running("eu-west-1") as cloud:
        assert cloud.client("sts") is not None
        assert cloud.environment["AWS_ENDPOINT_URL"].endswith(str(cloud.port))
