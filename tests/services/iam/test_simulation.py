"""The policy simulator."""

from __future__ import annotations

import json

import pytest

from skyfold.services.iam.engine.documents import statement_spans
from tests.kernel.access.entities import allow, deny, document
from tests.services.iam.test_users_and_groups import TRUST_EC2, refused
from tests.support.world import ACCOUNT, World

PUT = document(allow("s3:PutObject"))


@pytest.mark.parametrize("kind", ["user", "role", "group"])
async def test_a_principal_s_policies_are_simulated(kind: str) -> None:
    world = World()
    arn = f"arn:aws:iam::{ACCOUNT}:{kind}/x"
    if kind == "role":
        await world.iam("CreateRole", RoleName="x", AssumeRolePolicyDocument=TRUST_EC2)
    else:
        await world.iam(f"Create{kind.capitalize()}", **{f"{kind.capitalize()}Name": "x"})
    made = await world.iam("CreatePolicy", PolicyName="put", PolicyDocument=PUT)
    await world.iam(
        f"Attach{kind.capitalize()}Policy",
        **{f"{kind.capitalize()}Name": "x", "PolicyArn": made["Policy"]["Arn"]},
    )

    found = await world.iam(
        "SimulatePrincipalPolicy",
        PolicySourceArn=arn,
        ActionNames=["s3:PutObject", "s3:GetObjectVersion"],
        ResourceArns=["arn:aws:s3:::bucket"],
    )

    put, got = found["EvaluationResults"]
    start = PUT.index('{"Effect"') + 1
    matched = {
        "SourcePolicyId": "put",
        "SourcePolicyType": "IAM Policy",
        "StartPosition": {"Line": 1, "Column": start},
        "EndPosition": {"Line": 1, "Column": PUT.index("}") + 2},
    }
    assert put == {
        "EvalActionName": "s3:PutObject",
        "EvalResourceName": "arn:aws:s3:::bucket",
        "EvalDecision": "allowed",
        "EvalDecisionDetails": {},
        "MatchedStatements": [matched],
        "MissingContextValues": [],
        "OrganizationsDecisionDetail": {"AllowedByOrganizations": True},
        "ResourceSpecificResults": [
            {
                "EvalResourceName": "arn:aws:s3:::bucket",
                "EvalResourceDecision": "allowed",
                "MatchedStatements": [matched],
                "MissingContextValues": [],
            }
        ],
    }
    assert (got["EvalDecision"], got["MatchedStatements"]) == ("implicitDeny", [])
    assert found["IsTruncated"] is False


async def test_a_group_s_policies_count_for_its_members() -> None:
    world = World()
    await world.iam("CreateUser", UserName="alice")
    await world.iam("CreateGroup", GroupName="g")
    await world.iam("AddUserToGroup", GroupName="g", UserName="alice")
    await world.iam("PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=PUT)

    found = await world.iam(
        "SimulatePrincipalPolicy",
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/alice",
        ActionNames=["s3:PutObject"],
    )

    result = found["EvaluationResults"][0]
    assert result["EvalDecision"] == "allowed"
    assert result["MatchedStatements"][0]["SourcePolicyId"] == "group_g_p"
    assert "ResourceSpecificResults" not in result


async def test_conditions_that_nobody_answers_are_named() -> None:
    world = World()
    needs_mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    text = document(allow("s3:*", Condition=needs_mfa), deny("sqs:*"))
    request = {"PolicyInputList": [text], "ActionNames": ["s3:PutObject"]}
    entry = {
        "ContextKeyName": "aws:MultiFactorAuthPresent",
        "ContextKeyValues": ["true"],
        "ContextKeyType": "boolean",
    }

    without = (await world.iam("SimulateCustomPolicy", **request))["EvaluationResults"][0]
    answered = (await world.iam("SimulateCustomPolicy", **request, ContextEntries=[entry]))[
        "EvaluationResults"
    ][0]

    assert without["EvalDecision"] == "implicitDeny"
    assert without["MissingContextValues"] == ["aws:MultiFactorAuthPresent"]
    assert answered["EvalDecision"] == "allowed"
    assert answered["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"
    denied = await world.iam(
        "SimulateCustomPolicy", PolicyInputList=[text], ActionNames=["sqs:SendMessage"]
    )
    assert denied["EvaluationResults"][0]["EvalDecision"] == "explicitDeny"


async def test_boundaries_and_resource_policies_take_part() -> None:
    world = World()
    resource = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{**deny("s3:PutObject", "arn:aws:s3:::b/*"), "Principal": "*"}],
        }
    )
    request = {
        "PolicyInputList": [document(allow("s3:*"))],
        "ActionNames": ["s3:PutObject"],
        "ResourceArns": ["arn:aws:s3:::b/k"],
    }

    limited = await world.iam(
        "SimulateCustomPolicy",
        **request,
        PermissionsBoundaryPolicyInputList=[document(allow("sqs:*"))],
    )
    denied = await world.iam("SimulateCustomPolicy", **request, ResourcePolicy=resource)

    result = limited["EvaluationResults"][0]
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert denied["EvaluationResults"][0]["EvalDecision"] == "explicitDeny"


async def test_results_come_in_pages() -> None:
    world = World()
    actions = [f"s3:Action{number}" for number in range(5)]
    request = {"PolicyInputList": [PUT], "ActionNames": actions}

    first = await world.iam("SimulateCustomPolicy", **request, MaxItems=3)
    second = await world.iam("SimulateCustomPolicy", **request, Marker=first["Marker"])

    shown = [r["EvalActionName"] for r in first["EvaluationResults"] + second["EvaluationResults"]]
    assert shown == actions
    assert second["IsTruncated"] is False


async def test_context_keys_are_named_as_the_policies_name_them() -> None:
    world = World()
    text = document(
        allow(
            "s3:*",
            "arn:aws:s3:::b/${aws:userName}/*",
            Condition={"StringLike": {"s3:Prefix": "${aws:PrincipalTag/team, 'x'}/*"}},
        )
    )

    found = await world.iam("GetContextKeysForCustomPolicy", PolicyInputList=[text])

    assert found["ContextKeyNames"] == ["aws:PrincipalTag/team", "aws:userName", "s3:Prefix"]


async def test_what_the_simulator_cannot_do_it_refuses() -> None:
    simulating = World().iam(
        "SimulateCustomPolicy",
        PolicyInputList=[PUT],
        ActionNames=["s3:PutObject"],
        ResourceHandlingOption="EC2-VPC-InstanceStore",
    )

    assert (await refused(simulating))[0] == "InvalidInput"


def test_statements_are_found_where_they_stand() -> None:
    text = '{ "Id": "a\\"b{",\n "Statement": [\n  {"a": [1, {}]} ,\n  {"b": "}"}\n ] }'

    spans = statement_spans(text)

    lines = text.split("\n")
    shown = [lines[s.start.line - 1][s.start.column - 1 : s.end.column - 1] for s in spans]
    assert shown == ['{"a": [1, {}]}', '{"b": "}"}']
    assert len(statement_spans('{"Statement": {"a": 1}, "Version": "x"}')) == 1
