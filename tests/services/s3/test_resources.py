"""AWS::S3::Bucket and AWS::S3::BucketPolicy, as CloudFormation drives them."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import NotImplementedHere
from skyfold.kernel.provisioning import Provision, Provisioned
from skyfold.services.s3 import errors, resources
from tests.services.s3.receivers import add_box, arn, with_receivers
from tests.support.world import ACCOUNT, World


def provision(
    world: World,
    want: dict[str, Any],
    had: dict[str, Any] | None = None,
    name: str = "",
    logical_id: str = "Files",
    region: str = "us-east-1",
) -> Provision:
    call = world.platform.call(world.call().principal, region=region)
    return Provision(
        want=want,
        had=had or {},
        physical_id=name,
        api=call.api,
        account=ACCOUNT,
        region=region,
        stack_name="Stack",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/Stack/1",
        logical_id=logical_id,
        token="ABCDEF123456789",
    )


async def created(world: World, **want: Any) -> Provisioned:
    outcome = await resources.create_bucket(provision(world, want))
    assert isinstance(outcome, Provisioned)
    return outcome


async def test_a_bucket_gets_a_lower_case_name_and_its_attributes(world: World) -> None:
    outcome = await created(world)

    name = outcome.physical_id
    assert name == "stack-files-abcdef123456"
    assert outcome.attributes["Arn"] == f"arn:aws:s3:::{name}"
    assert outcome.attributes["DomainName"] == f"{name}.s3.amazonaws.com"
    assert outcome.attributes["RegionalDomainName"] == f"{name}.s3.us-east-1.amazonaws.com"
    await world.s3("HeadBucket", Bucket=name)


async def test_a_bucket_is_made_where_the_stack_is(world: World) -> None:
    await resources.create_bucket(provision(world, {"BucketName": "far"}, region="eu-west-1"))

    assert (await world.s3("HeadBucket", Bucket="far"))["BucketRegion"] == "eu-west-1"


async def test_every_property_reaches_the_bucket(world: World) -> None:
    with_receivers(world)
    function = await add_box(world, arn("lambda", "f"))
    queue = await add_box(world, arn("sqs", "q"))
    await created(
        world,
        BucketName="full",
        AccessControl="Private",
        BucketEncryption={
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
        CorsConfiguration={
            "CorsRules": [
                {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAge": "60", "Id": "c"}
            ]
        },
        LifecycleConfiguration={
            "Rules": [
                {"Id": "l", "Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": "3"},
                {
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                },
            ]
        },
        NotificationConfiguration={
            "LambdaConfigurations": [
                {
                    "Event": "s3:ObjectCreated:*",
                    "Function": function,
                    "Filter": {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".jpg"}]}},
                }
            ],
            "QueueConfigurations": [{"Event": "s3:ObjectRemoved:*", "Queue": queue}],
        },
        OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
        PublicAccessBlockConfiguration={"BlockPublicAcls": "true"},
        Tags=[{"Key": "team", "Value": "a"}],
        VersioningConfiguration={"Status": "Enabled"},
    )

    bucket = {"Bucket": "full"}
    lifecycle = await world.s3("GetBucketLifecycleConfiguration", **bucket)
    assert lifecycle["Rules"][0] == {
        "ID": "l",
        "Status": "Enabled",
        "Filter": {"Prefix": "tmp/"},
        "Expiration": {"Days": 3},
    }
    assert lifecycle["Rules"][1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert (await world.s3("GetBucketVersioning", **bucket))["Status"] == "Enabled"
    assert (await world.s3("GetBucketCors", **bucket))["CORSRules"][0]["MaxAgeSeconds"] == 60
    found = await world.s3("GetBucketNotificationConfiguration", **bucket)
    assert found["LambdaFunctionConfigurations"][0]["LambdaFunctionArn"] == function
    assert found["QueueConfigurations"][0]["QueueArn"] == queue
    ownership = await world.s3("GetBucketOwnershipControls", **bucket)
    assert ownership["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    block = await world.s3("GetPublicAccessBlock", **bucket)
    assert block["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": False,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": False,
    }
    tags = {t["Key"]: t["Value"] for t in (await world.s3("GetBucketTagging", **bucket))["TagSet"]}
    assert tags["team"] == "a"
    assert tags["aws:cloudformation:logical-id"] == "Files"


async def test_an_update_changes_and_takes_back(world: World) -> None:
    had = {
        "BucketName": "b-1",
        "VersioningConfiguration": {"Status": "Enabled"},
        "Tags": [{"Key": "a", "Value": "1"}],
        "CorsConfiguration": {"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    }
    await created(world, **had)
    want = {"BucketName": "b-1", "Tags": [{"Key": "b", "Value": "2"}]}

    await resources.update_bucket(provision(world, want, had, "b-1"))

    assert (await world.s3("GetBucketVersioning", Bucket="b-1"))["Status"] == "Suspended"
    tags = (await world.s3("GetBucketTagging", Bucket="b-1"))["TagSet"]
    own = [tag for tag in tags if not tag["Key"].startswith("aws:")]
    assert own == [{"Key": "b", "Value": "2"}]
    assert len(tags) == 4  # what CloudFormation set stays
    with pytest.raises(errors.NoSuchCORSConfiguration):
        await world.s3("GetBucketCors", Bucket="b-1")


async def test_an_attempt_after_a_crash_finds_its_own_bucket(world: World) -> None:
    first = await created(world, BucketName="mine")

    assert await created(world, BucketName="mine") == first


async def test_a_bucket_of_somebody_s_own_is_not_adopted(world: World) -> None:
    await world.s3("CreateBucket", Bucket="precious")
    other = provision(world, {"BucketName": "taken"}, logical_id="Other")
    await resources.create_bucket(other)

    for name in ("precious", "taken"):
        with pytest.raises(errors.BucketAlreadyExists):
            await created(world, BucketName=name)


@pytest.mark.parametrize(
    "unbuilt",
    [{"WebsiteConfiguration": {}}, {"ObjectLockEnabled": True}, {"ReplicationConfiguration": {}}],
)
async def test_a_property_that_is_not_built_is_refused_before_anything_is_made(
    world: World, unbuilt: dict[str, Any]
) -> None:
    with pytest.raises(NotImplementedHere, match=next(iter(unbuilt))):
        await created(world, BucketName="odd", **unbuilt)
    with pytest.raises(errors.NoSuchBucket):
        await world.s3("HeadBucket", Bucket="odd")


async def test_a_bucket_that_is_not_empty_stays(world: World) -> None:
    await created(world, BucketName="full")
    await world.s3("PutObject", Bucket="full", Key="k", Body=b"x")

    with pytest.raises(errors.BucketNotEmpty):
        await resources.delete_bucket(provision(world, {}, name="full"))
    await world.s3("DeleteObject", Bucket="full", Key="k")
    await resources.delete_bucket(provision(world, {}, name="full"))
    await resources.delete_bucket(provision(world, {}, name="full"))  # it is gone already


async def test_a_policy_is_put_and_taken_away(world: World) -> None:
    await created(world, BucketName="b-2")
    document = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "999999999999"},
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::b-2/*",
            }
        ]
    }
    want = {"Bucket": "b-2", "PolicyDocument": document}

    made = await resources.put_policy(provision(world, want))
    await world.s3("GetBucketPolicy", Bucket="b-2")
    await resources.delete_policy(provision(world, {}, want, made.physical_id))

    with pytest.raises(errors.NoSuchBucketPolicy):
        await world.s3("GetBucketPolicy", Bucket="b-2")
