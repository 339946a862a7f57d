"""What a function does with a parcel: it is invoked asynchronously, as SNS and S3 expect."""

from __future__ import annotations

from skyfold.base.arn import Arn
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Accepts, Parcel, Undeliverable
from skyfold.services.lambda_.operations.invocations import enqueue
from skyfold.services.lambda_.tables import FUNCTIONS, LATEST
from skyfold.store.api import Tx


async def accept(tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
    """Queue the invocation in the sender's transaction."""
    name, _, qualifier = arn.resource.removeprefix("function:").partition(":")
    version = qualifier or LATEST
    function = await FUNCTIONS.get(tx, arn.account, arn.region, name, version)
    if function is None:
        raise Undeliverable(f"Function not found: {arn}", code="ResourceNotFoundException")
    await enqueue(tx, call, function, parcel.body, call.new_id())


ACCEPTS = Accepts(action="lambda:InvokeFunction", tx=accept)
