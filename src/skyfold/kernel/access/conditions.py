"""Condition operators of the policy language."""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from skyfold.kernel.access.patterns import arn_matcher, matcher, plain
from skyfold.kernel.access.variables import Expand, Lookup, has_variables, template

Test = Callable[[Lookup], bool]
Compare = Callable[[str, str], bool]
"""(value of the request, value of the policy): both as text."""


class Operator(NamedTuple):
    """A comparison, and what is made of it."""

    compare: Compare
    negated: bool = False
    variables: bool = False
    """Whether values may hold policy variables."""


def _equals(have: str, want: str) -> bool:
    return have == plain(want)


def _equals_ignoring_case(have: str, want: str) -> bool:
    return have.casefold() == plain(want).casefold()


def _like(have: str, want: str) -> bool:
    return bool(matcher(want)(have))


def _arn_like(have: str, want: str) -> bool:
    return bool(arn_matcher(want)(have))


def _bool(have: str, want: str) -> bool:
    return have.lower() == want.lower()


def _binary(have: str, want: str) -> bool:
    try:
        return base64.b64decode(have, validate=True) == base64.b64decode(want, validate=True)
    except binascii.Error:
        return False


def _in_network(have: str, want: str) -> bool:
    try:
        return ipaddress.ip_address(have) in network(want)
    except ValueError:
        return False


@functools.lru_cache(maxsize=4096)
def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


@functools.lru_cache(maxsize=4096)
def number(text: str) -> Decimal:
    try:
        found = Decimal(text.strip())
    except InvalidOperation as bad:
        raise ValueError(text) from bad
    if not found.is_finite():
        raise ValueError(text)
    return found


@functools.lru_cache(maxsize=4096)
def date(text: str) -> Decimal:
    """Seconds since the epoch of an ISO 8601 date or of a number."""
    text = text.strip()
    if text.lstrip("-").replace(".", "", 1).isdigit() and len(text) != 4:
        return Decimal(text)
    found = datetime.fromisoformat(text)
    return Decimal(str((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))


def _ordered(read: Callable[[str], Decimal], name: str) -> Compare:
    def compare(have: str, want: str) -> bool:
        try:
            left, right = read(have), read(want)
        except ValueError:
            return False
        if name == "Equals":
            return left == right
        if name.startswith("LessThan"):
            return left < right or (name.endswith("Equals") and left == right)
        return left > right or (name.endswith("Equals") and left == right)

    return compare


def _operators() -> dict[str, Operator]:
    found = {
        "StringEquals": Operator(_equals, variables=True),
        "StringNotEquals": Operator(_equals, negated=True, variables=True),
        "StringEqualsIgnoreCase": Operator(_equals_ignoring_case, variables=True),
        "StringNotEqualsIgnoreCase": Operator(_equals_ignoring_case, negated=True, variables=True),
        "StringLike": Operator(_like, variables=True),
        "StringNotLike": Operator(_like, negated=True, variables=True),
        "ArnEquals": Operator(_arn_like, variables=True),
        "ArnLike": Operator(_arn_like, variables=True),
        "ArnNotEquals": Operator(_arn_like, negated=True, variables=True),
        "ArnNotLike": Operator(_arn_like, negated=True, variables=True),
        "Bool": Operator(_bool),
        "BinaryEquals": Operator(_binary),
        "IpAddress": Operator(_in_network),
        "NotIpAddress": Operator(_in_network, negated=True),
    }
    for prefix, read in (("Numeric", number), ("Date", date)):
        for name in (
            "Equals",
            "LessThan",
            "LessThanEquals",
            "GreaterThan",
            "GreaterThanEquals",
        ):
            found[prefix + name] = Operator(_ordered(read, name))
        found[f"{prefix}NotEquals"] = Operator(_ordered(read, "Equals"), negated=True)
    return found


OPERATORS: Mapping[str, Operator] = {name.lower(): op for name, op in _operators().items()}
"""By name in lower case; ``Null`` and the prefixes and suffix are syntax, see ``parsed_name``."""


class Name(NamedTuple):
    """An operator's name, taken apart."""

    base: str
    if_exists: bool
    every: bool
    """ForAllValues."""
    some: bool
    """ForAnyValue."""


def parsed_name(name: str) -> Name | None:
    """The parts of ``ForAnyValue:StringLikeIfExists``, or None where there is no such operator."""
    base = name.lower()
    every, some = base.startswith("forallvalues:"), base.startswith("foranyvalue:")
    if every or some:
        base = base.partition(":")[2]
    if_exists = base.endswith("ifexists")
    base = base.removesuffix("ifexists")
    if base == "null":
        return None if if_exists else Name(base, False, every, some)
    return Name(base, if_exists, every, some) if base in OPERATORS else None


def test(name: Name, key: str, wanted: tuple[str, ...], *, variables: bool) -> Test:
    """Compile one key of one operator. ``key`` is in lower case."""
    if name.base == "null":
        return _null(key, wanted)
    operator = OPERATORS[name.base]
    expanded = [
        template(text) if variables and operator.variables and has_variables(text) else text
        for text in wanted
    ]
    compare, negated = operator.compare, operator.negated

    def fits(value: str, context: Lookup) -> bool:
        """Whether one value of the request stands the comparison with the policy's values."""
        return _any(compare, value, expanded, context) is not negated

    def check(context: Lookup) -> bool:
        values = context.values(key)
        if values is None:
            return name.if_exists or name.every or (negated and not name.some)
        if name.every or (negated and not name.some):
            return all(fits(value, context) for value in values)
        return any(fits(value, context) for value in values)

    return check


def _any(compare: Compare, value: str, wanted: list[str | Expand], context: Lookup) -> bool:
    for want in wanted:
        text = want if isinstance(want, str) else want(context)
        if text is not None and compare(value, text):
            return True
    return False


def _null(key: str, wanted: tuple[str, ...]) -> Test:
    absent = {text.lower() for text in wanted}

    def check(context: Lookup) -> bool:
        return ("true" if not context.values(key) else "false") in absent

    return check
