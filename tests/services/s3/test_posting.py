"""Uploads by browser forms, signed as boto3 signs them."""

from __future__ import annotations

import base64
import json
from typing import Any

import boto3
import pytest
from botocore.config import Config

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.services.s3.operations import posting
from tests.services.s3.conftest import BUCKET
from tests.services.s3.receivers import add_box, arn, taken, with_receivers
from tests.support.world import World

BOUNDARY = "a-boundary"
LONG = 10 * 365 * 86_400
"""The cloud's clock and this machine's are years apart."""


def signed(version: str = "s3v4", key: str = "k", **more: Any) -> dict[str, str]:
    """The fields of a form, from boto3."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://localhost:4566",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(signature_version=version),
    )
    made = client.generate_presigned_post(BUCKET, key, ExpiresIn=LONG, **more)
    return dict(made["fields"])


async def post(
    world: World,
    fields: dict[str, str],
    data: bytes = b"the file",
    path: str = f"/{BUCKET}",
    host: str = "localhost:4566",
) -> HttpReply:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    file = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="me.txt"\r\n'
        "Content-Type: text/plain\r\n\r\n"
    ).encode()
    request = HttpRequest(
        method="POST",
        path=path,
        headers={"host": host, "content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        body=b"".join(parts) + file + data + f"\r\n--{BOUNDARY}--\r\n".encode(),
    )
    assert posting.is_form_upload(request)
    return await posting.post_object(world.platform, request)


async def got(world: World, key: str = "k") -> Any:
    return await world.s3("GetObject", Bucket=BUCKET, Key=key)


def text(reply: HttpReply) -> str:
    assert isinstance(reply.body, bytes)
    return reply.body.decode()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_a_form_that_boto3_signed_is_stored(world: World, version: str) -> None:
    data = bytes(range(256)) + b"\r\n--" + b"\r\n\r\n"

    reply = await post(world, signed(version), data)

    assert reply.status == 204
    assert dict(reply.headers)["Location"] == f"http://localhost:4566/{BUCKET}/k"
    assert (await got(world))["Body"] == data


async def test_the_bucket_may_be_in_the_host(world: World) -> None:
    reply = await post(world, signed(), path="/", host=f"{BUCKET}.s3.localhost.localstack.cloud")

    assert reply.status == 204
    assert (await got(world))["Body"] == b"the file"


async def test_fields_become_headers_metadata_and_tags(world: World) -> None:
    tagging = (
        '<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>a</Key>'
        "<Value>1 &amp; 2</Value></Tag></TagSet></Tagging>"
    ).replace(" &amp; ", "+")
    extra = {"Content-Type": "image/png", "x-amz-meta-who": "me", "tagging": tagging}

    await post(world, signed(Fields=extra, Conditions=[{n: v} for n, v in extra.items()]))

    found = await got(world)
    assert (found["ContentType"], found["Metadata"]) == ("image/png", {"who": "me"})
    tags = await world.s3("GetObjectTagging", Bucket=BUCKET, Key="k")
    assert tags["TagSet"] == [{"Key": "a", "Value": "1+2"}]


async def test_a_key_may_take_the_name_of_the_file(world: World) -> None:
    conditions = [["starts-with", "$key", "up/"]]

    await post(world, signed(key="up/${filename}", Conditions=conditions))

    assert (await got(world, "up/me.txt"))["Body"] == b"the file"


@pytest.mark.parametrize(
    ("fields", "status", "where"),
    [
        ({"success_action_status": "201"}, 201, None),
        ({"success_action_status": "200"}, 200, None),
        ({"success_action_status": "500"}, 204, None),
        (
            {"success_action_redirect": "http://there/?x=1"},
            303,
            f"http://there/?x=1&bucket={BUCKET}&key=k&etag=%22",
        ),
    ],
)
async def test_a_form_says_how_it_wants_to_be_answered(
    world: World, fields: dict[str, str], status: int, where: str | None
) -> None:
    reply = await post(world, signed(Fields=fields, Conditions=[fields]))

    assert reply.status == status
    if where is not None:
        assert dict(reply.headers)["Location"].startswith(where)
    if status == 201:
        assert f"<PostResponse><Location>http://localhost:4566/{BUCKET}/k<" in text(reply)


@pytest.mark.parametrize(
    ("changes", "conditions", "status", "said"),
    [
        ({"x-amz-signature": "0" * 64}, [], 403, "SignatureDoesNotMatch"),
        ({"x-amz-credential": "nobody/20230101/us-east-1/s3/aws4_request"}, [], 403, "AccessKeyId"),
        ({"acl": "private"}, [], 403, "Extra input fields: acl"),
        ({"key": "other"}, [], 403, 'Policy Condition failed: ["eq", "$key", "k"]'),
        ({}, [["content-length-range", 1, 3]], 400, "EntityTooLarge"),
        ({}, [["content-length-range", 100, 200]], 400, "EntityTooSmall"),
        ({}, [["starts-with", "$acl", "pub"]], 403, '["starts-with", "$acl", "pub"]'),
        ({}, [{"acl": "private", "a": "b"}], 400, "exactly one property specified."),
        ({}, [["eq", "key", "k"]], 403, '["eq", "key", "k"]'),
        ({}, [["content-length-range", "few", "many"]], 400, "InvalidPolicyDocument"),
        ({}, [["eq", "$key"]], 400, "InvalidPolicyDocument"),
        ({}, ["nonsense"], 400, "InvalidPolicyDocument"),
        ({}, [["is", "$key", "k"]], 400, "InvalidPolicyDocument"),
    ],
)
async def test_what_the_policy_does_not_allow_is_refused(
    world: World, changes: dict[str, str], conditions: list[Any], status: int, said: str
) -> None:
    reply = await post(world, signed(Conditions=conditions) | changes)

    assert reply.status == status
    assert said in text(reply).replace("&quot;", '"')
    assert "Contents" not in await world.s3("ListObjectsV2", Bucket=BUCKET)


async def test_a_policy_expires(world: World) -> None:
    world.clock.advance(20 * LONG)

    reply = await post(world, signed())

    assert (reply.status, "Policy expired." in text(reply)) == (403, True)


async def test_the_signer_must_be_allowed_to_put(world: World) -> None:
    fields = signed()
    fields["policy"] = base64.b64encode(b"{}").decode()
    unsigned = {"key": "k"}

    assert (await post(world, fields)).status == 403
    assert (await post(world, unsigned)).status == 403


async def test_the_public_may_post_where_a_policy_lets_it(world: World) -> None:
    await world.s3("DeletePublicAccessBlock", Bucket=BUCKET)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    await world.s3("PutBucketPolicy", Bucket=BUCKET, Policy=json.dumps({"Statement": [statement]}))

    assert (await post(world, {"key": "k"})).status == 204


async def test_a_post_is_told_as_one(world: World) -> None:
    with_receivers(world)
    queue = await add_box(world, arn("sqs", "q"))
    wanted = {"QueueArn": queue, "Events": ["s3:ObjectCreated:Post"]}
    await world.s3(
        "PutBucketNotificationConfiguration",
        Bucket=BUCKET,
        NotificationConfiguration={"QueueConfigurations": [wanted]},
    )
    await taken(world, queue)

    await post(world, signed())

    (event,) = await taken(world, queue)
    assert event["Records"][0]["eventName"] == "ObjectCreated:Post"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--a-boundary--",
        b"nonsense",
        b"--a-boundary\r\n\r\nx\r\n--a-boundary--",
        b'--a-boundary\r\nContent-Disposition: form-data; name="key"\r\n\r\n\xff\r\n--a-boundary--',
    ],
)
async def test_a_malformed_form_is_refused(world: World, body: bytes) -> None:
    request = HttpRequest(
        method="POST",
        path=f"/{BUCKET}",
        headers={"host": "h", "content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        body=body,
    )

    reply = await posting.post_object(world.platform, request)

    assert (reply.status, "MalformedPOSTRequest" in text(reply)) == (400, True)
