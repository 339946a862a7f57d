"""Our errors and replies beside those that AWS gave, where a recording of them is at hand."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.s3.conftest import BUCKET
from tests.services.s3.receivers import arn, with_receivers
from tests.services.s3.test_multipart import begin, complete, send
from tests.support.world import World

RECORDINGS = Path(__file__).parents[3] / ".." / "shared" / "aws-recordings" / "s3.json"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of AWS's answers are not part of the project"
)
Act = Callable[[World], Awaitable[Any]]


@cache
def recordings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDINGS.read_text())
    return {name.split("::", 1)[1]: entry["recorded-content"] for name, entry in found.items()}


def s3(operation: str, **request: Any) -> Act:
    return lambda world: world.s3(operation, **{"Bucket": BUCKET, **request})


def after(*acts: Act) -> Act:
    """Do all of them; the last one is what is looked at."""

    async def act(world: World) -> Any:
        for one in acts:
            outcome = await one(world)
        return outcome

    return act


PUT = s3("PutObject", Key="my-key", Body=b"something")
ENABLE = s3("PutBucketVersioning", VersioningConfiguration={"Status": "Enabled"})


def in_region(region: str, location: str) -> Act:
    async def act(world: World) -> Any:
        call = world.platform.call(world.call().principal, region=region)
        configuration = {"LocationConstraint": location}
        request = {"Bucket": "new-one", "CreateBucketConfiguration": configuration}
        return await world.platform.serve("s3", "CreateBucket", request, call)

    return act


async def too_small(world: World) -> Any:
    upload = await begin(world)
    parts = [await send(world, upload, number, b"data") for number in (1, 2)]
    return await complete(world, upload, *parts)


async def no_parts(world: World) -> Any:
    return await complete(world, await begin(world))


async def delete_marker_by_id(world: World) -> Any:
    await ENABLE(world)
    await PUT(world)
    marker = await world.s3("DeleteObject", Bucket=BUCKET, Key="my-key")
    return await world.s3("GetObject", Bucket=BUCKET, Key="my-key", VersionId=marker["VersionId"])


async def notify_nobody(world: World, service: str = "sqs", name: str = "my-queue") -> Any:
    with_receivers(world)
    member, to = {"sqs": ("Queue", "Queue"), "lambda": ("LambdaFunction", "LambdaFunction")}[
        service
    ]
    wanted = {f"{member}Arn": arn(service, name), "Events": ["s3:ObjectCreated:*"]}
    return await world.s3(
        "PutBucketNotificationConfiguration",
        Bucket=BUCKET,
        NotificationConfiguration={f"{to}Configurations": [wanted]},
    )


def ownership(*rules: Any) -> Act:
    return s3("PutBucketOwnershipControls", OwnershipControls={"Rules": list(rules)})


def encryption(*rules: Any) -> Act:
    return s3("PutBucketEncryption", ServerSideEncryptionConfiguration={"Rules": list(rules)})


def cors(**rule: Any) -> Act:
    return s3("PutBucketCors", CORSConfiguration={"CORSRules": [rule] if rule else []})


AES = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
AES_KMS = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}
OTHER = {"MetadataDirective": "REPLACE", "CopySource": f"{BUCKET}/my-key"}

ERRORS: list[tuple[str, str, Act]] = [
    (
        "TestS3::test_create_bucket_with_invalid_location_constraint[eu-west-1-bar]",
        "eu-west-1-location-constraint-bar-error",
        in_region("eu-west-1", "bar"),
    ),
    (
        "TestS3::test_create_bucket_with_invalid_location_constraint[us-east-1-foo]",
        "us-east-1-location-constraint-foo-error",
        in_region("us-east-1", "foo"),
    ),
    (
        "TestS3::test_get_bucket_policy_invalid_account_id[abcd]",
        "get-bucket-policy-invalid-bucket-owner",
        s3("GetBucketPolicy", ExpectedBucketOwner="abcd"),
    ),
    (
        "TestS3::test_get_object_no_such_bucket",
        "expected_error",
        s3("GetObject", Bucket="nowhere", Key="k"),
    ),
    (
        "TestS3::test_delete_non_existing_keys_in_non_existing_bucket",
        "error-non-existent-bucket",
        s3("DeleteObjects", Bucket="nowhere", Delete={"Objects": [{"Key": "k"}]}),
    ),
    (
        "TestS3::test_range_key_not_exists",
        "exc",
        s3("GetObject", Key="my-key", Range="bytes=1024-4096"),
    ),
    (
        "TestS3::test_precondition_failed_error",
        "get-object-if-match",
        after(PUT, s3("GetObject", Key="my-key", IfMatch='"not good etag"')),
    ),
    ("TestS3::test_multipart_complete_multipart_too_small", "complete-exc-no-parts", no_parts),
    ("TestS3::test_multipart_complete_multipart_too_small", "complete-exc-too-small", too_small),
    (
        "TestS3::test_multipart_no_such_upload",
        "upload-exc",
        s3("UploadPart", Key="k", UploadId="fakeid", PartNumber=1, Body=b"x"),
    ),
    (
        "TestS3::test_multipart_no_such_upload",
        "abort-exc",
        s3("AbortMultipartUpload", Key="k", UploadId="fakeid"),
    ),
    (
        "TestS3::test_s3_copy_object_in_place",
        "copy-object-in-place-no-change",
        after(PUT, s3("CopyObject", Key="my-key", CopySource=f"{BUCKET}/my-key")),
    ),
    (
        "TestS3::test_s3_copy_object_src_not_exists",
        "copy-object-src-bucket-not-exists",
        s3("CopyObject", Key="k", CopySource="nowhere/k"),
    ),
    (
        "TestS3::test_s3_invalid_content_md5",
        "md5-error-0",
        s3("PutObject", Key="k", Body=b"something", ContentMD5="__invalid__"),
    ),
    (
        "TestS3PutObjectChecksum::test_put_object_checksum[CRC32C]",
        "put-wrong-checksum-no-b64",
        s3("PutObject", Key="k", Body=b"test data..", ChecksumCRC32C="bad"),
    ),
    (
        "TestS3PutObjectChecksum::test_put_object_checksum[SHA256]",
        "put-wrong-checksum-value",
        s3("PutObject", Key="k", Body=b"x", ChecksumSHA256="A" * 43 + "="),
    ),
    (
        "TestS3MultipartUploadChecksum::test_multipart_parts_checksum_exceptions_composite",
        "create-mpu-wrong-checksum-algo",
        s3("CreateMultipartUpload", Key="k", ChecksumAlgorithm="TEST"),
    ),
    (
        "TestS3MultipartUploadChecksum::test_multipart_parts_checksum_exceptions_composite",
        "create-mpu-no-checksum-algo-with-type",
        s3("CreateMultipartUpload", Key="k", ChecksumType="COMPOSITE"),
    ),
    (
        "TestS3BucketLifecycle::test_s3_transition_default_minimum_object_size",
        "bad-value",
        s3(
            "PutBucketLifecycleConfiguration",
            LifecycleConfiguration={"Rules": []},
            TransitionDefaultMinimumObjectSize="value",
        ),
    ),
    (
        "TestS3BucketCRUD::test_delete_bucket_with_objects",
        "delete-with-obj",
        after(PUT, s3("DeleteBucket")),
    ),
    (
        "TestS3BucketCRUD::test_delete_versioned_bucket_with_objects",
        "delete-with-obj-and-delete-marker",
        after(ENABLE, PUT, s3("DeleteBucket")),
    ),
    (
        "TestS3BucketEncryption::test_s3_default_bucket_encryption_exc",
        "put-bucket-encryption-no-rules",
        encryption(),
    ),
    (
        "TestS3BucketEncryption::test_s3_default_bucket_encryption_exc",
        "put-bucket-encryption-two-rules",
        encryption(AES, AES),
    ),
    (
        "TestS3BucketEncryption::test_s3_default_bucket_encryption_exc",
        "put-bucket-encryption-kms-with-aes",
        encryption(AES_KMS),
    ),
    (
        "TestS3BucketObjectTagging::test_bucket_tagging_crud",
        "get-bucket-tags-empty",
        s3("GetBucketTagging"),
    ),
    (
        "TestS3BucketOwnershipControls::test_bucket_ownership_controls_exc",
        "put-ownership-multiple-rules",
        ownership({"ObjectOwnership": "ObjectWriter"}, {"ObjectOwnership": "ObjectWriter"}),
    ),
    (
        "TestS3BucketOwnershipControls::test_bucket_ownership_controls_exc",
        "put-ownership-wrong-value",
        ownership({"ObjectOwnership": "RandomValue"}),
    ),
    (
        "TestS3BucketOwnershipControls::test_bucket_ownership_controls_exc",
        "ownership-wrong-value-at-creation",
        s3("CreateBucket", Bucket="new-one", ObjectOwnership="RandomValue"),
    ),
    (
        "TestS3BucketOwnershipControls::test_crud_bucket_ownership_controls",
        "get-ownership-after-delete",
        after(s3("DeleteBucketOwnershipControls"), s3("GetBucketOwnershipControls")),
    ),
    (
        "TestS3BucketPolicy::test_bucket_policy_exc",
        "put-empty-bucket-policy",
        s3("PutBucketPolicy", Policy=""),
    ),
    (
        "TestS3BucketPolicy::test_bucket_policy_exc",
        "put-bucket-policy-empty-json",
        s3("PutBucketPolicy", Policy="{}"),
    ),
    (
        "TestS3DeletePrecondition::test_delete_object_if_match_all_non_express",
        "delete-obj-if-match-all",
        s3("DeleteObject", Key="k", IfMatchLastModifiedTime=1, IfMatchSize=1),
    ),
    ("TestS3ObjectCRUD::test_delete_object_versioned", "get-delete-marker", delete_marker_by_id),
    (
        "TestS3ObjectCRUD::test_delete_object_versioned",
        "delete-with-bad-version",
        s3("DeleteObject", Key="k", VersionId="bad"),
    ),
    (
        "TestS3ObjectLock::test_put_object_lock_configuration_on_existing_bucket",
        "get-object-lock-existing-bucket-no-config",
        s3("GetObjectLockConfiguration"),
    ),
    (
        "TestS3ObjectWritePrecondition::test_copy_object_precondition_write_validation",
        "copy-obj-none-match-etag",
        s3("CopyObject", Key="k", **OTHER, IfNoneMatch='"etag"'),
    ),
    (
        "TestS3ObjectWritePrecondition::test_copy_object_precondition_write_validation",
        "copy-obj-if-match-star",
        s3("CopyObject", Key="k", **OTHER, IfMatch="*"),
    ),
    (
        "TestS3ObjectWritePrecondition::test_put_object_if_match_and_if_none_match_validation",
        "put-obj-both-precondition",
        s3("PutObject", Key="k", Body=b"x", IfMatch='"etag"', IfNoneMatch="*"),
    ),
    (
        "TestS3ObjectWritePrecondition::test_put_object_if_match",
        "put-obj-if-match-key-not-exists",
        s3("PutObject", Key="test-precondition", Body=b"x", IfMatch='"etag"'),
    ),
    ("TestS3Cors::test_put_cors_invalid_rules", "put-cors-exc-empty", cors()),
    (
        "TestS3Cors::test_put_cors_invalid_rules",
        "put-cors-exc",
        cors(AllowedMethods=["MYMETHOD"], AllowedOrigins=["*"]),
    ),
    ("TestS3NotificationsToSQS::test_invalid_sqs_arn", "queue-does-not-exist", notify_nobody),
    (
        "TestS3NotificationsToLambda::test_invalid_lambda_arn",
        "lambda-does-not-exist",
        lambda world: notify_nobody(world, "lambda", "my-lambda"),
    ),
    (
        "TestS3StaticWebsiteHosting::test_crud_website_configuration",
        "get-no-such-website-config",
        s3("GetBucketWebsite"),
    ),
]


@pytest.mark.parametrize(
    ("recording", "answer", "act"),
    ERRORS,
    ids=[f"{one[0].split('::')[1]}:{one[1]}" for one in ERRORS],
)
async def test_an_error_is_worded_as_aws_words_it(
    world: World, recording: str, answer: str, act: Act
) -> None:
    recorded = recordings()[recording][answer]
    expected = dict(recorded["Error"])

    with pytest.raises(AwsError) as raised:
        await act(world)

    error = raised.value
    found = {"Code": error.code, "Message": error.text, **error.members}
    assert error.status == recorded["ResponseMetadata"]["HTTPStatusCode"]
    assert set(found) == set(expected)
    assert found["Code"] == expected["Code"]
    for name, text in expected.items():
        if "<" not in text and name not in ("ETag", "Key"):
            assert found[name] == text


REPLIES: list[tuple[str, str, Act]] = [
    (
        "TestS3::test_delete_object_tagging",
        "get-obj",
        after(PUT, s3("GetObject", Key="my-key", ChecksumMode="ENABLED")),
    ),
    (
        "TestS3::test_delete_non_existing_keys",
        "deleted-resp",
        s3("DeleteObjects", Delete={"Objects": [{"Key": "a"}]}),
    ),
    (
        "TestS3::test_create_bucket_head_bucket",
        "create_bucket",
        s3("CreateBucket", Bucket="new-one"),
    ),
    ("TestS3::test_create_bucket_head_bucket", "head_bucket", s3("HeadBucket")),
    (
        "TestS3::test_object_with_slashes_in_key[True]",
        "list-objects-slashes",
        after(PUT, s3("ListObjectsV2", EncodingType="url")),
    ),
    (
        "TestS3::test_bucket_name_with_dots",
        "list-objects",
        after(PUT, s3("ListObjects", EncodingType="url")),
    ),
    (
        "TestS3::test_multipart_and_list_parts",
        "create-multipart",
        s3("CreateMultipartUpload", Key="test-list-parts"),
    ),
    (
        "TestS3::test_s3_put_object_versioned",
        "list-object-versioned",
        after(ENABLE, PUT, s3("ListObjectVersions", EncodingType="url")),
    ),
    (
        "TestS3::test_copy_object_special_character",
        "copy-object-special-char-test+key",
        after(PUT, s3("CopyObject", Key="to", CopySource=f"{BUCKET}/my-key")),
    ),
    (
        "TestS3BucketEncryption::test_s3_default_bucket_encryption",
        "default-bucket-encryption",
        s3("GetBucketEncryption"),
    ),
    (
        "TestS3BucketOwnershipControls::test_bucket_ownership_controls_exc",
        "default-ownership",
        s3("GetBucketOwnershipControls"),
    ),
    (
        "TestS3ListBuckets::test_list_buckets_with_max_buckets",
        "list-objects-with-max-buckets",
        after(
            s3("CreateBucket", Bucket="new-one"),
            lambda world: world.s3("ListBuckets", MaxBuckets=1),
        ),
    ),
    (
        "TestS3ObjectCRUD::test_delete_object_versioned",
        "delete-object",
        after(ENABLE, PUT, s3("DeleteObject", Key="my-key")),
    ),
]


def members(value: Any) -> Any:
    """The form of a reply: member names, with the values of flags and counts left out."""
    if isinstance(value, dict):
        kept = {n: members(v) for n, v in value.items() if n != "ResponseMetadata"}
        return {("Checksum" if n.startswith("ChecksumCRC") else n): v for n, v in kept.items()}
    if isinstance(value, list):
        return [members(value[0])] if value else []
    return type(value).__name__ if isinstance(value, bool) else "value"


@pytest.mark.parametrize(("recording", "answer", "act"), REPLIES, ids=[one[1] for one in REPLIES])
async def test_a_reply_has_the_members_that_aws_gave(
    world: World, recording: str, answer: str, act: Act
) -> None:
    expected = members(recordings()[recording][answer])

    assert members(await act(world)) == expected
