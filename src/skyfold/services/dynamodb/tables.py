"""What DynamoDB keeps.

- ``dynamodb.tables``: one row per table, by (account, region, name): its schema and settings.
- ``dynamodb.items``: all items and all index entries, each table and each index a *tree* with a
  number of its own: (tree, bucket, partition key, sort key), and for an index behind that the
  primary key of the item. ``bucket`` is two bytes of a hash of the partition key, so that a Scan
  goes in hash order and its segments are ranges, while one partition stays one range. The value is
  ``[size, item]`` in msgpack, the item in wire shape, the size at a fixed place so that it can be
  read without decoding. An index entry holds the projected item: a Query of an index is one scan.
- ``dynamodb.counts``: items and bytes of a table and its indexes, by (tree, shard): the shard is
  taken from the bucket so that writers seldom meet.
- ``dynamodb.collections``: bytes of one partition, on tables with local indexes, as items are kept.
- ``dynamodb.expiry``: (tree, second, item key) for the items of tables with a time to live.
- ``dynamodb.policies``: resource policies by table ARN.
- ``dynamodb.tokens``: idempotency tokens of transactions, and ``dynamodb.token_expiry`` to forget
  them by.
"""

from __future__ import annotations

import msgspec

from skyfold.store.keys import pack
from skyfold.store.tables import Index, Table

ITEMS = pack("dynamodb.items")
COUNTS = pack("dynamodb.counts")
COLLECTIONS = pack("dynamodb.collections")
EXPIRY = pack("dynamodb.expiry")


class KeyRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A key schema: attribute names; ``range`` is empty where there is no sort key."""

    hash: str
    range: str = ""


class Units(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Provisioned throughput."""

    read: int = 0
    write: int = 0
    increased_at: int = 0
    decreased_at: int = 0
    decreases_today: int = 0


class IndexRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    name: str
    tree: int
    is_global: bool
    key: KeyRow
    projection: str
    """ALL, KEYS_ONLY or INCLUDE."""
    included: tuple[str, ...] = ()
    units: Units = Units()
    status: str = "ACTIVE"
    """ACTIVE, or CREATING while it is being filled."""


class TableRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    name: str
    id: str
    tree: int
    created_at: int
    attributes: tuple[tuple[str, str], ...]
    """Names and types, S, N or B, of all attributes that are in a key."""
    key: KeyRow
    on_demand: bool
    on_demand_since: int = 0
    units: Units = Units()
    indexes: tuple[IndexRow, ...] = ()
    protected: bool = False
    ttl: str = ""
    """The attribute that holds the moment of expiry."""
    ttl_status: str = "DISABLED"
    table_class: str = ""
    warm: tuple[int, int] = (0, 0)
    """Warm throughput asked for, in units per second."""

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    arn: str
    policy: str
    revision: str


class TokenRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A transaction that was done, so that its retry is not done again."""

    account: str
    region: str
    token: str
    digest: bytes
    expires_at: int


TABLES = Table("dynamodb.tables", TableRow, key=("account", "region", "name"))
POLICIES = Table("dynamodb.policies", PolicyRow, key=("arn",))
TOKENS = Table("dynamodb.tokens", TokenRow, key=("account", "region", "token"))
TOKEN_EXPIRY = Index("dynamodb.token_expiry", "expires_at", "account", "region", "token")
