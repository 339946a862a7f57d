"""Tags of users, roles, policies and instance profiles."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import put_tags, remove_tags, tags_of
from skyfold.services.iam.errors import InvalidInputException, LimitExceededException
from skyfold.services.iam.limits import TAGS_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page_of
from skyfold.store.api import ReadTx, Tx


async def tag_user(tx: Tx, call: Call, request: Request) -> Any:
    await _tag(tx, (await entities.user(tx, call, request["UserName"])).arn, request)


async def untag_user(tx: Tx, call: Call, request: Request) -> Any:
    await _untag(tx, (await entities.user(tx, call, request["UserName"])).arn, request)


async def list_user_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    return await _listed(tx, (await entities.user(tx, call, request["UserName"])).arn, request)


async def tag_role(tx: Tx, call: Call, request: Request) -> Any:
    await _tag(tx, (await entities.role(tx, call, request["RoleName"])).arn, request)


async def untag_role(tx: Tx, call: Call, request: Request) -> Any:
    await _untag(tx, (await entities.role(tx, call, request["RoleName"])).arn, request)


async def list_role_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    return await _listed(tx, (await entities.role(tx, call, request["RoleName"])).arn, request)


async def tag_policy(tx: Tx, call: Call, request: Request) -> Any:
    await _tag(tx, (await entities.own_policy(tx, call, request["PolicyArn"])).arn, request)


async def untag_policy(tx: Tx, call: Call, request: Request) -> Any:
    await _untag(tx, (await entities.own_policy(tx, call, request["PolicyArn"])).arn, request)


async def list_policy_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    return await _listed(tx, (await entities.policy(tx, call, request["PolicyArn"])).arn, request)


async def tag_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    await _tag(tx, row.arn, request)


async def untag_instance_profile(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    await _untag(tx, row.arn, request)


async def list_instance_profile_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await entities.profile(tx, call, request["InstanceProfileName"])
    return await _listed(tx, row.arn, request)


async def _tag(tx: Tx, arn: str, request: Request) -> None:
    """Keys are told apart without regard to case; the case last given is kept."""
    given = {tag["Key"].lower(): tag for tag in request["Tags"]}
    if len(given) != len(request["Tags"]):
        raise InvalidInputException(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    held = await tags_of(tx, arn)
    replaced = [key for key in held if key.lower() in given]
    if len(held) - len(replaced) + len(given) > TAGS_MAX:
        raise LimitExceededException(f"Cannot exceed quota for TagsPerResource: {TAGS_MAX}")
    remove_tags(tx, arn, replaced)
    put_tags(tx, arn, {tag["Key"]: tag["Value"] for tag in given.values()})


async def _untag(tx: Tx, arn: str, request: Request) -> None:
    gone = {key.lower() for key in request["TagKeys"]}
    remove_tags(tx, arn, [key for key in await tags_of(tx, arn) if key.lower() in gone])


async def _listed(tx: ReadTx, arn: str, request: Request) -> Any:
    tags, more = page_of(request, "ListTags", await entities.shown_tags(tx, arn))
    return reply(Tags=tags, **more)
