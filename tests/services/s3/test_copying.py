"""Copies of objects, and of ranges of objects into parts."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from skyfold.services.s3 import errors
from skyfold.services.s3.engine.checksums import checksum_of
from tests.services.s3.conftest import BUCKET, body_of
from tests.services.s3.test_multipart import LAST, ONE, begin, complete, etag, send
from tests.support.world import World

LARGE = bytes(range(256)) * 1000
SOURCE = f"{BUCKET}/from"


async def copy(world: World, key: str = "to", source: str = SOURCE, **request: Any) -> Any:
    return await world.s3("CopyObject", Bucket=BUCKET, Key=key, CopySource=source, **request)


@pytest.mark.parametrize("body", [b"", b"small", LARGE])
async def test_a_copy_has_the_bytes_and_what_was_said_of_them(world: World, body: bytes) -> None:
    put = await world.s3(
        "PutObject",
        Bucket=BUCKET,
        Key="from",
        Body=body,
        ContentType="text/plain",
        Metadata={"a": "b"},
        Tagging="t=1",
        WebsiteRedirectLocation="/x",
        StorageClass="STANDARD_IA",
    )

    result = (await copy(world))["CopyObjectResult"]
    await world.s3("DeleteObject", Bucket=BUCKET, Key="from")
    got = await world.s3("GetObject", Bucket=BUCKET, Key="to")

    assert await body_of(got) == body
    assert result["ETag"] == got["ETag"] == put["ETag"]
    assert result["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/plain", {"a": "b"}, 1)
    assert "WebsiteRedirectLocation" not in got
    assert "StorageClass" not in got


async def test_a_copy_across_buckets_is_readable_in_its_own(world: World) -> None:
    await world.s3("CreateBucket", Bucket="other")
    for key, body in (("small", b"small"), ("large", LARGE)):
        await world.s3("PutObject", Bucket="other", Key=key, Body=body)
        await copy(world, key, f"/other/{key}")
        assert await body_of(await world.s3("GetObject", Bucket=BUCKET, Key=key)) == body


async def test_a_copy_of_a_large_object_shares_its_blob(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=LARGE)
    before = sum(path.is_file() for path in world.folder.rglob("*"))

    await copy(world)

    assert sum(path.is_file() for path in world.folder.rglob("*")) == before


async def test_metadata_and_tags_may_be_replaced(world: World) -> None:
    await world.s3(
        "PutObject", Bucket=BUCKET, Key="from", Body=b"x", Metadata={"a": "b"}, Tagging="t=1&u=2"
    )

    await copy(world, MetadataDirective="REPLACE", ContentType="image/png")
    await copy(world, "tagged", TaggingDirective="REPLACE", Tagging="v=3")
    head = await world.s3("HeadObject", Bucket=BUCKET, Key="to")
    tags = await world.s3("GetObjectTagging", Bucket=BUCKET, Key="tagged")

    assert (head["ContentType"], head["Metadata"], head["TagCount"]) == ("image/png", {}, 2)
    assert tags["TagSet"] == [{"Key": "v", "Value": "3"}]


async def test_a_copy_onto_itself_must_change_something(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=LARGE, Metadata={"a": "b"})

    with pytest.raises(errors.InvalidRequest, match="This copy request is illegal"):
        await copy(world, "from")
    await copy(world, "from", StorageClass="STANDARD_IA")
    await copy(world, "from", MetadataDirective="REPLACE", Metadata={"c": "d"})
    got = await world.s3("GetObject", Bucket=BUCKET, Key="from")

    assert await body_of(got) == LARGE
    assert got["Metadata"] == {"c": "d"}


async def test_keys_in_a_source_are_percent_encoded(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="a b+c/é", Body=b"x")

    await copy(world, source=f"{BUCKET}/a%20b+c/%C3%A9")

    assert (await world.s3("GetObject", Bucket=BUCKET, Key="to"))["Body"] == b"x"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (f"{BUCKET}/none", errors.NoSuchKey),
        ("nowhere/k", errors.NoSuchBucket),
        ("nothing", errors.InvalidArgument),
        (f"{SOURCE}?versionId=odd", errors.InvalidArgument),
    ],
)
async def test_a_source_must_be_there(world: World, source: str, error: type[Exception]) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"x")

    with pytest.raises(error):
        await copy(world, source=source)


@pytest.mark.parametrize(
    ("conditions", "failed"),
    [
        ({"CopySourceIfMatch": "other"}, "x-amz-copy-source-If-Match"),
        ({"CopySourceIfNoneMatch": "*"}, "x-amz-copy-source-If-None-Match"),
        ({"CopySourceIfModifiedSince": 1_700_000_000_000}, "x-amz-copy-source-If-Modified-Since"),
        ({"CopySourceIfUnmodifiedSince": 1}, "x-amz-copy-source-If-Unmodified-Since"),
        ({"CopySourceIfNoneMatch": "other"}, None),
    ],
)
async def test_conditions_on_the_source(
    world: World, conditions: dict[str, Any], failed: str | None
) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"x")

    if failed is None:
        await copy(world, **conditions)
    else:
        with pytest.raises(errors.PreconditionFailed) as refused:
            await copy(world, **conditions)
        assert refused.value.members == {"Condition": failed}


async def test_a_multipart_object_is_copied_as_a_plain_one(world: World) -> None:
    upload = await begin(world, "from", ChecksumAlgorithm="SHA256")
    parts = [await send(world, upload, 1, ONE), await send(world, upload, 2, LAST)]
    listed = [
        {"PartNumber": n, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
        for n, part in enumerate(parts, 1)
    ]
    await complete(world, upload, *listed)

    result = (await copy(world))["CopyObjectResult"]

    assert result["ETag"] == f'"{hashlib.md5(ONE + LAST).hexdigest()}"'
    assert result["ChecksumSHA256"] == checksum_of("SHA256", ONE + LAST)
    assert result["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("body", [b"small", LARGE])
async def test_a_copy_can_have_another_checksum(world: World, body: bytes) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=body)

    result = (await copy(world, ChecksumAlgorithm="SHA1"))["CopyObjectResult"]

    assert result["ChecksumSHA1"] == checksum_of("SHA1", body)
    assert "ChecksumCRC64NVME" not in result


async def test_versions_are_copied_by_id(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    old = await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"old")
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"new")
    marker = await world.s3("DeleteObject", Bucket=BUCKET, Key="from")

    copied = await copy(world, source=f"{SOURCE}?versionId={old['VersionId']}")

    assert copied["CopySourceVersionId"] == old["VersionId"]
    assert (await world.s3("GetObject", Bucket=BUCKET, Key="to"))["Body"] == b"old"
    with pytest.raises(errors.NoSuchKey):
        await copy(world)
    with pytest.raises(errors.InvalidRequest, match="delete marker by version id"):
        await copy(world, source=f"{SOURCE}?versionId={marker['VersionId']}")


# --- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"0123456789", LARGE])
async def test_ranges_of_objects_become_parts(world: World, body: bytes) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=body)
    upload = await begin(world)
    one = await send(world, upload, 1, ONE)

    two = await world.s3(
        "UploadPartCopy", **upload, PartNumber=2, CopySource=SOURCE, CopySourceRange="bytes=3-8"
    )
    done = await complete(world, upload, one, two["CopyPartResult"])

    got = await world.s3("GetObject", Bucket=BUCKET, Key="k", Range=f"bytes={5 * 1024 * 1024}-")
    assert await body_of(got) == body[3:9]
    assert done["ETag"] == etag(ONE, body[3:9])


@pytest.mark.parametrize(
    "header",
    ["0-8", "bytes=1-0", "bytes=-1-", "bytes=0--1", "bytes=0-1,3-4", "bytes=-", "bytes=1-"],
)
async def test_a_range_of_a_part_has_one_form(world: World, header: str) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"0123456789")
    upload = await begin(world)

    with pytest.raises(errors.InvalidArgument, match="must be of the form bytes=first-last"):
        await world.s3(
            "UploadPartCopy", **upload, PartNumber=1, CopySource=SOURCE, CopySourceRange=header
        )


async def test_a_range_of_a_part_lies_in_the_source(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="from", Body=b"0123456789")
    upload = await begin(world)
    request = {**upload, "PartNumber": 1, "CopySource": SOURCE}

    with pytest.raises(errors.InvalidArgument, match="not valid for source object of size: 10"):
        await world.s3("UploadPartCopy", **request, CopySourceRange="bytes=0-100")
    with pytest.raises(errors.InvalidRequest, match="copy range is invalid"):
        await world.s3("UploadPartCopy", **request, CopySourceRange="bytes=100-200")
