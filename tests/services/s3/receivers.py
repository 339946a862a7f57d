"""Receivers of notifications that only keep what they get, under ARNs of queues and functions."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from skyfold.base.arn import Arn
from skyfold.kernel.call import Call
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.delivery import Accepts, Parcel, Undeliverable
from skyfold.kernel.service import Service
from skyfold.store.api import ReadTx, Tx
from skyfold.store.tables import Table
from tests.support.world import ACCOUNT, World


class Box(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A receiver, its policy, and what it got."""

    arn: str
    policy: str
    got: tuple[tuple[str, str], ...] = ()
    """Subject and body of each parcel."""


BOXES = Table("test.boxes", Box, key=("arn",))


async def _accept(tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
    box = await BOXES.get(tx, str(arn))
    if box is None:
        raise Undeliverable("There is no such receiver", code="NotFound")
    got = (*box.got, (parcel.subject, parcel.body))
    BOXES.put(tx, msgspec.structs.replace(box, got=got))


async def _policy(tx: ReadTx, arn: str) -> str | None:
    box = await BOXES.get(tx, arn)
    return box.policy if box is not None else None


def with_receivers(world: World) -> World:
    """Let ARNs of queues, topics and functions mean boxes."""
    boxes = {
        name: Service(
            model=name,
            operations={},
            resource_policy=_policy,
            accepts=Accepts(action=action, tx=_accept),
        )
        for name, action in (
            ("sqs", "sqs:SendMessage"),
            ("sns", "sns:Publish"),
            ("lambda", "lambda:InvokeFunction"),
        )
    }
    kept = {"s3": world.platform.catalog.services["s3"]}
    world.platform.catalog = Catalog({**kept, **boxes})
    return world


def arn(service: str, name: str, region: str = "us-east-1") -> str:
    middle = "function:" if service == "lambda" else ""
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{middle}{name}"


async def add_box(world: World, box: str, *, source: str | None = "arn:aws:s3:::*") -> str:
    """A receiver that lets S3 send on behalf of ``source``, or nobody at all."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "*",
        "Resource": box,
        "Condition": {"ArnLike": {"aws:SourceArn": source}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement] if source else []}

    async def put(tx: Tx) -> None:
        BOXES.put(tx, Box(arn=box, policy=json.dumps(policy)))

    await world.platform.store.write(put)
    return box


async def taken(world: World, box: str) -> list[Any]:
    """The bodies a receiver got since the last time, read as JSON."""

    async def take(tx: Tx) -> list[Any]:
        row = await BOXES.get(tx, box)
        assert row is not None
        BOXES.put(tx, msgspec.structs.replace(row, got=()))
        return [json.loads(body) for _, body in row.got]

    return await world.platform.store.write(take)
