"""Lifecycle rules: what they take away, when, and what they announce."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import NotImplementedHere
from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.services.s3.receivers import add_box, arn, taken, with_receivers
from tests.support.world import World

DAY = 86_400
TO_MIDNIGHT = DAY - 1_700_000_000 % DAY
"""The world begins at 22:13:20 UTC."""


def rule(**more: Any) -> dict[str, Any]:
    return {"ID": "r", "Status": "Enabled", "Filter": {}} | more


async def put_rules(world: World, *rules: dict[str, Any], **request: Any) -> Any:
    return await world.s3(
        "PutBucketLifecycleConfiguration",
        Bucket=BUCKET,
        LifecycleConfiguration={"Rules": list(rules)},
        **request,
    )


async def keys(world: World) -> list[str]:
    page = await world.s3("ListObjectsV2", Bucket=BUCKET)
    return [one["Key"] for one in page.get("Contents", [])]


async def test_an_object_expires_at_the_midnight_after_its_days(world: World) -> None:
    await put_rules(world, rule(Expiration={"Days": 2}))
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    await world.advance(TO_MIDNIGHT + 2 * DAY - 1)
    before = await keys(world)
    await world.advance(1)

    assert (before, await keys(world)) == (["k"], [])


async def test_replies_say_when_an_object_will_expire(world: World) -> None:
    await put_rules(world, rule(ID="my rule", Expiration={"Days": 2}))

    put = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    head = await world.s3("HeadObject", Bucket=BUCKET, Key="k")

    expected = 'expiry-date="Fri, 17 Nov 2023 00:00:00 GMT", rule-id="my%20rule"'
    assert put["Expiration"] == head["Expiration"] == expected


@pytest.mark.parametrize(
    ("scope", "gone"),
    [
        ({"Prefix": "in/"}, ["in/small"]),
        ({"Tag": {"Key": "t", "Value": "1"}}, ["tagged"]),
        ({"ObjectSizeGreaterThan": 10}, ["large"]),
        ({"ObjectSizeLessThan": 10}, ["in/small", "tagged"]),
        ({"And": {"Prefix": "t", "Tags": [{"Key": "t", "Value": "1"}]}}, ["tagged"]),
        ({"And": {"Prefix": "x", "ObjectSizeLessThan": 10}}, []),
        ({}, ["in/small", "large", "tagged"]),
    ],
)
async def test_a_filter_says_what_a_rule_is_about(
    world: World, scope: dict[str, Any], gone: list[str]
) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="in/small", Body=b"x")
    await world.s3("PutObject", Bucket=BUCKET, Key="large", Body=b"x" * 20)
    await world.s3("PutObject", Bucket=BUCKET, Key="tagged", Body=b"x", Tagging="t=1")
    await put_rules(world, rule(Filter=scope, Expiration={"Days": 1}))

    await world.advance(3 * DAY)

    assert sorted({"in/small", "large", "tagged"} - set(await keys(world))) == gone


async def test_a_disabled_rule_does_nothing(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await put_rules(world, rule(Status="Disabled", Expiration={"Days": 1}))

    await world.advance(5 * DAY)

    assert await keys(world) == ["k"]


async def test_a_date_takes_all_that_is_there_from_then_on(world: World) -> None:
    date = 1_700_000_000_000 // 86_400_000 * 86_400_000 + 2 * 86_400_000
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await put_rules(world, rule(Expiration={"Date": date}))

    await world.advance(TO_MIDNIGHT)
    before = await keys(world)
    await world.advance(DAY)

    assert (before, await keys(world)) == (["k"], [])


async def test_versions_that_are_no_longer_current_go_after_their_days(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    for body in (b"1", b"2", b"3", b"4"):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body)
    expiration = {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}
    await put_rules(world, rule(NoncurrentVersionExpiration=expiration))

    await world.advance(3 * DAY)

    left = (await world.s3("ListObjectVersions", Bucket=BUCKET))["Versions"]
    found = [
        await world.s3("GetObject", Bucket=BUCKET, Key="k", VersionId=one["VersionId"])
        for one in left
    ]
    assert [one["Body"] for one in found] == [b"4", b"3"]


async def test_an_expired_object_of_a_versioned_bucket_hides_behind_a_marker(
    world: World,
) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await put_rules(world, rule(Expiration={"Days": 1}))

    await world.advance(3 * DAY)
    found = await world.s3("ListObjectVersions", Bucket=BUCKET)

    assert await keys(world) == []
    assert (len(found["Versions"]), len(found["DeleteMarkers"])) == (1, 1)


async def test_a_marker_that_hides_nothing_is_cleaned_up(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    await world.s3("DeleteObject", Bucket=BUCKET, Key="alone")
    await world.s3("PutObject", Bucket=BUCKET, Key="hidden", Body=b"x")
    await world.s3("DeleteObject", Bucket=BUCKET, Key="hidden")
    await put_rules(world, rule(Expiration={"ExpiredObjectDeleteMarker": True}))

    await world.advance(2 * DAY)

    markers = (await world.s3("ListObjectVersions", Bucket=BUCKET))["DeleteMarkers"]
    assert [one["Key"] for one in markers] == ["hidden"]


async def test_uploads_that_nobody_finishes_are_aborted(world: World) -> None:
    for key in ("in/a", "out/b"):
        await world.s3("CreateMultipartUpload", Bucket=BUCKET, Key=key)
    abort = {"DaysAfterInitiation": 1}
    await put_rules(world, rule(Filter={"Prefix": "in/"}, AbortIncompleteMultipartUpload=abort))

    await world.advance(3 * DAY)

    left = (await world.s3("ListMultipartUploads", Bucket=BUCKET))["Uploads"]
    assert [one["Key"] for one in left] == ["out/b"]


async def test_an_expiration_is_announced_as_one(world: World) -> None:
    with_receivers(world)
    queue = await add_box(world, arn("sqs", "q"))
    events = ["s3:LifecycleExpiration:*", "s3:ObjectRemoved:*"]
    await world.s3(
        "PutBucketNotificationConfiguration",
        Bucket=BUCKET,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": queue, "Events": events}]},
    )
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await put_rules(world, rule(Expiration={"Days": 1}))
    await taken(world, queue)

    await world.advance(3 * DAY)

    (event,) = await taken(world, queue)
    assert event["Records"][0]["eventName"] == "LifecycleExpiration:Delete"


async def test_rules_come_back_as_they_were_put(world: World) -> None:
    wanted = rule(Filter={"Prefix": "a"}, Expiration={"Days": 7})

    answer = await put_rules(world, wanted)
    found = await world.s3("GetBucketLifecycleConfiguration", Bucket=BUCKET)
    await world.s3("DeleteBucketLifecycle", Bucket=BUCKET)

    minimum = {"TransitionDefaultMinimumObjectSize": "all_storage_classes_128K"}
    assert answer == minimum
    assert found == {"Rules": [wanted], **minimum}
    with pytest.raises(errors.NoSuchLifecycleConfiguration):
        await world.s3("GetBucketLifecycleConfiguration", Bucket=BUCKET)


async def test_rules_that_were_deleted_expire_nothing(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await put_rules(world, rule(Expiration={"Days": 1}))
    await world.s3("DeleteBucketLifecycle", Bucket=BUCKET)

    await world.advance(5 * DAY)

    assert await keys(world) == ["k"]


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ([], errors.MalformedXML),
        ([rule()], errors.InvalidRequest),
        ([rule(Expiration={"Days": 0})], errors.InvalidArgument),
        ([rule(Expiration={"Days": 1, "Date": 0})], errors.MalformedXML),
        ([rule(Expiration={"Date": 1_700_000_000_000})], errors.InvalidArgument),
        ([rule(Expiration={"Days": 1}), rule(Expiration={"Days": 2})], errors.InvalidArgument),
        ([rule(Status="On", Expiration={"Days": 1})], errors.MalformedXML),
        (
            [rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])],
            NotImplementedHere,
        ),
        (
            [rule(Filter={"Prefix": "a", "ObjectSizeLessThan": 1}, Expiration={"Days": 1})],
            errors.MalformedXML,
        ),
    ],
)
async def test_rules_must_make_sense(
    world: World, rules: list[dict[str, Any]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await put_rules(world, *rules)
    with pytest.raises(errors.NoSuchLifecycleConfiguration):
        await world.s3("GetBucketLifecycleConfiguration", Bucket=BUCKET)


async def test_storage_is_metered_by_the_hour_and_class(world: World) -> None:
    from skyfold.kernel.metering import USAGE

    await world.s3("PutObject", Bucket=BUCKET, Key="a", Body=b"x" * 100)
    await world.s3("PutObject", Bucket=BUCKET, Key="b", Body=b"x" * 7, StorageClass="STANDARD_IA")

    await world.advance(3 * 3600)
    await world.platform.store.flush()

    async def usage(tx: Any) -> Any:
        return await USAGE.scan(tx, limit=1000)

    rows = await world.platform.store.read(usage)
    stored = [(r.usage_type, r.quantity) for r in rows if r.usage_type.startswith("Timed")]
    assert sorted(stored) == [
        ("TimedStorage-ByteHrs", 100),
        ("TimedStorage-ByteHrs", 100),
        ("TimedStorage-ByteHrs", 100),
        ("TimedStorage-SIA-ByteHrs", 7),
        ("TimedStorage-SIA-ByteHrs", 7),
        ("TimedStorage-SIA-ByteHrs", 7),
    ]
