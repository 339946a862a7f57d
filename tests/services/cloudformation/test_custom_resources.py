"""Custom resources and wait conditions, answered through the data plane."""

from __future__ import annotations

from typing import Any

from tests.services.cloudformation.toys import ToyWorld, box

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:maker"


def custom(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "Custom::Thing",
        "Properties": {"ServiceToken": FUNCTION, **properties},
    }


async def created(world: ToyWorld, **properties: Any) -> str:
    await world.create(
        "stack",
        {
            "Resources": {
                "Thing": custom(**properties),
                "A": box("a", Of={"Fn::GetAtt": ["Thing", "Endpoint.Port"]}),
            },
            "Outputs": {"Id": {"Value": {"Ref": "Thing"}}},
        },
    )
    url = str(world.toys.invoked[-1]["ResponseURL"])
    await world.put(
        url,
        {
            "Status": "SUCCESS",
            "PhysicalResourceId": "thing-1",
            "Data": {"Endpoint": {"Port": "80"}},
        },
    )
    return url


async def test_a_function_is_asked_and_its_answer_completes_the_resource() -> None:
    world = ToyWorld()
    await created(world, Number=1, Flag=True, Nested={"List": [2]})
    event = world.toys.invoked[0]
    assert event["RequestType"] == "Create"
    assert event["ResourceType"] == "Custom::Thing"
    assert event["LogicalResourceId"] == "Thing"
    assert event["StackId"].startswith("arn:aws:cloudformation:us-east-1:123456789012:stack/stack/")
    assert event["ResourceProperties"] == {
        "ServiceToken": FUNCTION,
        "Number": "1",
        "Flag": "true",
        "Nested": {"List": ["2"]},
    }
    assert "PhysicalResourceId" not in event
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert await world.outputs("stack") == {"Id": "thing-1"}
    assert world.toys.standing["a"]["Of"] == "80"


async def test_a_stack_waits_until_the_function_answers() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"Thing": custom()}})
    await world.advance(600)
    assert await world.status("stack") == "CREATE_IN_PROGRESS"
    assert len(world.toys.invoked) == 1


async def test_a_failure_of_the_function_rolls_the_stack_back_and_deletes_what_it_named() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"Thing": custom()}})
    event = world.toys.invoked[0]
    await world.put(
        event["ResponseURL"],
        {"Status": "FAILED", "Reason": "no luck", "PhysicalResourceId": "half"},
    )
    assert await world.status("stack") == "ROLLBACK_IN_PROGRESS"
    assert (
        "Thing",
        "CREATE_FAILED",
        "Received response status [FAILED] from custom resource. Message returned: no luck "
        f"(RequestId: {event['RequestId']})",
    ) in await world.events("stack")
    gone = world.toys.invoked[1]
    assert (gone["RequestType"], gone["PhysicalResourceId"]) == ("Delete", "half")
    await world.put(gone["ResponseURL"], {"Status": "SUCCESS", "PhysicalResourceId": "half"})
    assert await world.status("stack") == "ROLLBACK_COMPLETE"


async def test_silence_fails_the_resource_after_its_service_timeout() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"Thing": custom(ServiceTimeout=30)}})
    await world.advance(31)
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    reasons = [reason for _, _, reason in await world.events("stack")]
    assert any("did not receive a response from your Custom Resource" in r for r in reasons)


async def test_an_update_may_make_another_thing_and_the_old_one_is_deleted_afterwards() -> None:
    world = ToyWorld()
    await created(world, Size=1)
    await world.update("stack", {"Resources": {"Thing": custom(Size=2)}})
    event = world.toys.invoked[1]
    assert event["RequestType"] == "Update"
    assert event["PhysicalResourceId"] == "thing-1"
    assert event["OldResourceProperties"]["Size"] == "1"
    await world.put(event["ResponseURL"], {"Status": "SUCCESS", "PhysicalResourceId": "thing-2"})
    gone = world.toys.invoked[2]
    assert (gone["RequestType"], gone["PhysicalResourceId"]) == ("Delete", "thing-1")
    assert gone["ResourceProperties"]["Size"] == "1"
    assert await world.status("stack") == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    await world.put(gone["ResponseURL"], {"Status": "SUCCESS", "PhysicalResourceId": "thing-1"})
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert (await world.resources("stack"))["Thing"] == "thing-2"


async def test_only_the_first_answer_counts_and_unknown_urls_are_refused() -> None:
    world = ToyWorld()
    url = await created(world)
    assert await world.put(url, {"Status": "FAILED", "Reason": "late"}) == 200
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert await world.put(url[:-4] + "beef", {"Status": "SUCCESS"}) == 404


async def test_an_answer_that_is_no_json_or_too_long_fails_the_resource() -> None:
    for raw, reason in ((b"nonsense", "it is not JSON"), (b" " * 5000, "too long")):
        world = ToyWorld()
        await world.create("stack", {"Resources": {"Thing": custom()}})
        await world.put(world.toys.invoked[0]["ResponseURL"], raw)
        assert any(reason in told for _, _, told in await world.events("stack"))
        assert await world.status("stack") == "ROLLBACK_COMPLETE"


async def test_a_wait_condition_waits_for_as_many_signals_as_it_counts() -> None:
    world = ToyWorld()
    await world.create(
        "stack",
        {
            "Resources": {
                "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
                "Wait": {
                    "Type": "AWS::CloudFormation::WaitCondition",
                    "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "300", "Count": 2},
                },
            },
            "Outputs": {"Data": {"Value": {"Fn::GetAtt": ["Wait", "Data"]}}},
        },
    )
    url = (await world.resources("stack"))["Handle"]
    await world.put(url, {"Status": "SUCCESS", "UniqueId": "one", "Data": "1", "Reason": ""})
    assert await world.status("stack") == "CREATE_IN_PROGRESS"
    await world.cloudformation(
        "SignalResource",
        StackName="stack",
        LogicalResourceId="Wait",
        UniqueId="two",
        Status="SUCCESS",
    )
    await world.platform.jobs.settle()
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert await world.outputs("stack") == {"Data": '{"one":"1","two":""}'}


async def test_a_wait_condition_times_out() -> None:
    world = ToyWorld()
    await world.create(
        "stack",
        {
            "Resources": {
                "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
                "Wait": {
                    "Type": "AWS::CloudFormation::WaitCondition",
                    "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "300"},
                },
            }
        },
    )
    await world.advance(301)
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert (
        "Wait",
        "CREATE_FAILED",
        "WaitCondition timed out. Received 0 conditions when expecting 1",
    ) in await world.events("stack")
