"""Finding stacks and change sets by what requests call them."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.services.cloudformation.errors import ChangeSetNotFoundException, ValidationError
from skyfold.services.cloudformation.tables import (
    CHANGE_SET_IDS,
    CHANGE_SETS,
    STACK_NAMES,
    STACKS,
    ChangeSet,
    Stack,
)
from skyfold.store.api import ReadTx


async def find_stack(tx: ReadTx, call: Call, name_or_id: str) -> Stack | None:
    """The stack with a name (not deleted), or with an ARN."""
    account, region = call.account, call.region
    arn = parse_arn(name_or_id)
    if arn is not None:
        parts = arn.resource.split("/")
        if arn.service != "cloudformation" or parts[0] != "stack" or len(parts) < 3:
            return None
        return await STACKS.get(tx, arn.account, arn.region, parts[2])
    named = await STACK_NAMES.get(tx, account, region, name_or_id)
    return None if named is None else await STACKS.get(tx, account, region, named.id)


async def stack_or(tx: ReadTx, call: Call, name_or_id: str, message: str) -> Stack:
    """The stack, or ValidationError with ``message``, its ``{}`` the name asked for."""
    found = await find_stack(tx, call, name_or_id)
    if found is None:
        raise ValidationError(message.format(name_or_id))
    return found


async def the_stack(tx: ReadTx, call: Call, name_or_id: str) -> Stack:
    return await stack_or(tx, call, name_or_id, "Stack [{}] does not exist")


async def the_change_set(tx: ReadTx, call: Call, request: Request) -> tuple[Stack, ChangeSet]:
    """The change set that ``ChangeSetName`` and ``StackName`` name."""
    name = request["ChangeSetName"]
    if name.startswith("arn:"):
        listed = await CHANGE_SET_IDS.get(tx, name.rpartition("/")[2])
        found = await CHANGE_SETS.get(tx, listed.stack_id, listed.name) if listed else None
        if found is None:
            raise ChangeSetNotFoundException(f"ChangeSet [{name}] does not exist")
        stack = await STACKS.get(tx, found.account, found.region, found.stack_id)
        assert stack is not None, "a change set goes with its stack"
        return stack, found
    if not request.get("StackName"):
        raise ValidationError(
            "StackName must be specified if ChangeSetName is not specified as an ARN."
        )
    stack = await the_stack(tx, call, request["StackName"])
    found = await CHANGE_SETS.get(tx, stack.id, name)
    if found is None:
        raise ChangeSetNotFoundException(f"ChangeSet [{name}] does not exist")
    return stack, found


def stack_arn(call: Call, request: Request) -> str:
    """For IAM: the ARN of the stack that a request is about; its id is not known from a name."""
    name = request.get("StackName") or ""
    if name.startswith("arn:"):
        return str(name)
    if not name:
        return "*"
    return f"arn:aws:cloudformation:{call.region}:{call.account}:stack/{name}/*"


def conditions(call: Call, request: Request) -> dict[str, Any]:
    """CloudFormation's own condition keys, for IAM."""
    found: dict[str, Any] = {
        key: request[member]
        for key, member in (
            ("cloudformation:ChangeSetName", "ChangeSetName"),
            ("cloudformation:RoleArn", "RoleARN"),
            ("cloudformation:StackPolicyUrl", "StackPolicyURL"),
            ("cloudformation:TemplateUrl", "TemplateURL"),
            ("cloudformation:ResourceTypes", "ResourceTypes"),
        )
        if request.get(member)
    }
    for tag in request.get("Tags") or ():
        found[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
    if request.get("Tags"):
        found["aws:TagKeys"] = [tag["Key"] for tag in request["Tags"]]
    return found
