"""Ids: shaped as AWS shapes them, the same again for the same seed."""

from __future__ import annotations

import re
import uuid

from skyfold.base.arn import parse_arn
from skyfold.base.ids import Ids


def test_a_seed_gives_the_same_ids_again() -> None:
    one, two = Ids(seed=7), Ids(seed=7)
    assert [one.uuid() for _ in range(3)] == [two.uuid() for _ in range(3)]


def test_uuids_are_version_four() -> None:
    assert uuid.UUID(Ids().uuid()).version == 4


def test_lower_and_upper_have_their_alphabets() -> None:
    ids = Ids(seed=1)
    assert re.fullmatch(r"[a-z0-9]{40}", ids.lower(40))
    assert re.fullmatch(r"[A-Z2-7]{40}", ids.upper(40))
    assert 0 <= ids.fraction() < 1


def test_an_arn_is_taken_apart_and_put_together() -> None:
    text = "arn:aws:sns:eu-west-1:123456789012:topic:with:colons"
    arn = parse_arn(text)
    assert arn is not None
    assert (arn.service, arn.region, arn.resource) == ("sns", "eu-west-1", "topic:with:colons")
    assert str(arn) == text
    assert parse_arn("arn:aws:sns") is None
    assert parse_arn("not an arn") is None
