"""Versioning, encryption, and reading versions."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import NotImplementedHere
from skyfold.services.s3 import errors
from skyfold.services.s3.operations.encryption import KeyNotFound
from tests.services.s3.conftest import BUCKET
from tests.support.world import World


async def version(world: World, status: str) -> None:
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": status})


async def put(world: World, body: bytes) -> dict[str, Any]:
    return await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body)


async def get(world: World, **request: Any) -> Any:
    return await world.s3("GetObject", Bucket=BUCKET, Key="k", **request)


async def test_versioning_is_off_until_it_is_set(world: World) -> None:
    before = await world.s3("GetBucketVersioning", Bucket=BUCKET)
    await version(world, "Enabled")
    after = await world.s3("GetBucketVersioning", Bucket=BUCKET)

    assert (before, after) == ({}, {"Status": "Enabled"})
    with pytest.raises(errors.MalformedXML):
        await version(world, "Off")
    with pytest.raises(NotImplementedHere):
        wanted = {"Status": "Enabled", "MFADelete": "Enabled"}
        await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=wanted)


async def test_version_ids_have_32_characters_and_are_all_different(world: World) -> None:
    await version(world, "Enabled")

    ids = [(await put(world, b"x"))["VersionId"] for _ in range(50)]

    assert len(set(ids)) == 50
    assert all(len(one) == 32 for one in ids)


async def test_what_was_there_before_versioning_is_the_null_version(world: World) -> None:
    await put(world, b"before")
    await version(world, "Enabled")
    first = await get(world)
    await put(world, b"after")

    assert first["VersionId"] == "null"
    assert (await get(world, VersionId="null"))["Body"] == b"before"


async def test_a_suspended_bucket_overwrites_its_null_version_alone(world: World) -> None:
    await version(world, "Enabled")
    kept = await put(world, b"kept")
    await version(world, "Suspended")

    one, two = await put(world, b"one"), await put(world, b"two")
    found = await world.s3("ListObjectVersions", Bucket=BUCKET)

    assert "VersionId" not in one
    assert "VersionId" not in two
    assert [v["VersionId"] for v in found["Versions"]] == ["null", kept["VersionId"]]
    assert (await get(world))["Body"] == b"two"
    assert (await get(world, VersionId=kept["VersionId"]))["Body"] == b"kept"


async def test_a_delete_marker_hides_and_its_removal_shows_again(world: World) -> None:
    await version(world, "Enabled")
    old = await put(world, b"x")
    marker = await world.s3("DeleteObject", Bucket=BUCKET, Key="k")

    with pytest.raises(errors.NoSuchKey):
        await get(world)
    with pytest.raises(errors.MethodNotAllowed) as refused:
        await get(world, VersionId=marker["VersionId"])
    removed = await world.s3("DeleteObject", Bucket=BUCKET, Key="k", VersionId=marker["VersionId"])

    assert refused.value.members == {"Method": "GET", "ResourceType": "DeleteMarker"}
    assert marker["DeleteMarker"]
    assert removed == {"DeleteMarker": True, "VersionId": marker["VersionId"]}
    assert (await get(world))["VersionId"] == old["VersionId"]


async def test_versions_that_never_were(world: World) -> None:
    await version(world, "Enabled")
    gone = await put(world, b"x")
    await put(world, b"y")
    key = {"Bucket": BUCKET, "Key": "k", "VersionId": gone["VersionId"]}
    await world.s3("DeleteObject", **key)

    with pytest.raises(errors.NoSuchVersion) as missing:
        await world.s3("GetObject", **key)
    with pytest.raises(errors.InvalidArgument) as malformed:
        await get(world, VersionId="odd")
    again = await world.s3("DeleteObject", **key)
    outcome = await world.s3(
        "DeleteObjects", Bucket=BUCKET, Delete={"Objects": [{"Key": "k", **_id(gone)}]}
    )

    assert missing.value.members == {"Key": "k", "VersionId": gone["VersionId"]}
    assert malformed.value.members == {"ArgumentName": "versionId", "ArgumentValue": "odd"}
    assert again == _id(gone)
    assert outcome["Errors"][0]["Code"] == "NoSuchVersion"


def _id(version: dict[str, Any]) -> dict[str, str]:
    return {"VersionId": version["VersionId"]}


async def test_deleting_many_says_which_markers_were_made(world: World) -> None:
    await version(world, "Enabled")
    await put(world, b"x")

    outcome = await world.s3(
        "DeleteObjects", Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}, {"Key": "none"}]}
    )
    quiet = await world.s3(
        "DeleteObjects", Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}], "Quiet": True}
    )

    assert [(one["Key"], one["DeleteMarker"]) for one in outcome["Deleted"]] == [
        ("k", True),
        ("none", True),
    ]
    assert all(len(one["DeleteMarkerVersionId"]) == 32 for one in outcome["Deleted"])
    assert quiet == {}


@pytest.mark.parametrize("count", [0, 1001])
async def test_many_means_from_one_to_a_thousand(world: World, count: int) -> None:
    with pytest.raises(errors.MalformedXML):
        await world.s3("DeleteObjects", Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}] * count})


async def test_conditional_deletes_of_directory_buckets_are_refused(world: World) -> None:
    with pytest.raises(errors.HeaderNotImplemented) as refused:
        await world.s3("DeleteObject", Bucket=BUCKET, Key="k", IfMatchSize=3)

    assert refused.value.status == 501


async def test_a_delete_can_depend_on_the_etag(world: World) -> None:
    etag = (await put(world, b"x"))["ETag"]

    with pytest.raises(errors.PreconditionFailed):
        await world.s3("DeleteObject", Bucket=BUCKET, Key="k", IfMatch="other")
    await world.s3("DeleteObject", Bucket=BUCKET, Key="k", IfMatch=etag)

    with pytest.raises(errors.NoSuchKey):
        await get(world)


async def test_listing_versions_goes_on_behind_a_version_that_was_deleted(world: World) -> None:
    await version(world, "Enabled")
    ids = [(await put(world, b"x"))["VersionId"] for _ in range(4)][::-1]
    page = await world.s3("ListObjectVersions", Bucket=BUCKET, MaxKeys=2)
    markers = {"KeyMarker": "k", "VersionIdMarker": page["NextVersionIdMarker"]}

    await world.s3("DeleteObject", Bucket=BUCKET, Key="k", VersionId=ids[1])
    rest = await world.s3("ListObjectVersions", Bucket=BUCKET, **markers)
    none = await world.s3("ListObjectVersions", Bucket=BUCKET, KeyMarker="k")

    assert page["NextVersionIdMarker"] == ids[1]
    assert [one["VersionId"] for one in rest["Versions"]] == ids[2:]
    assert "Versions" not in none


# --- encryption -------------------------------------------------------------------------------


def encryption(algorithm: str, **more: Any) -> dict[str, Any]:
    default = {"SSEAlgorithm": algorithm, **more}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}


async def test_buckets_encrypt_by_aes256_whatever_happens(world: World) -> None:
    start = await world.s3("GetBucketEncryption", Bucket=BUCKET)
    wanted = encryption("AES256")
    wanted["Rules"][0]["BucketKeyEnabled"] = True

    await world.s3("PutBucketEncryption", Bucket=BUCKET, ServerSideEncryptionConfiguration=wanted)
    changed = await world.s3("GetBucketEncryption", Bucket=BUCKET)
    await world.s3("DeleteBucketEncryption", Bucket=BUCKET)

    rule = start["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule == encryption("AES256")["Rules"][0] | {"BucketKeyEnabled": False}
    assert changed == {"ServerSideEncryptionConfiguration": wanted}
    assert await world.s3("GetBucketEncryption", Bucket=BUCKET) == start


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"Rules": []}, errors.MalformedXML),
        ({"Rules": encryption("AES256")["Rules"] * 2}, errors.MalformedXML),
        (encryption("AES256", KMSMasterKeyID="k"), errors.InvalidArgument),
        (encryption("aws:kms:dsse"), NotImplementedHere),
        (encryption("aws:kms", KMSMasterKeyID="mine"), KeyNotFound),
    ],
)
async def test_encryption_that_cannot_be_is_refused(
    world: World, wanted: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await world.s3(
            "PutBucketEncryption", Bucket=BUCKET, ServerSideEncryptionConfiguration=wanted
        )


async def test_a_bucket_encrypts_with_the_key_that_aws_manages(world: World) -> None:
    wanted = encryption("aws:kms")
    await world.s3("PutBucketEncryption", Bucket=BUCKET, ServerSideEncryptionConfiguration=wanted)

    put = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    got = await world.s3("GetObject", Bucket=BUCKET, Key="k")
    own = await world.s3(
        "PutObject", Bucket=BUCKET, Key="k", Body=b"x", ServerSideEncryption="AES256"
    )

    assert put["ServerSideEncryption"] == got["ServerSideEncryption"] == "aws:kms"
    assert put["SSEKMSKeyId"] == got["SSEKMSKeyId"]
    assert ":key/" in put["SSEKMSKeyId"]
    assert own["ServerSideEncryption"] == "AES256"
    assert "SSEKMSKeyId" not in await world.s3("HeadObject", Bucket=BUCKET, Key="k")
    found = await world.s3("GetBucketEncryption", Bucket=BUCKET)
    (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms"}


async def test_a_copy_is_encrypted_as_its_own_bucket_says(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    copy = await world.s3("CopyObject", Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k")
    assert copy["ServerSideEncryption"] == "AES256"
    head = await world.s3("HeadObject", Bucket=BUCKET, Key="copy")
    assert head["ServerSideEncryption"] == "AES256"
