"""Stack policies."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.operations.lookup import the_stack
from skyfold.services.cloudformation.operations.stacks import policy_text
from skyfold.services.cloudformation.tables import STACKS
from skyfold.store.api import ReadTx, Tx


async def set_stack_policy(call: Call, request: Request) -> Any:
    text = await policy_text(call, request)
    if text is None:
        raise ValidationError("Either StackPolicyBody or StackPolicyURL must be specified.")
    await call.write(_set, call, request["StackName"], text)
    return reply()


async def _set(tx: Tx, call: Call, name: str, text: str) -> None:
    stack = await the_stack(tx, call, name)
    STACKS.put(tx, msgspec.structs.replace(stack, policy=text))


async def get_stack_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    return reply(StackPolicyBody=stack.policy)
