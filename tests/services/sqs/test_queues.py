"""The life of queues, and their attributes."""

from __future__ import annotations

import json

import pytest

from skyfold.base.errors import AwsError
from tests.services.sqs.conftest import Queues, QueueUser
from tests.support.world import ACCOUNT

DEFAULTS = {
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "CreatedTimestamp": "1700000000",
    "DelaySeconds": "0",
    "LastModifiedTimestamp": "1700000000",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:queue",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}


async def test_a_new_queue_has_the_attributes_that_aws_gives_it(queue: QueueUser) -> None:
    answer = await queue.ask("GetQueueAttributes", AttributeNames=["All"])

    assert answer["Attributes"] == DEFAULTS


async def test_a_queue_url_names_the_account_and_the_queue_whatever_its_host(
    queue: QueueUser,
) -> None:
    elsewhere = QueueUser(queue.world, f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/queue")
    await elsewhere.send("hello")

    assert await queue.bodies() == ["hello"]


@pytest.mark.parametrize("url", ["queue", "http://localhost:4566/queue", "http:///x"])
async def test_a_url_without_account_and_name_is_an_invalid_address(
    queue: QueueUser, url: str
) -> None:
    with pytest.raises(AwsError) as caught:
        await QueueUser(queue.world, url).send("hello")

    assert caught.value.code in {"InvalidAddress", "QueueDoesNotExist"}


async def test_what_is_asked_of_a_deleted_queue_is_refused(queue: QueueUser) -> None:
    await queue.ask("DeleteQueue")

    refused = await queue.refused("SendMessage", MessageBody="late")

    assert refused.code == "QueueDoesNotExist"
    assert refused.text == "The specified queue does not exist."


async def test_a_queue_of_the_same_name_does_not_inherit_messages(queues: Queues) -> None:
    old = await queues.new()
    await old.send("old")
    await old.ask("DeleteQueue")

    new = await queues.new()

    assert await new.bodies() == []


async def test_creating_a_queue_again_answers_with_the_same_queue(queues: Queues) -> None:
    first = await queues.new(VisibilityTimeout="5")
    again = await queues.new()

    assert again.url == first.url
    assert await again.attribute("VisibilityTimeout") == "5"


async def test_creating_a_queue_again_with_another_attribute_is_refused(queues: Queues) -> None:
    await queues.fifo(ContentBasedDeduplication="true")

    with pytest.raises(AwsError) as caught:
        await queues.fifo(ContentBasedDeduplication="false")

    assert caught.value.code == "QueueNameExists"
    assert caught.value.text == (
        "A queue already exists with the same name and a different value for attribute "
        "ContentBasedDeduplication"
    )


@pytest.mark.parametrize("name", ["", "a" * 81, "sp ace", "dot.ted", "queue.fifo", "ä"])
async def test_a_standard_queue_has_a_plain_name(queues: Queues, name: str) -> None:
    with pytest.raises(AwsError) as caught:
        await queues.new(name)

    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("name", ["queue", "a" * 76 + ".fifo", ".fifo"])
async def test_the_name_of_a_fifo_queue_ends_with_fifo(queues: Queues, name: str) -> None:
    with pytest.raises(AwsError) as caught:
        await queues.fifo(name)

    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("VisibilityTimeout", "-1", "InvalidAttributeValue"),
        ("DelaySeconds", "901", "InvalidAttributeValue"),
        ("DelaySeconds", "soon", "InvalidAttributeValue"),
        ("MaximumMessageSize", "1023", "InvalidAttributeValue"),
        ("MaximumMessageSize", "1048577", "InvalidAttributeValue"),
        ("MessageRetentionPeriod", "59", "InvalidAttributeValue"),
        ("ReceiveMessageWaitTimeSeconds", "21", "InvalidAttributeValue"),
        ("Policy", "{", "InvalidAttributeValue"),
        ("SqsManagedSseEnabled", "maybe", "InvalidAttributeValue"),
        ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
        ("FifoQueue", "false", "InvalidAttributeName"),
        ("QueueArn", "arn", "InvalidAttributeName"),
        ("Colour", "blue", "InvalidAttributeName"),
        ("KmsMasterKeyId", "alias/mine", "NotImplemented"),
        ("RedrivePolicy", "no json", "InvalidParameterValue"),
        ("RedrivePolicy", '{"maxReceiveCount":1}', "InvalidParameterValue"),
        ("RedriveAllowPolicy", '{"redrivePermission":"some"}', "InvalidParameterValue"),
    ],
)
async def test_an_attribute_that_is_not_allowed_changes_nothing(
    queue: QueueUser, name: str, value: str, code: str
) -> None:
    before = await queue.ask("GetQueueAttributes", AttributeNames=["All"])

    refused = await queue.refused(
        "SetQueueAttributes", Attributes={"DelaySeconds": "7", name: value}
    )

    assert refused.code == code
    assert await queue.ask("GetQueueAttributes", AttributeNames=["All"]) == before


async def test_set_attributes_are_shown_and_the_queue_is_modified(queue: QueueUser) -> None:
    queue.world.clock.advance(60)
    asked = {"DelaySeconds": "420", "MaximumMessageSize": "2048", "VisibilityTimeout": "69"}

    await queue.ask("SetQueueAttributes", Attributes=asked)

    answer = await queue.ask("GetQueueAttributes", AttributeNames=["All"])
    assert answer["Attributes"] == DEFAULTS | asked | {"LastModifiedTimestamp": "1700000060"}


async def test_only_the_attributes_that_were_asked_for_are_answered(queue: QueueUser) -> None:
    assert await queue.ask("GetQueueAttributes") == {}
    assert await queue.ask("GetQueueAttributes", AttributeNames=["DelaySeconds", "Policy"]) == {
        "Attributes": {"DelaySeconds": "0"}
    }
    refused = await queue.refused("GetQueueAttributes", AttributeNames=["Colour"])
    assert (refused.code, refused.text) == ("InvalidAttributeName", "Unknown Attribute Colour.")


async def test_an_empty_policy_takes_the_policy_away(queue: QueueUser) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": queue.arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    await queue.ask("SetQueueAttributes", Attributes={"Policy": policy})
    assert await queue.attribute("Policy") == policy

    await queue.ask("SetQueueAttributes", Attributes={"Policy": ""})

    assert await queue.attribute("Policy") is None


async def test_queues_are_listed_by_prefix_and_page_by_page(queues: Queues) -> None:
    made = [(await queues.new(name)).url for name in ("a", "ab", "ab1", "ab2", "ab3", "b")]
    ask = queues.world.sqs

    assert await ask("ListQueues") == {"QueueUrls": made}
    assert await ask("ListQueues", QueueNamePrefix="c") == {}
    first = await ask("ListQueues", QueueNamePrefix="ab", MaxResults=3)
    second = await ask(
        "ListQueues", QueueNamePrefix="ab", MaxResults=3, NextToken=first["NextToken"]
    )
    assert first["QueueUrls"] == made[1:4]
    assert second == {"QueueUrls": made[4:5]}


async def test_a_page_token_that_was_not_given_out_is_refused(queues: Queues) -> None:
    with pytest.raises(AwsError) as caught:
        await queues.world.sqs("ListQueues", MaxResults=1, NextToken="made up")

    assert caught.value.code == "InvalidParameterValue"


async def test_the_url_of_a_queue_is_found_by_its_name(queue: QueueUser) -> None:
    found = await queue.world.sqs("GetQueueUrl", QueueName="queue")

    assert found == {"QueueUrl": queue.url}
    with pytest.raises(AwsError) as caught:
        await queue.world.sqs("GetQueueUrl", QueueName="none")
    assert caught.value.code == "QueueDoesNotExist"


async def test_purging_forgets_all_messages_and_once_a_minute_only(queue: QueueUser) -> None:
    await queue.send("waiting")
    await queue.send("delayed", DelaySeconds=9)
    held = (await queue.receive(1))[0]

    await queue.ask("PurgeQueue")

    assert await queue.counts() == (0, 0, 0)
    await queue.delete(held)
    refused = await queue.refused("PurgeQueue")
    assert refused.code == "PurgeQueueInProgress"
    assert refused.text == "Only one PurgeQueue operation on queue is allowed every 60 seconds."
    queue.world.clock.advance(60)
    await queue.ask("PurgeQueue")


async def test_tags_are_added_changed_and_removed(queues: Queues) -> None:
    made = await queues.world.sqs("CreateQueue", QueueName="tagged", tags={"tag1": "value1"})
    queue = QueueUser(queues.world, made["QueueUrl"])

    await queue.ask("TagQueue", Tags={"tag2": "value2", "tag3": ""})
    assert await queue.ask("ListQueueTags") == {
        "Tags": {"tag1": "value1", "tag2": "value2", "tag3": ""}
    }
    await queue.ask("UntagQueue", TagKeys=["tag1", "tag2", "tag3", "never"])
    assert await queue.ask("ListQueueTags") == {}


async def test_a_queue_has_fifty_tags_at_the_most(queue: QueueUser) -> None:
    await queue.ask("TagQueue", Tags={f"k{n}": "v" for n in range(50)})

    refused = await queue.refused("TagQueue", Tags={"one-more": "v"})

    assert refused.code == "InvalidParameterValue"
    assert len((await queue.ask("ListQueueTags"))["Tags"]) == 50
