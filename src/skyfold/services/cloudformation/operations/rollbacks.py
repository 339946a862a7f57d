"""Turning operations round: cancel, roll back, go on rolling back."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.begin import (
    Options,
    begin_rollback,
    cancel_update,
    continue_rollback,
)
from skyfold.services.cloudformation.errors import TokenAlreadyExistsException, ValidationError
from skyfold.services.cloudformation.operations.lookup import the_stack
from skyfold.services.cloudformation.tables import Stack
from skyfold.store.api import Tx


async def cancel_update_stack(tx: Tx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    if stack.status != "UPDATE_IN_PROGRESS":
        raise ValidationError("CancelUpdateStack cannot be called from current stack status")
    await cancel_update(tx, call, stack)
    return reply()


def _repeated(stack: Stack, request: Request, action: str) -> bool:
    """Whether this very request has been taken already."""
    token = request.get("ClientRequestToken", "")
    if not token or stack.last_token != token:
        return False
    if stack.last_action != action:
        raise TokenAlreadyExistsException(f"Token [{token}] already exists")
    return True


def _options(request: Request, action: str) -> Options:
    return Options(
        token=request.get("ClientRequestToken", ""),
        action=action,
        role_arn=request.get("RoleARN", ""),
    )


async def continue_update_rollback(tx: Tx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    if _repeated(stack, request, "ContinueUpdateRollback"):
        return reply()
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise ValidationError(
            f"Stack:{stack.arn} is in {stack.status} state and can not continue rollback."
        )
    if request.get("ForceRollback"):
        raise ValidationError("Skyfold does not force rollbacks yet: use ResourcesToSkip.")
    skipped = tuple(request.get("ResourcesToSkip") or ())
    options = _options(request, "ContinueUpdateRollback")
    await continue_rollback(tx, call, stack, options, skipped)
    return reply()


async def rollback_stack(tx: Tx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    if _repeated(stack, request, "RollbackStack"):
        return reply(StackId=stack.arn)
    if stack.status not in ("CREATE_FAILED", "UPDATE_FAILED"):
        raise ValidationError(
            f"Stack:{stack.arn} is in {stack.status} state and can not be rolled back."
        )
    if (request.get("DeploymentConfig") or {}).get("Mode", "STANDARD") != "STANDARD":
        raise ValidationError("Skyfold knows no deployment mode but STANDARD.")
    if request.get("RetainExceptOnCreate") is not None:
        stack = msgspec.structs.replace(
            stack, retain_except_on_create=request["RetainExceptOnCreate"]
        )
    await begin_rollback(tx, call, stack, _options(request, "RollbackStack"))
    return reply(StackId=stack.arn)
