"""Filter policies: which messages a subscription wants to have."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Final

from skyfold.services.sns import limits
from skyfold.services.sns.engine import patterns
from skyfold.services.sns.engine.patterns import Matcher, PatternError

DIALECT: Final = patterns.Dialect(
    operators=patterns.OPERATORS,
    anything_but=frozenset({"prefix", "equals-ignore-case", "wildcard"}),
    number_max=limits.FILTER_NUMBER_MAX,
)


@functools.lru_cache(maxsize=4096)
def matcher(text: str, body: bool) -> Matcher:
    """What a filter policy matches, of attributes or (``body``) of messages.

    Raises PatternError for what SNS does not accept.
    """
    if len(text.encode()) > limits.FILTER_MAX_BYTES:
        raise PatternError("Filter policy is too large")
    try:
        policy = json.loads(text)
    except ValueError as bad:
        raise PatternError("failed to parse JSON.") from bad
    if not isinstance(policy, dict):
        raise PatternError("Filter policy must be a JSON object")
    found = patterns.compiled(policy, DIALECT) if policy else lambda _event: True
    keys = _keys(policy)
    if len(keys) > limits.FILTER_KEYS_MAX:
        raise PatternError(f"Filter policy can not have more than {limits.FILTER_KEYS_MAX} keys")
    if not body and any(depth > 1 for _, depth in keys):
        raise PatternError(
            "Filter policy scope MessageAttributes does not support nested filter policy"
        )
    if _combinations(policy, 1, nested=body) > limits.FILTER_COMBINATIONS_MAX:
        raise PatternError("Filter policy is too complex")
    return found


def _keys(policy: Mapping[str, Any], path: str = "", depth: int = 1) -> set[tuple[str, int]]:
    """The fields that a policy looks at, each with how deep it lies."""
    found: set[tuple[str, int]] = set()
    for key, wanted in policy.items():
        if patterns.is_or(key, wanted):
            for alternative in wanted:
                found |= _keys(alternative, path, depth)
        elif isinstance(wanted, Mapping):
            found |= _keys(wanted, f"{path}{key}.", depth + 1)
        else:
            found.add((path + key, depth))
    return found


def _combinations(policy: Mapping[str, Any], depth: int, *, nested: bool) -> int:
    """How many combinations of values there are: nested ones count once for each level."""
    product = 1
    for key, wanted in policy.items():
        if patterns.is_or(key, wanted):
            product *= sum(_combinations(item, depth, nested=nested) for item in wanted)
        elif isinstance(wanted, Mapping):
            product *= _combinations(wanted, depth + 1, nested=nested)
        else:
            product *= len(wanted) * (depth if nested else 1)
    return product


def attributes_event(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Message attributes as what a filter policy is held against: binary ones are not seen."""
    return {
        name: _value(attribute["DataType"], attribute["StringValue"])
        for name, attribute in attributes.items()
        if "StringValue" in attribute
    }


def _value(kind: str, text: str) -> Any:
    if kind.partition(".")[0] == "Number":
        return number(text)
    if kind != "String.Array":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def number(text: str) -> int | float:
    """Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def body_event(message: str) -> dict[str, Any] | None:
    """A message as what a filter policy is held against: None where it is no JSON object."""
    try:
        event = json.loads(message)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
