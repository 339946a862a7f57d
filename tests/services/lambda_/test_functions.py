"""Functions: made, changed, described, deleted; what nothing obeys is refused."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.services.lambda_.shop import ROLE, make, world_with_role, zipped
from tests.support.world import ACCOUNT

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"


async def refused(attempt: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        await attempt
    return caught.value


async def test_a_new_function_is_active_with_awss_defaults() -> None:
    world = await world_with_role()
    made = await make(world)

    assert (made["FunctionArn"], made["State"], made["Version"]) == (ARN, "Active", "$LATEST")
    assert (made["Timeout"], made["MemorySize"]) == (3, 128)
    assert made["EphemeralStorage"] == {"Size": 512}
    assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    found = await world.lambda_("GetFunction", FunctionName=ARN)
    assert found["Configuration"] == made


async def test_a_name_is_taken_once() -> None:
    world = await world_with_role()
    await make(world)
    error = await refused(make(world))
    assert (error.code, error.text) == (
        "ResourceConflictException",
        "Function already exist: f",
    )


async def test_a_missing_function_is_named_by_its_arn() -> None:
    world = await world_with_role()
    error = await refused(world.lambda_("GetFunction", FunctionName="f"))
    assert (error.code, error.text) == ("ResourceNotFoundException", f"Function not found: {ARN}")


async def test_a_role_that_lambda_cannot_assume_is_refused() -> None:
    world = await world_with_role()
    error = await refused(make(world, Role=ROLE + "-not"))
    assert error.text == "The role defined for the function cannot be assumed by Lambda."


async def test_what_is_no_zip_file_is_refused_and_nothing_is_kept() -> None:
    world = await world_with_role()
    error = await refused(make(world, Code={"ZipFile": b"nonsense"}))
    assert error.code == "InvalidParameterValueException"
    assert (await world.lambda_("ListFunctions"))["Functions"] == []


async def test_an_archive_that_reaches_outside_is_refused() -> None:
    world = await world_with_role()
    bad = zipped(**{"../../etc/passwd": "x"})
    assert "outside" in (await refused(make(world, Code={"ZipFile": bad}))).text


async def test_a_missing_runtime_is_refused_saying_what_to_do() -> None:
    world = await world_with_role()
    world.functions.missing = {"python3.11"}
    assert "install" in (await refused(make(world))).text


@pytest.mark.parametrize(
    "more",
    [
        {"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]},
        {"VpcConfig": {"SubnetIds": ["subnet-1"]}},
        {"KMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1"},
        {"SnapStart": {"ApplyOn": "PublishedVersions"}},
        {"Publish": True},
        {"PackageType": "Image"},
    ],
)
async def test_a_setting_that_nothing_would_obey_is_refused(more: dict[str, Any]) -> None:
    world = await world_with_role()
    error = await refused(make(world, **more))
    assert (error.code, error.status) == ("InvalidParameterValueException", 400)


async def test_reserved_variables_cannot_be_set() -> None:
    world = await world_with_role()
    error = await refused(make(world, Environment={"Variables": {"AWS_REGION": "x"}}))
    assert "AWS_REGION" in error.text


async def test_a_change_makes_a_new_revision_and_retires_the_old_sandboxes() -> None:
    world = await world_with_role()
    first = await make(world)
    await world.lambda_("Invoke", FunctionName="f", Payload=b"{}")

    changed = await world.lambda_("UpdateFunctionConfiguration", FunctionName="f", Timeout=30)
    await world.lambda_("UpdateFunctionCode", FunctionName="f", ZipFile=zipped(a="b"))

    assert changed["Timeout"] == 30
    assert changed["RevisionId"] != first["RevisionId"]
    assert [key.rpartition(":")[2] for key in world.functions.dropped] == [
        first["RevisionId"],
        changed["RevisionId"],
    ]


async def test_a_stale_revision_id_changes_nothing() -> None:
    world = await world_with_role()
    await make(world)
    error = await refused(
        world.lambda_(
            "UpdateFunctionConfiguration", FunctionName="f", Timeout=30, RevisionId="stale"
        )
    )
    assert error.code == "PreconditionFailedException"
    found = await world.lambda_("GetFunctionConfiguration", FunctionName="f")
    assert found["Timeout"] == 3


async def test_a_deleted_function_is_gone_with_its_policy_and_tags() -> None:
    world = await world_with_role()
    await make(world, Tags={"a": "b"})
    permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"}
    await world.lambda_("AddPermission", FunctionName="f", **permission)

    await world.lambda_("DeleteFunction", FunctionName="f")
    await make(world)

    error = await refused(world.lambda_("GetPolicy", FunctionName="f"))
    assert error.code == "ResourceNotFoundException"
    assert (await world.lambda_("ListTags", Resource=ARN))["Tags"] == {}


async def test_functions_are_listed_in_pages() -> None:
    world = await world_with_role()
    for name in "cab":
        await make(world, name)

    first = await world.lambda_("ListFunctions", MaxItems=2)
    rest = await world.lambda_("ListFunctions", MaxItems=2, Marker=first["NextMarker"])

    names = [f["FunctionName"] for f in first["Functions"] + rest["Functions"]]
    assert names == ["a", "b", "c"]
    assert "NextMarker" not in rest


async def test_reserved_concurrency_leaves_a_hundred_to_the_others() -> None:
    world = await world_with_role()
    await make(world)
    too_many = {"FunctionName": "f", "ReservedConcurrentExecutions": 950}
    assert (
        "minimum value of [100]"
        in (await refused(world.lambda_("PutFunctionConcurrency", **too_many))).text
    )
    await world.lambda_("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    error = await refused(world.lambda_("Invoke", FunctionName="f"))
    assert (error.code, error.status) == ("TooManyRequestsException", 429)
