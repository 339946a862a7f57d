"""Requests that meet: on one key, on a bucket that goes, on a body that is still being read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from skyfold.services.s3 import errors
from skyfold.store.blobs import Blobs
from tests.services.s3.conftest import BUCKET, Streamed, body_of
from tests.support.world import World

LARGE = b"0123456789abcdef" * 20_000


class Interrupted(Streamed):
    """A body in the middle of which something else happens."""

    def __init__(self, data: bytes, meanwhile: Any) -> None:
        super().__init__(data)
        self._meanwhile = meanwhile

    async def __aiter__(self) -> AsyncIterator[bytes]:
        number = 0
        async for piece in super().__aiter__():
            number += 1
            if number == 5:
                await self._meanwhile()
            yield piece


async def test_of_many_creations_of_one_key_exactly_one_succeeds(world: World) -> None:
    store: Any = world.platform.store
    store.conflicts_to_inject = 5

    outcomes = await asyncio.gather(
        *(
            world.s3("PutObject", Bucket=BUCKET, Key="k", Body=f"{n}".encode(), IfNoneMatch="*")
            for n in range(20)
        ),
        return_exceptions=True,
    )

    won = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, dict)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome, dict)]
    assert len(won) == 1
    assert all(isinstance(outcome, errors.PreconditionFailed) for outcome in lost)
    assert (await world.s3("GetObject", Bucket=BUCKET, Key="k"))["Body"] == f"{won[0]}".encode()


async def test_a_condition_holds_when_the_body_has_come_in(world: World) -> None:
    async def meanwhile() -> None:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"first")

    with pytest.raises(errors.PreconditionFailed):
        body = Interrupted(LARGE, meanwhile)
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body, IfNoneMatch="*")

    assert (await world.s3("GetObject", Bucket=BUCKET, Key="k"))["Body"] == b"first"


async def test_the_last_commit_wins(world: World) -> None:
    async def meanwhile() -> None:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"quick")

    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=Interrupted(LARGE, meanwhile))

    assert await body_of(await world.s3("GetObject", Bucket=BUCKET, Key="k")) == LARGE


async def test_a_bucket_that_goes_while_a_body_comes_in_has_no_object(world: World) -> None:
    async def meanwhile() -> None:
        await world.s3("DeleteBucket", Bucket=BUCKET)

    with pytest.raises(errors.NoSuchBucket):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=Interrupted(LARGE, meanwhile))

    await world.s3("CreateBucket", Bucket=BUCKET)
    assert "Contents" not in await world.s3("ListObjectsV2", Bucket=BUCKET)


async def test_an_upload_that_ends_while_a_part_comes_in_has_no_part(world: World) -> None:
    upload = await world.s3("CreateMultipartUpload", Bucket=BUCKET, Key="k")
    named = {"Bucket": BUCKET, "Key": "k", "UploadId": upload["UploadId"]}

    async def meanwhile() -> None:
        await world.s3("AbortMultipartUpload", **named)

    with pytest.raises(errors.NoSuchUpload):
        body = Interrupted(LARGE, meanwhile)
        await world.s3("UploadPart", **named, PartNumber=1, Body=body)


async def test_a_body_that_is_being_read_is_not_disturbed(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=LARGE)
    got = await world.s3("GetObject", Bucket=BUCKET, Key="k")
    pieces = aiter(got["Body"])
    first = await anext(pieces)

    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"new")
    await world.s3("DeleteObject", Bucket=BUCKET, Key="k")
    rest = b"".join([piece async for piece in pieces])

    assert first + rest == LARGE


class Meddled(Blobs):
    """Blobs of which the first to be read to its end is overwritten right then."""

    def __init__(self, world: World, overwrite: Any) -> None:
        super().__init__(world.folder / "blobs")
        self._overwrite = iter([overwrite])

    async def read(
        self, blob_id: str, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        async for piece in super().read(blob_id, start, stop):
            yield piece
        for overwrite in self._overwrite:
            await overwrite()


async def test_a_source_that_changes_while_it_is_copied_is_copied_anew(world: World) -> None:
    other = LARGE[::-1]

    async def overwrite() -> None:
        await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=other)

    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=LARGE)
    world.platform.blobs = Meddled(world, overwrite)

    result = await world.s3(
        "CopyObject",
        Bucket=BUCKET,
        Key="to",
        CopySource=f"{BUCKET}/from",
        ChecksumAlgorithm="SHA256",
    )

    got = await world.s3("GetObject", Bucket=BUCKET, Key="to", ChecksumMode="ENABLED")
    assert await body_of(got) == other
    assert got["ChecksumSHA256"] == result["CopyObjectResult"]["ChecksumSHA256"]
