"""The pytest plugin: ask for the fixture ``skyfold`` and boto3 talks to a cloud of your own.

def test_upload(skyfold):
    boto3.client("s3").create_bucket(Bucket="photos")
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skyfold.testing.cloud import TestCloud, running


@pytest.fixture(scope="session")
def skyfold_cloud() -> Iterator[TestCloud]:
    """One ephemeral cloud for the whole run; nothing is set in the environment."""
    with running() as cloud:
        yield cloud


@pytest.fixture
def skyfold(skyfold_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestCloud]:
    """An empty cloud that the environment points to; what a test leaves is forgotten after it."""
    for name, value in skyfold_cloud.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield skyfold_cloud
    skyfold_cloud.reset()
