"""DynamoDB, declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, Service, read, write
from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.jobs import JOBS
from skyfold.services.dynamodb.operations import (
    batches,
    items,
    policies,
    queries,
    table_updates,
    tables,
    tags,
    time_to_live,
    transactions,
)
from skyfold.services.dynamodb.operations.access import table_arn
from skyfold.services.dynamodb.resources import RESOURCES


def table(call: Call, request: Request) -> str:
    return table_arn(call, request["TableName"])


def table_or_index(call: Call, request: Request) -> str:
    index = request.get("IndexName")
    return table(call, request) + (f"/index/{index}" if index else "")


def resource(call: Call, request: Request) -> str:
    return str(request["ResourceArn"])


def worded(violations: Sequence[Any]) -> Exception:
    """What the model refuses, as DynamoDB says it."""
    for violation in violations:
        if violation.path == "requestItems" and not violation.value:
            what = "BatchGetItem" if violation.shape == "BatchGetRequestMap" else "BatchWriteItem"
            return ValidationException(f"The requestItems parameter is required for {what}")
    count = len(violations)
    plural = "" if count == 1 else "s"
    listed = "; ".join(map(str, violations))
    return ValidationException(f"{count} validation error{plural} detected: {listed}")


SERVICE = Service(
    model="dynamodb",
    operations={
        "BatchGetItem": read(batches.batch_get_item, open=True),
        "BatchWriteItem": write(batches.batch_write_item, open=True),
        "CreateTable": write(tables.create_table, on=table),
        "DeleteItem": write(items.delete_item, on=table, open=True),
        "DeleteResourcePolicy": write(policies.delete_resource_policy, on=resource),
        "DeleteTable": write(tables.delete_table, on=table),
        "DescribeContinuousBackups": read(tables.describe_continuous_backups, on=table),
        "DescribeEndpoints": read(tables.describe_endpoints),
        "DescribeLimits": read(tables.describe_limits),
        "DescribeTable": read(tables.describe_table, on=table),
        "DescribeTimeToLive": read(time_to_live.describe_time_to_live, on=table),
        "GetItem": read(items.get_item, on=table, open=True),
        "GetResourcePolicy": read(policies.get_resource_policy, on=resource),
        "ListTables": read(tables.list_tables),
        "ListTagsOfResource": read(tags.list_tags_of_resource, on=resource),
        "PutItem": write(items.put_item, on=table, open=True),
        "PutResourcePolicy": write(policies.put_resource_policy, on=resource),
        "Query": read(queries.query, on=table_or_index, open=True),
        "Scan": read(queries.scan, on=table_or_index, open=True),
        "TagResource": write(tags.tag_resource, on=resource),
        "TransactGetItems": read(transactions.transact_get_items, open=True),
        "TransactWriteItems": write(transactions.transact_write_items, open=True),
        "UntagResource": write(tags.untag_resource, on=resource),
        "UpdateItem": write(items.update_item, on=table, open=True),
        "UpdateTable": write(table_updates.update_table, on=table),
        "UpdateTimeToLive": write(time_to_live.update_time_to_live, on=table),
    },
    resource_policy=policies.policy_of,
    validation_error=worded,
    jobs=JOBS,
    resource_types=RESOURCES,
)
