"""CloudFormation's AWS::IAM types, driven as stack operations drive them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from skyfold.kernel.provisioning import Properties, Provision, Provisioned
from skyfold.services.iam.errors import EntityAlreadyExistsException
from tests.kernel.access.entities import allow, decided, document
from tests.services.iam.test_users_and_groups import QUEUE, SEND, TRUST_EC2, principal, refused
from tests.support.world import ACCOUNT, World

SQS = "arn:aws:iam::aws:policy/AmazonSQSFullAccess"
SNS = "arn:aws:iam::aws:policy/AmazonSNSFullAccess"
TRUST = json.loads(TRUST_EC2)


class Stack:
    """One resource of one type, through its life."""

    def __init__(self, world: World, type_: str) -> None:
        self.world = world
        self.type = world.platform.catalog.resource_types[f"AWS::IAM::{type_}"]
        self.had: Properties = {}
        self.made = Provisioned(physical_id="")

    def _provision(self, want: Properties) -> Provision:
        call = self.world.call()
        return Provision(
            want=want,
            had=self.had,
            physical_id=self.made.physical_id,
            api=call.api,
            account=ACCOUNT,
            region="us-east-1",
            stack_name="stack",
            stack_id="arn:aws:cloudformation:us-east-1:1:stack/stack/1",
            logical_id="Thing",
            token="abcdef0123456789",
        )

    async def put(self, **want: Any) -> Provisioned:
        """Create, or update what is there."""
        act = self.type.update if self.made.physical_id else self.type.create
        made = await act(self._provision(want))
        assert isinstance(made, Provisioned)
        self.made, self.had = made, want
        return made

    async def delete(self) -> None:
        await self.type.delete(self._provision({}))


async def test_a_role_comes_with_its_policies_and_goes_with_them() -> None:
    world = World()
    stack = Stack(world, "Role")
    inline = [{"PolicyName": "p", "PolicyDocument": json.loads(SEND)}]

    made = await stack.put(
        AssumeRolePolicyDocument=TRUST, ManagedPolicyArns=[SQS], Policies=inline, Path="/x/"
    )

    assert made.physical_id == "stack-Thing-ABCDEF012345"
    assert made.attributes["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/x/{made.physical_id}"
    assert made.attributes["RoleId"].startswith("AROA")
    name = {"RoleName": made.physical_id}
    await stack.put(
        AssumeRolePolicyDocument=TRUST,
        ManagedPolicyArns=[SNS],
        Policies=[{"PolicyName": "q", "PolicyDocument": SEND}],
        Path="/x/",
        MaxSessionDuration="7200",
        Tags=[{"Key": "a", "Value": "b"}],
    )
    attached = (await world.iam("ListAttachedRolePolicies", **name))["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [SNS]
    assert (await world.iam("ListRolePolicies", **name))["PolicyNames"] == ["q"]
    role = (await world.iam("GetRole", **name))["Role"]
    assert (role["MaxSessionDuration"], role["Tags"]) == (7200, [{"Key": "a", "Value": "b"}])
    await stack.delete()
    assert (await world.iam("ListRoles"))["Roles"] == []
    await stack.delete()


async def test_creating_again_after_a_crash_finds_what_was_made() -> None:
    world = World()
    stack = Stack(world, "Role")
    want = {"AssumeRolePolicyDocument": TRUST, "ManagedPolicyArns": [SQS]}
    first = await stack.type.create(stack._provision(want))

    again = await stack.type.create(stack._provision(want))

    assert again == first


async def test_a_name_that_somebody_else_has_is_not_taken_over() -> None:
    world = World()
    await world.iam("CreateRole", RoleName="mine", AssumeRolePolicyDocument=TRUST_EC2)

    with pytest.raises(EntityAlreadyExistsException):
        await Stack(world, "Role").put(RoleName="mine", AssumeRolePolicyDocument=TRUST)


async def test_a_user_with_groups_password_and_boundary() -> None:
    world = World()
    for name in ("a", "b"):
        await world.iam("CreateGroup", GroupName=name)
    stack = Stack(world, "User")

    made = await stack.put(
        UserName="alice",
        Groups=["a"],
        LoginProfile={"Password": "Secret-123", "PasswordResetRequired": True},
        PermissionsBoundary=SQS,
    )
    await stack.put(UserName="alice", Groups=["b"], Path="/x/", ManagedPolicyArns=[SNS])

    assert made.attributes["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
    user = (await world.iam("GetUser", UserName="alice"))["User"]
    assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/x/alice"
    assert "PermissionsBoundary" not in user
    groups = (await world.iam("ListGroupsForUser", UserName="alice"))["Groups"]
    assert [group["GroupName"] for group in groups] == ["b"]
    assert (await refused(world.iam("GetLoginProfile", UserName="alice")))[0] == "NoSuchEntity"
    await stack.delete()
    assert (await world.iam("ListUsers"))["Users"] == []


async def test_one_inline_policy_for_several() -> None:
    world = World()
    for name in ("alice", "bob"):
        await world.iam("CreateUser", UserName=name)
    stack = Stack(world, "Policy")

    made = await stack.put(PolicyName="p", PolicyDocument=json.loads(SEND), Users=["alice"])
    await stack.put(PolicyName="p", PolicyDocument=json.loads(SEND), Users=["bob"])

    assert made.physical_id == "stack-Thing-ABCDEF012345"
    alice, bob = await principal(world, "alice"), await principal(world, "bob")
    assert "no identity" in await decided(world, alice, "sqs:SendMessage", QUEUE)
    assert await decided(world, bob, "sqs:SendMessage", QUEUE) == "allowed"
    await stack.delete()
    assert "no identity" in await decided(world, bob, "sqs:SendMessage", QUEUE)


@pytest.mark.parametrize("kind", ["User", "Role", "Group"])
async def test_one_inline_policy_for_one(kind: str) -> None:
    world = World()
    trust = {"AssumeRolePolicyDocument": TRUST_EC2} if kind == "Role" else {}
    await world.iam(f"Create{kind}", **{f"{kind}Name": "x"}, **trust)
    stack = Stack(world, f"{kind}Policy")

    await stack.put(**{f"{kind}Name": "x"}, PolicyName="p", PolicyDocument=json.loads(SEND))

    found = await world.iam(f"Get{kind}Policy", **{f"{kind}Name": "x", "PolicyName": "p"})
    assert json.loads(unquote(found["PolicyDocument"])) == json.loads(SEND)
    await stack.delete()
    listed = await world.iam(f"List{kind}Policies", **{f"{kind}Name": "x"})
    assert listed["PolicyNames"] == []


async def test_a_managed_policy_gets_a_version_for_each_change() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    stack = Stack(world, "ManagedPolicy")

    made = await stack.put(PolicyDocument=json.loads(SEND), Users=["alice"], Path="/x/")
    for number in range(7):
        text = document(allow("sqs:SendMessage", f"{QUEUE}{number}"))
        await stack.put(PolicyDocument=text, Users=["alice"], Path="/x/")

    arn = f"arn:aws:iam::{ACCOUNT}:policy/x/stack-Thing-ABCDEF012345"
    assert made.physical_id == made.attributes["PolicyArn"] == arn
    alice = await principal(world, "alice")
    assert await decided(world, alice, "sqs:SendMessage", f"{QUEUE}6") == "allowed"
    assert "no identity" in await decided(world, alice, "sqs:SendMessage", QUEUE)
    assert len((await world.iam("ListPolicyVersions", PolicyArn=arn))["Versions"]) == 5
    await stack.delete()
    assert (await world.iam("ListPolicies", Scope="Local"))["Policies"] == []


async def test_an_access_key_tells_its_secret_when_it_is_made() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    stack = Stack(world, "AccessKey")

    made = await stack.put(UserName="alice")

    assert made.physical_id.startswith("AKIA")
    assert len(made.attributes["SecretAccessKey"]) == 40
    await stack.put(UserName="alice", Status="Inactive")
    keys = (await world.iam("ListAccessKeys", UserName="alice"))["AccessKeyMetadata"]
    assert keys[0]["Status"] == "Inactive"
    await stack.delete()
    assert (await world.iam("ListAccessKeys", UserName="alice"))["AccessKeyMetadata"] == []


async def test_an_instance_profile_changes_its_role() -> None:
    world = World()
    for name in ("r", "s"):
        await world.iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)
    stack = Stack(world, "InstanceProfile")

    made = await stack.put(Roles=["r"])
    await stack.put(Roles=["s"])

    name = {"InstanceProfileName": made.physical_id}
    profile = (await world.iam("GetInstanceProfile", **name))["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["s"]
    assert made.attributes["Arn"] == profile["Arn"]
    await stack.delete()
    assert (await world.iam("ListInstanceProfiles"))["InstanceProfiles"] == []


async def test_members_are_added_and_taken_out() -> None:
    world = World()
    await world.iam("CreateGroup", GroupName="g")
    for name in ("a", "b", "c"):
        await world.iam("CreateUser", UserName=name)
    stack = Stack(world, "UserToGroupAddition")

    await stack.put(GroupName="g", Users=["a", "b"])
    await stack.put(GroupName="g", Users=["b", "c"])

    users = (await world.iam("GetGroup", GroupName="g"))["Users"]
    assert [user["UserName"] for user in users] == ["b", "c"]
    await stack.delete()
    assert (await world.iam("GetGroup", GroupName="g"))["Users"] == []


async def test_a_group_has_policies_and_a_path() -> None:
    world = World()
    stack = Stack(world, "Group")

    await stack.put(GroupName="g", ManagedPolicyArns=[SQS])
    made = await stack.put(GroupName="g", Path="/x/", ManagedPolicyArns=[SNS])

    assert made.attributes["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/x/g"
    attached = await world.iam("ListAttachedGroupPolicies", GroupName="g")
    assert [policy["PolicyArn"] for policy in attached["AttachedPolicies"]] == [SNS]
    await stack.delete()
    assert (await world.iam("ListGroups"))["Groups"] == []


async def test_a_service_linked_role_comes_and_goes() -> None:
    world = World()
    stack = Stack(world, "ServiceLinkedRole")

    made = await stack.put(AWSServiceName="batch.amazonaws.com")

    assert made.physical_id == "AWSServiceRoleForBatch"
    await stack.delete()
    assert (await world.iam("ListRoles"))["Roles"] == []
