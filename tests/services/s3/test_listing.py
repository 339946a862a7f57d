"""Listings, held against what a sorted dict says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.support.world import World

# Few characters, so that keys share prefixes; some of them awkward: NUL, the last code point.
KEYS = st.text(alphabet="ab/\0é\U0010ffff", min_size=1, max_size=6)
TEXTS = st.text(alphabet="ab/\0", max_size=3)


def expected(keys: set[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    """What a listing shows, in order: keys, and common prefixes marked with True."""
    entries: dict[str, bool] = {}
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            entries[key] = False
        else:
            entries.setdefault(key[: at + len(delimiter)], True)
    return list(entries.items())


async def filled(keys: set[str]) -> World:
    world = World()
    await world.s3("CreateBucket", Bucket=BUCKET)
    for key in keys:
        await world.s3("PutObject", Bucket=BUCKET, Key=key)
    return world


def entries(page: dict[str, Any]) -> list[tuple[str, bool]]:
    found = [(one["Key"], False) for one in page.get("Contents", [])]
    found += [(one["Prefix"], True) for one in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[0].encode())


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(KEYS, max_size=15),
    prefix=TEXTS,
    delimiter=st.sampled_from(["", "/", "a", "b/"]),
    limit=st.integers(1, 4),
)
async def test_the_pages_of_a_listing_make_the_whole(
    keys: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    world = await filled(keys)
    request = {"Bucket": BUCKET, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": limit}
    whole = expected(keys, prefix, delimiter)

    found: list[tuple[str, bool]] = []
    token: dict[str, str] = {}
    while True:
        page = await world.s3("ListObjectsV2", **request, **token)
        assert page["KeyCount"] == len(entries(page)) <= limit
        found += entries(page)
        if not page["IsTruncated"]:
            break
        assert len(entries(page)) == limit
        token = {"ContinuationToken": page["NextContinuationToken"]}

    assert found == whole

    found, marker = [], ""
    while True:
        page = await world.s3("ListObjects", **request, Marker=marker)
        found += entries(page)
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"] if delimiter else page["Contents"][-1]["Key"]

    assert found == whole


@settings(max_examples=40, deadline=None)
@given(keys=st.sets(KEYS, max_size=12), start=KEYS)
async def test_a_listing_can_start_after_any_key(keys: set[str], start: str) -> None:
    world = await filled(keys)

    page = await world.s3("ListObjectsV2", Bucket=BUCKET, StartAfter=start)

    later = {key for key in keys if key.encode() > start.encode()}
    assert entries(page) == expected(later, "", "")
    assert page["StartAfter"] == start


async def test_a_folder_of_many_keys_is_skipped_not_read(world: World) -> None:
    for number in range(300):
        await world.s3("PutObject", Bucket=BUCKET, Key=f"deep/{number:03}")
    await world.s3("PutObject", Bucket=BUCKET, Key="last")
    read = 0

    class Counting:
        def __init__(self, tx: Any) -> None:
            self._tx = tx

        async def scan(self, *args: Any, **bounds: Any) -> Any:
            nonlocal read
            pairs = await self._tx.scan(*args, **bounds)
            read += len(pairs)
            return pairs

    from skyfold.services.s3.operations.listing import scan_page

    async def page(tx: Any) -> Any:
        return await scan_page(Counting(tx), BUCKET, "", "/", "", 1000)  # type: ignore[arg-type]

    found = await world.platform.store.read(page)

    assert (found.prefixes, len(found.objects)) == (["deep/"], 1)
    assert read < 100


async def test_keys_are_encoded_where_the_client_asks(world: World) -> None:
    key = "a b/ü+%.txt"
    await world.s3("PutObject", Bucket=BUCKET, Key=key)

    plain = await world.s3("ListObjectsV2", Bucket=BUCKET)
    encoded = await world.s3("ListObjectsV2", Bucket=BUCKET, EncodingType="url", Delimiter="/")

    assert plain["Contents"][0]["Key"] == key
    assert encoded["CommonPrefixes"] == [{"Prefix": "a+b/"}]
    assert encoded["EncodingType"] == "url"


async def test_the_two_versions_of_a_listing_differ_in_their_members(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"123")

    one = await world.s3("ListObjects", Bucket=BUCKET)
    two = await world.s3("ListObjectsV2", Bucket=BUCKET)
    owned = await world.s3("ListObjectsV2", Bucket=BUCKET, FetchOwner=True)

    entry = {
        "Key": "k",
        "LastModified": 1_700_000_000_000,
        "ETag": '"202cb962ac59075b964b07152d234b70"',
        "ChecksumAlgorithm": ["CRC64NVME"],
        "ChecksumType": "FULL_OBJECT",
        "Size": 3,
        "StorageClass": "STANDARD",
    }
    owner = {"Owner": one["Contents"][0]["Owner"]}
    shared = {"Name": BUCKET, "Prefix": "", "MaxKeys": 1000, "IsTruncated": False}
    assert one == shared | {"Marker": "", "Contents": [entry | owner]}
    assert two == shared | {"KeyCount": 1, "Contents": [entry]}
    assert owned["Contents"] == [entry | owner]
    assert len(owner["Owner"]["ID"]) == 64


async def test_no_keys_are_listed_where_none_are_asked_for(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k")

    page = await world.s3("ListObjectsV2", Bucket=BUCKET, MaxKeys=0)

    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


@pytest.mark.parametrize(
    "asked", [{"ContinuationToken": "garbage"}, {"MaxKeys": -1}, {"EncodingType": "rot13"}]
)
async def test_a_listing_refuses_what_it_cannot_read(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        await world.s3("ListObjectsV2", Bucket=BUCKET, **asked)


async def test_a_token_is_good_for_its_own_bucket_alone(world: World) -> None:
    await world.s3("CreateBucket", Bucket="other")
    for key in ("a", "b"):
        await world.s3("PutObject", Bucket=BUCKET, Key=key)
    page = await world.s3("ListObjectsV2", Bucket=BUCKET, MaxKeys=1)

    with pytest.raises(errors.InvalidArgument):
        token = page["NextContinuationToken"]
        await world.s3("ListObjectsV2", Bucket="other", ContinuationToken=token)


async def test_uploads_are_listed_by_key_and_age(world: World) -> None:
    ids = []
    for key in ("b/1", "a", "a", "b/2", "c"):
        await world.advance(1)
        upload = await world.s3("CreateMultipartUpload", Bucket=BUCKET, Key=key)
        ids.append((key, upload["UploadId"]))

    whole = await world.s3("ListMultipartUploads", Bucket=BUCKET)
    folded = await world.s3("ListMultipartUploads", Bucket=BUCKET, Delimiter="/")
    page = await world.s3("ListMultipartUploads", Bucket=BUCKET, MaxUploads=1)
    rest = await world.s3(
        "ListMultipartUploads",
        Bucket=BUCKET,
        KeyMarker=page["NextKeyMarker"],
        UploadIdMarker=page["NextUploadIdMarker"],
    )

    def named(found: dict[str, Any]) -> list[tuple[str, str]]:
        return [(one["Key"], one["UploadId"]) for one in found["Uploads"]]

    assert named(whole) == sorted(ids)
    assert folded["CommonPrefixes"] == [{"Prefix": "b/"}]
    assert [key for key, _ in named(folded)] == ["a", "a", "c"]
    assert page["IsTruncated"]
    assert named(page) + named(rest) == sorted(ids)
