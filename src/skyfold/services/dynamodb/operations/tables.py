"""CreateTable, DescribeTable, DeleteTable, ListTables, DescribeLimits, DescribeEndpoints."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import cancel
from skyfold.kernel.service import Request, reply
from skyfold.kernel.tags import forget_tags, put_tags
from skyfold.services.dynamodb.engine import definitions
from skyfold.services.dynamodb.engine.keys import successor
from skyfold.services.dynamodb.engine.schema import Schema, schema_of, table_key
from skyfold.services.dynamodb.errors import (
    LimitExceededException,
    ResourceInUseException,
    ResourceNotFoundException,
    ValidationException,
    invalid,
)
from skyfold.services.dynamodb.limits import ACCOUNT_UNITS_MAX, TABLE_UNITS_MAX, TABLES_MAX
from skyfold.services.dynamodb.operations import descriptions
from skyfold.services.dynamodb.operations.access import check_name, find_table, table_place
from skyfold.services.dynamodb.operations.policies import checked_policy, new_policy
from skyfold.services.dynamodb.operations.storage import EXPIRE, counts_of
from skyfold.services.dynamodb.operations.tags import checked_tags
from skyfold.services.dynamodb.tables import POLICIES, TABLES, IndexRow, KeyRow, TableRow, Units
from skyfold.store.api import ReadTx, Tx

FILL = "dynamodb.fill"
"""The kind of job that fills a new global index; its key is the tree of the index."""
NOTE = "dynamodb.note_expiry"
"""The kind of job that notes when the items of a table expire; its key is the table's ARN."""
_NAME_MIN = 3
_PAGE = 100


async def named_table(tx: ReadTx, call: Call, given: str) -> Schema:
    """The table, for the operations on tables, which name it in their error."""
    schema = await find_table(tx, call, given)
    if schema is None:
        name = table_place(call, given)[2]
        raise ResourceNotFoundException(f"Requested resource not found: Table: {name} not found")
    return schema


def status_of(row: TableRow) -> str:
    filling = any(index.status != "ACTIVE" for index in row.indexes)
    return "UPDATING" if filling else "ACTIVE"


def new_tree(call: Call) -> int:
    """A number that no other tree has."""
    return int.from_bytes(call.platform.ids.bytes(8), signed=True)


async def create_table(tx: Tx, call: Call, request: Request) -> Any:
    definitions.refuse_unsupported(request)
    account, region, name = table_place(call, request["TableName"])
    check_name(name)
    if len(name) < _NAME_MIN:
        raise ValidationException(
            f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy "
            "constraint: Member must have length greater than or equal to 3"
        )
    for member in ("AttributeDefinitions", "KeySchema"):
        if member not in request:
            raise ValidationException(
                f"1 validation error detected: Value null at '{member[0].lower()}{member[1:]}' "
                "failed to satisfy constraint: Member must not be null"
            )
    row = _new_row(call, request, (account, region, name))
    tags = checked_tags(request.get("Tags", ()))
    if await TABLES.get(tx, account, region, name) is not None:
        raise ResourceInUseException(f"Table already exists: {name}")
    tables = TABLES.prefix(account, region)
    if len(await tx.scan(tables, successor(tables), limit=TABLES_MAX)) >= TABLES_MAX:
        raise LimitExceededException(
            f"Subscriber limit exceeded: There is a limit of {TABLES_MAX} tables per subscriber"
        )
    TABLES.put(tx, row)
    put_tags(tx, row.arn, tags)
    if "ResourcePolicy" in request:
        policy = checked_policy(request["ResourcePolicy"])
        POLICIES.put(tx, new_policy(call, row.arn, policy))
    creating = {index.name: "CREATING" for index in row.indexes}
    return {"TableDescription": descriptions.table(row, {}, "CREATING", changing=creating)}


def _new_row(call: Call, request: Request, place: tuple[str, str, str]) -> TableRow:
    on_demand = request.get("BillingMode") == "PAY_PER_REQUEST"
    units = checked_billing(request, on_demand=on_demand)
    if len(request["KeySchema"]) > len(request["AttributeDefinitions"]):
        raise ValidationException("Invalid KeySchema: Some index key attribute have no definition")
    attributes = definitions.attributes_of(request["AttributeDefinitions"])
    key = definitions.key_of(request["KeySchema"])
    indexes = _new_indexes(call, request, key, on_demand=on_demand)
    definitions.check_defined([key, *(index.key for index in indexes)], attributes)
    definitions.check_indexes(indexes)
    account, region, name = place
    warm = request.get("WarmThroughput", {})
    return TableRow(
        account=account,
        region=region,
        name=name,
        id=call.new_id(),
        tree=new_tree(call),
        created_at=call.now,
        attributes=attributes,
        key=key,
        on_demand=on_demand,
        on_demand_since=call.now if on_demand else 0,
        units=units,
        indexes=tuple(indexes),
        protected=request.get("DeletionProtectionEnabled", False),
        table_class=request.get("TableClass", ""),
        warm=(warm.get("ReadUnitsPerSecond", 0), warm.get("WriteUnitsPerSecond", 0)),
    )


def checked_billing(request: Request, *, on_demand: bool) -> Units:
    given = request.get("ProvisionedThroughput")
    if on_demand:
        if given is not None:
            raise invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
                "BillingMode is PAY_PER_REQUEST"
            )
        return Units()
    if given is None:
        raise invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode "
            "is PROVISIONED"
        )
    return definitions.units_of(given)


def _new_indexes(call: Call, request: Request, key: KeyRow, *, on_demand: bool) -> list[IndexRow]:
    indexes = []
    for member, is_global in (("LocalSecondaryIndexes", False), ("GlobalSecondaryIndexes", True)):
        given = request.get(member)
        if given is None:
            continue
        if not given:
            raise invalid(f"List of {member} is empty")
        for each in given:
            index = definitions.index_of(
                each, new_tree(call), is_global=is_global, on_demand=on_demand
            )
            if not is_global:
                definitions.check_local(key, index)
            indexes.append(index)
    return indexes


async def describe_table(tx: ReadTx, call: Call, request: Request) -> Any:
    schema = await named_table(tx, call, request["TableName"])
    counts = await counts_of(tx, schema)
    return {"Table": descriptions.table(schema.row, counts, status_of(schema.row))}


async def delete_table(tx: Tx, call: Call, request: Request) -> Any:
    schema = await named_table(tx, call, request["TableName"])
    row = schema.row
    if row.protected:
        raise ValidationException(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    counts = await counts_of(tx, schema)
    for tree in (schema, *schema.indexes):
        tx.delete_range(tree.root, successor(tree.root))
    for root in (schema.counts_root, schema.collections, schema.expiry):
        tx.delete_range(root, successor(root))
    await cancel(tx, EXPIRE, row.arn)
    await cancel(tx, NOTE, row.arn)
    for index in row.indexes:
        await cancel(tx, FILL, str(index.tree))
    forget_tags(tx, row.arn)
    POLICIES.delete(tx, row.arn)
    tx.delete(table_key(row.account, row.region, row.name))
    return {"TableDescription": descriptions.deleted(row, counts)}


async def list_tables(tx: ReadTx, call: Call, request: Request) -> Any:
    limit = request.get("Limit", _PAGE)
    after = request.get("ExclusiveStartTableName")
    rows = await TABLES.scan(
        tx, call.account, call.region, limit=limit + 1, above=None if after is None else (after,)
    )
    names = [row.name for row in rows[:limit]]
    return reply(TableNames=names, LastEvaluatedTableName=names[-1] if len(rows) > limit else None)


async def describe_limits(tx: ReadTx, call: Call, request: Request) -> Any:
    return {
        "AccountMaxReadCapacityUnits": ACCOUNT_UNITS_MAX,
        "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS_MAX,
        "TableMaxReadCapacityUnits": TABLE_UNITS_MAX,
        "TableMaxWriteCapacityUnits": TABLE_UNITS_MAX,
    }


async def describe_endpoints(tx: ReadTx, call: Call, request: Request) -> Any:
    address = call.endpoint.partition("://")[2]
    return {"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]}


async def describe_continuous_backups(tx: ReadTx, call: Call, request: Request) -> Any:
    """There are none: point-in-time recovery cannot be turned on here."""
    schema = await find_table(tx, call, request["TableName"])
    if schema is None:
        name = table_place(call, request["TableName"])[2]
        raise ResourceNotFoundException(f"Table not found: {name}")
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        }
    }


async def row_of(tx: ReadTx, account: str, region: str, name: str) -> Schema | None:
    """The table that a job is about, if it still exists."""
    raw = await tx.get(table_key(account, region, name))
    return None if raw is None else schema_of(raw)
