"""Users, groups, and their access keys, passwords and tags."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.access.credentials import find, principal_of_user
from skyfold.kernel.access.tables import LOGINS, USERS
from skyfold.kernel.principal import Principal
from tests.kernel.access.entities import allow, decided, document
from tests.support.world import ACCOUNT, World

ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
SEND = document(allow("sqs:SendMessage", QUEUE))
TRUST_EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


async def refused(serving: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        await serving
    return caught.value.code, caught.value.text


async def principal(world: World, name: str) -> Principal:
    row = await world.platform.store.read(USERS.get, ACCOUNT, name)
    assert row is not None
    return principal_of_user(row)


async def test_a_user_is_made_found_listed_and_deleted() -> None:
    world = World()

    made = (await world.iam("CreateUser", UserName="alice", Path="/dev/"))["User"]

    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/dev/alice"
    assert made["UserId"].startswith("AIDA")
    assert len(made["UserId"]) == 21
    assert made["CreateDate"] == world.clock.now()
    assert set(made) == {"Path", "UserName", "UserId", "Arn", "CreateDate"}
    assert (await world.iam("GetUser", UserName="alice"))["User"] == made
    assert (await world.iam("ListUsers"))["Users"] == [made]
    assert (await world.iam("ListUsers", PathPrefix="/ops/"))["Users"] == []
    await world.iam("DeleteUser", UserName="alice")
    assert await refused(world.iam("GetUser", UserName="alice")) == (
        "NoSuchEntity",
        "The user with name alice cannot be found.",
    )


async def test_names_are_taken_whatever_their_case() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="alice")

    assert await refused(world.iam("CreateUser", UserName="Alice")) == (
        "EntityAlreadyExists",
        "User with name Alice already exists.",
    )
    await world.iam("DeleteUser", UserName="alice")
    await world.iam("CreateUser", UserName="Alice")


async def test_without_a_name_it_is_the_caller_who_is_meant() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("AttachUserPolicy", UserName="alice", PolicyArn=ADMIN)
    alice = await principal(world, "alice")

    assert (await world.iam("GetUser", by=alice))["User"]["UserName"] == "alice"
    root = (await world.iam("GetUser"))["User"]
    assert root["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    created = await world.iam("CreateAccessKey", by=alice)
    assert created["AccessKey"]["UserName"] == "alice"


async def test_lists_come_in_pages() -> None:
    world = World()
    for number in range(7):
        path = "/a/" if number % 2 else "/b/"
        await world.iam("CreateUser", UserName=f"user{number}", Path=path)

    found, marker = [], {}
    for _ in range(3):
        page = await world.iam("ListUsers", MaxItems=3, **marker)
        found += [user["UserName"] for user in page["Users"]]
        marker = {"Marker": page["Marker"]} if page["IsTruncated"] else {}
    odd = await world.iam("ListUsers", MaxItems=2, PathPrefix="/a/")
    rest = await world.iam("ListUsers", MaxItems=2, PathPrefix="/a/", Marker=odd["Marker"])

    assert found == [f"user{number}" for number in range(7)]
    assert marker == {}
    assert [u["UserName"] for u in odd["Users"]] == ["user1", "user3"]
    assert [u["UserName"] for u in rest["Users"]] == ["user5"]
    assert rest["IsTruncated"] is False
    code, _ = await refused(world.iam("ListUsers", Marker="nonsense"))
    assert code == "ValidationError"


async def test_a_user_that_is_renamed_keeps_all_it_has() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice", Tags=[{"Key": "team", "Value": "blue"}])
    await world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument=SEND)
    key = (await world.iam("CreateAccessKey", UserName="alice"))["AccessKey"]
    await world.iam("CreateGroup", GroupName="devs")
    await world.iam("AddUserToGroup", GroupName="devs", UserName="alice")

    await world.iam("UpdateUser", UserName="alice", NewUserName="bob", NewPath="/x/")

    user = (await world.iam("GetUser", UserName="bob"))["User"]
    assert user["Arn"].endswith(":user/x/bob")
    assert user["Tags"] == [{"Key": "team", "Value": "blue"}]
    keys = (await world.iam("ListAccessKeys", UserName="bob"))["AccessKeyMetadata"]
    assert [(k["UserName"], k["AccessKeyId"]) for k in keys] == [("bob", key["AccessKeyId"])]
    members = (await world.iam("GetGroup", GroupName="devs"))["Users"]
    assert [u["UserName"] for u in members] == ["bob"]
    assert await decided(world, await principal(world, "bob"), "sqs:SendMessage", QUEUE) == (
        "allowed"
    )
    await world.iam("CreateUser", UserName="alice")


@pytest.mark.parametrize(
    ("operation", "request_", "words"),
    [
        ("CreateAccessKey", {}, "must delete access keys first."),
        ("CreateLoginProfile", {"Password": "Secret-123"}, "must delete login profile first."),
        ("AddUserToGroup", {"GroupName": "g"}, "must remove users from group first."),
        ("AttachUserPolicy", {"PolicyArn": ADMIN}, "must detach all policies first."),
        (
            "PutUserPolicy",
            {"PolicyName": "p", "PolicyDocument": SEND},
            "must delete policies first.",
        ),
    ],
)
async def test_a_user_that_holds_something_is_not_deleted(
    operation: str, request_: dict[str, Any], words: str
) -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="g")
    await world.iam(operation, UserName="alice", **request_)

    assert await refused(world.iam("DeleteUser", UserName="alice")) == (
        "DeleteConflict",
        "Cannot delete entity, " + words,
    )


async def test_an_access_key_signs_for_its_user_until_it_is_off() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    key = (await world.iam("CreateAccessKey", UserName="alice"))["AccessKey"]
    store, key_id = world.platform.store, key["AccessKeyId"]

    async def signs() -> str | None:
        async def look(tx: Any) -> Any:
            return await find(tx, key_id, account=ACCOUNT, seeded=False)

        found = await store.read(look)
        return found.principal.arn if found else None

    assert key_id.startswith("AKIA")
    assert len(key["SecretAccessKey"]) == 40
    assert await signs() == f"arn:aws:iam::{ACCOUNT}:user/alice"
    await world.iam("UpdateAccessKey", UserName="alice", AccessKeyId=key_id, Status="Inactive")
    assert await signs() is None
    listed = (await world.iam("ListAccessKeys", UserName="alice"))["AccessKeyMetadata"]
    assert listed[0]["Status"] == "Inactive"
    assert "SecretAccessKey" not in listed[0]
    await world.iam("UpdateAccessKey", UserName="alice", AccessKeyId=key_id, Status="Active")
    assert await signs() is not None
    await world.iam("DeleteAccessKey", UserName="alice", AccessKeyId=key_id)
    assert await signs() is None
    code, text = await refused(world.iam("DeleteAccessKey", UserName="alice", AccessKeyId=key_id))
    assert (code, text) == ("NoSuchEntity", f"The Access Key with id {key_id} cannot be found.")


async def test_a_user_has_two_access_keys_at_most() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    for _ in range(2):
        await world.iam("CreateAccessKey", UserName="alice")

    assert await refused(world.iam("CreateAccessKey", UserName="alice")) == (
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )


async def test_a_key_that_was_never_used_says_so() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    key = (await world.iam("CreateAccessKey", UserName="alice"))["AccessKey"]

    used = await world.iam("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"])

    assert used == {
        "UserName": "alice",
        "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"},
    }


async def test_passwords_are_kept_as_hashes() -> None:
    world = World()
    user = (await world.iam("CreateUser", UserName="alice"))["User"]

    made = await world.iam(
        "CreateLoginProfile", UserName="alice", Password="Secret-123", PasswordResetRequired=True
    )

    assert made["LoginProfile"]["PasswordResetRequired"] is True
    row = await world.platform.store.read(LOGINS.get, user["UserId"])
    assert row is not None
    assert b"Secret" not in row.password
    code, _ = await refused(world.iam("UpdateLoginProfile", UserName="alice", Password="short"))
    assert code == "PasswordPolicyViolation"
    await world.iam("DeleteLoginProfile", UserName="alice")
    assert await refused(world.iam("GetLoginProfile", UserName="alice")) == (
        "NoSuchEntity",
        "Login Profile for User alice cannot be found.",
    )


async def test_members_have_what_their_group_has() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="senders", Path="/x/")
    await world.iam("PutGroupPolicy", GroupName="senders", PolicyName="p", PolicyDocument=SEND)
    alice = await principal(world, "alice")
    assert "because no identity" in await decided(world, alice, "sqs:SendMessage", QUEUE)

    await world.iam("AddUserToGroup", GroupName="senders", UserName="alice")

    assert await decided(world, alice, "sqs:SendMessage", QUEUE) == "allowed"
    joined = (await world.iam("ListGroupsForUser", UserName="alice"))["Groups"]
    assert [g["Arn"] for g in joined] == [f"arn:aws:iam::{ACCOUNT}:group/x/senders"]
    assert (await refused(world.iam("DeleteGroup", GroupName="senders")))[0] == "DeleteConflict"
    await world.iam("RemoveUserFromGroup", GroupName="senders", UserName="alice")
    assert "because no identity" in await decided(world, alice, "sqs:SendMessage", QUEUE)
    assert await refused(world.iam("DeleteGroup", GroupName="senders")) == (
        "DeleteConflict",
        "Cannot delete entity, must delete policies first.",
    )
    await world.iam("DeleteGroupPolicy", GroupName="senders", PolicyName="p")
    await world.iam("DeleteGroup", GroupName="senders")
    assert (await world.iam("ListGroups"))["Groups"] == []


async def test_a_group_that_is_renamed_keeps_its_members() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="old")
    await world.iam("AddUserToGroup", GroupName="old", UserName="alice")

    await world.iam("UpdateGroup", GroupName="old", NewGroupName="new")

    assert [u["UserName"] for u in (await world.iam("GetGroup", GroupName="new"))["Users"]] == [
        "alice"
    ]
    assert await refused(world.iam("GetGroup", GroupName="old")) == (
        "NoSuchEntity",
        "The group with name old cannot be found.",
    )


async def test_inline_policies_come_back_percent_encoded() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    text = json.dumps(json.loads(SEND), indent=2)
    await world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument=text)

    found = await world.iam("GetUserPolicy", UserName="alice", PolicyName="p")

    assert unquote(found["PolicyDocument"]) == text
    assert found["PolicyDocument"].startswith("%7B%0A%20%20%22Version%22%3A")
    assert (await world.iam("ListUserPolicies", UserName="alice"))["PolicyNames"] == ["p"]
    assert await refused(world.iam("GetUserPolicy", UserName="alice", PolicyName="q")) == (
        "NoSuchEntity",
        "The user policy with name q cannot be found.",
    )
    code, _ = await refused(
        world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument="{}")
    )
    assert code == "MalformedPolicyDocument"
    assert (await world.iam("GetUserPolicy", UserName="alice", PolicyName="p")) == found


async def test_inline_policies_of_one_user_have_a_size_together() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    big = document(allow("sqs:SendMessage", [f"{QUEUE}{number:04}" for number in range(25)]))
    await world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument=big)
    await world.iam("PutUserPolicy", UserName="alice", PolicyName="p", PolicyDocument=big)

    assert await refused(
        world.iam("PutUserPolicy", UserName="alice", PolicyName="q", PolicyDocument=big)
    ) == ("LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user alice")


async def test_tags_are_told_apart_without_regard_to_case() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice", Tags=[{"Key": "Team", "Value": "blue"}])

    await world.iam("TagUser", UserName="alice", Tags=[{"Key": "team", "Value": "red"}])

    tags = (await world.iam("ListUserTags", UserName="alice"))["Tags"]
    assert tags == [{"Key": "team", "Value": "red"}]
    await world.iam("UntagUser", UserName="alice", TagKeys=["TEAM"])
    assert (await world.iam("ListUserTags", UserName="alice"))["Tags"] == []
    double = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    code, text = await refused(world.iam("TagUser", UserName="alice", Tags=double))
    assert (code, text) == (
        "InvalidInput",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )


async def test_iam_itself_is_guarded_by_the_true_arn() -> None:
    world = World()
    await world.iam("CreateUser", UserName="admin")
    await world.iam("CreateUser", UserName="alice", Path="/dev/")
    await world.iam("CreateUser", UserName="bob", Path="/ops/")
    only_dev = document(allow("iam:*", f"arn:aws:iam::{ACCOUNT}:user/dev/*"))
    await world.iam("PutUserPolicy", UserName="admin", PolicyName="p", PolicyDocument=only_dev)
    admin = await principal(world, "admin")

    await world.iam("DeleteUser", by=admin, UserName="alice")
    code, text = await refused(world.iam("DeleteUser", by=admin, UserName="bob"))

    assert code == "AccessDenied"
    assert text == (
        f"User: arn:aws:iam::{ACCOUNT}:user/admin is not authorized to perform: iam:DeleteUser "
        f"on resource: arn:aws:iam::{ACCOUNT}:user/ops/bob because no identity-based policy "
        "allows the iam:DeleteUser action"
    )
    await world.iam("CreateUser", by=admin, UserName="carol", Path="/dev/")
    assert (await refused(world.iam("CreateUser", by=admin, UserName="dave")))[0] == "AccessDenied"


async def test_conditions_on_iam_s_own_operations_are_seen() -> None:
    world = World()
    await world.iam("CreateUser", UserName="admin")
    only_sqs = {"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonSQS*"}}
    text = document(allow("iam:AttachUserPolicy", Condition=only_sqs))
    await world.iam("PutUserPolicy", UserName="admin", PolicyName="p", PolicyDocument=text)
    admin = await principal(world, "admin")

    sqs = "arn:aws:iam::aws:policy/AmazonSQSFullAccess"
    await world.iam("AttachUserPolicy", by=admin, UserName="admin", PolicyArn=sqs)

    denied = world.iam("AttachUserPolicy", by=admin, UserName="admin", PolicyArn=ADMIN)
    assert (await refused(denied))[0] == "AccessDenied"
