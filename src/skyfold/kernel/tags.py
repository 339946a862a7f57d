"""Tags of every taggable resource, by ARN: one table for all services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from skyfold.store.api import ReadTx, Tx
from skyfold.store.tables import Table

TAGS_MAX = 50


class TagRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    arn: str
    key: str
    value: str


TAGS = Table("kernel.tags", TagRow, key=("arn", "key"))


async def tags_of(tx: ReadTx, arn: str) -> dict[str, str]:
    """All tags of a resource, in the order of their keys."""
    return {row.key: row.value for row in await TAGS.scan(tx, arn, limit=1000)}


def put_tags(tx: Tx, arn: str, tags: Mapping[str, str]) -> None:
    """Set each of ``tags``; others stay. The caller has checked count and form."""
    for key, value in tags.items():
        TAGS.put(tx, TagRow(arn=arn, key=key, value=value))


def remove_tags(tx: Tx, arn: str, keys: Iterable[str]) -> None:
    for key in keys:
        TAGS.delete(tx, arn, key)


def forget_tags(tx: Tx, arn: str) -> None:
    """The resource is gone."""
    TAGS.delete_all(tx, arn)
