"""`skyfold` as a person runs it: a process, beside a cloud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from skyfold.testing.cloud import TestCloud, running
from tests.support.server import plain_environment

Skyfold = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[TestCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def skyfold(cloud: TestCloud) -> Iterator[Skyfold]:
    """Runs a command against the cloud, which is empty again afterwards."""
    environment = plain_environment(SKYFOLD_ENDPOINT=cloud.endpoint, COLUMNS="200")

    def run(*words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skyfold", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment | more,
        )

    yield run
    cloud.reset()
