"""Lifecycle rules: which of them meets an object, and when something falls due."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from skyfold.kernel.wire.timestamps import to_http_date
from skyfold.services.s3.tables import Version

DAY_MS = 86_400_000


class Rule(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One rule, as it is kept beside the configuration it comes from."""

    id: str
    enabled: bool
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int | None = None
    smaller_than: int | None = None
    days: int | None = None
    date: int | None = None
    expired_markers: bool = False
    noncurrent_days: int | None = None
    newer_noncurrent: int = 0
    abort_days: int | None = None

    def meets(self, row: Version) -> bool:
        """Whether the rule's filter lets ``row`` through."""
        if not self.enabled or not row.key.startswith(self.prefix):
            return False
        if self.larger_than is not None and row.size <= self.larger_than:
            return False
        if self.smaller_than is not None and row.size >= self.smaller_than:
            return False
        return set(self.tags) <= set(row.tags)

    def expires_at(self, row: Version) -> int | None:
        """When a current object falls due by this rule, if it does."""
        if self.days is not None:
            return midnight_after(row.modified_at, self.days)
        return self.date


class Expiry(NamedTuple):
    at: int
    rule: str


def midnight_after(moment: int, days: int) -> int:
    """``days`` later, rounded up to the next midnight UTC."""
    return ((moment + days * DAY_MS) // DAY_MS + 1) * DAY_MS


def expiry_of(rules: Iterable[Rule], row: Version) -> Expiry | None:
    """When a current object expires, by the rule that is first to say so."""
    found = [
        Expiry(at, rule.id)
        for rule in rules
        if rule.meets(row) and (at := rule.expires_at(row)) is not None
    ]
    return min(found, default=None)


def header(expiry: Expiry) -> str:
    """The x-amz-expiration header."""
    return f'expiry-date="{to_http_date(expiry.at)}", rule-id="{quote(expiry.rule, safe="")}"'
