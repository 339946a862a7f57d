"""Wait conditions: a stack goes on when somebody has put a success to a URL."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.provisioning import InProgress, Provision, Provisioned
from skyfold.services.cloudformation.deploy.custom import RESPONSE_PATH, response_url
from skyfold.services.cloudformation.deploy.handlers import StackProvision
from skyfold.services.cloudformation.engine.intrinsics import text_of
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import WAIT_CONDITION_TIMEOUT_S_MAX
from skyfold.services.cloudformation.tables import HANDLES, SIGNALS, Handle, Signal
from skyfold.store.api import ReadTx, Tx

COUNT_MAX = 1000


class WaitConditionFailed(AwsError):
    pass


async def create_handle(provision: Provision) -> Provisioned:
    """The handle is its URL, which is good for as long as the handle is there."""
    assert isinstance(provision, StackProvision)
    handle = hashlib.sha256(f"{provision.token}/wait".encode()).hexdigest()
    await provision.call.write(_give_out, provision.call, provision, handle)
    return Provisioned(physical_id=response_url(provision.call.endpoint, handle))


async def _give_out(tx: Tx, call: Call, provision: StackProvision, handle: str) -> None:
    stack = parse_arn(provision.stack_id)
    assert stack is not None
    HANDLES.put(
        tx,
        Handle(
            handle=handle,
            kind="wait",
            account=provision.account,
            region=provision.region,
            stack_id=stack.resource.split("/")[2],
            at=call.now,
        ),
    )


async def update_handle(provision: Provision) -> Provisioned:
    return Provisioned(physical_id=provision.physical_id)


async def delete_handle(provision: Provision) -> InProgress | None:
    assert isinstance(provision, StackProvision)
    await provision.call.write(_take_back, handle_in(provision.physical_id))
    return None


async def _take_back(tx: Tx, handle: str) -> None:
    HANDLES.delete(tx, handle)
    SIGNALS.delete_all(tx, handle)


def handle_in(url: Any) -> str:
    """The handle in a URL that ``create_handle`` gave out."""
    _, found, handle = str(url).partition(RESPONSE_PATH)
    if not found or not handle:
        raise ValidationError(f"{url} is not the URL of a WaitConditionHandle")
    return handle


async def create_condition(provision: Provision) -> Provisioned | InProgress:
    assert isinstance(provision, StackProvision)
    want = provision.want
    count = int(text_of(want.get("Count", 1)))
    timeout_s = int(text_of(want.get("Timeout", WAIT_CONDITION_TIMEOUT_S_MAX)))
    if not 0 <= timeout_s <= WAIT_CONDITION_TIMEOUT_S_MAX or not 1 <= count <= COUNT_MAX:
        raise ValidationError("Invalid Count or Timeout of a WaitCondition")
    handle = handle_in(want.get("Handle"))
    signals = await provision.call.read(_signals, handle)
    for signal in signals:
        if signal.body.get("Status") != "SUCCESS":
            raise WaitConditionFailed(
                f"WaitCondition received failed message: '{signal.body.get('Reason', '')}' for "
                f"uniqueId: {signal.unique_id}"
            )
    if len(signals) >= count:
        data = {signal.unique_id: text_of(signal.body.get("Data", "")) for signal in signals}
        return Provisioned(
            physical_id=f"{provision.stack_id}/{provision.logical_id}",
            attributes={"Data": json.dumps(data, separators=(",", ":"))},
        )
    deadline = provision.started_at + timeout_s * 1000
    if provision.now >= deadline:
        raise WaitConditionFailed(
            f"WaitCondition timed out. Received {len(signals)} conditions when expecting {count}"
        )
    return InProgress(deadline - provision.now, {"waiting": True})


async def _signals(tx: ReadTx, handle: str) -> list[Signal]:
    return await SIGNALS.scan(tx, handle, limit=COUNT_MAX)


async def update_condition(provision: Provision) -> Provisioned:
    raise ValidationError(
        "Update to resource type AWS::CloudFormation::WaitCondition is not supported."
    )


async def delete_condition(provision: Provision) -> InProgress | None:
    return None
