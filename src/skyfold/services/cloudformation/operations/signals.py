"""Signals to resources that wait for them."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.run import wake_stalled
from skyfold.services.cloudformation.deploy.waiting import handle_in
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.operations.lookup import the_stack
from skyfold.services.cloudformation.tables import RESOURCES, SIGNALS, Signal
from skyfold.store.api import Tx


async def signal_resource(tx: Tx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    logical_id = request["LogicalResourceId"]
    resource = await RESOURCES.get(tx, stack.id, logical_id)
    if resource is None:
        raise ValidationError(f"Resource {logical_id} does not exist for stack {stack.name}")
    waiting = resource.status == "CREATE_IN_PROGRESS"
    if resource.type != "AWS::CloudFormation::WaitCondition" or not waiting:
        raise ValidationError(
            f"Resource {logical_id} is in {resource.status} state and cannot be signaled."
        )
    handle, unique = handle_in(resource.properties.get("Handle")), request["UniqueId"]
    if await SIGNALS.get(tx, handle, unique) is not None:
        raise ValidationError(f"Signal with ID {unique} for resource {logical_id} already exists.")
    status = "SUCCESS" if request["Status"] == "SUCCESS" else "FAILURE"
    SIGNALS.put(
        tx,
        Signal(
            handle=handle,
            unique_id=unique,
            at=call.now,
            body={"Status": status, "UniqueId": unique, "Data": "", "Reason": "SignalResource"},
        ),
    )
    await wake_stalled(tx, call.now, stack.id)
    return reply()
