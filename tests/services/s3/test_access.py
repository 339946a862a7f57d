"""Who may do what: bucket policies, other accounts, the public, and what keeps it out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.access.errors import AccessError
from skyfold.kernel.principal import ANONYMOUS, Principal, root_of
from skyfold.services.s3 import errors
from tests.services.s3.conftest import BUCKET
from tests.support.world import World

ARN = f"arn:aws:s3:::{BUCKET}"
OTHER = root_of("999999999999")
OPEN = {"BlockPublicPolicy": False, "RestrictPublicBuckets": False}


def statement(
    *actions: str, principal: Any = "*", resource: str = f"{ARN}/*", **more: Any
) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": list(actions),
        "Resource": resource,
        **more,
    }


async def put_policy(world: World, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    await world.s3("PutBucketPolicy", Bucket=BUCKET, Policy=policy)


async def block(world: World, **flags: bool) -> None:
    await world.s3("PutPublicAccessBlock", Bucket=BUCKET, PublicAccessBlockConfiguration=flags)


async def refused(world: World, operation: str, by: Principal, **request: Any) -> str:
    with pytest.raises(AwsError) as error:
        await world.s3(operation, by=by, Bucket=BUCKET, **request)
    refusal = error.value
    said = refusal.spoken_by_s3() if isinstance(refusal, AccessError) else refusal
    assert said.status == 403
    return said.code


async def test_another_account_sees_nothing_without_a_policy(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    assert await refused(world, "GetObject", OTHER, Key="k") == "AccessDenied"
    assert await refused(world, "PutObject", OTHER, Key="k", Body=b"y") == "AccessDenied"
    assert await refused(world, "ListObjectsV2", OTHER) == "AccessDenied"
    assert await refused(world, "DeleteBucket", OTHER) == "AccessDenied"
    assert await refused(world, "GetObject", ANONYMOUS, Key="k") == "AccessDenied"


async def test_a_policy_lets_another_account_in_where_it_says(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="in/k", Body=b"x")
    principal = {"AWS": "arn:aws:iam::999999999999:root"}
    await put_policy(world, statement("s3:GetObject", principal=principal, resource=f"{ARN}/in/*"))

    got = await world.s3("GetObject", by=OTHER, Bucket=BUCKET, Key="in/k")

    assert got["Body"] == b"x"
    assert await refused(world, "GetObject", OTHER, Key="out/k") == "AccessDenied"
    assert await refused(world, "DeleteObject", OTHER, Key="in/k") == "AccessDenied"


async def test_who_may_not_list_does_not_learn_that_a_key_is_missing(world: World) -> None:
    principal = {"AWS": "arn:aws:iam::999999999999:root"}
    read = statement("s3:GetObject", principal=principal)
    await put_policy(world, read)
    assert await refused(world, "GetObject", OTHER, Key="none") == "AccessDenied"

    await put_policy(world, read, statement("s3:ListBucket", principal=principal, resource=ARN))

    with pytest.raises(errors.NoSuchKey):
        await world.s3("GetObject", by=OTHER, Bucket=BUCKET, Key="none")


async def test_the_public_is_let_in_by_a_policy_alone(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await block(world, **OPEN)

    await put_policy(world, statement("s3:GetObject"))
    got = await world.s3("GetObject", by=ANONYMOUS, Bucket=BUCKET, Key="k")

    assert got["Body"] == b"x"
    assert await refused(world, "PutObject", ANONYMOUS, Key="k", Body=b"y") == "AccessDenied"


async def test_a_new_bucket_refuses_a_public_policy(world: World) -> None:
    with pytest.raises(errors.AccessDenied, match="BlockPublicPolicy"):
        await put_policy(world, statement("s3:GetObject"))
    with pytest.raises(errors.NoSuchBucketPolicy):
        await world.s3("GetBucketPolicy", Bucket=BUCKET)


async def test_restricting_shuts_a_public_bucket_to_strangers_at_once(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    await block(world, **OPEN)
    await put_policy(world, statement("s3:GetObject"))

    await block(world, RestrictPublicBuckets=True)

    assert await refused(world, "GetObject", ANONYMOUS, Key="k") == "AccessDenied"
    assert await refused(world, "GetObject", OTHER, Key="k") == "AccessDenied"
    assert (await world.s3("GetObject", Bucket=BUCKET, Key="k"))["Body"] == b"x"


@pytest.mark.parametrize(
    ("one", "public"),
    [
        (statement("s3:GetObject"), True),
        (statement("s3:GetObject", principal={"AWS": "*"}), True),
        (statement("s3:GetObject", Effect="Deny"), False),
        (statement("s3:GetObject", principal={"AWS": "999999999999"}), False),
        (
            statement(
                "s3:GetObject", Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}
            ),
            False,
        ),
        (statement("s3:GetObject", Condition={"StringLike": {"aws:SourceArn": "*"}}), True),
        (statement("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), True),
        (statement("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), False),
        (statement("s3:GetObject", Condition={"Bool": {"aws:SecureTransport": "true"}}), True),
    ],
)
async def test_what_makes_a_policy_public(world: World, one: dict[str, Any], public: bool) -> None:
    await block(world, **OPEN)

    await put_policy(world, one)

    status = await world.s3("GetBucketPolicyStatus", Bucket=BUCKET)
    assert status == {"PolicyStatus": {"IsPublic": public}}


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        ("nonsense", "Policies must be valid JSON and the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
        (json.dumps({"Statement": [statement("sqs:SendMessage")]}), "Policy has invalid action"),
        (
            json.dumps({"Statement": [statement("s3:GetObject", resource="arn:aws:s3:::b/*")]}),
            "Policy has invalid resource",
        ),
    ],
)
async def test_a_policy_must_be_one_for_this_bucket(world: World, policy: str, text: str) -> None:
    with pytest.raises(errors.MalformedPolicy) as error:
        await world.s3("PutBucketPolicy", Bucket=BUCKET, Policy=policy)

    assert error.value.text == text


async def test_a_policy_comes_back_as_it_was_and_can_be_taken_away(world: World) -> None:
    text = json.dumps({"Statement": [statement("s3:*", principal={"AWS": "999999999999"})]})
    await world.s3("PutBucketPolicy", Bucket=BUCKET, Policy=text)

    assert await world.s3("GetBucketPolicy", Bucket=BUCKET) == {"Policy": text}
    await world.s3("DeleteBucketPolicy", Bucket=BUCKET)
    assert await refused(world, "ListObjectsV2", OTHER) == "AccessDenied"


async def test_conditions_see_prefix_version_and_tags(world: World) -> None:
    principal = {"AWS": "arn:aws:iam::999999999999:root"}
    await world.s3("PutObject", Bucket=BUCKET, Key="red", Body=b"r", Tagging="colour=red")
    await world.s3("PutObject", Bucket=BUCKET, Key="blue", Body=b"b", Tagging="colour=blue")
    await put_policy(
        world,
        statement(
            "s3:ListBucket",
            principal=principal,
            resource=ARN,
            Condition={"StringEquals": {"s3:prefix": "pub/"}},
        ),
        statement(
            "s3:GetObject",
            principal=principal,
            Condition={"StringEquals": {"s3:ExistingObjectTag/colour": "red"}},
        ),
        statement("s3:PutObject", "s3:PutObjectTagging", principal=principal)
        | {"Condition": {"StringEquals": {"s3:RequestObjectTag/colour": "green"}}},
    )

    await world.s3("ListObjectsV2", by=OTHER, Bucket=BUCKET, Prefix="pub/")
    assert await refused(world, "ListObjectsV2", OTHER) == "AccessDenied"
    await world.s3("GetObject", by=OTHER, Bucket=BUCKET, Key="red")
    assert await refused(world, "GetObject", OTHER, Key="blue") == "AccessDenied"
    await world.s3("PutObject", by=OTHER, Bucket=BUCKET, Key="g", Tagging="colour=green")
    assert await refused(world, "PutObject", OTHER, Key="g", Tagging="colour=red")


async def test_many_are_deleted_one_by_one(world: World) -> None:
    for key in ("mine/a", "yours/b"):
        await world.s3("PutObject", Bucket=BUCKET, Key=key, Body=b"x")
    principal = {"AWS": "arn:aws:iam::999999999999:root"}
    await put_policy(
        world, statement("s3:DeleteObject", principal=principal, resource=f"{ARN}/yours/*")
    )

    outcome = await world.s3(
        "DeleteObjects",
        by=OTHER,
        Bucket=BUCKET,
        Delete={"Objects": [{"Key": "mine/a"}, {"Key": "yours/b"}]},
    )

    assert outcome["Deleted"] == [{"Key": "yours/b"}]
    assert [(one["Key"], one["Code"]) for one in outcome["Errors"]] == [("mine/a", "AccessDenied")]
    await world.s3("GetObject", Bucket=BUCKET, Key="mine/a")


async def test_a_copy_needs_rights_on_both_sides(world: World) -> None:
    await world.s3("CreateBucket", by=OTHER, Bucket="theirs")
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")
    copy = {"Bucket": "theirs", "Key": "k", "CopySource": f"{BUCKET}/k"}

    with pytest.raises(AwsError) as error:
        await world.s3("CopyObject", by=OTHER, **copy)
    assert error.value.code == "AccessDenied"

    principal = {"AWS": "arn:aws:iam::999999999999:root"}
    await put_policy(world, statement("s3:GetObject", principal=principal))
    await world.s3("CopyObject", by=OTHER, **copy)


# --- the public access block, ownership, ACLs ---------------------------------------------------


async def test_everything_public_is_blocked_until_it_is_not(world: World) -> None:
    found = await world.s3("GetPublicAccessBlock", Bucket=BUCKET)
    assert set(found["PublicAccessBlockConfiguration"].values()) == {True}

    await world.s3("DeletePublicAccessBlock", Bucket=BUCKET)

    with pytest.raises(errors.NoSuchPublicAccessBlockConfiguration):
        await world.s3("GetPublicAccessBlock", Bucket=BUCKET)
    await put_policy(world, statement("s3:GetObject"))


async def test_acls_say_that_the_owner_has_full_control(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    of_bucket = await world.s3("GetBucketAcl", Bucket=BUCKET)
    of_object = await world.s3("GetObjectAcl", Bucket=BUCKET, Key="k")

    owner = of_bucket["Owner"]
    grantee = {"Type": "CanonicalUser", **owner}
    assert of_bucket == of_object
    assert of_bucket["Grants"] == [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]


async def test_enforced_ownership_takes_no_other_acl(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    for acl in ("private", "bucket-owner-full-control"):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x", ACL=acl)
    with pytest.raises(errors.AccessControlListNotSupported):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"y", ACL="public-read")
    with pytest.raises(errors.AccessControlListNotSupported):
        await world.s3("PutObjectAcl", Bucket=BUCKET, Key="k", ACL="public-read")
    with pytest.raises(errors.AccessControlListNotSupported):
        await world.s3("PutBucketAcl", Bucket=BUCKET, GrantRead="id=x")
    with pytest.raises(errors.InvalidBucketAclWithObjectOwnership):
        await world.s3("CreateBucket", Bucket="public", ACL="public-read")


async def test_ownership_controls(world: World) -> None:
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    start = await world.s3("GetBucketOwnershipControls", Bucket=BUCKET)

    await world.s3("PutBucketOwnershipControls", Bucket=BUCKET, OwnershipControls=rules)
    changed = await world.s3("GetBucketOwnershipControls", Bucket=BUCKET)
    await world.s3("DeleteBucketOwnershipControls", Bucket=BUCKET)

    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert (start, changed) == ({"OwnershipControls": enforced}, {"OwnershipControls": rules})
    with pytest.raises(errors.OwnershipControlsNotFoundError):
        await world.s3("GetBucketOwnershipControls", Bucket=BUCKET)


@pytest.mark.parametrize(
    "rules", [[], [{"ObjectOwnership": "Mine"}], [{"ObjectOwnership": "ObjectWriter"}] * 2]
)
async def test_ownership_has_one_rule_of_three(world: World, rules: list[Any]) -> None:
    with pytest.raises(errors.MalformedXML):
        await world.s3(
            "PutBucketOwnershipControls", Bucket=BUCKET, OwnershipControls={"Rules": rules}
        )
