"""Polling queues for functions: receive a batch, invoke, delete what succeeded."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.principal import service_principal
from skyfold.kernel.workers import Lanes, Work, keep_working
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.engine.sqs_events import event, failed_items
from skyfold.services.lambda_.errors import TooManyRequestsException
from skyfold.services.lambda_.running import Running
from skyfold.services.lambda_.tables import (
    FUNCTIONS,
    LATEST,
    MAPPINGS,
    EventSourceMapping,
    Function,
)

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform
    from skyfold.store.api import ReadTx

POLL_S = 20
TROUBLE_WAIT_MS = 5_000

Message = Mapping[str, Any]


async def poll_all(platform: Platform) -> None:
    """Keep a poller for every mapping that is enabled, for as long as the platform runs."""

    async def wanted() -> dict[str, Work]:
        mappings = await platform.store.read(_enabled)
        return {
            f"poller {m.id} of {m.modified_at}": functools.partial(poll, platform, m)
            for m in mappings
        }

    await keep_working(platform, MAPPINGS.prefix(), wanted)


async def _enabled(tx: ReadTx) -> list[EventSourceMapping]:
    return [row for row in await MAPPINGS.scan(tx, limit=100_000) if row.enabled]


async def poll(platform: Platform, mapping: EventSourceMapping) -> None:
    """Poll one queue until cancelled; batches under way then finish on their own."""
    usual = limits.CONCURRENCY_PER_CORE * platform.cores
    lanes = Lanes(mapping.concurrency_max or usual)
    while True:
        await lanes.wait()
        batch: Sequence[Message] = ()
        try:
            poller = await _Poller.of(platform, mapping)
            batch = await poller.batch()
        except AwsError as trouble:
            call = platform.call(_lambda(mapping), region=mapping.region)
            call.metric("AWS/Lambda", "PollingErrors", 1, "Count")
            await platform.clock.sleep_until(platform.clock.now() + TROUBLE_WAIT_MS)
            del trouble
        finally:
            if not batch:
                lanes.give_back()
        if batch:
            lanes.start(poller.process(batch), f"a batch of {mapping.source_arn}")


def _lambda(mapping: EventSourceMapping) -> Any:
    return service_principal(
        "lambda.amazonaws.com", account=mapping.account, source_arn=mapping.function_arn
    )


class _Poller:
    """One round: the function and its role as they are now."""

    def __init__(self, call: Call, mapping: EventSourceMapping, function: Function) -> None:
        self._call, self._mapping, self._function = call, mapping, function
        arn = parse_arn(mapping.source_arn)
        assert arn is not None, "a mapping was made for an ARN"
        there = call.acting_as(call.principal, account=arn.account, region=arn.region)
        self._sqs = there.api("sqs")
        self._url = f"{call.endpoint}/{arn.account}/{arn.resource}"

    @classmethod
    async def of(cls, platform: Platform, mapping: EventSourceMapping) -> _Poller:
        arn = parse_arn(mapping.function_arn)
        assert arn is not None, "a mapping was made for an ARN"
        name = arn.resource.split(":")[1]
        function = await platform.store.read(FUNCTIONS.get, arn.account, arn.region, name, LATEST)
        if function is None:
            raise AwsError(f"Function not found: {mapping.function_arn}")
        call = platform.call(_lambda(mapping), region=arn.region, operation="lambda_:Invoke")
        role = await platform.own(Running).role_principal(call, function)
        return cls(call.acting_as(role), mapping, function)

    async def batch(self) -> Sequence[Message]:
        """The next batch: what one receive gives, or what comes together within the window."""
        size, window_s = self._mapping.batch_size, self._mapping.window_s
        batch = await self._receive(size, POLL_S)
        if not batch or not window_s:
            return batch
        until = self._call.now + window_s * 1000
        while len(batch) < size and (left_ms := until - self._call.now) > 0:
            wait_s = max(1, min(POLL_S, left_ms // 1000))
            batch += await self._receive(size - len(batch), wait_s)
        return batch

    async def _receive(self, most: int, wait_s: int) -> list[Message]:
        received = await self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(most, limits.SQS_RECEIVE_MAX),
            WaitTimeSeconds=wait_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return list(received.get("Messages", []))

    async def process(self, batch: Sequence[Message]) -> None:
        """Invoke with the batch and delete what succeeded; the rest comes back by itself."""
        call = self._call.acting_as(
            _lambda(self._mapping), region=self._function.region, request_id=self._call.new_id()
        )
        payload = msgspec.json.encode(event(batch, self._mapping.source_arn))
        running = call.platform.own(Running)
        try:
            ran = await running.run(call, self._function, payload, request_id=call.request_id)
        except TooManyRequestsException:
            return
        if not ran.outcome.ok:
            return
        failed: set[str] | None = set()
        if self._mapping.partial_failures:
            failed = failed_items(ran.outcome.payload, batch)
        if failed is not None:
            await self._delete([m for m in batch if m["MessageId"] not in failed])

    async def _delete(self, done: Sequence[Message]) -> None:
        for at in range(0, len(done), 10):
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(done[at : at + 10])
            ]
            await self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
