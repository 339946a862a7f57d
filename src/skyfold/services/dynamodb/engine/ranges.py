"""What a Query has to read: a range of keys, from key conditions and a starting key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from skyfold.services.dynamodb.engine.key_conditions import KeyCondition
from skyfold.services.dynamodb.engine.keys import ENCODERS, encode_prefix, successor
from skyfold.services.dynamodb.engine.legacy import LegacyTest
from skyfold.services.dynamodb.engine.matchers import Values
from skyfold.services.dynamodb.engine.schema import IndexSchema, KeyAttribute, Schema, Tree
from skyfold.services.dynamodb.engine.values import Item, Value
from skyfold.services.dynamodb.errors import ValidationException, invalid

_LEGACY_OPERATORS = {
    "EQ": "=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}


class KeyRange(NamedTuple):
    """``operator`` applied to a key attribute; an operator that no key can have is ''."""

    operator: str
    values: tuple[Value, ...]


def ranges_of(condition: KeyCondition, values: Values) -> dict[str, KeyRange]:
    return {
        name: KeyRange(test.operator, tuple(values[value] for value in test.values))
        for name, test in condition.tests.items()
    }


def legacy_ranges(tests: Mapping[str, LegacyTest]) -> dict[str, KeyRange]:
    return {
        name: KeyRange(_LEGACY_OPERATORS.get(test.operator, ""), test.values)
        for name, test in tests.items()
    }


def bounds(tree: Tree, ranges: Mapping[str, KeyRange]) -> tuple[bytes, bytes]:
    """The keys that ``ranges`` allow: from the first, up to but not including the second."""
    if len(ranges) not in (1, 2):
        raise ValidationException("Conditions can be of length 1 or 2 only")
    if tree.range is None and len(ranges) > 1:
        raise ValidationException("Query key condition not supported")
    hashed = ranges.get(tree.hash.name)
    if hashed is None:
        raise _missed(tree.hash.name)
    _check(tree.hash, hashed)
    if hashed.operator != "=":
        raise ValidationException("Query key condition not supported")
    partition = tree.partition(hashed.values[0])
    if len(ranges) == 1:
        return partition, successor(partition)
    assert tree.range is not None
    ranged = ranges.get(tree.range.name)
    if ranged is None:
        raise _missed(tree.range.name)
    _check(tree.range, ranged)
    return _range_bounds(partition, tree.range.kind, ranged)


def _missed(name: str) -> ValidationException:
    return ValidationException(f"Query condition missed key schema element: {name}")


def _check(attribute: KeyAttribute, found: KeyRange) -> None:
    if not found.operator:
        raise ValidationException("Attempted conditional constraint is not an indexable operation")
    for value in found.values:
        if attribute.kind not in value:
            raise invalid("Condition parameter type does not match schema type")
        Schema.check_key_value(attribute.name, attribute.kind, value, is_hash=attribute.is_hash)


def _range_bounds(partition: bytes, kind: str, ranged: KeyRange) -> tuple[bytes, bytes]:
    operator, values = ranged
    if operator == "begins_with":
        prefix = partition + encode_prefix(kind, values[0][kind])
        return prefix, successor(prefix)
    first = partition + ENCODERS[kind](values[0][kind])
    if operator == "BETWEEN":
        return first, successor(partition + ENCODERS[kind](values[1][kind]))
    if operator == "=":
        return first, successor(first)
    if operator == "<":
        return partition, first
    if operator == "<=":
        return partition, successor(first)
    return (successor(first) if operator == ">" else first), successor(partition)


def start_key_names(schema: Schema, index: IndexSchema | None) -> tuple[str, ...]:
    """The attributes of an ExclusiveStartKey: those of the table's key and of the index's."""
    if index is None:
        return schema.names
    return schema.names + tuple(name for name in index.names if name not in schema.key_names)


def position(schema: Schema, index: IndexSchema | None, start: Item, *, scan: bool) -> bytes:
    """The place that an ExclusiveStartKey stands for."""
    wrong = ValidationException(
        "The provided starting key is invalid"
        + (": The provided key element does not match the schema" if scan and index is None else "")
    )
    if set(start) != set(start_key_names(schema, index)):
        raise wrong
    for name, kind, is_hash in (*schema.attributes, *(index.attributes if index else ())):
        if kind not in start[name]:
            raise wrong
        try:
            Schema.check_key_value(name, kind, start[name], is_hash=is_hash)
        except ValidationException as bad:
            raise ValidationException(f"The provided starting key is invalid: {bad.text}") from None
    return schema.place(start) if index is None else schema.entry_key(index, start)
