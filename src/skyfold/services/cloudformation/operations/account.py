"""What holds for the account as a whole."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.limits import OUTPUTS_MAX, STACKS_MAX
from skyfold.store.api import ReadTx


async def describe_account_limits(tx: ReadTx, call: Call, request: Request) -> Any:
    return reply(
        AccountLimits=[
            {"Name": "StackLimit", "Value": STACKS_MAX},
            {"Name": "StackOutputsLimit", "Value": OUTPUTS_MAX},
        ]
    )
