"""What a change set tells beforehand: changes, replacements, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.cloudformation.toys import ToyWorld, box

LATER = "{{changeSet:KNOWN_AFTER_APPLY}}"


async def changes(
    world: ToyWorld, template: dict[str, Any], values: bool = False, **more: Any
) -> list[dict[str, Any]]:
    shown = await world.change_set("stack", "c", template, **more)
    if values:
        shown = await world.cloudformation(
            "DescribeChangeSet", ChangeSetName=shown["ChangeSetId"], IncludePropertyValues=True
        )
    return [change["ResourceChange"] for change in shown["Changes"]]


def target(name: str, recreation: str, **values: str) -> dict[str, str]:
    return {
        "Attribute": "Properties",
        "Name": name,
        "RequiresRecreation": recreation,
        **values,
    }


async def test_an_edited_property_is_a_direct_modification() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"A": box("a", Colour="red")}})
    template = {"Resources": {"A": box("a", Colour="blue")}}
    (change,) = await changes(world, template, values=True)
    assert change == {
        "Action": "Modify",
        "LogicalResourceId": "A",
        "PhysicalResourceId": "a",
        "ResourceType": "Toy::Box",
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [
            {
                "ChangeSource": "DirectModification",
                "Evaluation": "Static",
                "Target": target(
                    "Colour",
                    "Never",
                    AttributeChangeType="Modify",
                    BeforeValue="red",
                    AfterValue="blue",
                    Path="/Properties/Colour",
                ),
            }
        ],
        "BeforeContext": '{"Properties":{"Colour":"red","Name":"a"}}',
        "AfterContext": '{"Properties":{"Colour":"blue","Name":"a"}}',
    }


PARAMETRIC = {
    "Parameters": {"Name": {"Type": "String"}},
    "Resources": {
        "A": box(None, Name={"Ref": "Name"}),
        "B": box("b", Of={"Ref": "A"}),
        "C": box("c", Of={"Fn::GetAtt": ["B", "Arn"]}),
        "D": box("d"),
    },
}


async def test_a_parameter_is_named_as_the_cause_and_what_follows_from_it_too() -> None:
    world = ToyWorld()
    given = [{"ParameterKey": "Name", "ParameterValue": "one"}]
    await world.create("stack", PARAMETRIC, Parameters=given)
    given = [{"ParameterKey": "Name", "ParameterValue": "two"}]
    a, b, c = await changes(world, PARAMETRIC, Parameters=given)
    assert (a["LogicalResourceId"], a["Replacement"], a["PolicyAction"]) == (
        "A",
        "True",
        "ReplaceAndDelete",
    )
    assert a["Details"] == [
        {
            "Target": target("Name", "Always"),
            "CausingEntity": "Name",
            "ChangeSource": "ParameterReference",
            "Evaluation": "Static",
        },
        {
            "Target": target("Name", "Always"),
            "ChangeSource": "DirectModification",
            "Evaluation": "Dynamic",
        },
    ]
    assert (b["LogicalResourceId"], b["Replacement"]) == ("B", "False")
    assert b["Details"] == [
        {
            "Target": target("Of", "Never"),
            "CausingEntity": "A",
            "ChangeSource": "ResourceReference",
            "Evaluation": "Static",
        }
    ]
    assert c["Details"] == [
        {
            "Target": target("Of", "Never"),
            "CausingEntity": "B.Arn",
            "ChangeSource": "ResourceAttribute",
            "Evaluation": "Dynamic",
        }
    ]


async def test_values_that_exist_only_afterwards_are_shown_as_such() -> None:
    world = ToyWorld()
    given = [{"ParameterKey": "Name", "ParameterValue": "one"}]
    await world.create("stack", PARAMETRIC, Parameters=given)
    given = [{"ParameterKey": "Name", "ParameterValue": "two"}]
    a, b, _ = await changes(world, PARAMETRIC, values=True, Parameters=given)
    assert json.loads(a["AfterContext"]) == {"Properties": {"Name": "two"}}
    assert json.loads(b["AfterContext"])["Properties"]["Of"] == LATER
    assert [(d["ChangeSource"], d["Evaluation"]) for d in b["Details"]] == [
        ("DirectModification", "Dynamic"),
        ("ResourceReference", "Static"),
    ]
    assert b["Details"][0]["Target"]["BeforeValue"] == "one"
    assert b["Details"][0]["Target"]["AfterValue"] == LATER


async def test_a_name_that_may_change_makes_replacement_conditional() -> None:
    world = ToyWorld()
    template = {"Resources": {"A": box("a"), "B": box(None, Name={"Fn::GetAtt": ["A", "Arn"]})}}
    await world.create("stack", template)
    changed = {"Resources": {**template["Resources"], "A": box("a", Colour="red")}}
    _, b = await changes(world, changed)
    assert b["Replacement"] == "Conditional"
    await world.execute("stack", "c")
    assert world.toys.log[-1] == ("update", "A")
    assert await world.status("stack") == "UPDATE_COMPLETE"


async def test_removals_additions_metadata_and_policies_are_told() -> None:
    world = ToyWorld()
    kept = {**box("kept"), "DeletionPolicy": "Retain"}
    await world.create("stack", {"Resources": {"A": box("a"), "Gone": box("g"), "Kept": kept}})
    template = {"Resources": {"A": {**box("a"), "Metadata": {"m": 1}}, "New": box("n")}}
    told = {c["LogicalResourceId"]: c for c in await changes(world, template)}
    assert {name: c["Action"] for name, c in told.items()} == {
        "A": "Modify",
        "Gone": "Remove",
        "Kept": "Remove",
        "New": "Add",
    }
    assert told["A"]["Scope"] == ["Metadata"]
    assert told["Gone"]["PolicyAction"] == "Delete"
    assert told["Kept"]["PolicyAction"] == "Retain"
    await world.execute("stack", "c")
    assert set(world.toys.standing) == {"a", "n", "kept"}


async def test_replacement_follows_from_the_published_schema_where_a_type_says_nothing() -> None:
    world = ToyWorld()
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "DelaySeconds": 1}}
    await world.create("stack", {"Resources": {"Q": queue}})
    slower = {**queue, "Properties": {"QueueName": "q", "DelaySeconds": 2}}
    (change,) = await changes(world, {"Resources": {"Q": slower}})
    assert change["Replacement"] == "False"
    await world.cloudformation("DeleteChangeSet", StackName="stack", ChangeSetName="c")
    renamed = {**queue, "Properties": {"QueueName": "r", "DelaySeconds": 1}}
    (change,) = await changes(world, {"Resources": {"Q": renamed}})
    assert change["Replacement"] == "True"


async def test_a_change_set_that_would_change_a_type_is_refused() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"A": box("a")}})
    with pytest.raises(AwsError) as refused:
        await changes(world, {"Resources": {"A": {"Type": "AWS::SQS::Queue"}}})
    assert refused.value.text == (
        "Update of resource type is not permitted. The new template modifies resource type of "
        "the following resources: [A]"
    )


async def test_a_stack_under_review_goes_when_it_is_deleted() -> None:
    world = ToyWorld()
    shown = await world.change_set(
        "stack", "c", {"Resources": {"A": box("a")}}, ChangeSetType="CREATE"
    )
    await world.delete("stack")
    assert await world.status(shown["StackId"]) == "DELETE_COMPLETE"
    again = await world.change_set(
        "stack", "c", {"Resources": {"A": box("a")}}, ChangeSetType="CREATE"
    )
    assert again["StackId"] != shown["StackId"]


async def test_a_deleted_stack_is_forgotten_after_ninety_days() -> None:
    world = ToyWorld()
    arn = await world.create("stack", {"Resources": {"A": box("a")}})
    await world.delete("stack")
    await world.advance(89 * 24 * 3600)
    assert await world.status(arn) == "DELETE_COMPLETE"
    await world.advance(2 * 24 * 3600)
    listed = await world.cloudformation("ListStacks")
    assert listed["StackSummaries"] == []
    left = await world.platform.store.read(lambda tx: tx.scan(b"", b"\xff", limit=1000))
    assert [key for key, _ in left if b"cloudformation" in key] == []


async def test_what_exists_already_cannot_be_taken_over_and_is_said_to_be_the_reason() -> None:
    world = ToyWorld()
    await world.create("owner", {"Resources": {"A": box("a")}})
    template = {"Resources": {"A": box("a")}}
    shown = await world.change_set(
        "stack", "c", template, ChangeSetType="CREATE", ImportExistingResources=True
    )
    assert shown["ImportExistingResources"] is True
    await world.execute("stack", "c")
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert (
        "A",
        "CREATE_FAILED",
        "a already exists Skyfold cannot import existing resources into stacks yet.",
    ) in await world.events("stack")
