"""A table's schema compiled: what is asked of it for every request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from skyfold.services.dynamodb.engine import keys
from skyfold.services.dynamodb.engine.values import Item, Value, item_size, kind_of
from skyfold.services.dynamodb.errors import ValidationException, invalid, not_valid
from skyfold.services.dynamodb.tables import (
    COLLECTIONS,
    COUNTS,
    EXPIRY,
    ITEMS,
    TABLES,
    IndexRow,
    KeyRow,
    TableRow,
)

COUNT_SHARDS = 32


class KeyAttribute(NamedTuple):
    name: str
    kind: str
    is_hash: bool


def _mismatch() -> ValidationException:
    return ValidationException("The provided key element does not match the schema")


def _empty(kind: str) -> str:
    what = "string" if kind == "S" else "binary"
    return f"The AttributeValue for a key attribute cannot contain an empty {what} value."


class Tree:
    """A table or an index as a range of keys."""

    def __init__(self, number: int, key: KeyRow, kinds: Mapping[str, str]) -> None:
        self.number = number
        self.root = keys.tree_root(ITEMS, number)
        self.hash = KeyAttribute(key.hash, kinds[key.hash], True)
        self.range = KeyAttribute(key.range, kinds[key.range], False) if key.range else None
        self.attributes = (self.hash,) if self.range is None else (self.hash, self.range)
        self.names = tuple(each.name for each in self.attributes)
        self._encode_hash = keys.ENCODERS[self.hash.kind]
        self._encode_range = keys.ENCODERS[self.range.kind] if self.range else None

    def partition(self, value: Value) -> bytes:
        """Where the items with this partition key begin."""
        encoded = self._encode_hash(value[self.hash.kind])
        return self.root + keys.bucket(encoded) + encoded

    def place(self, item: Mapping[str, Value]) -> bytes:
        """Where ``item``, whose key attributes are known to be right, is kept."""
        encoded = self._encode_hash(item[self.hash.name][self.hash.kind])
        place = self.root + keys.bucket(encoded) + encoded
        if self.range is None or self._encode_range is None:
            return place
        return place + self._encode_range(item[self.range.name][self.range.kind])


class IndexSchema(Tree):
    def __init__(self, row: IndexRow, table: TableRow, kinds: Mapping[str, str]) -> None:
        super().__init__(row.tree, row.key, kinds)
        self.row, self.name, self.is_global = row, row.name, row.is_global
        kept = {*self.names, table.key.hash, *row.included}
        if table.key.range:
            kept.add(table.key.range)
        self.projected = None if row.projection == "ALL" else frozenset(kept)

    def holds(self, item: Mapping[str, Value]) -> bool:
        """Whether the item has an entry: it has every key attribute, of the right type."""
        for name, kind, _ in self.attributes:
            value = item.get(name)
            if value is None or kind not in value:
                return False
        return True

    def project(self, item: Item) -> Item:
        kept = self.projected
        if kept is None:
            return item
        return {name: value for name, value in item.items() if name in kept}


class Schema(Tree):
    """A table. Made once for each version of its row: see ``schema_of``."""

    def __init__(self, row: TableRow) -> None:
        kinds = dict(row.attributes)
        super().__init__(row.tree, row.key, kinds)
        self.row, self.arn, self.name = row, row.arn, row.name
        self.indexes = tuple(IndexSchema(index, row, kinds) for index in row.indexes)
        self.by_name = {index.name: index for index in self.indexes}
        self.local = tuple(index for index in self.indexes if not index.is_global)
        counts = keys.tree_root(COUNTS, row.tree)
        self.counts_root = counts
        self.counts = tuple(counts + bytes((shard,)) for shard in range(COUNT_SHARDS))
        self.collections = keys.tree_root(COLLECTIONS, row.tree)
        self.expiry = keys.tree_root(EXPIRY, row.tree)
        self.ttl = row.ttl
        self.plain = not self.indexes and not self.ttl
        self.key_names = frozenset(self.names)
        by_name = sorted(self.indexes, key=lambda index: index.name)
        self._index_attributes = tuple(
            (index.name, *each)
            for index in by_name
            for each in index.attributes
            if each.name not in self.key_names
        )
        self.index_key_names = frozenset(each[1] for each in self._index_attributes)

    def item_key(self, key: Mapping[str, Value]) -> bytes:
        """The place of the item with this ``Key``. Raises where it does not fit the schema."""
        if len(key) != len(self.attributes):
            raise _mismatch()
        for name, kind, is_hash in self.attributes:
            value = key.get(name)
            if value is None or kind not in value:
                raise _mismatch()
            self.check_key_value(name, kind, value, is_hash=is_hash)
        return self.place(key)

    def new_item_key(self, item: Mapping[str, Value]) -> bytes:
        """The place of a new item, all its key attributes checked, those of the indexes too."""
        for name, kind, is_hash in self.attributes:
            value = item.get(name)
            if value is None:
                raise invalid(f"Missing the key {name} in the item")
            if kind not in value:
                raise invalid(
                    f"Type mismatch for key {name} expected: {kind} actual: {kind_of(value)}"
                )
            self.check_key_value(name, kind, value, is_hash=is_hash)
        if self._index_attributes:
            self._check_index_keys(item)
        return self.place(item)

    @staticmethod
    def check_key_value(name: str, kind: str, value: Value, *, is_hash: bool) -> None:
        raw = value[kind]
        if not raw:
            raise not_valid(f"{_empty(kind)} Key: {name}")
        if len(raw) > 256:
            problem = keys.key_size_problem(kind, raw, is_hash=is_hash)
            if problem:
                raise invalid(problem)

    def _check_index_keys(self, item: Mapping[str, Value]) -> None:
        for index, name, kind, is_hash in self._index_attributes:
            value = item.get(name)
            if value is None:
                continue
            if kind not in value:
                raise invalid(index_mismatch(name, kind, kind_of(value), index))
            if not value[kind]:
                raise not_valid(
                    "A value specified for a secondary index key is not supported. "
                    f"{_empty(kind)} IndexName: {index}, IndexKey: {name}"
                )
            problem = keys.key_size_problem(kind, value[kind], is_hash=is_hash)
            if problem:
                raise invalid(problem)

    def check_updated(self, item: Mapping[str, Value], literal: frozenset[str]) -> None:
        """The same for what an update made; ``literal`` attributes were set to a given value."""
        for index, name, kind, is_hash in self._index_attributes:
            value = item.get(name)
            if value is None:
                continue
            if kind not in value:
                if name in literal:
                    raise invalid(index_mismatch(name, kind, kind_of(value), index))
                raise ValidationException(
                    "The update expression attempted to update the secondary index key to "
                    "unsupported type"
                )
            if not value[kind]:
                raise not_valid(
                    "The update expression attempted to update a secondary index key to a value "
                    f"that is not supported. {_empty(kind)}"
                )
            problem = keys.key_size_problem(kind, value[kind], is_hash=is_hash)
            if problem:
                raise invalid(problem)

    def check_nested(self, heads: frozenset[str]) -> None:
        """Refuse document paths that go into a key attribute."""
        for what, names in (("Key", self.key_names), ("IndexKey", self.index_key_names)):
            for name in names & heads:
                raise ValidationException(
                    "Key attributes must be scalars; list random access '[]' and map lookup '.' "
                    f"are not allowed: {what}: {name}"
                )

    def key_of(self, item: Mapping[str, Value]) -> Item:
        return {name: item[name] for name in self.names}

    def entry_key(self, index: IndexSchema, item: Mapping[str, Value]) -> bytes:
        """Where the entry of ``item`` in ``index`` is kept: ordered by index key, then item."""
        return index.place(item) + self.place(item)[len(self.root) + 2 :]

    def collection(self, item_key: bytes, item: Mapping[str, Value]) -> bytes:
        """The counter of the partition that ``item`` is in."""
        end = len(self.partition(item[self.hash.name]))
        return self.collections + item_key[len(self.root) : end]


def index_mismatch(name: str, expected: str, actual: str, index: str) -> str:
    return (
        f"Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} "
        f"IndexName: {index}"
    )


_decode_row = msgspec.msgpack.Decoder(TableRow).decode


@lru_cache(maxsize=2048)
def schema_of(raw: bytes) -> Schema:
    """The schema in a table's row. Kept by the row's bytes, so it can never be out of date."""
    return Schema(_decode_row(raw))


@lru_cache(maxsize=4096)
def table_key(account: str, region: str, name: str) -> bytes:
    return TABLES.prefix(account, region, name)


def projected_size(index: IndexSchema, projected: Item, whole: int) -> int:
    return whole if index.projected is None else item_size(projected)
