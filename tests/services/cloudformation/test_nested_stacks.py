"""Stacks within stacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.cloudformation.toys import ToyWorld, box

URL = "https://s3.us-east-1.amazonaws.com/templates/inner.json"


def inner(**properties: Any) -> str:
    return json.dumps(
        {
            "Parameters": {"Name": {"Type": "String"}, "List": {"Type": "CommaDelimitedList"}},
            "Resources": {
                "Box": {
                    "Type": "Toy::Box",
                    "Properties": {
                        "Name": {"Ref": "Name"},
                        "Parts": {"Ref": "List"},
                        **properties,
                    },
                }
            },
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Box", "Arn"]}}},
        }
    )


def outer(name: str = "inside", url: str = URL, **resources: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Inner": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {
                    "TemplateURL": url,
                    "Parameters": {"Name": name, "List": ["a", "b"]},
                },
            },
            "After": box("after", Of={"Fn::GetAtt": ["Inner", "Outputs.Arn"]}),
            **resources,
        }
    }


async def inner_stack(world: ToyWorld) -> dict[str, Any]:
    return await world.stack((await world.resources("stack"))["Inner"])


async def test_a_nested_stack_is_made_and_its_outputs_can_be_used() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    arn = await world.create("stack", outer(), Tags=[{"Key": "k", "Value": "v"}])
    assert await world.status("stack") == "CREATE_COMPLETE"
    assert world.toys.standing["inside"]["Parts"] == ["a", "b"]
    assert world.toys.standing["after"]["Of"].endswith(":inside")
    nested = await inner_stack(world)
    assert (nested["ParentId"], nested["RootId"]) == (arn, arn)
    assert nested["StackName"].startswith("stack-Inner-")
    assert nested["Tags"] == [{"Key": "k", "Value": "v"}]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:4566/templates/inner.json",
        "https://templates.s3.amazonaws.com/inner.json",
        "https://templates.s3.eu-west-1.amazonaws.com/inner.json",
        "https://s3.amazonaws.com/templates/inner.json",
        "http://templates.localhost:4566/inner.json",
        "http://templates.s3.localhost.localstack.cloud:4566/inner.json",
        "http://s3.localhost.localstack.cloud:4566/templates/inner.json",
    ],
)
async def test_a_template_url_of_any_form_is_read_from_our_own_s3(url: str) -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer(url=url))
    assert await world.status("stack") == "CREATE_COMPLETE"


async def test_a_template_that_is_not_there_fails_the_nested_stack() -> None:
    world = ToyWorld()
    await world.create("stack", outer())
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert (
        "Inner",
        "CREATE_FAILED",
        "S3 error: The specified key does not exist.",
    ) in await world.events("stack")


async def test_a_nested_stack_that_fails_takes_everything_back_with_it() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    world.toys.refuse.add(("create", "Box"))
    await world.create("stack", outer(First=box("first")))
    await world.advance(10)
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert world.toys.standing == {}
    failed = [e for e in await world.events("stack") if e[1] == "CREATE_FAILED"]
    assert failed[0][0] == "Inner"
    assert (
        "was not successfully created: The following resource(s) failed to create: [Box]."
        in (failed[0][2])
    )


async def test_a_template_changed_under_the_same_url_is_an_update() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer())
    world.toys.objects["templates/inner.json"] = inner(Colour="red")
    await world.update("stack", outer())
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert world.toys.standing["inside"]["Colour"] == "red"
    assert (await inner_stack(world))["StackStatus"] == "UPDATE_COMPLETE"


async def test_a_failed_update_of_the_outer_stack_takes_the_inner_one_back() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer())
    before = world.toys.standing
    world.toys.refuse.add(("create", "Z"))
    await world.update("stack", outer("other", Z=box("z", depends_on=["After"])))
    await world.advance(10)
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert world.toys.standing == before


async def test_an_inner_stack_in_the_middle_of_its_update_is_taken_back_too() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer())
    before = world.toys.standing
    world.toys.refuse.add(("create", "Z"))
    world.toys.slow[("update", "Box")] = 20
    world.toys.objects["templates/inner.json"] = inner(Colour="red")
    await world.update("stack", outer(Z=box("z")))
    world.toys.objects["templates/inner.json"] = inner()
    await world.advance(60)
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert world.toys.standing == before


async def test_deleting_the_outer_stack_deletes_the_inner_one() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer())
    nested = (await inner_stack(world))["StackId"]
    await world.delete("stack")
    await world.advance(10)
    assert world.toys.standing == {}
    assert await world.status(nested) == "DELETE_COMPLETE"


async def test_an_inner_stack_that_cannot_be_deleted_fails_the_outer_delete() -> None:
    world = ToyWorld()
    world.toys.objects["templates/inner.json"] = inner()
    await world.create("stack", outer())
    world.toys.refuse.add(("delete", "Box"))
    await world.delete("stack")
    await world.advance(10)
    assert await world.status("stack") == "DELETE_FAILED"
    world.toys.refuse.clear()
    await world.delete("stack")
    await world.advance(10)
    assert world.toys.standing == {}
