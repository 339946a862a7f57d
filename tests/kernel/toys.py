"""A toy service for tests of the kernel: SQS's model, two operations, a job of each kind."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import Arn
from skyfold.kernel.call import Call
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.delivery import Accepts, Parcel, Undeliverable
from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.kernel.service import Service
from skyfold.store.api import Tx
from tests.support.world import World

ALLOW_ALL = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*",'
    '"Resource":"*"}]}'
)


class Toys:
    """What the toy service was asked to do, and how it is to answer."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []
        self.again: list[int] = []
        """Moments to run again at, one for each coming run."""
        self.trouble: list[Exception] = []
        """To raise, one for each coming run."""
        self.accepted: list[tuple[str, str]] = []
        self.policy: str | None = ALLOW_ALL

    async def run(self, platform: Platform, row: JobRow) -> Again | None:
        self.ran.append((row.key, platform.clock.now()))
        if self.trouble:
            raise self.trouble.pop(0)
        return Again(self.again.pop(0)) if self.again else None

    async def run_tx(self, tx: Tx, platform: Platform, row: JobRow) -> Again | None:
        return await self.run(platform, row)

    async def accept(self, tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
        self.accepted.append((arn.resource, parcel.body))

    async def accept_live(self, call: Call, arn: Arn, parcel: Parcel) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.accepted.append((arn.resource, parcel.body))

    async def policy_of(self, tx: Any, arn: str) -> str | None:
        return self.policy

    def world(self) -> World:
        """A world with the toy service and no other."""
        world = World()
        toy = Service(
            model="sqs",
            operations={},
            arn_name="toy",
            jobs={"toy.live": Job(run=self.run, concurrency=2), "toy.tx": Job(tx=self.run_tx)},
            accepts=Accepts(action="toy:Give", tx=self.accept),
            resource_policy=self.policy_of,
        )
        slow = Service(
            model="sns",
            operations={},
            arn_name="slow",
            accepts=Accepts(action="slow:Give", live=self.accept_live),
            resource_policy=self.policy_of,
        )
        world.platform.catalog = Catalog({"toy": toy, "slow": slow})
        return world


def later(code: str = "Throttled") -> Undeliverable:
    return Undeliverable("later", code=code, retryable=True)
