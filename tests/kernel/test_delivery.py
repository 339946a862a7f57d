"""Delivery: into the sender's transaction where that can be, else by an outbox that retries."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.delivery import Parcel, Retry, Undeliverable, deliver
from skyfold.store.api import Tx
from tests.kernel.toys import Toys, later
from tests.support.world import ACCOUNT, World

TOY = f"arn:aws:toy:us-east-1:{ACCOUNT}:box"
SLOW = f"arn:aws:slow:us-east-1:{ACCOUNT}:box"


async def send(world: World, to: str, body: str = "hello", retry: Any = None) -> None:
    call = world.call().as_service("sns", source_arn="arn:aws:sns:us-east-1:1:t")

    async def sending(tx: Tx) -> None:
        await deliver(tx, call, to, Parcel(body=body), retry=retry)

    await world.platform.store.write(sending)


async def test_a_parcel_is_handed_over_in_the_senders_transaction() -> None:
    toys = Toys()
    await send(toys.world(), TOY)
    assert toys.accepted == [("box", "hello")]


async def test_a_policy_that_does_not_allow_the_sender_refuses_the_parcel() -> None:
    toys = Toys()
    world, toys.policy = toys.world(), None
    with pytest.raises(AwsError):
        await send(world, TOY)
    assert toys.accepted == []


@pytest.mark.parametrize("to", ["nonsense", "arn:aws:unknown:us-east-1:1:x"])
async def test_what_accepts_nothing_is_an_error_at_once(to: str) -> None:
    with pytest.raises(Undeliverable):
        await send(Toys().world(), to)


async def test_a_live_delivery_is_a_row_until_it_has_succeeded() -> None:
    toys = Toys()
    world = toys.world()
    toys.trouble = [later(), later()]
    await send(world, SLOW)
    assert toys.accepted == []

    await world.advance(10)

    assert toys.accepted == [("box", "hello")]
    assert await world.platform.jobs.next_due() is None


async def test_what_is_given_up_goes_to_the_dead_letters() -> None:
    toys = Toys()
    world = toys.world()
    toys.trouble = [later(), later(), later()]
    await send(world, SLOW, retry=Retry(waits_s=(1, 1), dead_letters=TOY))

    await world.advance(60)

    assert toys.accepted == [("box", "hello")]
    assert toys.trouble == []


async def test_a_lasting_refusal_is_not_tried_again() -> None:
    toys = Toys()
    world = toys.world()
    toys.trouble = [Undeliverable("never", code="Gone"), later()]
    await send(world, SLOW, retry=Retry(dead_letters=TOY))

    await world.advance(600)

    assert toys.accepted == [("box", "hello")]
    assert len(toys.trouble) == 1
