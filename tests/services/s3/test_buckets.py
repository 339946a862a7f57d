"""Creating, finding, listing and deleting buckets."""

from __future__ import annotations

import pytest

from skyfold.kernel.principal import root_of
from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.support.world import World

STRANGER = root_of("999999999999")


async def test_a_new_bucket_is_there_with_its_region(world: World) -> None:
    location = {"LocationConstraint": "eu-west-1"}

    await world.s3("CreateBucket", Bucket="far", CreateBucketConfiguration=location)

    assert (await world.s3("HeadBucket", Bucket="far"))["BucketRegion"] == "eu-west-1"
    assert await world.s3("GetBucketLocation", Bucket="far") == location
    assert await world.s3("GetBucketLocation", Bucket=BUCKET) == {}


@pytest.mark.parametrize(
    ("region", "location", "error"),
    [
        ("us-east-1", "mars-north-1", errors.InvalidLocationConstraint),
        ("us-east-1", "us-east-1", errors.InvalidLocationConstraint),
        ("eu-west-1", "eu-west-2", errors.IllegalLocationConstraintException),
        ("eu-west-1", "", errors.IllegalLocationConstraintException),
    ],
)
async def test_a_location_must_be_one_that_the_endpoint_can_create(
    world: World, region: str, location: str, error: type[Exception]
) -> None:
    call = world.platform.call(world.call().principal, region=region)
    request = {"CreateBucketConfiguration": {"LocationConstraint": location}} if location else {}

    with pytest.raises(error):
        await world.platform.serve("s3", "CreateBucket", {"Bucket": "odd", **request}, call)


async def test_bucket_names_are_shared_by_all_accounts(world: World) -> None:
    with pytest.raises(errors.BucketAlreadyExists):
        await world.s3("CreateBucket", by=STRANGER, Bucket=BUCKET)


async def test_creating_an_own_bucket_again_fails_but_in_us_east_1(world: World) -> None:
    location = {"LocationConstraint": "eu-west-1"}
    await world.s3("CreateBucket", Bucket="far", CreateBucketConfiguration=location)

    await world.s3("CreateBucket", Bucket=BUCKET)
    with pytest.raises(errors.BucketAlreadyOwnedByYou):
        await world.s3("CreateBucket", Bucket="far", CreateBucketConfiguration=location)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "two..dots",
        "-dash",
        "dash-",
        "10.0.0.1",
        "xn--puny",
        "for-an-s3alias",
    ],
)
async def test_names_that_cannot_be_host_names_are_refused(world: World, name: str) -> None:
    with pytest.raises(errors.InvalidBucketName):
        await world.s3("CreateBucket", Bucket=name)


async def test_a_bucket_with_objects_is_not_deleted(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"")

    with pytest.raises(errors.BucketNotEmpty) as refused:
        await world.s3("DeleteBucket", Bucket=BUCKET)

    assert refused.value.text == "The bucket you tried to delete is not empty"
    assert refused.value.members == {"BucketName": BUCKET}


async def test_a_versioned_bucket_goes_only_with_its_last_version(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    put = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"")
    deleted = await world.s3("DeleteObject", Bucket=BUCKET, Key="k")

    with pytest.raises(errors.BucketNotEmpty, match="You must delete all versions"):
        await world.s3("DeleteBucket", Bucket=BUCKET)
    for version in (put, deleted):
        await world.s3("DeleteObject", Bucket=BUCKET, Key="k", VersionId=version["VersionId"])
    await world.s3("DeleteBucket", Bucket=BUCKET)

    with pytest.raises(errors.NoSuchBucket):
        await world.s3("HeadBucket", Bucket=BUCKET)


async def test_a_deleted_bucket_leaves_nothing_behind(world: World) -> None:
    store = world.platform.store
    before = await store.read(_everything)
    await world.s3("CreateBucket", Bucket="gone")
    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    await world.s3("PutBucketTagging", Bucket="gone", Tagging=tagging)
    upload = await world.s3("CreateMultipartUpload", Bucket="gone", Key="k")
    await world.s3(
        "UploadPart", Bucket="gone", Key="k", UploadId=upload["UploadId"], PartNumber=1, Body=b"p"
    )
    rule = {"ID": "r", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}
    await world.s3(
        "PutBucketLifecycleConfiguration",
        Bucket="gone",
        LifecycleConfiguration={"Rules": [rule]},
    )

    await world.s3("DeleteBucket", Bucket="gone")

    assert await store.read(_everything) == before


async def _everything(tx):  # type: ignore[no-untyped-def]  # the store's own pairs
    return await tx.scan(b"", b"\xff", limit=1000)


async def test_listing_shows_the_caller_s_buckets_in_pages(world: World) -> None:
    for name in ("app-2", "app-1", "app-3"):
        await world.s3("CreateBucket", Bucket=name)
    await world.s3("CreateBucket", by=STRANGER, Bucket="app-9")

    first = await world.s3("ListBuckets", Prefix="app-", MaxBuckets=2)
    rest = await world.s3(
        "ListBuckets", Prefix="app-", MaxBuckets=2, ContinuationToken=first["ContinuationToken"]
    )

    assert [bucket["Name"] for bucket in first["Buckets"]] == ["app-1", "app-2"]
    assert [bucket["Name"] for bucket in rest["Buckets"]] == ["app-3"]
    assert "ContinuationToken" not in rest
    assert first["Prefix"] == "app-"


async def test_listing_can_be_narrowed_to_a_region(world: World) -> None:
    location = {"LocationConstraint": "eu-west-1"}
    await world.s3("CreateBucket", Bucket="far", CreateBucketConfiguration=location)

    found = await world.s3("ListBuckets", BucketRegion="eu-west-1")

    assert [bucket["Name"] for bucket in found["Buckets"]] == ["far"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetBucketReplication", "ReplicationConfigurationNotFoundError"),
        ("GetObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"),
        ("GetBucketWebsite", "NoSuchWebsiteConfiguration"),
        ("GetBucketPolicy", "NoSuchBucketPolicy"),
        ("GetBucketPolicyStatus", "NoSuchBucketPolicy"),
        ("GetBucketTagging", "NoSuchTagSet"),
        ("GetBucketCors", "NoSuchCORSConfiguration"),
        ("GetBucketLifecycleConfiguration", "NoSuchLifecycleConfiguration"),
    ],
)
async def test_what_a_plain_bucket_does_not_have_is_said_by_name(
    world: World, operation: str, code: str
) -> None:
    with pytest.raises(errors.AwsError) as missing:
        await world.s3(operation, Bucket=BUCKET)

    assert (missing.value.code, missing.value.status) == (code, 404)


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("GetBucketAccelerateConfiguration", {}),
        ("GetBucketLogging", {}),
        ("GetBucketRequestPayment", {"Payer": "BucketOwner"}),
        ("GetBucketVersioning", {}),
        ("GetBucketNotificationConfiguration", {}),
    ],
)
async def test_what_tools_ask_of_a_plain_bucket_is_answered(
    world: World, operation: str, answer: object
) -> None:
    assert await world.s3(operation, Bucket=BUCKET) == answer


async def test_an_expected_owner_must_be_the_owner(world: World) -> None:
    with pytest.raises(errors.AccessDenied):
        await world.s3("HeadBucket", Bucket=BUCKET, ExpectedBucketOwner="999999999999")
    with pytest.raises(errors.InvalidBucketOwnerAWSAccountID, match=r"\[abcd\]"):
        await world.s3("HeadBucket", Bucket=BUCKET, ExpectedBucketOwner="abcd")
    await world.s3("HeadBucket", Bucket=BUCKET, ExpectedBucketOwner="123456789012")
