"""A cloud with one bucket, and a body that comes as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.world import World

BUCKET = "the-bucket"


@pytest.fixture
async def world() -> World:
    world = World()
    await world.s3("CreateBucket", Bucket=BUCKET)
    return world


class Streamed:
    """A body of unknown length that comes in pieces."""

    length: int | None = None

    def __init__(self, data: bytes, piece: int = 10_000) -> None:
        self._data, self._piece = data, piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), self._piece):
            yield self._data[start : start + self._piece]

    async def read(self) -> bytes:
        return self._data


async def body_of(reply: Any) -> bytes:
    """The bytes of a GetObject reply, inline or streamed."""
    body = reply["Body"]
    if isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])
