"""Invoking: answers, errors, logs; asynchronous invocations with retries and dead letters."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.services.lambda_ import limits
from tests.services.lambda_.shop import make, world_with_role
from tests.support.world import ACCOUNT, World

LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def fail(event: Any) -> Any:
    raise ValueError("no good")


async def test_the_answer_of_the_function_is_the_answer_of_invoke() -> None:
    world = await world_with_role()
    await make(world)
    world.functions.handlers["f"] = lambda event: {"got": event}

    answer = await world.lambda_("Invoke", FunctionName="f", Payload=b'{"n": 1}')

    assert json.loads(answer["Payload"]) == {"got": {"n": 1}}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


async def test_an_error_of_the_function_is_an_answer_too() -> None:
    world = await world_with_role()
    await make(world)
    world.functions.handlers["f"] = fail

    answer = await world.lambda_("Invoke", FunctionName="f")

    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"])["errorType"] == "ValueError"


async def test_the_tail_of_the_log_comes_with_start_end_and_report() -> None:
    world = await world_with_role()
    await make(world)

    answer = await world.lambda_("Invoke", FunctionName="f", LogType="Tail")

    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[0].startswith("START RequestId: ")
    assert lines[1] == "a line of the function"
    assert lines[2].startswith("END RequestId: ")
    assert "\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t" in lines[3]


async def test_the_log_goes_to_the_functions_group_if_its_role_may_write_it() -> None:
    world = await world_with_role(*LOGS)
    await make(world)
    await world.lambda_("Invoke", FunctionName="f")
    await world.platform.logs.flush()

    found = await world.logs("FilterLogEvents", logGroupName="/aws/lambda/f")

    first_words = [event["message"].split()[0] for event in found["events"]]
    assert first_words == ["START", "a", "END", "REPORT"]


async def test_without_permission_the_log_is_dropped_and_the_function_runs() -> None:
    world = await world_with_role()
    await make(world)
    await world.lambda_("Invoke", FunctionName="f")
    await world.platform.logs.flush()
    assert (await world.logs("DescribeLogGroups"))["logGroups"] == []


async def test_a_payload_that_is_no_json_is_refused() -> None:
    world = await world_with_role()
    await make(world)
    with pytest.raises(AwsError, match="Could not parse request body into json"):
        await world.lambda_("Invoke", FunctionName="f", Payload=b"{")
    assert world.functions.invoked == []


async def test_a_payload_that_is_too_large_is_refused() -> None:
    world = await world_with_role()
    await make(world)
    large = b'"' + b"x" * limits.ASYNC_PAYLOAD_BYTES_MAX + b'"'
    with pytest.raises(AwsError) as caught:
        await world.lambda_("Invoke", FunctionName="f", Payload=large, InvocationType="Event")
    assert (caught.value.code, caught.value.status) == ("RequestTooLargeException", 413)


async def test_a_dry_run_runs_nothing() -> None:
    world = await world_with_role()
    await make(world)
    answer = await world.lambda_("Invoke", FunctionName="f", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert world.functions.invoked == []


async def test_an_event_is_accepted_first_and_run_then() -> None:
    world = await world_with_role()
    await make(world)

    answer = await world.lambda_(
        "Invoke", FunctionName="f", InvocationType="Event", Payload=b'{"n": 1}'
    )
    assert answer["StatusCode"] == 202
    assert world.functions.invoked == []

    await world.advance(0)
    assert world.functions.invoked == [("f", {"n": 1})]
    await world.advance(10_000)
    assert len(world.functions.invoked) == 1


async def dead_letters(world: World) -> list[Any]:
    url = (await world.sqs("GetQueueUrl", QueueName="dead"))["QueueUrl"]
    found = await world.sqs("ReceiveMessage", QueueUrl=url, MessageAttributeNames=["All"])
    return list(found.get("Messages", []))


async def test_a_failing_event_is_tried_three_times_and_then_a_dead_letter() -> None:
    world = await world_with_role("sqs:SendMessage")
    await world.sqs("CreateQueue", QueueName="dead")
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"
    await make(world, DeadLetterConfig={"TargetArn": queue})
    world.functions.handlers["f"] = fail
    await world.lambda_("Invoke", FunctionName="f", InvocationType="Event", Payload=b'{"n": 1}')

    await world.advance(59)
    assert len(world.functions.invoked) == 1
    await world.advance(1)
    assert len(world.functions.invoked) == 2
    await world.advance(119)
    assert await dead_letters(world) == []
    await world.advance(1)
    assert len(world.functions.invoked) == 3

    (letter,) = await dead_letters(world)
    assert json.loads(letter["Body"]) == {"n": 1}
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "no good"


async def test_a_throttled_event_waits_until_it_may_run() -> None:
    world = await world_with_role()
    await make(world)
    await world.lambda_("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    await world.lambda_("Invoke", FunctionName="f", InvocationType="Event")
    await world.advance(60)
    assert world.functions.invoked == []

    await world.lambda_("DeleteFunctionConcurrency", FunctionName="f")
    await world.advance(300)

    assert len(world.functions.invoked) == 1


async def test_a_message_of_a_topic_invokes_a_function_that_allows_it() -> None:
    world = await world_with_role()
    await make(world)
    topic = (await world.sns("CreateTopic", Name="t"))["TopicArn"]
    await world.lambda_(
        "AddPermission",
        FunctionName="f",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    await world.sns("Subscribe", TopicArn=topic, Protocol="lambda", Endpoint=arn)

    await world.sns("Publish", TopicArn=topic, Message="hello")
    await world.advance(0)

    ((_, event),) = world.functions.invoked
    assert event["Records"][0]["Sns"]["Message"] == "hello"
