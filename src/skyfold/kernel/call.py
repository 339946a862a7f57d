"""One request being served: who asks, where, when, and how to open transactions."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from skyfold.base.waiting import first_of
from skyfold.kernel.principal import Principal, service_principal
from skyfold.store.api import ReadTx, Tx

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing to return now, and no use in trying before ``retry_at`` unless something changes."""

    retry_at: int


@dataclass(slots=True, kw_only=True, eq=False)  # not frozen: that would triple what one costs
class Call:
    """A request's surroundings. Everything an operation may know of the world is here.

    Never changed once it is made: ``acting_as`` makes another.
    """

    platform: Platform
    principal: Principal
    account: str
    """The account that is asked: the principal's own, but for cross-account resources."""
    region: str
    request_id: str
    endpoint: str
    """The platform as this caller sees it, ``http://localhost:4566``: for URLs in replies."""
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    secure: bool = False
    operation: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Request headers in lower case; empty for calls made in process."""
    gone: Callable[[], Awaitable[None]] | None = None
    """Waits until the client has hung up; None for calls made in process."""

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.platform.clock.now()

    def new_id(self) -> str:
        """A fresh UUID."""
        return self.platform.ids.uuid()

    async def read(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``fn(tx, *args)`` in a read-only transaction."""
        return await self.platform.store.read(fn, *args)

    async def write(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run ``fn(tx, *args)`` in a transaction and return when it is durable."""
        return await self.platform.store.write(fn, *args)

    async def poll(
        self, attempt: Callable[[Tx], Awaitable[T | NotYet]], *, until: int, watch: bytes
    ) -> T | None:
        """Run ``attempt`` in a transaction until it yields a result or ``until`` has passed.

        None also where the client hung up meanwhile, who could not have received a result.
        """
        hung_up = False

        async def hear_hang_up() -> None:
            nonlocal hung_up
            await self.gone()  # type: ignore[misc]  # only waited for where it is given
            hung_up = True

        with self.platform.store.watch(watch) as watching:
            while True:
                result = await self.write(attempt)
                if not isinstance(result, NotYet):
                    return result
                if self.now >= until:
                    return None
                wake_at = min(until, result.retry_at)
                waits = [watching.changed(), self.platform.clock.sleep_until(wake_at)]
                await first_of(*waits, *([hear_hang_up()] if self.gone else []))
                if hung_up:
                    return None

    def api(self, service: str) -> Any:
        """Another service, as this caller: ``await call.api("sqs").send_message(QueueUrl=...)``.

        ``service`` is the folder's name. IAM, validation and metering included.
        """
        return self.platform.api(service, self)

    def acting_as(
        self, principal: Principal, *, account: str = "", region: str = "", request_id: str = ""
    ) -> Call:
        """The same surroundings with another principal (an assumed role, a service)."""
        return dataclasses.replace(
            self,
            principal=principal,
            account=account or principal.account or self.account,
            region=region or self.region,
            request_id=request_id or self.request_id,
        )

    def as_service(self, name: str, *, source_arn: str = "") -> Call:
        """As an AWS service acting for a resource of this account: ``as_service("sns", ...)``."""
        full = name if "." in name else f"{name}.amazonaws.com"
        return self.acting_as(service_principal(full, account=self.account, source_arn=source_arn))

    async def allowed(
        self, tx: ReadTx, action: str, resource: str, context: Mapping[str, Any] | None = None
    ) -> None:
        """Raise AccessDenied unless this caller may do ``action`` (with prefix) on ``resource``.

        For what the declaration cannot know before the transaction has begun.
        """
        await self.platform.authorize(tx, self, action, resource, context or {})

    def meter(self, usage_type: str, quantity: float = 1, *, resource: str = "") -> None:
        """Count usage that is billed. ``usage_type`` as on the bill: ``Requests-Tier1``.

        Kept in memory and written with the next group commit; call it once per attempt's success,
        that is from ``live`` code or as the last step of a transaction function.
        """
        self.platform.meters.count(self, usage_type, quantity, resource)

    def metric(self, namespace: str, name: str, value: float, unit: str, **dimensions: str) -> None:
        """Record one value of an AWS/... metric for this account and region."""
        self.platform.metrics.record(
            self.account, self.region, namespace, name, value, unit, dimensions
        )
