"""AWS::CloudFormation::Stack: a stack within a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import InProgress, Provision, Provisioned
from skyfold.services.cloudformation.deploy.handlers import StackProvision
from skyfold.services.cloudformation.engine.intrinsics import text_of
from skyfold.services.cloudformation.limits import NESTED_STACK_POLL_MS
from skyfold.services.cloudformation.tables import STACKS, Stack
from skyfold.store.api import ReadTx, Tx

NO_UPDATES = "No updates are to be performed."


class EmbeddedStackFailed(AwsError):
    """The nested stack did not get to where it should; it has a physical id all the same."""


def _key(stack_arn: str) -> tuple[str, str, str]:
    arn = parse_arn(stack_arn)
    assert arn is not None, "a nested stack is called by its ARN"
    return arn.account, arn.region, arn.resource.split("/")[2]


async def _find(tx: ReadTx, stack_arn: str) -> Stack | None:
    return await STACKS.get(tx, *_key(stack_arn))


async def _adopt(tx: Tx, stack_arn: str, parent: str, root: str) -> None:
    stack = await STACKS.get(tx, *_key(stack_arn))
    if stack is not None:
        STACKS.put(tx, msgspec.structs.replace(stack, parent=parent, root=root))


def _request(provision: StackProvision, properties: Mapping[str, Any]) -> dict[str, Any]:
    parameters = properties.get("Parameters") or {}
    tags = {tag["Key"]: text_of(tag["Value"]) for tag in properties.get("Tags") or ()}
    request: dict[str, Any] = {
        "TemplateURL": properties["TemplateURL"],
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": _parameter(value)}
            for name, value in parameters.items()
        ],
        "Tags": [{"Key": k, "Value": v} for k, v in {**provision.tags, **tags}.items()],
        "Capabilities": list(provision.capabilities),
        "NotificationARNs": list(properties.get("NotificationARNs") or provision.notification_arns),
        "ClientRequestToken": provision.token,
    }
    return request


def _parameter(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(text_of(part) for part in value)
    return text_of(value)


async def create_nested(provision: Provision) -> Provisioned | InProgress:
    assert isinstance(provision, StackProvision)
    state = provision.had.get("$state") or {}
    arn = str(state.get("physical_id", ""))
    if not arn:
        request = _request(provision, provision.want)
        if provision.want.get("TimeoutInMinutes"):
            request["TimeoutInMinutes"] = int(provision.want["TimeoutInMinutes"])
        made = await provision.api("cloudformation").create_stack(
            StackName=provision.default_name(limit=128), **request
        )
        arn = made["StackId"]
        await provision.call.write(_adopt, arn, provision.stack_id, provision.root)
    stack = await _standing(provision, arn)
    if stack.status in ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"):
        return InProgress(NESTED_STACK_POLL_MS, {"physical_id": arn})
    if stack.status != "CREATE_COMPLETE":
        raise EmbeddedStackFailed(
            f"Embedded stack {arn} was not successfully created: {await _why(provision, stack)}",
            PhysicalResourceId=arn,
        )
    return _provisioned(stack)


async def _standing(provision: StackProvision, arn: str) -> Stack:
    stack = await provision.call.read(_find, arn)
    if stack is None:
        raise EmbeddedStackFailed(f"Embedded stack {arn} does not exist")
    return stack


async def _why(provision: StackProvision, stack: Stack) -> str:
    """The reason of the first failure, which is the interesting one."""
    from skyfold.services.cloudformation.tables import EVENTS

    async def reason(tx: ReadTx) -> str:
        for event in await EVENTS.scan(tx, stack.id, limit=1000, reverse=True):
            if event.logical_id == stack.name and event.status in (
                "ROLLBACK_IN_PROGRESS",
                "UPDATE_ROLLBACK_IN_PROGRESS",
            ):
                return event.reason.removesuffix(" Rollback requested by user.")
        return stack.status_reason

    return await provision.call.read(reason)


def _provisioned(stack: Stack) -> Provisioned:
    attributes = {f"Outputs.{output.key}": output.value for output in stack.outputs}
    return Provisioned(physical_id=stack.arn, attributes=attributes)


async def update_nested(provision: Provision) -> Provisioned | InProgress:
    assert isinstance(provision, StackProvision)
    stack = await _standing(provision, provision.physical_id)
    state = provision.had.get("$state") or {}
    waiting = InProgress(NESTED_STACK_POLL_MS, state)
    if stack.last_token != provision.token:
        if stack.status == "UPDATE_IN_PROGRESS":  # of an update that was given up meanwhile
            await provision.api("cloudformation").cancel_update_stack(StackName=stack.arn)
            return waiting
        if stack.status.endswith("_IN_PROGRESS"):
            return waiting
        try:
            await provision.api("cloudformation").update_stack(
                StackName=stack.arn, **_request(provision, provision.want)
            )
        except AwsError as refused:
            if refused.text != NO_UPDATES:
                raise
            return _provisioned(stack)
        stack = await _standing(provision, stack.arn)
    if stack.status.endswith("_IN_PROGRESS"):
        return waiting
    if stack.status != "UPDATE_COMPLETE":
        raise EmbeddedStackFailed(
            f"Embedded stack {stack.arn} was not successfully updated. Currently in "
            f"{stack.status} with reason: {await _why(provision, stack)}"
        )
    return _provisioned(stack)


async def delete_nested(provision: Provision) -> InProgress | None:
    assert isinstance(provision, StackProvision)
    stack = await provision.call.read(_find, provision.physical_id)
    if stack is None or stack.status == "DELETE_COMPLETE":
        return None
    state = provision.had.get("$state") or {}
    waiting = InProgress(NESTED_STACK_POLL_MS, {**state, "asked": True})
    if stack.status == "DELETE_IN_PROGRESS":
        return waiting
    if state.get("asked") and not stack.status.endswith("_IN_PROGRESS"):
        raise EmbeddedStackFailed(
            f"Embedded stack {stack.arn} was not successfully deleted: {stack.status_reason}"
        )
    if stack.status == "UPDATE_IN_PROGRESS":
        await provision.api("cloudformation").cancel_update_stack(StackName=stack.arn)
        return InProgress(NESTED_STACK_POLL_MS, state)
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in (
        "CREATE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "REVIEW_IN_PROGRESS",
    ):
        return InProgress(NESTED_STACK_POLL_MS, state)
    await provision.api("cloudformation").delete_stack(StackName=stack.arn)
    return waiting
