"""Finding the table that a request is about, and asking whether the caller may use it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel.call import Call
from skyfold.services.dynamodb.engine.capacity import Consumed
from skyfold.services.dynamodb.engine.schema import IndexSchema, Schema, schema_of, table_key
from skyfold.services.dynamodb.engine.values import Value, shown
from skyfold.services.dynamodb.errors import ResourceNotFoundException, ValidationException
from skyfold.store.api import ReadTx

_NAME = re.compile(r"[a-zA-Z0-9_.-]+", re.ASCII)
_NAME_MAX = 255


def table_place(call: Call, given: str) -> tuple[str, str, str]:
    """Account, region and name of the table in a TableName, which may be an ARN."""
    if given.startswith("arn:"):
        arn = parse_arn(given)
        if arn is None or arn.service != "dynamodb" or not arn.resource.startswith("table/"):
            raise ValidationException(f"Invalid table/index name. Table/index name: {given}")
        if arn.region != call.region:
            raise ValidationException(f"The table is in another region than {call.region}: {given}")
        return arn.account, arn.region, arn.resource.split("/")[1]
    return call.account, call.region, given


def table_arn(call: Call, given: str) -> str:
    if given.startswith("arn:"):
        return given
    return f"arn:aws:dynamodb:{call.region}:{call.account}:table/{given}"


def check_name(name: str, at: str = "tableName") -> None:
    """Refuse what cannot be the name of a table."""
    problem = ""
    if not _NAME.fullmatch(name):
        problem = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    elif len(name) > _NAME_MAX:
        problem = "Member must have length less than or equal to 255"
    if problem:
        raise ValidationException(
            f"1 validation error detected: Value '{name}' at '{at}' failed to satisfy "
            f"constraint: {problem}"
        )


async def find_table(tx: ReadTx, call: Call, given: str) -> Schema | None:
    account, region, name = table_place(call, given)
    raw = await tx.get(table_key(account, region, name))
    if raw is None:
        check_name(name)
        return None
    return schema_of(raw)


async def open_table(
    tx: ReadTx,
    call: Call,
    given: str,
    action: str,
    *,
    keys: Sequence[Mapping[str, Value]] = (),
    attributes: Iterable[str] | None = None,
    index: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Schema:
    """The table, for someone who may do ``action`` on it.

    ``keys`` tell the partitions that are touched and ``attributes`` the attributes, for
    dynamodb:LeadingKeys and dynamodb:Attributes: that is why the operations on items ask for
    themselves, the declaration cannot know which attribute is the partition key.
    """
    schema = await find_table(tx, call, given)
    resource = schema.arn if schema is not None else table_arn(call, given)
    known = dict(context or {})
    if schema is not None and keys:
        name = schema.by_name.get(index or "", schema).hash.name
        known["dynamodb:LeadingKeys"] = [shown(key[name]) for key in keys if name in key]
    if attributes is not None:
        known["dynamodb:Attributes"] = list(attributes)
    if index:
        resource = f"{resource}/index/{index}"
    await call.allowed(tx, f"dynamodb:{action}", resource, known)
    if schema is None:
        raise ResourceNotFoundException
    return schema


def open_index(schema: Schema, name: str | None) -> IndexSchema | None:
    """The index with this name, in a state to be read; None where no name is given."""
    if name is None:
        return None
    index = schema.by_name.get(name)
    if index is None:
        raise ValidationException(f"The table does not have the specified index: {name}")
    if index.row.status != "ACTIVE":
        raise ValidationException(f"Cannot read from backfilling global secondary index: {name}")
    return index


def reads_done(call: Call, schema: Schema, consumed: Consumed) -> None:
    _consumed(call, schema, consumed, "Read")


def writes_done(call: Call, schema: Schema, consumed: Consumed) -> None:
    _consumed(call, schema, consumed, "Write")


def _consumed(call: Call, schema: Schema, consumed: Consumed, what: str) -> None:
    """Meter what is billed by the request, and record the metrics of table and indexes."""
    row, metric = schema.row, f"Consumed{what}CapacityUnits"
    if row.account != call.account:  # the owner pays
        call = call.acting_as(call.principal, account=row.account)
    if row.on_demand:
        infrequent = "IA-" if row.table_class == "STANDARD_INFREQUENT_ACCESS" else ""
        call.meter(f"{infrequent}{what}RequestUnits", consumed.total, resource=schema.arn)
    table = consumed.table + sum(consumed.local.values())
    if table:
        call.metric("AWS/DynamoDB", metric, table, "Count", TableName=schema.name)
    for name, units in consumed.global_.items():
        call.metric(
            "AWS/DynamoDB",
            metric,
            units,
            "Count",
            TableName=schema.name,
            GlobalSecondaryIndexName=name,
        )
