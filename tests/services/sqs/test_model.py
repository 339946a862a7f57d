"""Queues held against a model: nothing is lost, nothing is received by two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.services.sqs.conftest import Queues

RECEIVES_MAX = 3
GROUPS = ("red", "green", "blue")
SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass
class Known:
    """What the model knows of one message."""

    body: str
    group: str
    visible_at: int
    receives: int = 0
    handle: str = ""


class QueueMachine(RuleBasedStateMachine):
    """A queue whose messages are received three times at the most, and its dead letters."""

    fifo = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queues = Queues()
        self.alive: dict[str, Known] = {}
        self.count = 0
        self.run(self._set_up())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def _set_up(self) -> None:
        make = self.queues.fifo if self.fifo else self.queues.new
        suffix = ".fifo" if self.fifo else ""
        self.letters = await make(f"letters{suffix}")
        redrive = f'{{"deadLetterTargetArn":"{self.letters.arn}","maxReceiveCount":{RECEIVES_MAX}}}'
        self.queue = await make(f"queue{suffix}", RedrivePolicy=redrive)

    def teardown(self) -> None:
        self.loop.close()

    @property
    def now(self) -> int:
        return self.queues.world.clock.now()

    # what a client may do

    @rule(group=st.sampled_from(GROUPS), delay=st.sampled_from([0, 0, 3]))
    def send(self, group: str, delay: int) -> None:
        self.count += 1
        body = str(self.count)
        if self.fifo:
            asked: dict[str, Any] = {"MessageGroupId": group, "MessageDeduplicationId": body}
            delay = 0
        else:
            asked = {"DelaySeconds": delay}
        self.run(self.queue.send(body, **asked))
        self.alive[body] = Known(body, group, self.now + delay * 1000)

    @rule(limit=st.integers(1, 10), timeout=st.sampled_from([0, 5, 30]))
    def receive(self, limit: int, timeout: int) -> None:
        allowed = self.receivable()
        got = self.run(self.queue.receive(limit, VisibilityTimeout=timeout))
        self.bury(allowed)
        taken = [self.alive[message["Body"]] for message in got]
        for known, message in zip(taken, got, strict=True):
            assert known in allowed, "a hidden message was received"
            assert known.receives < RECEIVES_MAX, "a message was received too often"
            known.receives += 1
            known.visible_at = self.now + timeout * 1000
            known.handle = message["ReceiptHandle"]
        assert len({known.body for known in taken}) == len(taken) <= limit
        assert taken or not any(known.body in self.alive for known in allowed), "one was withheld"
        self.check_order(allowed, taken)

    def bury(self, allowed: list[Known]) -> None:
        """Empty the dead-letter queue: each letter was due, and received as often as it may be."""
        while letters := self.run(self.letters.receive()):
            for letter in letters:
                known = self.alive.pop(letter["Body"])
                assert known in allowed
                assert known.receives == RECEIVES_MAX
                self.run(self.letters.delete(letter))

    def receivable(self) -> list[Known]:
        return [known for known in self.alive.values() if known.visible_at <= self.now]

    def check_order(self, allowed: list[Known], taken: list[Known]) -> None:
        """Standard queues promise none."""

    @precondition(lambda self: any(known.handle for known in self.alive.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        received = [known for known in self.alive.values() if known.handle]
        known = data.draw(st.sampled_from(received))
        if self.fifo and known.visible_at <= self.now:
            self.run(self.queue.refused("DeleteMessage", ReceiptHandle=known.handle))
            return
        self.run(self.queue.ask("DeleteMessage", ReceiptHandle=known.handle))
        del self.alive[known.body]

    @property
    def in_flight(self) -> list[Known]:
        return [k for k in self.alive.values() if k.visible_at > self.now and k.receives]

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), timeout=st.sampled_from([0, 7]))
    def change_visibility(self, data: st.DataObject, timeout: int) -> None:
        hidden = self.in_flight
        known = data.draw(st.sampled_from(hidden))
        change = {"ReceiptHandle": known.handle, "VisibilityTimeout": timeout}
        self.run(self.queue.ask("ChangeMessageVisibility", **change))
        known.visible_at = self.now + timeout * 1000

    @rule(seconds=st.sampled_from([1, 4, 10, 31]))
    def wait(self, seconds: int) -> None:
        self.queues.world.clock.advance(seconds)

    @invariant()
    def the_counts_are_those_of_the_model(self) -> None:
        hidden = [known for known in self.alive.values() if known.visible_at > self.now]
        in_flight = sum(known.receives > 0 for known in hidden)
        counts = self.run(self.queue.counts())
        assert counts == (len(self.alive) - len(hidden), in_flight, len(hidden) - in_flight)


class FifoMachine(QueueMachine):
    """The same for FIFO queues, whose groups are received in order and by one at a time."""

    fifo = True

    def receivable(self) -> list[Known]:
        found = []
        for group in GROUPS:
            members = [known for known in self.alive.values() if known.group == group]
            if all(known.visible_at <= self.now for known in members):
                found += members
        return found

    def check_order(self, allowed: list[Known], taken: list[Known]) -> None:
        for group in GROUPS:
            there = [k for k in allowed if k.group == group and k.body in self.alive]
            got = [known for known in taken if known.group == group]
            assert got == there[: len(got)], "a group was received out of order"


TestStandardQueue = QueueMachine.TestCase
TestStandardQueue.settings = SETTINGS
TestFifoQueue = FifoMachine.TestCase
TestFifoQueue.settings = SETTINGS
