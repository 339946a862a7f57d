"""The expressions of a request, compiled together and kept by their texts.

Compiling sees the texts, the aliases and the *names* of the values; so everything but the types of
the values is settled once for all requests that look alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from skyfold.services.dynamodb.engine.key_conditions import KeyCondition
from skyfold.services.dynamodb.engine.matchers import Check, Condition, Values
from skyfold.services.dynamodb.engine.paths import Projection, overlap
from skyfold.services.dynamodb.engine.tokens import Path, Reader
from skyfold.services.dynamodb.engine.updates import Update
from skyfold.services.dynamodb.engine.values import Value, clean
from skyfold.services.dynamodb.errors import ValidationException

PARAMETERS = (
    "UpdateExpression",
    "ConditionExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)
_ALIAS = re.compile(r"#[0-9a-zA-Z_]+", re.ASCII)
_VALUE_NAME = re.compile(r":[0-9a-zA-Z_]+", re.ASCII)


class Plan(NamedTuple):
    """What the expressions of a request mean; the members of absent ones are None."""

    update: Update | None = None
    condition: Condition | None = None
    key_condition: KeyCondition | None = None
    filter: Condition | None = None
    projection: Projection | None = None
    checks: tuple[Check, ...] = ()


NOTHING = Plan()
NO_VALUES: dict[str, Value] = {}


def compiled(request: Mapping[str, Any], expressions: Iterable[str]) -> tuple[Plan, Values]:
    """The expressions that ``request`` has among ``expressions``, and its values, canonical."""
    names = request.get("ExpressionAttributeNames")
    given = request.get("ExpressionAttributeValues")
    texts = tuple(request.get(name) if name in expressions else None for name in PARAMETERS)
    if names is None and given is None and not any(text is not None for text in texts):
        return NOTHING, NO_VALUES
    aliases = () if names is None else _checked_names(names)
    values = NO_VALUES if given is None else _checked_values(given)
    plan = _plan(texts, aliases, tuple(values))
    for check in plan.checks:
        check(values)
    return plan, values


def check_parameters(
    request: Mapping[str, Any], expressions: tuple[str, ...], legacy: tuple[str, ...]
) -> None:
    """Refuse expressions beside legacy parameters, and aliases or values with no expression."""
    used = [name for name in expressions if request.get(name) is not None]
    old = [name for name in legacy if request.get(name) is not None]
    if used and old and not (old == ["KeyConditions"] and "KeyConditionExpression" not in used):
        raise ValidationException(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(old)}}} "
            f"Expression parameters: {{{', '.join(used)}}}"
        )
    if not used and "ExpressionAttributeNames" in request:
        raise ValidationException(
            "ExpressionAttributeNames can only be specified when using expressions"
        )
    with_values = [name for name in expressions if name != "ProjectionExpression"]
    if "ExpressionAttributeValues" in request and not any(n in used for n in with_values):
        verb = "are" if len(with_values) > 1 else "is"
        raise ValidationException(
            "ExpressionAttributeValues can only be specified when using expressions: "
            f"{' and '.join(with_values)} {verb} null"
        )


def _checked_names(names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not names:
        raise ValidationException("ExpressionAttributeNames must not be empty")
    return tuple(names.items())


def _checked_values(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    if not given:
        raise ValidationException("ExpressionAttributeValues must not be empty")
    values = {}
    for name, value in given.items():
        try:
            values[name] = clean(value)[0]
        except ValidationException as bad:
            raise ValidationException(
                f"ExpressionAttributeValues contains invalid value: {bad.text} for key {name}"
            ) from None
    return values


@lru_cache(maxsize=4096)
def _plan(
    texts: tuple[str | None, ...], aliases: tuple[tuple[str, str], ...], values: tuple[str, ...]
) -> Plan:
    names = dict(aliases)
    _check_spelling(names, values)
    parts: list[Any] = []
    checks: list[Check | None] = []
    names_used: set[str] = set()
    values_used: set[str] = set()
    makers: tuple[Callable[[Reader], Any], ...] = (
        Update,
        Condition,
        KeyCondition,
        Condition,
        projection,
    )
    for what, text, make in zip(PARAMETERS, texts, makers, strict=True):
        if text is None:
            parts.append(None)
            continue
        reader = Reader(what, text, names, values)
        part = make(reader)
        parts.append(part)
        checks.extend(getattr(part, "checks", ()))
        names_used |= reader.names_used
        values_used |= reader.values_used
    checks.append(_all_used("Names", names, names_used))
    checks.append(_all_used("Values", values, values_used))
    needed = tuple(check for check in checks if check is not None)
    return Plan._make((*parts, needed))


def _check_spelling(names: Iterable[str], values: Iterable[str]) -> None:
    for kind, pattern, given in (("Names", _ALIAS, names), ("Values", _VALUE_NAME, values)):
        for key in given:
            if not pattern.fullmatch(key):
                raise ValidationException(
                    f'ExpressionAttribute{kind} contains invalid key: Syntax error; key: "{key}"'
                )


def _all_used(kind: str, given: Iterable[str], used: set[str]) -> Check | None:
    """A check that fails if some are not; it comes after those on the types of values."""
    unused = [key for key in given if key not in used]
    if not unused:
        return None
    listed = ", ".join(unused)

    def check(values: Values) -> None:
        raise ValidationException(
            f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{listed}}}"
        )

    return check


def projection(reader: Reader) -> Projection:
    """ProjectionExpression: paths with commas between them."""
    paths: list[Path] = [reader.path()]
    while reader.take(","):
        paths.append(reader.path())
    reader.expect_end()
    reader.check_reserved()
    resolved = tuple(reader.resolved(path) for path in paths)
    clash = overlap(resolved)
    if clash:
        raise reader.error(clash)
    return Projection(resolved)
