"""One supervisor for each test module: starting one costs more than most tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from skyfold.compute.supervisor import Supervisor
from tests.compute.workshop import Workshop

if sys.platform != "linux":
    pytest.skip("sandboxes need Linux", allow_module_level=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    folder: Path = tmp_path_factory.mktemp("functions")
    supervisor = Supervisor(roots=(folder,))
    await supervisor.start()
    try:
        yield Workshop(folder, supervisor)
    finally:
        await supervisor.stop()
