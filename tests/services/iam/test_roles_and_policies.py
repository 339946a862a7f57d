"""Roles, managed policies, instance profiles, service-linked roles and the account."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from skyfold.kernel.access.managed import managed
from skyfold.kernel.access.validation import validated
from tests.kernel.access.entities import allow, decided, deny, document
from tests.services.iam.test_users_and_groups import (
    ADMIN,
    QUEUE,
    SEND,
    TRUST_EC2,
    principal,
    refused,
)
from tests.support.world import ACCOUNT, World

SQS = "arn:aws:iam::aws:policy/AmazonSQSFullAccess"


async def test_a_role_is_made_found_and_listed() -> None:
    world = World()

    made = (
        await world.iam(
            "CreateRole", RoleName="worker", Path="/x/", AssumeRolePolicyDocument=TRUST_EC2
        )
    )["Role"]

    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/x/worker"
    assert made["RoleId"].startswith("AROA")
    assert unquote(made["AssumeRolePolicyDocument"]) == TRUST_EC2
    assert "MaxSessionDuration" not in made
    found = (await world.iam("GetRole", RoleName="worker"))["Role"]
    assert found == {**made, "MaxSessionDuration": 3600, "RoleLastUsed": {}}
    listed = (await world.iam("ListRoles"))["Roles"]
    assert listed == [{**made, "MaxSessionDuration": 3600}]


async def test_a_role_s_settings_can_be_changed() -> None:
    world = World()
    await world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST_EC2)
    trust = TRUST_EC2.replace("ec2", "lambda")

    await world.iam("UpdateRole", RoleName="r", Description="d", MaxSessionDuration=7200)
    await world.iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust)
    await world.iam("TagRole", RoleName="r", Tags=[{"Key": "a", "Value": "b"}])

    role = (await world.iam("GetRole", RoleName="r"))["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("d", 7200)
    assert unquote(role["AssumeRolePolicyDocument"]) == trust
    assert role["Tags"] == [{"Key": "a", "Value": "b"}]
    said = await world.iam("UpdateRoleDescription", RoleName="r", Description="e")
    assert said["Role"]["Description"] == "e"


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (SEND, "Missing required field Principal"),
        ("{", "This policy contains invalid Json"),
        (
            TRUST_EC2.replace(
                '{"Service": "ec2.amazonaws.com"}',
                f'{{"AWS": "arn:aws:iam::{ACCOUNT}:user/nobody"}}',
            ),
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:user/nobody"',
        ),
    ],
)
async def test_a_role_needs_a_trust_policy(trust: str, message: str) -> None:
    world = World()

    making = world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust)

    assert await refused(making) == ("MalformedPolicyDocument", message)
    assert (await world.iam("ListRoles"))["Roles"] == []


async def test_managed_policies_are_attached_and_counted() -> None:
    world = World()
    await world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST_EC2)
    await world.iam("CreateUser", UserName="alice")
    made = (await world.iam("CreatePolicy", PolicyName="send", PolicyDocument=SEND))["Policy"]
    arn = made["Arn"]

    await world.iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    await world.iam("AttachUserPolicy", UserName="alice", PolicyArn=arn)

    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/send"
    assert (made["AttachmentCount"], made["PermissionsBoundaryUsageCount"]) == (0, 0)
    assert (made["DefaultVersionId"], made["IsAttachable"]) == ("v1", True)
    assert "Tags" not in made
    found = (await world.iam("GetPolicy", PolicyArn=arn))["Policy"]
    assert (found["AttachmentCount"], found["Tags"]) == (2, [])
    held = await world.iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert [role["RoleName"] for role in held["PolicyRoles"]] == ["r"]
    assert [user["UserName"] for user in held["PolicyUsers"]] == ["alice"]
    assert held["PolicyGroups"] == []
    listed = (await world.iam("ListAttachedRolePolicies", RoleName="r"))["AttachedPolicies"]
    assert listed == [{"PolicyName": "send", "PolicyArn": arn}]
    alice = await principal(world, "alice")
    assert await decided(world, alice, "sqs:SendMessage", QUEUE) == "allowed"
    assert await refused(world.iam("DeletePolicy", PolicyArn=arn)) == (
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    assert await refused(world.iam("DeleteRole", RoleName="r")) == (
        "DeleteConflict",
        "Cannot delete entity, must detach all policies first.",
    )
    await world.iam("DetachRolePolicy", RoleName="r", PolicyArn=arn)
    await world.iam("DetachUserPolicy", UserName="alice", PolicyArn=arn)
    await world.iam("DeletePolicy", PolicyArn=arn)
    await world.iam("DeleteRole", RoleName="r")
    assert "because no identity" in await decided(world, alice, "sqs:SendMessage", QUEUE)


@pytest.mark.parametrize(
    ("arn", "code", "message"),
    [
        ("longer-than-twenty-letters", "ValidationError", "Invalid ARN:  Could not be parsed!"),
        (
            f"arn:aws:iam::{ACCOUNT}:policy/none",
            "NoSuchEntity",
            f"Policy arn:aws:iam::{ACCOUNT}:policy/none does not exist or is not attachable.",
        ),
        (
            "arn:aws:iam::aws:policy/NoSuchPolicyAtAll",
            "NoSuchEntity",
            "Policy arn:aws:iam::aws:policy/NoSuchPolicyAtAll does not exist or is not attachable.",
        ),
    ],
)
async def test_only_a_policy_that_is_there_can_be_attached(
    arn: str, code: str, message: str
) -> None:
    world = World()
    await world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST_EC2)

    attaching = world.iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)

    assert await refused(attaching) == (code, message)


async def test_the_default_version_is_what_counts() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    arn = (await world.iam("CreatePolicy", PolicyName="p", PolicyDocument=SEND))["Policy"]["Arn"]
    await world.iam("AttachUserPolicy", UserName="alice", PolicyArn=arn)
    alice = await principal(world, "alice")
    nothing = document(deny("*"))

    await world.iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=nothing)
    assert await decided(world, alice, "sqs:SendMessage", QUEUE) == "allowed"
    await world.iam("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v2")
    assert "explicit deny" in await decided(world, alice, "sqs:SendMessage", QUEUE)

    versions = (await world.iam("ListPolicyVersions", PolicyArn=arn))["Versions"]
    assert [(v["VersionId"], v["IsDefaultVersion"]) for v in versions] == [
        ("v2", True),
        ("v1", False),
    ]
    second = await world.iam("GetPolicyVersion", PolicyArn=arn, VersionId="v2")
    assert unquote(second["PolicyVersion"]["Document"]) == nothing
    assert await refused(world.iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v2")) == (
        "DeleteConflict",
        "Cannot delete the default version of a policy.",
    )
    await world.iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v1")
    assert await refused(world.iam("GetPolicyVersion", PolicyArn=arn, VersionId="v1")) == (
        "NoSuchEntity",
        f"Policy {arn} version v1 does not exist or is not attachable.",
    )


async def test_a_policy_has_five_versions_at_most() -> None:
    world = World()
    arn = (await world.iam("CreatePolicy", PolicyName="p", PolicyDocument=SEND))["Policy"]["Arn"]
    for _ in range(4):
        await world.iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=SEND)

    code, text = await refused(world.iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=SEND))

    assert (code, text) == (
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must "
        "delete an existing version.",
    )
    assert (await refused(world.iam("DeletePolicy", PolicyArn=arn)))[1].startswith(
        "This policy has more than one version."
    )


async def test_policies_are_listed_the_account_s_own_first() -> None:
    world = World()
    for name in ("b", "a"):
        await world.iam("CreatePolicy", PolicyName=name, PolicyDocument=SEND)
    await world.iam("CreateUser", UserName="alice")
    await world.iam("AttachUserPolicy", UserName="alice", PolicyArn=SQS)

    found: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        page = await world.iam("ListPolicies", MaxItems=11, **marker)
        found += [policy["PolicyName"] for policy in page["Policies"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}

    assert found[:2] == ["a", "b"]
    assert len(found) == len(set(found)) == 2 + len(managed())
    local = (await world.iam("ListPolicies", Scope="Local"))["Policies"]
    assert [policy["PolicyName"] for policy in local] == ["a", "b"]
    used = (await world.iam("ListPolicies", OnlyAttached=True))["Policies"]
    assert [policy["PolicyName"] for policy in used] == ["AmazonSQSFullAccess"]
    lambdas = await world.iam("ListPolicies", Scope="AWS", PathPrefix="/service-role/")
    assert {policy["Path"] for policy in lambdas["Policies"]} == {"/service-role/"}


async def test_policies_of_aws_are_there_and_cannot_be_changed() -> None:
    world = World()

    found = (await world.iam("GetPolicy", PolicyArn=ADMIN))["Policy"]
    version = await world.iam("GetPolicyVersion", PolicyArn=ADMIN, VersionId="v1")

    assert found["PolicyName"] == "AdministratorAccess"
    statement = json.loads(unquote(version["PolicyVersion"]["Document"]))["Statement"]
    assert statement == [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert (await refused(world.iam("DeletePolicy", PolicyArn=ADMIN)))[0] == "InvalidInput"


@pytest.mark.parametrize("arn", sorted(managed()))
def test_every_document_of_aws_s_is_valid(arn: str) -> None:
    assert validated(managed()[arn]["document"]).statements


@pytest.mark.parametrize(
    "name",
    [
        "service-role/AWSLambdaBasicExecutionRole",
        "service-role/AWSLambdaSQSQueueExecutionRole",
        "service-role/AWSLambdaVPCAccessExecutionRole",
        "service-role/AWSLambdaDynamoDBExecutionRole",
        "service-role/AWSLambdaKinesisExecutionRole",
        "service-role/AWSLambdaRole",
        "service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        "AWSXrayWriteOnlyAccess",
        "AWSXRayDaemonWriteAccess",
        "CloudWatchLambdaInsightsExecutionRolePolicy",
    ],
)
def test_the_policies_that_templates_name_are_known(name: str) -> None:
    assert f"arn:aws:iam::aws:policy/{name}" in managed()


async def test_a_permissions_boundary_limits_and_is_counted() -> None:
    world = World()
    limit = document(allow("s3:*"))
    arn = (await world.iam("CreatePolicy", PolicyName="l", PolicyDocument=limit))["Policy"]["Arn"]
    made = await world.iam("CreateUser", UserName="alice", PermissionsBoundary=arn)
    await world.iam("AttachUserPolicy", UserName="alice", PolicyArn=ADMIN)
    alice = await principal(world, "alice")

    assert made["User"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": arn,
    }
    assert "no permissions boundary" in await decided(world, alice, "sqs:SendMessage", QUEUE)
    assert (await world.iam("GetPolicy", PolicyArn=arn))["Policy"][
        "PermissionsBoundaryUsageCount"
    ] == 1
    await world.iam("DeleteUserPermissionsBoundary", UserName="alice")
    assert await decided(world, alice, "sqs:SendMessage", QUEUE) == "allowed"
    await world.iam("PutUserPermissionsBoundary", UserName="alice", PermissionsBoundary=arn)
    assert (await refused(world.iam("DeletePolicy", PolicyArn=arn)))[0] == "DeleteConflict"


async def test_an_instance_profile_holds_one_role() -> None:
    world = World()
    for name in ("r", "s"):
        await world.iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)
    await world.iam("CreateInstanceProfile", InstanceProfileName="p")
    await world.iam("AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="r")

    profile = (await world.iam("GetInstanceProfile", InstanceProfileName="p"))["InstanceProfile"]

    assert [role["RoleName"] for role in profile["Roles"]] == ["r"]
    assert profile["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/p"
    assert await refused(
        world.iam("AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="s")
    ) == ("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    assert await refused(world.iam("DeleteRole", RoleName="r")) == (
        "DeleteConflict",
        "Cannot delete entity, must remove roles from instance profile first.",
    )
    of_role = await world.iam("ListInstanceProfilesForRole", RoleName="r")
    assert [p["InstanceProfileName"] for p in of_role["InstanceProfiles"]] == ["p"]
    await world.iam("RemoveRoleFromInstanceProfile", InstanceProfileName="p", RoleName="r")
    await world.iam("DeleteRole", RoleName="r")
    await world.iam("DeleteInstanceProfile", InstanceProfileName="p")
    assert await refused(world.iam("GetInstanceProfile", InstanceProfileName="p")) == (
        "NoSuchEntity",
        "Instance Profile p cannot be found.",
    )


async def test_adding_a_role_to_a_profile_is_passing_it() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST_EC2)
    await world.iam("CreateInstanceProfile", InstanceProfileName="p")
    text = document(allow("iam:AddRoleToInstanceProfile"))
    await world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument=text)
    alice = await principal(world, "alice")

    adding = world.iam("AddRoleToInstanceProfile", by=alice, InstanceProfileName="p", RoleName="r")

    assert "iam:PassRole" in (await refused(adding))[1]


async def test_service_linked_roles_belong_to_their_service() -> None:
    world = World()

    made = await world.iam("CreateServiceLinkedRole", AWSServiceName="batch.amazonaws.com")

    role = made["Role"]
    assert role["Arn"] == (
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
    )
    name = role["RoleName"]
    assert (await refused(world.iam("DeleteRole", RoleName=name)))[0] == "UnmodifiableEntity"
    attaching = world.iam("AttachRolePolicy", RoleName=name, PolicyArn=ADMIN)
    assert (await refused(attaching))[0] == "UnmodifiableEntity"
    assert (
        await refused(world.iam("CreateServiceLinkedRole", AWSServiceName="batch.amazonaws.com"))
    )[0] == "InvalidInput"
    task = (await world.iam("DeleteServiceLinkedRole", RoleName=name))["DeletionTaskId"]
    assert task.startswith("task/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch/")
    status = await world.iam("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task)
    assert status == {"Status": "SUCCEEDED"}


async def test_a_suffix_is_for_services_that_allow_one() -> None:
    world = World()

    made = await world.iam(
        "CreateServiceLinkedRole", AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="x"
    )

    assert made["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_x"
    assert await refused(
        world.iam("CreateServiceLinkedRole", AWSServiceName="ecs.amazonaws.com", CustomSuffix="x")
    ) == ("InvalidInput", "Custom suffix is not allowed for ecs.amazonaws.com")


async def test_an_account_has_one_alias() -> None:
    world = World()
    await world.iam("CreateAccountAlias", AccountAlias="first")
    await world.iam("CreateAccountAlias", AccountAlias="second")

    assert (await world.iam("ListAccountAliases"))["AccountAliases"] == ["second"]
    assert (await refused(world.iam("DeleteAccountAlias", AccountAlias="first")))[0] == (
        "NoSuchEntity"
    )
    await world.iam("DeleteAccountAlias", AccountAlias="second")
    assert (await world.iam("ListAccountAliases"))["AccountAliases"] == []


async def test_the_account_s_summary_and_details_tell_what_there_is() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="devs")
    await world.iam("AddUserToGroup", GroupName="devs", UserName="alice")
    await world.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST_EC2)
    await world.iam("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=SEND)
    await world.iam("AttachGroupPolicy", GroupName="devs", PolicyArn=SQS)
    await world.iam("CreatePolicy", PolicyName="own", PolicyDocument=SEND)

    summary = (await world.iam("GetAccountSummary"))["SummaryMap"]
    details = await world.iam("GetAccountAuthorizationDetails")
    only = await world.iam("GetAccountAuthorizationDetails", Filter=["Role"])

    counted = {name: summary[name] for name in ("Users", "Groups", "Roles", "Policies")}
    assert counted == {"Users": 1, "Groups": 1, "Roles": 1, "Policies": 1}
    assert details["UserDetailList"][0]["GroupList"] == ["devs"]
    assert details["GroupDetailList"][0]["AttachedManagedPolicies"] == [
        {"PolicyName": "AmazonSQSFullAccess", "PolicyArn": SQS}
    ]
    assert details["RoleDetailList"][0]["RolePolicyList"][0]["PolicyName"] == "p"
    assert {p["PolicyName"] for p in details["Policies"]} == {"own", "AmazonSQSFullAccess"}
    assert unquote(details["Policies"][0]["PolicyVersionList"][0]["Document"]) == SEND
    assert (only["UserDetailList"], len(only["RoleDetailList"])) == ([], 1)
