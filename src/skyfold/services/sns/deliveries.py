"""What topics accept from other services: a parcel is published, in the sender's transaction."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import Arn
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Accepts, Parcel, Undeliverable
from skyfold.services.sns.operations.publishing import publish
from skyfold.services.sns.tables import find_topic
from skyfold.store.api import Tx


async def accept(tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
    """Publish ``parcel`` to the topic."""
    if await find_topic(tx, arn.account, arn.region, arn.resource) is None:
        raise Undeliverable("Topic does not exist", code="NotFound")
    request: dict[str, Any] = {"TopicArn": str(arn), "Message": parcel.body}
    if parcel.subject:
        request["Subject"] = parcel.subject
    if parcel.attributes:
        request["MessageAttributes"] = parcel.attributes
    if parcel.group_id:
        request["MessageGroupId"] = parcel.group_id
    if parcel.deduplication_id:
        request["MessageDeduplicationId"] = parcel.deduplication_id
    await publish(tx, call, request)


ACCEPTS = Accepts(action="sns:Publish", tx=accept)
