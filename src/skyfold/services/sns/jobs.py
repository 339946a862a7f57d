"""What SNS does after a publish: the rest of the way to very many subscribers."""

from __future__ import annotations

import msgspec

from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.kernel.principal import service_principal
from skyfold.services.sns.engine.envelopes import Notification
from skyfold.services.sns.operations import publishing
from skyfold.services.sns.tables import find_topic
from skyfold.store.api import Tx


async def _fan_out(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    topic = await find_topic(tx, *row.payload["topic"])
    if topic is None:
        return None
    principal = service_principal("sns.amazonaws.com", account=topic.account, source_arn=topic.arn)
    sender = platform.call(
        principal, account=topic.account, region=topic.region, operation="sns:Publish"
    )
    notification = msgspec.msgpack.decode(row.payload["notification"], type=Notification)
    await publishing.fan_out(tx, sender, topic, notification, row.payload["start"])
    return None


JOBS = {publishing.FANOUT_JOB: Job(tx=_fan_out)}
