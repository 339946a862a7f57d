"""Notifications: who is told what, and which destinations a bucket accepts."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from skyfold.base.errors import NotImplementedHere
from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.services.s3.receivers import add_box, arn, taken, with_receivers
from tests.services.s3.test_multipart import begin, complete, send
from tests.support.world import World

QUEUE = arn("sqs", "queue")
EVERYTHING = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"]


@pytest.fixture
async def cloud(world: World) -> World:
    with_receivers(world)
    await add_box(world, QUEUE)
    return world


def to_queue(*events: str, queue: str = QUEUE, **more: Any) -> dict[str, Any]:
    return {"QueueConfigurations": [{"Id": "me", "QueueArn": queue, "Events": events, **more}]}


async def configure(world: World, configuration: dict[str, Any], **request: Any) -> None:
    await world.s3(
        "PutBucketNotificationConfiguration",
        Bucket=BUCKET,
        NotificationConfiguration=configuration,
        **request,
    )


def prefix(value: str) -> dict[str, Any]:
    return {"Key": {"FilterRules": [{"Name": "prefix", "Value": value}]}}


async def names(world: World, box: str = QUEUE) -> list[str]:
    """The names of the events that came."""
    return [r["eventName"] for body in await taken(world, box) for r in body["Records"]]


async def test_a_new_destination_is_sent_a_test_event(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))

    (event,) = await taken(cloud, QUEUE)

    assert set(event) == {"Service", "Event", "Time", "Bucket", "RequestId", "HostId"}
    assert (event["Service"], event["Event"], event["Bucket"]) == (
        "Amazon S3",
        "s3:TestEvent",
        BUCKET,
    )
    assert event["Time"] == "2023-11-14T22:13:20.000Z"


async def test_a_put_is_told_as_s3_tells_it(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)
    call = dataclasses.replace(cloud.call(), source_ip="10.1.2.3", request_id="the-request")
    request = {"Bucket": BUCKET, "Key": "a dir/ü+1.txt", "Body": b"test-put"}

    await cloud.platform.serve("s3", "PutObject", request, call)

    (event,) = await taken(cloud, QUEUE)
    (record,) = event["Records"]
    described = record["s3"]["object"]
    assert described.pop("sequencer")
    assert record["responseElements"].pop("x-amz-id-2")
    assert record["s3"]["bucket"].pop("ownerIdentity")["principalId"]
    assert record == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2023-11-14T22:13:20.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:123456789012"},
        "requestParameters": {"sourceIPAddress": "10.1.2.3"},
        "responseElements": {"x-amz-request-id": "the-request"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "me",
            "bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {
                "key": "a+dir/%C3%BC%2B1.txt",
                "size": 8,
                "eTag": hashlib.md5(b"test-put").hexdigest(),
            },
        },
    }


async def test_each_kind_of_change_has_its_event(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)
    key = {"Bucket": BUCKET, "Key": "k"}

    await cloud.s3("PutObject", **key, Body=b"x")
    await cloud.s3("CopyObject", Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k")
    upload = await begin(cloud)
    await complete(cloud, upload, await send(cloud, upload, 1, b"part"))
    await cloud.s3("PutObjectTagging", **key, Tagging={"TagSet": []})
    await cloud.s3("DeleteObjectTagging", **key)
    await cloud.s3("PutObjectAcl", **key, ACL="private")
    await cloud.s3("DeleteObject", **key)
    enabled = {"Status": "Enabled"}
    await cloud.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    marker = await cloud.s3("DeleteObject", **key)
    await cloud.s3("DeleteObject", **key, VersionId=marker["VersionId"])
    await cloud.s3("DeleteObjects", Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}]})

    assert await names(cloud) == [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAcl:Put",
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
    ]


async def test_sequencers_rise_with_every_change_of_a_key(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)

    for _ in range(5):
        await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await cloud.s3("DeleteObject", Bucket=BUCKET, Key="k")

    found = [e["Records"][0]["s3"]["object"]["sequencer"] for e in await taken(cloud, QUEUE)]
    assert sorted(set(found)) == found
    assert len({len(one) for one in found}) == 1


async def test_a_removal_does_not_say_what_was_removed(cloud: World) -> None:
    await configure(cloud, to_queue("s3:ObjectRemoved:*"))
    await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await taken(cloud, QUEUE)

    await cloud.s3("DeleteObject", Bucket=BUCKET, Key="k")

    (event,) = await taken(cloud, QUEUE)
    assert set(event["Records"][0]["s3"]["object"]) == {"key", "sequencer"}


async def test_what_does_not_happen_is_not_told(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)

    await cloud.s3("DeleteObject", Bucket=BUCKET, Key="never-was")
    with pytest.raises(errors.PreconditionFailed):
        await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
        await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x", IfNoneMatch="*")

    assert await names(cloud) == ["ObjectCreated:Put"]


@pytest.mark.parametrize(
    ("rules", "heard"),
    [
        ([("prefix", "in/")], ["in/a.txt", "in/b.jpg"]),
        ([("Suffix", ".txt")], ["in/a.txt", "out/c.txt"]),
        ([("PREFIX", "in/"), ("suffix", ".jpg")], ["in/b.jpg"]),
        ([], ["in/a.txt", "in/b.jpg", "out/c.txt"]),
    ],
)
async def test_filters_are_prefixes_and_suffixes_of_keys(
    cloud: World, rules: list[tuple[str, str]], heard: list[str]
) -> None:
    filters = {"Key": {"FilterRules": [{"Name": n, "Value": v} for n, v in rules]}}
    await configure(cloud, to_queue("s3:ObjectCreated:Put", Filter=filters))
    await taken(cloud, QUEUE)

    for key in ("in/a.txt", "in/b.jpg", "out/c.txt"):
        await cloud.s3("PutObject", Bucket=BUCKET, Key=key, Body=b"x")

    found = [event["Records"][0]["s3"]["object"]["key"] for event in await taken(cloud, QUEUE)]
    assert found == heard


async def test_functions_and_topics_are_told_too(cloud: World) -> None:
    function = await add_box(cloud, arn("lambda", "f"))
    topic = await add_box(cloud, arn("sns", "topic"))
    await configure(
        cloud,
        {
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
            ],
            "TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}],
        },
    )
    assert await taken(cloud, function) == []
    assert [event["Event"] for event in await taken(cloud, topic)] == ["s3:TestEvent"]

    await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await cloud.s3("DeleteObject", Bucket=BUCKET, Key="k")

    assert await names(cloud, function) == ["ObjectCreated:Put"]
    assert await names(cloud, topic) == ["ObjectRemoved:Delete"]


@pytest.mark.parametrize(
    ("service", "member", "there", "why"),
    [
        ("sqs", "Queue", False, "The destination queue does not exist"),
        (
            "sqs",
            "Queue",
            True,
            "Permissions on the destination queue do not allow S3 to publish notifications from"
            " this bucket",
        ),
        ("sns", "Topic", False, "The destination topic does not exist"),
        ("lambda", "LambdaFunction", False, "Not authorized to invoke function [{arn}]"),
        ("lambda", "LambdaFunction", True, "Not authorized to invoke function [{arn}]"),
    ],
)
async def test_a_destination_must_let_the_bucket_in(
    cloud: World, service: str, member: str, there: bool, why: str
) -> None:
    to = arn(service, "closed")
    if there:
        await add_box(cloud, to, source=None)
    wanted = {f"{member}Configurations": [{f"{member}Arn": to, "Events": ["s3:ObjectCreated:*"]}]}

    with pytest.raises(errors.InvalidArgument) as refused:
        await configure(cloud, wanted)

    assert refused.value.text == ("Unable to validate the following destination configurations")
    shown = f"{to}, null" if service == "lambda" else to
    assert refused.value.members == {
        "ArgumentName1": shown,
        "ArgumentValue1": why.format(arn=to),
    }
    assert await cloud.s3("GetBucketNotificationConfiguration", Bucket=BUCKET) == {}


async def test_the_check_of_destinations_can_be_skipped(cloud: World) -> None:
    wanted = to_queue("s3:ObjectCreated:*", queue=arn("sqs", "later"))

    await configure(cloud, wanted, SkipDestinationValidation=True)
    await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")  # nobody hears it

    kept = await cloud.s3("GetBucketNotificationConfiguration", Bucket=BUCKET)
    assert kept["QueueConfigurations"][0]["QueueArn"] == arn("sqs", "later")


async def test_the_configuration_comes_back_with_capital_filter_names(cloud: World) -> None:
    await configure(cloud, to_queue("s3:ObjectCreated:*", Filter=prefix("in/")))

    found = await cloud.s3("GetBucketNotificationConfiguration", Bucket=BUCKET)

    assert found == {
        "QueueConfigurations": [
            {
                "Id": "me",
                "QueueArn": QUEUE,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "in/"}]}},
            }
        ]
    }


async def test_an_empty_configuration_ends_all_notifications(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)

    await configure(cloud, {})
    await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    assert await taken(cloud, QUEUE) == []


@pytest.mark.parametrize(
    ("one", "two", "overlapping"),
    [
        (("s3:ObjectCreated:*", ""), ("s3:ObjectCreated:Put", ""), True),
        (("s3:ObjectCreated:Put", "a"), ("s3:ObjectCreated:Put", "ab"), True),
        (("s3:ObjectCreated:Put", "a"), ("s3:ObjectCreated:Put", "b"), False),
        (("s3:ObjectCreated:Put", ""), ("s3:ObjectCreated:Copy", ""), False),
        (("s3:ObjectCreated:*", ""), ("s3:ObjectRemoved:*", ""), False),
    ],
)
async def test_one_event_goes_to_one_destination(
    cloud: World, one: tuple[str, str], two: tuple[str, str], overlapping: bool
) -> None:
    wanted = {
        "QueueConfigurations": [
            {"QueueArn": QUEUE, "Events": [event], "Filter": prefix(start)}
            for event, start in (one, two)
        ]
    }

    if overlapping:
        with pytest.raises(errors.InvalidArgument, match="Configurations overlap"):
            await configure(cloud, wanted)
    else:
        await configure(cloud, wanted)


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (to_queue("s3:ObjectCreated:*", queue="invalid-queue"), "The ARN could not be parsed"),
        (
            to_queue("s3:ObjectCreated:*", queue=arn("sqs", "q", "eu-west-1")),
            "destination service region is not valid",
        ),
        (to_queue("s3:ObjectCreated:*", queue=arn("sns", "q")), "The ARN could not be parsed"),
        (to_queue("s3:ObjectCreated:*", queue=arn("sqs", "q.fifo")), "Unable to validate"),
        (
            to_queue(
                "s3:ObjectCreated:*",
                Filter={"Key": {"FilterRules": [{"Name": "prefix", "Value": "a"}] * 2}},
            ),
            "Cannot specify more than one prefix rule",
        ),
    ],
)
async def test_a_configuration_must_make_sense(
    cloud: World, configuration: dict[str, Any], text: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=text):
        await configure(cloud, configuration)


async def test_event_bridge_is_refused_while_there_is_none(cloud: World) -> None:
    with pytest.raises(NotImplementedHere):
        await configure(cloud, {"EventBridgeConfiguration": {}})


async def test_a_change_and_its_notification_are_one_commit(cloud: World) -> None:
    await configure(cloud, to_queue(*EVERYTHING))
    await taken(cloud, QUEUE)
    store: Any = cloud.platform.store
    store.conflicts_to_inject = 2

    await cloud.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    assert await names(cloud) == ["ObjectCreated:Put"]
