"""Multipart uploads, from parts in any order to one object."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from skyfold.services.s3 import errors
from skyfold.services.s3.engine.checksums import checksum_of
from tests.services.s3.conftest import BUCKET, Streamed, body_of
from tests.support.world import World

MIB = 1024 * 1024
ONE, TWO, LAST = b"1" * 5 * MIB, b"2" * 5 * MIB, b"end"


async def begin(world: World, key: str = "k", **request: Any) -> dict[str, Any]:
    upload = await world.s3("CreateMultipartUpload", Bucket=BUCKET, Key=key, **request)
    return {"Bucket": BUCKET, "Key": key, "UploadId": upload["UploadId"]}


async def send(world: World, upload: dict[str, Any], number: int, body: Any, **more: Any) -> Any:
    return await world.s3("UploadPart", **upload, PartNumber=number, Body=body, **more)


async def complete(world: World, upload: dict[str, Any], *parts: Any, **more: Any) -> Any:
    """Complete with the replies of UploadPart, numbered from 1, or with entries as they are."""
    listed = [
        part if "PartNumber" in part else {"PartNumber": number, "ETag": part["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    request = {"MultipartUpload": {"Parts": listed}, **more}
    return await world.s3("CompleteMultipartUpload", **upload, **request)


def etag(*parts: bytes) -> str:
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts))
    return f'"{digest.hexdigest()}-{len(parts)}"'


async def test_parts_become_the_object_whatever_order_they_came_in(world: World) -> None:
    upload = await begin(world, ContentType="text/plain", Metadata={"a": "b"}, Tagging="t=1")
    last = await send(world, upload, 3, Streamed(LAST))
    one = await send(world, upload, 1, ONE)
    two = await send(world, upload, 2, Streamed(TWO, piece=300_000))

    done = await complete(world, upload, one, two, last)
    got = await world.s3("GetObject", Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")

    whole = ONE + TWO + LAST
    assert await body_of(got) == whole
    assert done["ETag"] == got["ETag"] == etag(ONE, TWO, LAST)
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/plain", {"a": "b"}, 1)
    assert got["ChecksumCRC64NVME"] == checksum_of("CRC64NVME", whole)
    assert got["ChecksumType"] == "FULL_OBJECT"


async def test_parts_that_are_not_listed_or_were_replaced_are_let_go(world: World) -> None:
    upload = await begin(world)
    await send(world, upload, 1, ONE)
    again = await send(world, upload, 1, TWO)
    await send(world, upload, 7, ONE)

    await complete(world, upload, again)

    assert await body_of(await world.s3("GetObject", Bucket=BUCKET, Key="k")) == TWO
    assert await _held(world) == 1


async def test_an_aborted_upload_leaves_nothing(world: World) -> None:
    upload = await begin(world)
    await send(world, upload, 1, ONE)

    await world.s3("AbortMultipartUpload", **upload)

    assert await _held(world) == 0
    for operation in ("AbortMultipartUpload", "ListParts"):
        with pytest.raises(errors.NoSuchUpload) as gone:
            await world.s3(operation, **upload)
        assert gone.value.members == {"UploadId": upload["UploadId"]}
    with pytest.raises(errors.NoSuchUpload):
        await send(world, upload, 1, ONE)


async def _held(world: World) -> int:
    from skyfold.store.blobs import HELD

    async def count(tx: Any) -> int:
        return len(await HELD.scan(tx, limit=1000))

    return await world.platform.store.read(count)


async def test_the_list_of_parts_must_be_right(world: World) -> None:
    upload = await begin(world)
    one = await send(world, upload, 1, ONE)
    two = await send(world, upload, 2, LAST)
    first = {"PartNumber": 1, "ETag": one["ETag"]}
    second = {"PartNumber": 2, "ETag": two["ETag"]}

    with pytest.raises(errors.InvalidRequest, match="at least one part"):
        await complete(world, upload)
    with pytest.raises(errors.InvalidPartOrder):
        await complete(world, upload, second, first)
    with pytest.raises(errors.InvalidPart) as unknown:
        await complete(world, upload, first, {"PartNumber": 9, "ETag": two["ETag"]})
    with pytest.raises(errors.InvalidPart):
        await complete(world, upload, first, {"PartNumber": 2, "ETag": one["ETag"]})
    assert unknown.value.members == {
        "ETag": two["ETag"].strip('"'),
        "PartNumber": "9",
        "UploadId": upload["UploadId"],
    }
    await complete(world, upload, first, second)


async def test_all_parts_but_the_last_have_a_smallest_size(world: World) -> None:
    upload = await begin(world)
    small = await send(world, upload, 1, b"data")
    last = await send(world, upload, 2, b"data")

    with pytest.raises(errors.EntityTooSmall) as refused:
        await complete(world, upload, small, last)

    assert refused.value.members == {
        "ETag": "8d777f385d3dfec8815d20f7496026dc",
        "PartNumber": "1",
        "ProposedSize": "4",
        "MinSizeAllowed": "5242880",
    }


async def test_completing_again_answers_the_same(world: World) -> None:
    upload = await begin(world)
    part = await send(world, upload, 1, LAST)

    first = await complete(world, upload, part)
    again = await complete(world, upload, part)

    assert again == first


@pytest.mark.parametrize("number", [0, 10_001, -1])
async def test_part_numbers_have_bounds(world: World, number: int) -> None:
    upload = await begin(world)

    with pytest.raises(errors.InvalidArgument):
        await send(world, upload, number, LAST)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
async def test_a_composite_checksum_is_that_of_the_parts_checksums(
    world: World, algorithm: str
) -> None:
    member = f"Checksum{algorithm}"
    upload = await begin(world, ChecksumAlgorithm=algorithm)
    one, two = await send(world, upload, 1, ONE), await send(world, upload, 2, LAST)
    parts = [
        {"PartNumber": number, "ETag": part["ETag"], member: part[member]}
        for number, part in enumerate((one, two), 1)
    ]

    with pytest.raises(errors.InvalidRequest) as missing:
        await complete(world, upload, one, two)
    with pytest.raises(errors.InvalidPart):
        await complete(world, upload, {**parts[0], member: two[member]}, parts[1])
    done = await complete(world, upload, *parts)
    second = await world.s3(
        "GetObject", Bucket=BUCKET, Key="k", PartNumber=2, ChecksumMode="ENABLED"
    )
    attributes = await world.s3(
        "GetObjectAttributes", Bucket=BUCKET, Key="k", ObjectAttributes=["Checksum", "ObjectParts"]
    )

    sums = [checksum_of(algorithm, body) for body in (ONE, LAST)]
    joined = checksum_of(algorithm, b"".join(base64.b64decode(one) for one in sums))
    assert missing.value.text == (
        f"The upload was created using a {algorithm.lower()} checksum. The complete request must"
        " include the checksum for each part. It was missing for part 1 in the request."
    )
    assert (done[member], done["ChecksumType"]) == (f"{joined}-2", "COMPOSITE")
    assert (second[member], second["PartsCount"]) == (sums[1], 2)
    assert attributes["Checksum"] == {member: joined, "ChecksumType": "COMPOSITE"}
    assert attributes["ObjectParts"]["Parts"] == [
        {"PartNumber": number, "Size": len(body), member: value}
        for number, (body, value) in enumerate(zip((ONE, LAST), sums, strict=True), 1)
    ]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
async def test_a_full_object_checksum_is_that_of_all_the_bytes(
    world: World, algorithm: str
) -> None:
    member = f"Checksum{algorithm}"
    upload = await begin(world, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    one, two = await send(world, upload, 1, ONE), await send(world, upload, 2, LAST)
    right = checksum_of(algorithm, ONE + LAST)

    with pytest.raises(errors.BadDigest):
        await complete(world, upload, one, two, **{member: checksum_of(algorithm, b"?")})
    done = await complete(world, upload, one, two, **{member: right})
    attributes = await world.s3(
        "GetObjectAttributes", Bucket=BUCKET, Key="k", ObjectAttributes=["ObjectParts"]
    )

    assert (done[member], done["ChecksumType"]) == (right, "FULL_OBJECT")
    assert attributes["ObjectParts"] == {"TotalPartsCount": 2}


async def test_an_upload_has_one_checksum_algorithm(world: World) -> None:
    upload = await begin(world, ChecksumAlgorithm="SHA256")

    with pytest.raises(errors.InvalidRequest, match="expected checksum Type: sha256, actual"):
        await send(world, upload, 1, LAST, ChecksumCRC32=checksum_of("CRC32", LAST))
    with pytest.raises(errors.InvalidRequest, match="can only be used with"):
        await begin(world, ChecksumType="COMPOSITE")
    with pytest.raises(errors.InvalidRequest, match="cannot be used"):
        await begin(world, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")


async def test_a_part_can_be_read_by_its_number(world: World) -> None:
    upload = await begin(world)
    one, two = await send(world, upload, 1, ONE), await send(world, upload, 2, LAST)
    await complete(world, upload, one, two)

    got = await world.s3("GetObject", Bucket=BUCKET, Key="k", PartNumber=2)
    head = await world.s3("HeadObject", Bucket=BUCKET, Key="k", PartNumber=1)

    assert await body_of(got) == LAST
    assert got["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + 2}/{5 * MIB + 3}"
    assert (head["ContentLength"], head["PartsCount"]) == (5 * MIB, 2)
    with pytest.raises(errors.InvalidPartNumber):
        await world.s3("GetObject", Bucket=BUCKET, Key="k", PartNumber=3)
    with pytest.raises(errors.InvalidRequest):
        await world.s3("GetObject", Bucket=BUCKET, Key="k", PartNumber=1, Range="bytes=0-1")


async def test_parts_are_listed_in_pages(world: World) -> None:
    upload = await begin(world)
    for number in (5, 1, 9):
        await send(world, upload, number, LAST)

    page = await world.s3("ListParts", **upload, MaxParts=2)
    rest = await world.s3("ListParts", **upload, PartNumberMarker=page["NextPartNumberMarker"])

    assert [part["PartNumber"] for part in page["Parts"]] == [1, 5]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 5)
    assert [part["PartNumber"] for part in rest["Parts"]] == [9]
    assert not rest["IsTruncated"]


@pytest.mark.parametrize(
    ("put_first", "conditions", "error"),
    [
        (False, {"IfNoneMatch": "*"}, errors.PreconditionFailed),
        (True, {"IfMatch": '"ad0234829205b9033196ba818f7a872b"'}, None),
        (False, {"IfMatch": '"ad0234829205b9033196ba818f7a872b"'}, "conflict"),
        (True, {"IfMatch": '"other"'}, errors.PreconditionFailed),
    ],
)
async def test_conditions_of_completing(
    world: World, put_first: bool, conditions: dict[str, str], error: Any
) -> None:
    put = {"Bucket": BUCKET, "Key": "k", "Body": b"test2"}
    if put_first:
        await world.s3("PutObject", **put)
        await world.advance(1)
    upload = await begin(world)
    if not put_first:
        await world.advance(1)
        await world.s3("PutObject", **put)
    part = await send(world, upload, 1, LAST)

    if error is None:
        await complete(world, upload, part, **conditions)
    else:
        kind = errors.ConditionalRequestConflict if error == "conflict" else error
        with pytest.raises(kind):
            await complete(world, upload, part, **conditions)
        assert (await world.s3("GetObject", Bucket=BUCKET, Key="k"))["Body"] == b"test2"
