"""Parameter Store: versions, labels, paths, secrets."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.services.ssm import limits
from skyfold.services.ssm.tables import PARAMETERS
from tests.support.world import ACCOUNT, World


async def put(world: World, name: str, value: str, **more: Any) -> Any:
    request = {"Name": name, "Value": value, "Type": "String", **more}
    return await world.ssm("PutParameter", **request)


async def value(world: World, name: str, **more: Any) -> str:
    return str((await world.ssm("GetParameter", Name=name, **more))["Parameter"]["Value"])


async def test_each_put_is_a_version_and_old_ones_can_be_named() -> None:
    world = World()
    assert (await put(world, "/a", "1"))["Version"] == 1
    assert (await put(world, "/a", "2", Overwrite=True))["Version"] == 2

    assert await value(world, "/a") == "2"
    assert await value(world, "/a:1") == "1"
    assert await value(world, f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/a") == "2"


async def test_a_name_is_overwritten_only_if_asked() -> None:
    world = World()
    await put(world, "/a", "1")
    with pytest.raises(AwsError, match="already exists") as caught:
        await put(world, "/a", "2")
    assert caught.value.code == "ParameterAlreadyExists"
    assert await value(world, "/a") == "1"


async def test_labels_name_versions_and_move() -> None:
    world = World()
    await put(world, "/a", "1")
    await put(world, "/a", "2", Overwrite=True)
    label = {"Name": "/a", "Labels": ["live", "1bad", "aws-bad"]}

    made = await world.ssm("LabelParameterVersion", **label, ParameterVersion=1)
    assert made["InvalidLabels"] == ["1bad", "aws-bad"]
    assert await value(world, "/a:live") == "1"

    await world.ssm("LabelParameterVersion", Name="/a", Labels=["live"])
    assert await value(world, "/a:live") == "2"


async def test_a_path_is_listed_flat_or_whole_in_pages() -> None:
    world = World()
    for name in ("/app/a", "/app/b", "/app/db/url", "/application", "/other"):
        await put(world, name, "x")

    async def names(**more: Any) -> list[str]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = await world.ssm("GetParametersByPath", Path="/app", **more, **token)
            found += [parameter["Name"] for parameter in page["Parameters"]]
            if "NextToken" not in page:
                return found
            token = {"NextToken": page["NextToken"]}

    assert await names() == ["/app/a", "/app/b"]
    assert await names(Recursive=True, MaxResults=1) == ["/app/a", "/app/b", "/app/db/url"]


async def test_a_secret_is_sealed_at_rest_and_shown_only_on_request() -> None:
    world = World()
    await put(world, "/key", "hunter2", Type="SecureString")

    row = await world.platform.store.read(PARAMETERS.get, ACCOUNT, "us-east-1", "/key")
    assert row is not None
    assert b"hunter2" not in row.value
    assert "hunter2" not in await value(world, "/key")
    assert await value(world, "/key", WithDecryption=True) == "hunter2"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Name": "no/slash"}, "ValidationException"),
        ({"Name": "/aws/x"}, "ValidationException"),
        ({"Name": "/bad name"}, "ValidationException"),
        ({"Name": "/x" * 16}, "HierarchyLevelLimitExceededException"),
        ({"AllowedPattern": "^[0-9]+$"}, "ParameterPatternMismatchException"),
        ({"Value": "x" * (limits.STANDARD_BYTES_MAX + 1)}, "ValidationException"),
        ({"Type": "SecureString", "KeyId": "alias/mine"}, "InvalidKeyId"),
        ({"Policies": "[{}]"}, "ValidationException"),
    ],
)
async def test_what_aws_refuses_is_refused(more: dict[str, Any], code: str) -> None:
    world = World()
    with pytest.raises(AwsError) as caught:
        await world.ssm("PutParameter", **{"Name": "/a", "Value": "text", "Type": "String", **more})
    assert caught.value.code == code
    assert (await world.ssm("DescribeParameters"))["Parameters"] == []


async def test_missing_parameters_are_listed_as_invalid() -> None:
    world = World()
    await put(world, "/a", "1")
    found = await world.ssm("GetParameters", Names=["/a", "/none", "/a:9"])
    assert [p["Name"] for p in found["Parameters"]] == ["/a"]
    assert found["InvalidParameters"] == ["/none", "/a:9"]


async def test_a_deleted_parameter_takes_its_history_with_it() -> None:
    world = World()
    await put(world, "/a", "1", Tags=[{"Key": "k", "Value": "v"}])
    await world.ssm("DeleteParameter", Name="/a")
    await put(world, "/a", "2")

    history = await world.ssm("GetParameterHistory", Name="/a")
    assert [p["Value"] for p in history["Parameters"]] == ["2"]
    tags = await world.ssm("ListTagsForResource", ResourceType="Parameter", ResourceId="/a")
    assert tags["TagList"] == []
