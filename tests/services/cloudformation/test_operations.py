"""The operations around stacks: what they answer, and what they refuse in AWS's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.cloudformation.toys import ToyWorld, box

ONE = {"Resources": {"A": box("a")}}
ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
}


async def refused(world: ToyWorld, operation: str, **request: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as error:
        await world.cloudformation(operation, **request)
    return error.value.code, error.value.text


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        ("DescribeStacks", {"StackName": "none"}, "Stack with id none does not exist"),
        ("DescribeStackEvents", {"StackName": "none"}, "Stack [none] does not exist"),
        (
            "DescribeStackResource",
            {"StackName": "none", "LogicalResourceId": "A"},
            "Stack 'none' does not exist",
        ),
        ("DescribeStackResources", {"StackName": "none"}, "Stack with id none does not exist"),
        ("ListStackResources", {"StackName": "none"}, "Stack with id none does not exist"),
        ("GetTemplate", {"StackName": "none"}, "Stack with id none does not exist"),
        ("GetTemplate", {}, "StackName is a required parameter."),
        ("GetTemplateSummary", {"StackName": "none"}, "Stack with id none does not exist"),
        (
            "UpdateStack",
            {"StackName": "none", "TemplateBody": "{}"},
            "Stack [none] does not exist",
        ),
        (
            "CreateChangeSet",
            {"StackName": "none", "ChangeSetName": "c", "TemplateBody": json.dumps(ONE)},
            "Stack [none] does not exist",
        ),
        (
            "DescribeChangeSet",
            {"StackName": "none", "ChangeSetName": "c"},
            "Stack [none] does not exist",
        ),
        (
            "DeleteChangeSet",
            {"ChangeSetName": "c"},
            "StackName must be specified if ChangeSetName is not specified as an ARN.",
        ),
        (
            "CreateStack",
            {"StackName": "s"},
            "Either Template URL or Template Body must be specified.",
        ),
        ("ListImports", {"ExportName": "none"}, "Export 'none' does not exist."),
        (
            "CreateStack",
            {"StackName": "s", "TemplateBody": '{"Resources": {"A": {"Type": "AWS::No::Such"}}}'},
            "Template format error: Unrecognized resource types: [AWS::No::Such]",
        ),
        (
            "CreateStack",
            {
                "StackName": "s",
                "TemplateBody": json.dumps(ONE),
                "RollbackConfiguration": {"MonitoringTimeInMinutes": 5},
            },
            "Skyfold cannot monitor rollback triggers yet.",
        ),
    ],
)
async def test_what_does_not_exist_or_makes_no_sense_is_refused(
    operation: str, request_: dict[str, Any], message: str
) -> None:
    world = ToyWorld()
    assert await refused(world, operation, **request_) == ("ValidationError", message)


async def test_deleting_a_stack_that_does_not_exist_succeeds() -> None:
    await ToyWorld().delete("none")


async def test_a_stacks_name_is_taken_until_it_is_deleted() -> None:
    world = ToyWorld()
    first = await world.create("stack", ONE)
    assert await refused(world, "CreateStack", StackName="stack", TemplateBody=json.dumps(ONE)) == (
        "AlreadyExistsException",
        "Stack [stack] already exists",
    )
    await world.delete("stack")
    second = await world.create("stack", ONE)
    assert first != second
    assert await world.status(first) == "DELETE_COMPLETE"
    listed = (await world.cloudformation("ListStacks"))["StackSummaries"]
    assert [s["StackStatus"] for s in listed] == ["CREATE_COMPLETE", "DELETE_COMPLETE"]
    described = (await world.cloudformation("DescribeStacks"))["Stacks"]
    assert [s["StackId"] for s in described] == [second]


async def test_the_same_token_makes_one_stack() -> None:
    world = ToyWorld()
    first = await world.create("stack", ONE, ClientRequestToken="t")
    assert await world.create("stack", ONE, ClientRequestToken="t") == first
    assert len([e for e in await world.events("stack") if e[0] == "stack"]) == 2


async def test_describing_a_stack_shows_the_members_that_aws_shows() -> None:
    world = ToyWorld()
    template = {
        "Description": "boxes",
        "Parameters": {
            "P": {"Type": "String"},
            "S": {"Type": "String", "NoEcho": True, "Default": "hidden"},
        },
        **ONE,
        "Outputs": {"Name": {"Value": {"Ref": "A"}, "Description": "d", "Export": {"Name": "box"}}},
    }
    arn = await world.create(
        "stack",
        template,
        Parameters=[{"ParameterKey": "P", "ParameterValue": "v"}],
        Tags=[{"Key": "team", "Value": "x"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    assert await world.stack("stack") == {
        "StackId": arn,
        "StackName": "stack",
        "Description": "boxes",
        "Parameters": [
            {"ParameterKey": "P", "ParameterValue": "v"},
            {"ParameterKey": "S", "ParameterValue": "****"},
        ],
        "CreationTime": world.clock.now(),
        "RollbackConfiguration": {},
        "StackStatus": "CREATE_COMPLETE",
        "DisableRollback": False,
        "NotificationARNs": [],
        "Capabilities": ["CAPABILITY_IAM"],
        "Outputs": [
            {"OutputKey": "Name", "OutputValue": "a", "Description": "d", "ExportName": "box"}
        ],
        "Tags": [{"Key": "team", "Value": "x"}],
        "EnableTerminationProtection": False,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


async def test_an_update_without_changes_is_refused() -> None:
    world = ToyWorld()
    await world.create("stack", ONE)
    assert await refused(world, "UpdateStack", StackName="stack", TemplateBody=json.dumps(ONE)) == (
        "ValidationError",
        "No updates are to be performed.",
    )
    shown = await world.change_set("stack", "c", ONE)
    assert (shown["Status"], shown["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert shown["StatusReason"] == (
        "The submitted information didn't contain changes. "
        "Submit different information to create a change set."
    )
    assert shown["Changes"] == []
    code, text = await refused(world, "ExecuteChangeSet", StackName="stack", ChangeSetName="c")
    assert code == "InvalidChangeSetStatus"
    assert text == (
        f"ChangeSet [{shown['ChangeSetId']}] cannot be executed in its current status of [FAILED]"
    )


async def test_a_change_of_outputs_or_tags_alone_is_an_update() -> None:
    world = ToyWorld()
    await world.create("stack", ONE)
    with_output = {**ONE, "Outputs": {"O": {"Value": {"Ref": "A"}}}}
    await world.update("stack", with_output)
    assert await world.outputs("stack") == {"O": "a"}
    await world.update("stack", with_output, Tags=[{"Key": "k", "Value": "v"}])
    assert (await world.stack("stack"))["Tags"] == [{"Key": "k", "Value": "v"}]


async def test_a_previous_template_and_previous_values_can_be_used_again() -> None:
    world = ToyWorld()
    template = {
        "Parameters": {"N": {"Type": "String"}, "C": {"Type": "String", "Default": "red"}},
        "Resources": {"A": box(None, Name={"Ref": "N"}, Colour={"Ref": "C"})},
    }
    await world.create("stack", template, Parameters=[{"ParameterKey": "N", "ParameterValue": "n"}])
    await world.cloudformation(
        "UpdateStack",
        StackName="stack",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": "N", "UsePreviousValue": True},
            {"ParameterKey": "C", "ParameterValue": "blue"},
        ],
    )
    await world.platform.jobs.settle()
    assert world.toys.standing == {"n": {"Name": "n", "Colour": "blue"}}


async def test_a_deleted_or_busy_stack_cannot_be_updated() -> None:
    world = ToyWorld()
    arn = await world.create("stack", ONE)
    world.toys.slow[("delete", "A")] = 5
    await world.delete("stack")
    message = f"Stack:{arn} is in DELETE_IN_PROGRESS state and can not be updated."
    request = {"StackName": "stack", "TemplateBody": json.dumps(ONE)}
    assert await refused(world, "UpdateStack", **request) == ("ValidationError", message)
    assert await refused(world, "CreateChangeSet", ChangeSetName="c", **request) == (
        "ValidationError",
        message,
    )
    await world.advance(10)
    assert await refused(world, "UpdateStack", **{**request, "StackName": arn}) == (
        "ValidationError",
        f"Stack:{arn} is in DELETE_COMPLETE state and can not be updated.",
    )


@pytest.mark.parametrize(
    ("properties", "capabilities", "missing"),
    [
        ({}, [], "CAPABILITY_IAM"),
        ({}, ["CAPABILITY_AUTO_EXPAND"], "CAPABILITY_IAM"),
        ({"RoleName": "r"}, ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
        ({}, ["CAPABILITY_IAM"], ""),
        ({}, ["CAPABILITY_NAMED_IAM"], ""),
        ({"RoleName": "r"}, ["CAPABILITY_NAMED_IAM"], ""),
    ],
)
async def test_iam_resources_need_to_be_acknowledged(
    properties: dict[str, Any], capabilities: list[str], missing: str
) -> None:
    world = ToyWorld()
    role = {**ROLE, "Properties": {**ROLE["Properties"], **properties}}  # type: ignore[dict-item]  # a literal's type is too wide
    request = {
        "StackName": "stack",
        "TemplateBody": json.dumps({"Resources": {"R": role}}),
        "Capabilities": capabilities,
    }
    if missing:
        assert await refused(world, "CreateStack", **request) == (
            "InsufficientCapabilitiesException",
            f"Requires capabilities : [{missing}]",
        )
    else:
        await world.cloudformation("CreateStack", **request)


async def test_validate_and_summary_tell_parameters_types_and_capabilities() -> None:
    world = ToyWorld()
    template = {
        "Description": "d",
        "Parameters": {
            "P": {"Type": "Number", "Default": 3, "AllowedValues": [3, 4], "Description": "count"}
        },
        "Metadata": {"m": 1},
        "Resources": {"R": ROLE, "Q": {"Type": "AWS::SQS::Queue"}},
    }
    text = json.dumps(template)
    valid = await world.cloudformation("ValidateTemplate", TemplateBody=text)
    assert valid["Capabilities"] == ["CAPABILITY_IAM"]
    assert valid["CapabilitiesReason"] == (
        "The following resource(s) require capabilities: [AWS::IAM::Role]"
    )
    assert valid["Parameters"] == [
        {"ParameterKey": "P", "DefaultValue": "3", "NoEcho": False, "Description": "count"}
    ]
    summary = await world.cloudformation("GetTemplateSummary", TemplateBody=text)
    assert summary["ResourceTypes"] == ["AWS::IAM::Role", "AWS::SQS::Queue"]
    assert summary["Metadata"] == '{"m":1}'
    assert summary["Parameters"][0]["ParameterConstraints"] == {"AllowedValues": ["3", "4"]}
    identifiers = {
        s["ResourceType"]: s["ResourceIdentifiers"] for s in summary["ResourceIdentifierSummaries"]
    }
    assert identifiers == {"AWS::IAM::Role": ["RoleName"], "AWS::SQS::Queue": ["QueueUrl"]}


async def test_termination_protection_protects() -> None:
    world = ToyWorld()
    await world.create("stack", ONE, EnableTerminationProtection=True)
    assert await refused(world, "DeleteStack", StackName="stack") == (
        "ValidationError",
        "Stack [stack] cannot be deleted while TerminationProtection is enabled",
    )
    await world.cloudformation(
        "UpdateTerminationProtection", StackName="stack", EnableTerminationProtection=False
    )
    await world.delete("stack")
    assert world.toys.standing == {}


async def test_a_stack_policy_denies_updates_of_what_it_protects() -> None:
    world = ToyWorld()
    await world.create("stack", {"Resources": {"A": box("a"), "B": box("b")}})
    policy = {
        "Statement": [
            {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "Update:Replace",
                "Principal": "*",
                "Resource": "LogicalResourceId/A",
            },
        ]
    }
    await world.cloudformation(
        "SetStackPolicy", StackName="stack", StackPolicyBody=json.dumps(policy)
    )
    shown = await world.cloudformation("GetStackPolicy", StackName="stack")
    assert json.loads(shown["StackPolicyBody"]) == policy
    replaced = {"Resources": {"A": box("other"), "B": box("b")}}
    await world.update("stack", replaced)
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert set(world.toys.standing) == {"a", "b"}
    await world.update("stack", {"Resources": {"A": box("a", Colour="red"), "B": box("b")}})
    assert await world.status("stack") == "UPDATE_COMPLETE"
    allow = json.dumps({"Statement": [policy["Statement"][0]]})
    await world.update("stack", replaced, StackPolicyDuringUpdateBody=allow)
    assert set(world.toys.standing) == {"other", "b"}


@pytest.mark.parametrize(
    "policy",
    [
        "no json",
        '{"Statement": [{"Effect": "Maybe", "Action": "Update:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Deny", "Action": "Delete:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Deny", "Action": "Update:*", "Resource": "arn:x"}]}',
    ],
)
async def test_a_policy_that_is_none_is_refused(policy: str) -> None:
    world = ToyWorld()
    await world.create("stack", ONE)
    assert await refused(world, "SetStackPolicy", StackName="stack", StackPolicyBody=policy) == (
        "ValidationError",
        "Error validating stack policy: Invalid stack policy",
    )


async def test_resources_are_found_by_stack_and_by_physical_id() -> None:
    world = ToyWorld()
    arn = await world.create("stack", {"Resources": {"A": {**box("a"), "Metadata": {"k": 1}}}})
    one = await world.cloudformation(
        "DescribeStackResource", StackName="stack", LogicalResourceId="A"
    )
    assert one["StackResourceDetail"]["Metadata"] == '{"k":1}'
    found = await world.cloudformation("DescribeStackResources", PhysicalResourceId="a")
    assert [(r["StackId"], r["LogicalResourceId"]) for r in found["StackResources"]] == [(arn, "A")]
    await world.delete("stack")
    found = await world.cloudformation("DescribeStackResources", StackName=arn)
    assert found["StackResources"][0]["ResourceStatus"] == "DELETE_COMPLETE"


async def test_long_listings_come_in_pages() -> None:
    world = ToyWorld()
    names = [f"Box{n:03}" for n in range(230)]
    await world.create("stack", {"Resources": {name: box() for name in names}})
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = await world.cloudformation("ListStackResources", StackName="stack", **token)
        assert len(page["StackResourceSummaries"]) <= 100
        found += [r["LogicalResourceId"] for r in page["StackResourceSummaries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == names
    events: list[dict[str, Any]] = []
    token = {}
    while True:
        page = await world.cloudformation("DescribeStackEvents", StackName="stack", **token)
        events += page["StackEvents"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(events) == 2 + 3 * 230
    assert events[0]["ResourceStatus"] == "CREATE_COMPLETE"
    assert len({event["EventId"] for event in events}) == len(events)
    times = [event["Timestamp"] for event in events]
    assert times == sorted(times, reverse=True)
    assert await refused(world, "DescribeStackEvents", StackName="stack", NextToken="nonsense") == (
        "ValidationError",
        "Token is not valid",
    )


async def test_a_change_set_can_be_listed_and_deleted_and_others_go_when_one_is_executed() -> None:
    world = ToyWorld()
    await world.create("stack", ONE)
    two = {"Resources": {"A": box("a"), "B": box("b")}}
    for name in ("first", "second", "third"):
        await world.change_set("stack", name, two, Description=name)
    await world.cloudformation("DeleteChangeSet", StackName="stack", ChangeSetName="third")
    listed = await world.cloudformation("ListChangeSets", StackName="stack")
    assert [s["ChangeSetName"] for s in listed["Summaries"]] == ["first", "second"]
    await world.execute("stack", "first")
    listed = await world.cloudformation("ListChangeSets", StackName="stack")
    assert [(s["ChangeSetName"], s["ExecutionStatus"]) for s in listed["Summaries"]] == [
        ("first", "EXECUTE_COMPLETE")
    ]
    code, text = await refused(
        world, "DescribeChangeSet", StackName="stack", ChangeSetName="second"
    )
    assert (code, text) == ("ChangeSetNotFound", "ChangeSet [second] does not exist")
    with pytest.raises(AwsError, match="Skyfold cannot import resources"):
        await world.change_set("stack", "i", two, ChangeSetType="IMPORT")


async def test_types_that_are_provisioned_are_listed_and_described() -> None:
    world = ToyWorld()
    listed = await world.cloudformation("ListTypes", Visibility="PUBLIC", Type="RESOURCE")
    names = [t["TypeName"] for t in listed["TypeSummaries"]]
    assert "AWS::SQS::Queue" in names and "AWS::CloudFormation::Stack" in names
    shown = await world.cloudformation("DescribeType", Type="RESOURCE", TypeName="AWS::SQS::Queue")
    assert "QueueName" in json.loads(shown["Schema"])["properties"]
    assert await refused(world, "DescribeType", Type="RESOURCE", TypeName="AWS::EC2::VPC") == (
        "TypeNotFoundException",
        "The type 'AWS::EC2::VPC' cannot be found.",
    )
