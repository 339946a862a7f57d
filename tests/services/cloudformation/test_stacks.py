"""Stacks from end to end, with toy resource types."""

from __future__ import annotations

from tests.services.cloudformation.toys import ToyWorld, box


async def test_a_stack_is_created_in_the_order_of_its_references() -> None:
    world = ToyWorld()
    template = {
        "Resources": {
            "A": box("a", Of={"Ref": "B"}),
            "B": box("b", Of={"Fn::GetAtt": ["C", "Arn"]}),
            "C": box("c"),
        },
        "Outputs": {"Name": {"Value": {"Ref": "A"}}, "Size": {"Value": {"Fn::GetAtt": "C.Size"}}},
    }
    await world.create("stack", template)
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert [name for verb, name in world.toys.log] == ["C", "B", "A"]
    assert world.toys.standing["b"]["Of"] == "arn:aws:toy:us-east-1:123456789012:c"
    assert await world.outputs("stack") == {"Name": "a", "Size": "7"}


async def test_the_events_of_a_create_are_awss_in_order() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"A": box("a")}})
    assert await world.events("stack") == [
        ("stack", "CREATE_IN_PROGRESS", "User Initiated"),
        ("A", "CREATE_IN_PROGRESS", ""),
        ("A", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("A", "CREATE_COMPLETE", ""),
        ("stack", "CREATE_COMPLETE", ""),
    ]


async def test_a_create_that_fails_is_rolled_back() -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "B"))
    await world.create("stack", {"Resources": {"A": box("a"), "B": box("b", depends_on=["A"])}})
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert world.toys.standing == {}
    assert await world.events("stack") == [
        ("stack", "CREATE_IN_PROGRESS", "User Initiated"),
        ("A", "CREATE_IN_PROGRESS", ""),
        ("A", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("A", "CREATE_COMPLETE", ""),
        ("B", "CREATE_IN_PROGRESS", ""),
        ("B", "CREATE_FAILED", "B refuses to create"),
        (
            "stack",
            "ROLLBACK_IN_PROGRESS",
            "The following resource(s) failed to create: [B]. Rollback requested by user.",
        ),
        ("B", "DELETE_COMPLETE", ""),
        ("A", "DELETE_IN_PROGRESS", ""),
        ("A", "DELETE_COMPLETE", ""),
        ("stack", "ROLLBACK_COMPLETE", ""),
    ]


async def test_a_replacement_is_made_before_the_old_one_is_deleted_in_the_cleanup() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"A": box("one"), "B": box("b", Of={"Ref": "A"})}})
    world.toys.log.clear()
    await world.update("stack", {"Resources": {"A": box("two"), "B": box("b", Of={"Ref": "A"})}})
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert world.toys.log == [("create", "A"), ("update", "B"), ("delete", "A")]
    assert world.toys.standing == {"two": {"Name": "two"}, "b": {"Name": "b", "Of": "two"}}
    assert (await world.events("stack"))[-10:] == [
        ("stack", "UPDATE_IN_PROGRESS", "User Initiated"),
        (
            "A",
            "UPDATE_IN_PROGRESS",
            "Requested update requires the creation of a new physical resource; "
            "hence creating one.",
        ),
        ("A", "UPDATE_IN_PROGRESS", "Resource creation Initiated"),
        ("A", "UPDATE_COMPLETE", ""),
        ("B", "UPDATE_IN_PROGRESS", ""),
        ("B", "UPDATE_COMPLETE", ""),
        ("stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
        ("A", "DELETE_IN_PROGRESS", ""),
        ("A", "DELETE_COMPLETE", ""),
        ("stack", "UPDATE_COMPLETE", ""),
    ]


async def test_an_update_that_fails_leaves_what_was_before() -> None:
    world = ToyWorld()
    before = {
        "Resources": {"A": box("one"), "B": box("b", Of={"Ref": "A"}), "C": box("c")},
        "Outputs": {"A": {"Value": {"Ref": "A"}}},
    }
    await world.create("stack", before)
    stood = world.toys.standing
    world.toys.refuse.add(("create", "Z"))
    await world.update(
        "stack",
        {
            "Resources": {
                "A": box("two"),
                "B": box("b", Of={"Ref": "A"}),
                "D": box("d"),
                "Z": box("z", depends_on=["B", "D"]),
            }
        },
    )
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert world.toys.standing == stood
    assert await world.outputs("stack") == {"A": "one"}
    events = await world.events("stack")
    assert (
        "stack",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Z].",
    ) in events
    listed = await world.cloudformation("ListStackResources", StackName="stack")
    ids = {
        r["LogicalResourceId"]: r["PhysicalResourceId"] for r in listed["StackResourceSummaries"]
    }
    assert ids == {"A": "one", "B": "b", "C": "c"}
    body = await world.cloudformation("GetTemplate", StackName="stack")
    assert '"one"' in body["TemplateBody"]


async def test_deleting_a_stack_deletes_dependents_first_and_keeps_what_is_retained() -> None:
    world = ToyWorld()
    kept = {**box("kept"), "DeletionPolicy": "Retain"}
    stack_id = await world.create(
        "stack",
        {"Resources": {"A": box("a"), "B": box("b", depends_on=["A"]), "Kept": kept}},
    )
    world.toys.log.clear()
    await world.delete("stack")
    assert world.toys.log == [("delete", "B"), ("delete", "A")]
    assert list(world.toys.standing) == ["kept"]
    assert await world.status(stack_id) == "DELETE_COMPLETE"
    assert ("Kept", "DELETE_SKIPPED", "") in await world.events(stack_id)


async def test_a_change_set_creates_a_stack_and_another_changes_it() -> None:
    world = ToyWorld()
    import json

    made = await world.cloudformation(
        "CreateChangeSet",
        StackName="stack",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"A": box("a")}}),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert await world.status("stack") == "REVIEW_IN_PROGRESS"
    shown = await world.cloudformation("DescribeChangeSet", ChangeSetName=made["Id"])
    assert shown["Status"] == "CREATE_COMPLETE"
    assert shown["ExecutionStatus"] == "AVAILABLE"
    assert shown["Changes"] == [
        {
            "Type": "Resource",
            "ResourceChange": {
                "Action": "Add",
                "LogicalResourceId": "A",
                "ResourceType": "Toy::Box",
                "Scope": [],
                "Details": [],
            },
        }
    ]
    await world.cloudformation("ExecuteChangeSet", ChangeSetName=made["Id"])
    await world.platform.jobs.settle()
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert (await world.stack("stack"))["ChangeSetId"] == made["Id"]
    await world.cloudformation(
        "CreateChangeSet",
        StackName="stack",
        ChangeSetName="second",
        TemplateBody=json.dumps({"Resources": {"A": box("other"), "B": box("b")}}),
    )
    shown = await world.cloudformation(
        "DescribeChangeSet", StackName="stack", ChangeSetName="second"
    )
    change = shown["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["Replacement"]) == ("Modify", "True")
    assert change["PolicyAction"] == "ReplaceAndDelete"
    assert change["Details"] == [
        {
            "Target": {"Attribute": "Properties", "Name": "Name", "RequiresRecreation": "Always"},
            "ChangeSource": "DirectModification",
            "Evaluation": "Static",
        }
    ]
    await world.cloudformation("ExecuteChangeSet", StackName="stack", ChangeSetName="second")
    await world.platform.jobs.settle()
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert set(world.toys.standing) == {"other", "b"}
