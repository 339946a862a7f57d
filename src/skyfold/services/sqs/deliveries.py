"""What queues accept from other services: a parcel is a message, in the sender's transaction."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import Arn
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Accepts, Parcel, Undeliverable
from skyfold.services.sqs.operations import usage
from skyfold.services.sqs.operations.messages import message_size, send
from skyfold.services.sqs.tables import find_queue
from skyfold.store.api import Tx


async def accept(tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
    """Put ``parcel`` into the queue."""
    queue = await find_queue(tx, arn.account, arn.region, arn.resource)
    if queue is None:
        raise Undeliverable("The specified queue does not exist.", code="QueueDoesNotExist")
    entry: dict[str, Any] = {"MessageBody": parcel.body}
    if parcel.attributes:
        entry["MessageAttributes"] = parcel.attributes
    if parcel.group_id:
        entry["MessageGroupId"] = parcel.group_id
    if parcel.deduplication_id and queue.fifo is not None:
        entry["MessageDeduplicationId"] = parcel.deduplication_id
    size = message_size(entry)
    await send(tx, call, queue, entry, size)
    usage.sent(call, queue, [size])


ACCEPTS = Accepts(action="sqs:SendMessage", tx=accept)
