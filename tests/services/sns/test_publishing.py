"""Publishing: envelopes, raw delivery, filters, failures, many subscribers."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import pytest

from skyfold.kernel.http import HttpRequest
from skyfold.services.sns.engine.envelopes import Notification, lambda_event
from skyfold.services.sns.operations import signing
from tests.services.sns.conftest import Cloud
from tests.support.world import ACCOUNT


def attribute(kind: str, value: str | bytes) -> dict[str, Any]:
    return {"DataType": kind, "BinaryValue" if kind == "Binary" else "StringValue": value}


# --- what subscribers get -------------------------------------------------------------------------


async def test_a_queue_gets_the_notification_that_aws_documents(
    cloud: Cloud, topic: str, queue: str
) -> None:
    subscription = await cloud.subscribe(topic, queue)
    attributes = {"attr1": attribute("Number", "111"), "attr2": attribute("Binary", b"\2\3\4")}

    answer = await cloud.ask(
        "Publish", TopicArn=topic, Message="ö§a", Subject="About", MessageAttributes=attributes
    )

    (body,) = await cloud.bodies(queue)
    assert json.loads(body) == {
        "Type": "Notification",
        "MessageId": answer["MessageId"],
        "TopicArn": topic,
        "Subject": "About",
        "Message": "ö§a",
        "Timestamp": "2023-11-14T22:13:20.000Z",
        "UnsubscribeURL": "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn="
        + subscription,
        "MessageAttributes": {
            "attr1": {"Type": "Number", "Value": "111"},
            "attr2": {"Type": "Binary", "Value": "AgME"},
        },
    }
    assert body.startswith('{\n  "Type" : "Notification",\n  "MessageId" : "')


async def test_raw_delivery_passes_message_and_attributes_on_as_they_are(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(topic, queue, RawMessageDelivery="true")
    attributes = {"attr1": attribute("Number", "99.12")}

    await cloud.ask("Publish", TopicArn=topic, Message="Test msg", MessageAttributes=attributes)

    (message,) = await cloud.received(queue)
    assert message["Body"] == "Test msg"
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == "d302007e9aa062660afc85fd0a482472"


async def test_a_json_message_has_a_text_for_each_protocol(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(topic, queue)
    publish = {"TopicArn": topic, "MessageStructure": "json"}

    await cloud.ask("Publish", Message='{"default":"for all","sqs":"for queues"}', **publish)
    await cloud.ask("Publish", Message='{"default":"for all","email":"x"}', **publish)

    assert await cloud.messages(queue) == ["for queues", "for all"]
    refused = await cloud.refused("Publish", Message='{"sqs":"x"}', **publish)
    assert refused.text == (
        "Invalid parameter: Message Structure - No default entry in JSON message body"
    )
    refused = await cloud.refused("Publish", Message="plain", **publish)
    assert "failed to parse" in refused.text


async def test_a_group_id_reaches_a_standard_queue(cloud: Cloud, topic: str, queue: str) -> None:
    await cloud.subscribe(topic, queue)

    await cloud.ask("Publish", TopicArn=topic, Message="m", MessageGroupId="my-group-id-1")

    (message,) = await cloud.received(queue)
    assert message["Attributes"]["MessageGroupId"] == "my-group-id-1"


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_topic_that_says_its_signature_version_signs_so_that_it_verifies(
    cloud: Cloud, queue: str, version: str
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    topic = await cloud.topic(SignatureVersion=version)
    await cloud.subscribe(topic, queue)
    await cloud.ask("Publish", TopicArn=topic, Message="signed", Subject="s")
    (body,) = await cloud.bodies(queue)
    got = json.loads(body)

    path = urllib.parse.urlsplit(got["SigningCertURL"]).path
    request = HttpRequest(method="GET", path=path, headers={})
    assert signing.is_certificate(request)
    reply = await signing.serve_certificate(cloud.world.platform, request)
    assert isinstance(reply.body, bytes)
    key = x509.load_pem_x509_certificate(reply.body).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{got[name]}\n" for name in names).encode()
    digest: hashes.HashAlgorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    key.verify(base64.b64decode(got["Signature"]), signed, padding.PKCS1v15(), digest)
    assert got["SignatureVersion"] == version


def test_a_function_gets_the_event_that_aws_documents() -> None:
    notification = Notification(
        topic_arn="arn:aws:sns:us-east-1:1:topic",
        message_id="id",
        at=1_700_000_000_007,
        message="Hello world.",
        attributes={"a": attribute("String", "x")},
    )

    event = json.loads(lambda_event(notification, "Hello world.", None, "arn:sub", "http://url"))

    assert event == {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:sub",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": "id",
                    "TopicArn": "arn:aws:sns:us-east-1:1:topic",
                    "Subject": None,
                    "Message": "Hello world.",
                    "Timestamp": "2023-11-14T22:13:20.007Z",
                    "UnsubscribeUrl": "http://url",
                    "MessageAttributes": {"a": {"Type": "String", "Value": "x"}},
                },
            }
        ]
    }


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"Message": ""}, "InvalidParameterException", "Invalid parameter: Empty message"),
        (
            {"Message": "x" * 262_145},
            "InvalidParameterException",
            "Invalid parameter: Message too long",
        ),
        (
            {"Message": "m", "Subject": "x" * 101},
            "InvalidParameterException",
            "Invalid parameter: Subject",
        ),
        (
            {"Message": "m", "MessageAttributes": {"a": attribute("Colour", "x")}},
            "InvalidParameterValueException",
            "The message attribute 'a' has an invalid message attribute type, the set of supported "
            "type prefixes is Binary, Number, and String.",
        ),
        (
            {"Message": "m", "MessageDeduplicationId": "d"},
            "InvalidParameterException",
            "Invalid parameter: MessageDeduplicationId Reason: The request includes "
            "MessageDeduplicationId parameter that is not valid for this topic type",
        ),
        (
            {"Message": "m", "TopicArn": "randomstring"},
            "InvalidParameterException",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
        ),
        (
            {"Message": "m", "TopicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:topic"},
            "InvalidParameterException",
            "Invalid parameter: TopicArn",
        ),
        (
            {"Message": "m", "TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:none"},
            "NotFoundException",
            "Topic does not exist",
        ),
    ],
)
async def test_what_cannot_be_published_reaches_nobody(
    cloud: Cloud, topic: str, queue: str, request_: dict[str, Any], code: str, text: str
) -> None:
    await cloud.subscribe(topic, queue)

    refused = await cloud.refused("Publish", **{"TopicArn": topic, **request_})

    assert (refused.code, refused.text) == (code, text)
    assert await cloud.bodies(queue) == []


async def test_a_phone_number_is_refused_clearly(cloud: Cloud) -> None:
    refused = await cloud.refused("Publish", PhoneNumber="+491701234567", Message="m")

    assert refused.status == 501


# --- batches --------------------------------------------------------------------------------------


async def test_a_batch_is_published_and_every_entry_answered(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(topic, queue)
    entries = [{"Id": str(n), "Message": f"m{n}"} for n in range(10)]

    answer = await cloud.ask("PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)

    assert answer["Failed"] == []
    assert [done["Id"] for done in answer["Successful"]] == [entry["Id"] for entry in entries]
    assert await cloud.messages(queue) == [f"m{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "EmptyBatchRequestException"),
        ([str(n) for n in range(11)], "TooManyEntriesInBatchRequestException"),
        (["a", "a"], "BatchEntryIdsNotDistinctException"),
        (["not ok"], "InvalidBatchEntryIdException"),
    ],
)
async def test_a_batch_that_breaks_a_rule_is_refused_whole(
    cloud: Cloud, topic: str, queue: str, ids: list[str], code: str
) -> None:
    await cloud.subscribe(topic, queue)
    entries = [{"Id": name, "Message": "m"} for name in ids]

    refused = await cloud.refused(
        "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries
    )

    assert refused.code == code
    assert await cloud.bodies(queue) == []


async def test_all_messages_of_a_batch_together_are_limited(cloud: Cloud, topic: str) -> None:
    entries = [{"Id": str(n), "Message": "x" * 140_000} for n in range(2)]

    refused = await cloud.refused(
        "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries
    )

    assert refused.code == "BatchRequestTooLongException"


# --- who cannot be reached ------------------------------------------------------------------------


async def test_a_queue_whose_policy_does_not_allow_the_topic_gets_nothing(
    cloud: Cloud, topic: str
) -> None:
    closed = await cloud.queue("closed", allows="arn:aws:sns:us-east-1:*:other")
    opened = await cloud.queue("open", allows=topic)
    for queue in (closed, opened):
        await cloud.subscribe(topic, queue)

    await cloud.ask("Publish", TopicArn=topic, Message="m")

    assert await cloud.messages(closed) == []
    assert await cloud.messages(opened) == ["m"]


@pytest.mark.parametrize("raw", ["true", "false"])
async def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(
    cloud: Cloud, topic: str, queue: str, raw: str
) -> None:
    letters = await cloud.queue("letters")
    redrive = json.dumps({"deadLetterTargetArn": letters})
    await cloud.subscribe(topic, queue, RedrivePolicy=redrive, RawMessageDelivery=raw)
    await cloud.world.sqs("DeleteQueue", QueueUrl=f"http://localhost:4566/{ACCOUNT}/queue")
    attributes = {"attr1": attribute("Number", "111")}

    await cloud.ask("Publish", TopicArn=topic, Message="m", MessageAttributes=attributes)

    (letter,) = await cloud.received(letters)
    if raw == "true":
        assert (letter["Body"], letter["MessageAttributes"]) == ("m", attributes)
    else:
        assert json.loads(letter["Body"])["Message"] == "m"


async def test_publishing_succeeds_even_where_the_dead_letters_cannot_be_delivered(
    cloud: Cloud, topic: str
) -> None:
    nowhere = f"arn:aws:sqs:us-east-1:{ACCOUNT}:nowhere"
    redrive = json.dumps({"deadLetterTargetArn": nowhere})
    await cloud.subscribe(topic, nowhere, RedrivePolicy=redrive)

    assert "MessageId" in await cloud.ask("Publish", TopicArn=topic, Message="m")


async def test_very_many_subscribers_all_get_the_message(cloud: Cloud, topic: str) -> None:
    queues = [await cloud.queue(f"q{n}") for n in range(230)]
    for queue in queues:
        await cloud.subscribe(topic, queue)

    await cloud.ask("Publish", TopicArn=topic, Message="m")
    await cloud.world.advance(1)

    assert [await cloud.messages(queue) for queue in queues] == [["m"]] * 230


# --- filters --------------------------------------------------------------------------------------


async def test_a_filter_policy_on_attributes_picks_messages(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(topic, queue, FilterPolicy='{"store":[{"exists":true}]}')
    publish = {"TopicArn": topic}

    await cloud.ask("Publish", Message="without", **publish)
    await cloud.ask(
        "Publish", Message="with", MessageAttributes={"store": attribute("Number", "9")}, **publish
    )

    assert await cloud.messages(queue) == ["with"]


async def test_a_filter_policy_on_the_body_picks_messages(
    cloud: Cloud, topic: str, queue: str
) -> None:
    await cloud.subscribe(
        topic,
        queue,
        FilterPolicyScope="MessageBody",
        FilterPolicy='{"object":{"key":[{"prefix":"auto-"}]}}',
    )

    for message in ('{"object":{"key":"auto-1"}}', '{"object":{"key":"1"}}', "no json", "[]"):
        await cloud.ask("Publish", TopicArn=topic, Message=message)

    assert await cloud.messages(queue) == ['{"object":{"key":"auto-1"}}']


async def test_a_changed_filter_policy_counts_from_the_next_message_on(
    cloud: Cloud, topic: str, queue: str
) -> None:
    subscription = await cloud.subscribe(topic, queue, FilterPolicy='{"a":["never"]}')
    await cloud.ask("Publish", TopicArn=topic, Message="1")
    change = {"SubscriptionArn": subscription, "AttributeName": "FilterPolicy"}

    await cloud.ask("SetSubscriptionAttributes", AttributeValue="{}", **change)
    await cloud.ask("Publish", TopicArn=topic, Message="2")

    assert await cloud.messages(queue) == ["2"]


# --- FIFO topics ----------------------------------------------------------------------------------


async def test_a_fifo_topic_keeps_order_and_drops_duplicates(cloud: Cloud) -> None:
    topic = await cloud.topic("t.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    queue = await cloud.queue("q.fifo", FifoQueue="true")
    await cloud.subscribe(topic, queue, RawMessageDelivery="true")
    publish = {"TopicArn": topic, "MessageGroupId": "g"}

    answers = [await cloud.ask("Publish", Message=m, **publish) for m in ("1", "2", "1", "3")]

    assert answers[0] == answers[2]
    numbers = [int(answers[n]["SequenceNumber"]) for n in (0, 1, 3)]
    assert numbers == sorted(set(numbers))
    received = await cloud.received(queue)
    assert [message["Body"] for message in received] == ["1", "2", "3"]
    assert received[0]["Attributes"]["MessageGroupId"] == "g"
    cloud.world.clock.advance(301)
    again = await cloud.ask("Publish", Message="1", **publish)
    assert again["MessageId"] != answers[0]["MessageId"]


async def test_a_fifo_topic_demands_group_and_deduplication_id(cloud: Cloud) -> None:
    topic = await cloud.topic("t.fifo", FifoTopic="true")

    refused = await cloud.refused("Publish", TopicArn=topic, Message="m")
    assert refused.text == (
        "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
    )
    refused = await cloud.refused("Publish", TopicArn=topic, Message="m", MessageGroupId="g")
    assert refused.text == (
        "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
