"""Temporary credentials: who gets them, what they may do, and when they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.access.credentials import Credential, find, principal_of_user
from skyfold.kernel.access.tables import SESSIONS, USERS
from skyfold.kernel.principal import ANONYMOUS, Principal
from skyfold.store.api import ReadTx
from tests.kernel.access.entities import allow, decided, deny, document
from tests.support.world import ACCOUNT, World

OTHER = "999999999999"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
SEND = "sqs:SendMessage"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
ACCOUNT_ITSELF = {"AWS": ACCOUNT}


def trust(principal: Any, *actions: str, **more: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": list(actions or ("sts:AssumeRole",)),
        **more,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def refused(serving: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        await serving
    return caught.value.code, caught.value.text


async def user(world: World, name: str, *policies: str) -> Principal:
    await world.iam("CreateUser", UserName=name)
    for number, text in enumerate(policies):
        await world.iam(
            "PutUserPolicy", UserName=name, PolicyName=f"p{number}", PolicyDocument=text
        )
    row = await world.platform.store.read(USERS.get, ACCOUNT, name)
    assert row is not None
    return principal_of_user(row)


async def role(world: World, trusting: str, *policies: str, **more: Any) -> None:
    await world.iam("CreateRole", RoleName="worker", AssumeRolePolicyDocument=trusting, **more)
    for number, text in enumerate(policies):
        await world.iam(
            "PutRolePolicy", RoleName="worker", PolicyName=f"p{number}", PolicyDocument=text
        )


async def holder(world: World, reply: dict[str, Any]) -> Principal:
    """Whom the credentials of a reply stand for."""

    async def look(tx: ReadTx) -> Credential | None:
        key = reply["Credentials"]["AccessKeyId"]
        return await find(tx, key, account=ACCOUNT, seeded=False)

    found = await world.platform.store.read(look)
    assert found is not None
    assert found.token == reply["Credentials"]["SessionToken"]
    return found.principal


async def test_everybody_may_ask_who_they_are() -> None:
    world = World()
    alice = await user(world, "alice", document(deny("*")))

    assert await world.sts("GetCallerIdentity") == {
        "UserId": ACCOUNT,
        "Account": ACCOUNT,
        "Arn": f"arn:aws:iam::{ACCOUNT}:root",
    }
    assert await world.sts("GetCallerIdentity", by=alice) == {
        "UserId": alice.id,
        "Account": ACCOUNT,
        "Arn": alice.arn,
    }
    assert (await refused(world.sts("GetCallerIdentity", by=ANONYMOUS)))[0] == (
        "MissingAuthenticationToken"
    )


async def test_a_role_is_assumed_by_whom_it_trusts() -> None:
    world = World()
    alice = await user(world, "alice")
    await role(world, trust({"AWS": alice.arn}), document(allow(SEND)))

    assumed = await world.sts("AssumeRole", by=alice, RoleArn=ROLE, RoleSessionName="me")

    keys = assumed["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA")
    assert keys["Expiration"] == world.clock.now() + 3_600_000
    session = await holder(world, assumed)
    assert assumed["AssumedRoleUser"] == {
        "AssumedRoleId": session.id,
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/me",
    }
    assert "PackedPolicySize" not in assumed
    assert await decided(world, session, SEND, QUEUE) == "allowed"
    assert "no identity-based" in await decided(world, session, "sqs:DeleteQueue", QUEUE)
    me = await world.sts("GetCallerIdentity", by=session)
    assert me["Arn"] == assumed["AssumedRoleUser"]["Arn"]


@pytest.mark.parametrize(
    ("identity", "principal", "wanted"),
    [
        ([], {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}, True),
        # Trusting the account leaves it to the account's own policies.
        ([], ACCOUNT_ITSELF, False),
        ([document(allow("sts:AssumeRole", ROLE))], ACCOUNT_ITSELF, True),
        ([document(allow("sts:AssumeRole", ROLE))], {"AWS": OTHER}, False),
        ([document(allow("*"))], {"Service": "lambda.amazonaws.com"}, False),
        ([document(deny("sts:*"))], {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}, False),
        ([], {"AWS": "*"}, True),
    ],
)
async def test_both_sides_decide_who_may_assume_a_role(
    identity: list[str], principal: Any, wanted: bool
) -> None:
    world = World()
    alice = await user(world, "alice", *identity)
    await role(world, trust(principal))

    assuming = world.sts("AssumeRole", by=alice, RoleArn=ROLE, RoleSessionName="me")

    if wanted:
        assert (await assuming)["Credentials"]
    else:
        code, text = await refused(assuming)
        assert code == "AccessDenied"
        assert text.startswith(
            f"User: {alice.arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
        )
        assert "because no" not in text


async def test_a_role_that_is_not_there_is_refused_like_one_that_does_not_trust() -> None:
    world = World()
    alice = await user(world, "alice", document(allow("*")))

    assuming = world.sts("AssumeRole", by=alice, RoleArn=ROLE, RoleSessionName="me")

    assert await refused(assuming) == (
        "AccessDenied",
        f"User: {alice.arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE}",
    )


async def test_another_account_s_user_needs_to_be_allowed_on_both_sides() -> None:
    world = World()
    outsider = Principal(kind="root", account=OTHER, arn=f"arn:aws:iam::{OTHER}:root", id=OTHER)
    await role(world, trust({"AWS": OTHER}))

    assumed = await world.sts("AssumeRole", by=outsider, RoleArn=ROLE, RoleSessionName="me")

    assert (await holder(world, assumed)).account == ACCOUNT


@pytest.mark.parametrize(
    "arn",
    [
        "nothing-valid-in-here",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ],
)
async def test_what_is_no_arn_is_invalid(arn: str) -> None:
    assuming = World().sts("AssumeRole", RoleArn=arn, RoleSessionName="me")

    assert await refused(assuming) == ("ValidationError", f"{arn} is invalid")


async def test_the_external_id_is_a_condition() -> None:
    world = World()
    wanted = {"StringEquals": {"sts:ExternalId": "42"}}
    await role(world, trust(ACCOUNT_ITSELF, Condition=wanted))
    request = {"RoleArn": ROLE, "RoleSessionName": "me"}

    assert (await refused(world.sts("AssumeRole", **request)))[0] == "AccessDenied"
    assert (await refused(world.sts("AssumeRole", **request, ExternalId="41")))[0] == (
        "AccessDenied"
    )
    assert await world.sts("AssumeRole", **request, ExternalId="42")


async def test_a_session_policy_limits_the_session() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF), document(allow("*")))

    assumed = await world.sts(
        "AssumeRole", RoleArn=ROLE, RoleSessionName="me", Policy=document(allow("s3:*"))
    )
    by_arn = await world.sts(
        "AssumeRole",
        RoleArn=ROLE,
        RoleSessionName="me",
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonSQSFullAccess"}],
    )

    assert 0 < assumed["PackedPolicySize"] < 10
    limited, other = await holder(world, assumed), await holder(world, by_arn)
    assert "no session policy" in await decided(world, limited, SEND, QUEUE)
    assert await decided(world, other, SEND, QUEUE) == "allowed"


async def test_a_session_policy_has_to_be_one() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF))
    request = {"RoleArn": ROLE, "RoleSessionName": "me"}
    big = document(allow("s3:GetObject", [f"arn:aws:s3:::bucket-{n:08}/*" for n in range(80)]))

    assert (await refused(world.sts("AssumeRole", **request, Policy="{}")))[0] == (
        "MalformedPolicyDocument"
    )
    assert (await refused(world.sts("AssumeRole", **request, Policy=big)))[0] == (
        "PackedPolicyTooLarge"
    )


async def test_a_session_lasts_no_longer_than_its_role_allows() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF), MaxSessionDuration=7200)
    request = {"RoleArn": ROLE, "RoleSessionName": "me"}

    assert await world.sts("AssumeRole", **request, DurationSeconds=7200)
    assert await refused(world.sts("AssumeRole", **request, DurationSeconds=7201)) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )


async def test_session_tags_are_principal_tags() -> None:
    world = World()
    own = document(allow(SEND, "arn:aws:sqs:*:*:${aws:PrincipalTag/Queue}"))
    await role(
        world,
        trust(ACCOUNT_ITSELF, "sts:AssumeRole", "sts:TagSession"),
        own,
        Tags=[{"Key": "Queue", "Value": "other"}],
    )
    request = {"RoleArn": ROLE, "RoleSessionName": "me"}

    plain = await holder(world, await world.sts("AssumeRole", **request))
    tagged = await holder(
        world, await world.sts("AssumeRole", **request, Tags=[{"Key": "Queue", "Value": "q"}])
    )

    assert "no identity-based" in await decided(world, plain, SEND, QUEUE)
    assert await decided(world, tagged, SEND, QUEUE) == "allowed"


async def test_tagging_a_session_has_to_be_allowed() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF))

    tagging = world.sts(
        "AssumeRole", RoleArn=ROLE, RoleSessionName="me", Tags=[{"Key": "a", "Value": "b"}]
    )

    code, text = await refused(tagging)
    assert code == "AccessDenied"
    assert "sts:TagSession" in text


async def test_transitive_tags_pass_on_and_cannot_be_overridden() -> None:
    world = World()
    both = ("sts:AssumeRole", "sts:TagSession")
    await role(world, trust(ACCOUNT_ITSELF, *both), document(allow("sts:*")))
    first = await holder(
        world,
        await world.sts(
            "AssumeRole",
            RoleArn=ROLE,
            RoleSessionName="me",
            Tags=[{"Key": "Team", "Value": "blue"}, {"Key": "b", "Value": "1"}],
            TransitiveTagKeys=["Team"],
        ),
    )

    again = await world.sts("AssumeRole", by=first, RoleArn=ROLE, RoleSessionName="again")

    assert (await holder(world, again)).tags == (("Team", "blue"),)
    for key in ("Team", "team"):
        overriding = world.sts(
            "AssumeRole",
            by=first,
            RoleArn=ROLE,
            RoleSessionName="again",
            Tags=[{"Key": key, "Value": "red"}],
        )
        assert await refused(overriding) == (
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session.",
        )


async def test_chained_sessions_last_an_hour_at_most() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF), document(allow("sts:*")), MaxSessionDuration=43200)
    request = {"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 7200}
    first = await holder(world, await world.sts("AssumeRole", **request))

    code, text = await refused(world.sts("AssumeRole", by=first, **request))

    assert code == "ValidationError"
    assert "1 hour session limit for roles assumed by role chaining" in text


async def test_the_sessions_of_a_deleted_role_may_nothing() -> None:
    world = World()
    await role(world, trust(ACCOUNT_ITSELF), document(allow("*")))
    session = await holder(world, await world.sts("AssumeRole", RoleArn=ROLE, RoleSessionName="me"))
    assert await decided(world, session, SEND, QUEUE) == "allowed"

    await world.iam("DeleteRolePolicy", RoleName="worker", PolicyName="p0")
    await world.iam("DeleteRole", RoleName="worker")
    await role(world, trust(ACCOUNT_ITSELF), document(allow("*")))

    assert "no identity-based" in await decided(world, session, SEND, QUEUE)


async def test_the_kernel_assumes_roles_for_services() -> None:
    world = World()
    await role(world, trust({"Service": "lambda.amazonaws.com"}), document(allow(SEND)))
    store, access, call = world.platform.store, world.platform.access, world.call()

    async def assume(tx: Any, service: str) -> Any:
        return await access.assume(tx, call, ROLE, "function", 3600, service_principal=service)

    issued = await store.write(assume, "lambda.amazonaws.com")

    assert await decided(world, issued.principal, SEND, QUEUE) == "allowed"
    await store.read(access.check_assumable, call, ROLE, "lambda.amazonaws.com")
    code, _ = await refused(store.write(assume, "events.amazonaws.com"))
    assert code == "AccessDenied"


async def test_a_session_token_stands_for_its_user() -> None:
    world = World()
    alice = await user(world, "alice", document(allow(SEND)))

    given = await world.sts("GetSessionToken", by=alice, DurationSeconds=900)

    session = await holder(world, given)
    assert given["Credentials"]["Expiration"] == world.clock.now() + 900_000
    assert (session.arn, session.id) == (alice.arn, alice.id)
    assert await decided(world, session, SEND, QUEUE) == "allowed"
    assert await refused(world.sts("GetSessionToken", by=session)) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )


async def test_temporary_credentials_know_of_no_second_factor() -> None:
    world = World()
    without = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    alice = await user(world, "alice", document(allow(SEND), deny(SEND, Condition=without)))

    session = await holder(world, await world.sts("GetSessionToken", by=alice))

    assert "explicit deny" in await decided(world, session, SEND, QUEUE)
    code, _ = await refused(
        world.sts("GetSessionToken", by=alice, SerialNumber="GAHT12345678", TokenCode="123456")
    )
    assert code == "AccessDenied"


async def test_a_federated_user_may_what_both_policies_allow() -> None:
    world = World()
    alice = await user(world, "alice", document(allow(SEND), allow("sts:*")))

    given = await world.sts(
        "GetFederationToken", by=alice, Name="bob", Policy=document(allow("sqs:*"))
    )
    bare = await holder(world, await world.sts("GetFederationToken", by=alice, Name="carol"))

    bob = await holder(world, given)
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    assert given["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:bob", "Arn": arn}
    assert await decided(world, bob, SEND, QUEUE) == "allowed"
    assert "no identity-based" in await decided(world, bob, "sqs:DeleteQueue", QUEUE)
    assert "no session policy" in await decided(world, bare, SEND, QUEUE)
    named = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    **allow(SEND, QUEUE),
                    "Principal": {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/carol"},
                }
            ],
        }
    )
    assert await decided(world, bare, SEND, QUEUE, named) == "allowed"


async def test_federation_has_to_be_allowed() -> None:
    world = World()
    alice = await user(world, "alice")

    code, text = await refused(world.sts("GetFederationToken", by=alice, Name="bob"))

    assert code == "AccessDenied"
    assert text.endswith(
        f"sts:GetFederationToken on resource: arn:aws:sts::{ACCOUNT}:federated-user/bob because "
        "no identity-based policy allows the sts:GetFederationToken action"
    )


async def test_a_key_tells_its_account() -> None:
    world = World()
    key = (await world.iam("CreateAccessKey"))["AccessKey"]["AccessKeyId"]

    assert await world.sts("GetAccessKeyInfo", AccessKeyId=key) == {"Account": ACCOUNT}
    assert (await refused(world.sts("GetAccessKeyInfo", AccessKeyId="AKIA" + "A" * 16)))[0] == (
        "ValidationError"
    )


async def test_expired_sessions_are_swept_by_later_ones() -> None:
    world = World()
    alice = await user(world, "alice")
    for _ in range(3):
        await world.sts("GetSessionToken", by=alice, DurationSeconds=900)
    world.clock.advance(2 * 24 * 3600)

    await world.sts("GetSessionToken", by=alice)

    async def count(tx: ReadTx) -> int:
        return len(await SESSIONS.scan(tx, limit=100))

    assert await world.platform.store.read(count) == 1
