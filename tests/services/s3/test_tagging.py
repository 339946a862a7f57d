"""Tags of objects and buckets."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.support.world import World


def tagging(**tags: str) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


async def test_tags_of_an_object_are_replaced_as_a_whole(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"", Tagging="b=2&a=1&empty")
    first = await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k")

    await world.s3("PutObjectTagging", Bucket=BUCKET, Key="k", Tagging=tagging(c="3"))
    second = await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k")
    head = await world.s3("HeadObject", Bucket=BUCKET, Key="k")
    await world.s3("DeleteObjectTagging", Bucket=BUCKET, Key="k")

    assert first == tagging(a="1", b="2", empty="")
    assert second == tagging(c="3")
    assert head["TagCount"] == 1
    assert await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k") == tagging()
    assert "TagCount" not in await world.s3("HeadObject", Bucket=BUCKET, Key="k")


async def test_each_version_has_its_own_tags(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    old = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"")
    new = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"")
    version = {"VersionId": old["VersionId"]}

    await world.s3("PutObjectTagging", Bucket=BUCKET, Key="k", Tagging=tagging(a="1"), **version)

    assert await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k") == {
        **tagging(),
        "VersionId": new["VersionId"],
    }
    assert await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k", **version) == {
        **tagging(a="1"),
        **version,
    }


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ([("k" * 129, "v")], errors.InvalidTag),
        ([("k", "v" * 257)], errors.InvalidTag),
        ([("aws:k", "v")], errors.InvalidTag),
        ([("k", "1"), ("k", "2")], errors.InvalidTag),
        ([("a<b", "v")], errors.InvalidTag),
        ([(str(number), "v") for number in range(11)], errors.BadRequest),
    ],
)
async def test_tags_have_limits(
    world: World, tags: list[tuple[str, str]], error: type[Exception]
) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"", Tagging="keep=me")
    tag_set = [{"Key": key, "Value": value} for key, value in tags]

    with pytest.raises(error):
        await world.s3("PutObjectTagging", Bucket=BUCKET, Key="k", Tagging={"TagSet": tag_set})

    assert await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k") == tagging(keep="me")


async def test_a_tagging_header_has_each_key_once(world: World) -> None:
    with pytest.raises(errors.InvalidArgument, match="x-amz-tagging"):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"", Tagging="a=1&a=2")


async def test_tags_of_a_bucket(world: World) -> None:
    await world.s3("PutBucketTagging", Bucket=BUCKET, Tagging=tagging(a="1", b=""))
    first = await world.s3("GetBucketTagging", Bucket=BUCKET)
    await world.s3("PutBucketTagging", Bucket=BUCKET, Tagging=tagging(c="3"))
    second = await world.s3("GetBucketTagging", Bucket=BUCKET)
    await world.s3("DeleteBucketTagging", Bucket=BUCKET)

    assert (first, second) == (tagging(a="1", b=""), tagging(c="3"))
    with pytest.raises(errors.NoSuchTagSet):
        await world.s3("GetBucketTagging", Bucket=BUCKET)


async def test_a_bucket_can_be_created_with_tags(world: World) -> None:
    configuration = {"Tags": tagging(a="1")["TagSet"]}

    await world.s3("CreateBucket", Bucket="tagged", CreateBucketConfiguration=configuration)

    assert await world.s3("GetBucketTagging", Bucket="tagged") == tagging(a="1")
