"""Transforms: SAM, the language extensions, AWS::Include."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.services.cloudformation.engine.intrinsics import Scope
from skyfold.services.cloudformation.engine.language_extensions import transform_extensions
from tests.services.cloudformation.toys import ToyWorld, box

SHOP = (Path(__file__).parent / "shop.yaml").read_text()
SAM = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


async def processed(world: ToyWorld, stack: str) -> dict[str, Any]:
    found = await world.cloudformation("GetTemplate", StackName=stack, TemplateStage="Processed")
    assert found["StagesAvailable"] == ["Original", "Processed"]
    return dict(json.loads(found["TemplateBody"]))


async def test_a_serverless_application_becomes_plain_resources() -> None:
    world = ToyWorld()
    await world.create("shop", SHOP, Capabilities=SAM)
    assert await world.status("shop") == "CREATE_COMPLETE"
    resources = (await processed(world, "shop"))["Resources"]
    types = {name: body["Type"] for name, body in resources.items()}
    assert types["Accept"] == "AWS::Lambda::Function"
    assert types["AcceptRole"] == "AWS::IAM::Role"
    assert types["StoreFed"] == "AWS::Lambda::EventSourceMapping"
    assert types["Table"] == "AWS::DynamoDB::Table"
    assert types["Api"] == "AWS::ApiGatewayV2::Api"
    assert types["ReceiptUploadedPermission"] == "AWS::Lambda::Permission"
    assert not any(kind.startswith("AWS::Serverless") for kind in types.values())
    policies = resources["AcceptRole"]["Properties"]["ManagedPolicyArns"]
    assert "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess" in policies
    original = await world.cloudformation("GetTemplate", StackName="shop")
    assert original["TemplateBody"] == SHOP


async def test_a_serverless_application_deploys_through_a_change_set() -> None:
    world = ToyWorld()
    made = await world.cloudformation(
        "CreateChangeSet",
        StackName="shop",
        ChangeSetName="samcli-deploy1",
        ChangeSetType="CREATE",
        TemplateBody=SHOP,
        Capabilities=["CAPABILITY_IAM"],
    )
    shown = await world.cloudformation("DescribeChangeSet", ChangeSetName=made["Id"])
    assert (shown["Status"], shown["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    names = [change["ResourceChange"]["LogicalResourceId"] for change in shown["Changes"]]
    assert names == sorted(names)
    assert "AcceptRole" in names
    await world.execute("shop", "samcli-deploy1")
    assert await world.status("shop") == "CREATE_COMPLETE"


async def test_transforms_need_to_be_acknowledged() -> None:
    world = ToyWorld()
    with pytest.raises(AwsError) as refused:
        await world.create("shop", SHOP, Capabilities=["CAPABILITY_IAM"])
    assert refused.value.text == "Requires capabilities : [CAPABILITY_AUTO_EXPAND]"
    assert refused.value.code == "InsufficientCapabilitiesException"


async def test_a_change_set_fails_where_its_transform_does() -> None:
    world = ToyWorld()
    broken = SHOP.replace("Runtime: nodejs20.x", "Rontime: x").replace("Handler: index.handler", "")
    made = await world.cloudformation(
        "CreateChangeSet",
        StackName="shop",
        ChangeSetName="c",
        ChangeSetType="CREATE",
        TemplateBody=broken,
        Capabilities=SAM,
    )
    shown = await world.cloudformation("DescribeChangeSet", ChangeSetName=made["Id"])
    assert (shown["Status"], shown["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert shown["StatusReason"].startswith(
        "Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application "
        "Specification document. Number of errors found: 1. Resource with id [Receipt] is invalid."
    )


async def test_a_stack_whose_transform_fails_rolls_back_with_the_reason() -> None:
    world = ToyWorld()
    broken = SHOP.replace("Runtime: nodejs20.x", "Rontime: x").replace("Handler: index.handler", "")
    await world.create("shop", broken, Capabilities=SAM)
    assert await world.status("shop") == "ROLLBACK_COMPLETE"
    reasons = [reason for _, status, reason in await world.events("shop")]
    assert any(
        reason.startswith("Transform AWS::Serverless-2016-10-31 failed with: ")
        and reason.endswith("Rollback requested by user.")
        for reason in reasons
    )


EXTENDED = {
    "Transform": "AWS::LanguageExtensions",
    "Parameters": {"Names": {"Type": "CommaDelimitedList", "Default": "one,two"}},
    "Mappings": {"Ports": {"one": {"port": "1"}}},
    "Resources": {
        "Fn::ForEach::Boxes": [
            "Name",
            {"Ref": "Names"},
            {
                "Box${Name}": {
                    "Type": "Toy::Box",
                    "Properties": {
                        "Name": {"Fn::Sub": "${AWS::StackName}-${Name}"},
                        "Port": {
                            "Fn::FindInMap": [
                                "Ports",
                                {"Ref": "Name"},
                                "port",
                                {"DefaultValue": "none"},
                            ]
                        },
                    },
                }
            },
        ],
        "Sum": box(
            "sum",
            Count={"Fn::Length": {"Ref": "Names"}},
            Text={"Fn::ToJsonString": {"names": {"Ref": "Names"}, "first": {"Ref": "Boxone"}}},
        ),
    },
    "Outputs": {
        "Fn::ForEach::Out": [
            "Name",
            {"Ref": "Names"},
            {"Out${Name}": {"Value": {"Ref": "Box${Name}"}}},
        ]
    },
}


async def test_loops_are_unrolled_and_lengths_counted() -> None:
    world = ToyWorld()
    await world.create("ext", EXTENDED, Capabilities=SAM)
    assert await world.status("ext") == "CREATE_COMPLETE"
    assert world.toys.standing == {
        "ext-one": {"Name": "ext-one", "Port": "1"},
        "ext-two": {"Name": "ext-two", "Port": "none"},
        "sum": {"Name": "sum", "Count": 2, "Text": '{"names":["one","two"],"first":"ext-one"}'},
    }
    assert await world.outputs("ext") == {"Outone": "ext-one", "Outtwo": "ext-two"}
    resources = (await processed(world, "ext"))["Resources"]
    assert sorted(resources) == ["Boxone", "Boxtwo", "Sum"]
    assert resources["Sum"]["Properties"]["Count"] == 2


def test_loops_may_be_nested() -> None:
    body = {
        "Resources": {
            "Fn::ForEach::Outer": [
                "X",
                ["a", "b"],
                {
                    "Fn::ForEach::Inner": [
                        "Y",
                        ["1", "2.3"],
                        {"R${X}&{Y}": {"Type": "T", "Properties": {"V": "${X}-${Y}"}}},
                    ]
                },
            ]
        }
    }
    made = transform_extensions(body, Scope())["Resources"]
    assert sorted(made) == ["Ra1", "Ra23", "Rb1", "Rb23"]
    assert made["Rb23"]["Properties"] == {"V": "b-2.3"}


@pytest.mark.parametrize(
    "form", ["s3://parts/part.yaml", "https://parts.s3.amazonaws.com/part.yaml"]
)
async def test_an_included_part_comes_from_s3(form: str) -> None:
    world = ToyWorld()
    world.toys.objects["parts/part.yaml"] = "Name: included\nSize: !Ref Size\n"
    template = {
        "Parameters": {"Size": {"Type": "String", "Default": "9"}},
        "Resources": {
            "A": {
                "Type": "Toy::Box",
                "Properties": {
                    "Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": form}}
                },
            }
        },
    }
    await world.create("stack", template, Capabilities=SAM)
    assert world.toys.standing == {"included": {"Name": "included", "Size": "9"}}


async def test_a_missing_part_fails_the_change_set() -> None:
    world = ToyWorld()
    template = {
        "Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://parts/none"}},
        "Resources": {"A": box("a")},
    }
    shown = await world.change_set("stack", "c", template, ChangeSetType="CREATE")
    assert shown["Status"] == "FAILED"
    assert shown["StatusReason"] == (
        "Transform AWS::Include failed with: The specified key does not exist."
    )


async def test_a_macro_that_does_not_exist_is_named() -> None:
    world = ToyWorld()
    template = {"Transform": "Mine", "Resources": {"A": box("a")}}
    shown = await world.change_set("stack", "c", template, ChangeSetType="CREATE")
    assert shown["StatusReason"] == "No transform named 123456789012::Mine found."
