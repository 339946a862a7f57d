"""Exports and imports between stacks, conditions, dynamic references, parameters from SSM."""

from __future__ import annotations

import pytest

from skyfold.base.errors import AwsError
from tests.services.cloudformation.toys import ToyWorld, box

EXPORTER = {
    "Resources": {"A": box("a")},
    "Outputs": {
        "O": {"Value": {"Ref": "A"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-a"}}}
    },
}
IMPORTER = {"Resources": {"B": box("b", Of={"Fn::ImportValue": {"Fn::Sub": "exporter-a"}})}}


async def both(world: ToyWorld) -> None:
    await world.create("exporter", EXPORTER)
    await world.create("importer", IMPORTER)


async def test_an_export_is_imported_and_listed() -> None:
    world = ToyWorld()
    await both(world)
    assert world.toys.standing["b"]["Of"] == "a"
    exports = (await world.cloudformation("ListExports"))["Exports"]
    assert [(e["Name"], e["Value"]) for e in exports] == [("exporter-a", "a")]
    imports = await world.cloudformation("ListImports", ExportName="exporter-a")
    assert imports["Imports"] == ["importer"]


async def test_an_export_in_use_keeps_its_stack() -> None:
    world = ToyWorld()
    await both(world)
    await world.delete("exporter")
    assert (await world.events("exporter"))[-1] == (
        "exporter",
        "CREATE_COMPLETE",
        "Delete canceled. Cannot delete export exporter-a as it is in use by importer.",
    )
    assert "a" in world.toys.standing
    await world.delete("importer")
    await world.delete("exporter")
    assert world.toys.standing == {}
    assert (await world.cloudformation("ListExports"))["Exports"] == []


@pytest.mark.parametrize(
    ("outputs", "verb"),
    [
        ({}, "deleted"),
        ({"O": {"Value": "other", "Export": {"Name": "exporter-a"}}}, "updated"),
    ],
)
async def test_an_export_in_use_can_be_neither_changed_nor_removed(
    outputs: dict[str, object], verb: str
) -> None:
    world = ToyWorld()
    await both(world)
    await world.update("exporter", {**EXPORTER, "Outputs": outputs})
    assert await world.status("exporter") == "UPDATE_ROLLBACK_COMPLETE"
    reasons = [
        r for _, s, r in await world.events("exporter") if s == "UPDATE_ROLLBACK_IN_PROGRESS"
    ]
    assert reasons == [f"Export exporter-a cannot be {verb} as it is in use by importer."]


async def test_an_export_is_free_once_nobody_imports_it() -> None:
    world = ToyWorld()
    await both(world)
    await world.update("importer", {"Resources": {"B": box("b", Of="nothing")}})
    with pytest.raises(AwsError, match="is not imported by any stack"):
        await world.cloudformation("ListImports", ExportName="exporter-a")
    await world.delete("exporter")
    assert "a" not in world.toys.standing


async def test_an_import_of_nothing_fails_the_resource() -> None:
    world = ToyWorld()
    await world.create("importer", IMPORTER)
    assert await world.status("importer") == "ROLLBACK_COMPLETE"
    assert ("B", "CREATE_FAILED", "No export named exporter-a found.") in await world.events(
        "importer"
    )
    shown = await world.change_set("other", "c", IMPORTER, ChangeSetType="CREATE")
    assert shown["Status"] == "CREATE_COMPLETE"
    shown = await world.cloudformation(
        "DescribeChangeSet",
        ChangeSetName=shown["ChangeSetId"],
        IncludePropertyValues=True,
    )
    assert shown["StatusReason"] == (
        "[WARN] --include-property-values option can return incomplete ChangeSet data because: "
        "ChangeSet creation failed for resource [B] because: No export named exporter-a"
    )


async def test_two_stacks_cannot_export_one_name() -> None:
    world = ToyWorld()
    template = {
        "Resources": {"A": box()},
        "Outputs": {"O": {"Value": "v", "Export": {"Name": "shared"}}},
    }
    await world.create("first", template)
    await world.create("second", template)
    assert await world.status("second") == "ROLLBACK_COMPLETE"
    assert (
        "second",
        "ROLLBACK_IN_PROGRESS",
        "Export with name shared is already exported by stack first. Rollback requested by user.",
    ) in await world.events("second")


CONDITIONAL = {
    "Parameters": {"Env": {"Type": "String", "Default": "dev"}},
    "Conditions": {"Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]}},
    "Resources": {
        "Always": box("always", Size={"Fn::If": ["Prod", "big", {"Ref": "AWS::NoValue"}]}),
        "Extra": {**box("extra"), "Condition": "Prod"},
    },
    "Outputs": {"Extra": {"Condition": "Prod", "Value": {"Ref": "Extra"}}},
}


async def test_what_a_condition_excludes_does_not_exist() -> None:
    world = ToyWorld()
    await world.create("stack", CONDITIONAL)
    assert world.toys.standing == {"always": {"Name": "always"}}
    await world.update(
        "stack", CONDITIONAL, Parameters=[{"ParameterKey": "Env", "ParameterValue": "prod"}]
    )
    assert set(world.toys.standing) == {"always", "extra"}
    assert world.toys.standing["always"]["Size"] == "big"
    assert await world.outputs("stack") == {"Extra": "extra"}
    await world.update(
        "stack", CONDITIONAL, Parameters=[{"ParameterKey": "Env", "ParameterValue": "dev"}]
    )
    assert world.toys.standing == {"always": {"Name": "always"}}


async def test_rules_are_asserted_over_the_parameters() -> None:
    world = ToyWorld()
    template = {
        **CONDITIONAL,
        "Rules": {
            "Sane": {
                "RuleCondition": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
                "Assertions": [
                    {
                        "Assert": {"Fn::Contains": [["dev"], {"Ref": "Env"}]},
                        "AssertDescription": "not on a Friday",
                    }
                ],
            }
        },
    }
    await world.create("fine", template)
    with pytest.raises(AwsError, match="not on a Friday"):
        await world.create(
            "bad", template, Parameters=[{"ParameterKey": "Env", "ParameterValue": "prod"}]
        )


async def test_a_dynamic_reference_is_looked_up_when_it_is_used_and_never_shown() -> None:
    world = ToyWorld()
    world.toys.parameters["/size"] = "seven"
    await world.create("stack", {"Resources": {"A": box("a", Size="{{resolve:ssm:/size}} feet")}})
    assert world.toys.standing["a"]["Size"] == "seven feet"
    found = await world.cloudformation("DescribeStackEvents", StackName="stack")
    shown = [e.get("ResourceProperties", "") for e in found["StackEvents"]]
    assert any("{{resolve:ssm:/size}}" in text for text in shown)
    assert not any("seven" in text for text in shown)


async def test_a_parameter_of_a_systems_manager_type_has_the_value_that_is_there() -> None:
    world = ToyWorld()
    world.toys.parameters["/names"] = "x,y"
    template = {
        "Parameters": {
            "P": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/names"}
        },
        "Resources": {"A": box("a", Names={"Ref": "P"})},
    }
    await world.create("stack", template)
    assert world.toys.standing["a"]["Names"] == ["x", "y"]
    assert (await world.stack("stack"))["Parameters"] == [
        {"ParameterKey": "P", "ParameterValue": "/names", "ResolvedValue": "x,y"}
    ]
    with pytest.raises(AwsError) as refused:
        await world.create(
            "other", template, Parameters=[{"ParameterKey": "P", "ParameterValue": "/no"}]
        )
    assert refused.value.text == (
        "Unable to fetch parameters [/no] from parameter store for this account."
    )


async def test_getatt_of_what_a_type_does_not_have_fails_where_it_is_asked() -> None:
    world = ToyWorld()
    await world.create(
        "stack",
        {
            "Resources": {"A": box("a")},
            "Outputs": {"Bad": {"Value": {"Fn::GetAtt": ["A", "Invalid"]}}},
        },
    )
    assert (
        "stack",
        "ROLLBACK_IN_PROGRESS",
        "[Error] /Outputs/Bad/Value/Fn::GetAtt: Resource type Toy::Box does not support attribute "
        "{Invalid}. Rollback requested by user.",
    ) in await world.events("stack")


async def test_an_inert_type_says_so_and_has_no_made_up_attributes() -> None:
    world = ToyWorld()
    inert = {
        "Resources": {
            "Repo": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "images"}},
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
            "Key": {"Type": "AWS::S3::AccessPoint", "Properties": {"Bucket": "b"}},
        },
        "Outputs": {
            "Name": {"Value": {"Ref": "Repo"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Repo", "Arn"]}},
            "Block": {"Value": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}},
        },
    }
    await world.create("stack", inert)
    assert await world.outputs("stack") == {
        "Name": "images",
        "Arn": "arn:aws:ecr:us-east-1:123456789012:repository/images",
        "Block": "10.0.0.0/16",
    }
    events = await world.events("stack")
    for name, kind, what in (
        ("Repo", "AWS::ECR::Repository", "service"),
        ("Key", "AWS::S3::AccessPoint", "resource type"),
    ):
        reason = f"Skyfold keeps {kind} without effect: no such {what} yet"
        assert (name, "CREATE_COMPLETE", reason) in events
    bad = {**inert, "Outputs": {"X": {"Value": {"Fn::GetAtt": ["Repo", "RepositoryUri"]}}}}
    await world.create("other", bad)
    assert await world.status("other") == "ROLLBACK_COMPLETE"


async def test_properties_that_do_not_fit_their_schema_fail_the_resource() -> None:
    world = ToyWorld()
    await world.create(
        "stack", {"Resources": {"V": {"Type": "AWS::EC2::VPC", "Properties": {"Cidr": "x"}}}}
    )
    assert (
        "V",
        "CREATE_FAILED",
        "Property validation failure: [Encountered unsupported properties in {/}: [Cidr]]",
    ) in await world.events("stack")
