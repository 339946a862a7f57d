"""CloudFormation: AWS::DynamoDB::Table."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from skyfold.kernel.provisioning import InProgress, Provision, Provisioned, ResourceType
from skyfold.services.dynamodb.engine import definitions
from skyfold.services.dynamodb.errors import (
    PolicyNotFoundException,
    ResourceInUseException,
    ResourceNotFoundException,
    ValidationException,
)

_RETRY_MS = 200
_PASSED_ON = (
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "TableClass",
    "Tags",
    "VectorIndexes",
    "WarmThroughput",
)
_OFF = {
    "ContributorInsightsSpecification": "Enabled",
    "PointInTimeRecoverySpecification": "PointInTimeRecoveryEnabled",
}
"""What may stand in a template so long as it is switched off."""
_NEVER = ("ImportSourceSpecification", "KinesisStreamSpecification")
_INDEX_MEMBERS = (
    "IndexName",
    "KeySchema",
    "Projection",
    "ProvisionedThroughput",
    "OnDemandThroughput",
    "WarmThroughput",
)


async def create(provision: Provision) -> Provisioned | InProgress:
    want, api = _checked(provision.want), provision.api("dynamodb")
    name = provision.want.get("TableName") or provision.default_name(limit=255)
    begun = bool(provision.had.get("$state", {}).get("name_was_free"))
    if not begun:
        if await _described(api, name) is not None:
            raise ResourceInUseException(f"Table already exists: {name}")
        return InProgress(0, {"name_was_free": True})
    # Where the table is there by now, an attempt before a crash made it: the name was free.
    with contextlib.suppress(ResourceInUseException):
        await api.create_table(TableName=name, **want)
    return await _settle(provision, api, name)


async def update(provision: Provision) -> Provisioned | InProgress:
    _checked(provision.want)
    return await _settle(provision, provision.api("dynamodb"), provision.physical_id)


async def delete(provision: Provision) -> InProgress | None:
    try:
        await provision.api("dynamodb").delete_table(TableName=provision.physical_id)
    except ResourceNotFoundException:
        return None
    except ResourceInUseException:
        return InProgress(_RETRY_MS)
    return None


def _checked(want: Mapping[str, Any]) -> dict[str, Any]:
    """The properties as CreateTable's parameters; what cannot be obeyed is refused by name."""
    for name in _NEVER:
        if name in want:
            raise ValidationException(f"{name} is not supported by Skyfold yet")
    for name, switch in _OFF.items():
        if (want.get(name) or {}).get(switch):
            raise ValidationException(f"{name} is not supported by Skyfold yet")
    parameters = {name: want[name] for name in _PASSED_ON if name in want}
    for index in parameters.get("GlobalSecondaryIndexes", ()):
        if (index.get("ContributorInsightsSpecification") or {}).get("Enabled"):
            raise ValidationException(
                "ContributorInsightsSpecification is not supported by Skyfold yet"
            )
    if "GlobalSecondaryIndexes" in parameters:
        indexes = parameters["GlobalSecondaryIndexes"]
        parameters["GlobalSecondaryIndexes"] = [_index_parameters(each) for each in indexes]
    encryption = want.get("SSESpecification")
    if encryption is not None:
        enabled = {"Enabled": encryption.get("SSEEnabled", False)}
        rest = {name: value for name, value in encryption.items() if name != "SSEEnabled"}
        parameters["SSESpecification"] = {**rest, **enabled}
    if "StreamSpecification" in want:
        view = want["StreamSpecification"].get("StreamViewType")
        parameters["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    if "ResourcePolicy" in want:
        parameters["ResourcePolicy"] = json.dumps(want["ResourcePolicy"]["PolicyDocument"])
    for each in (parameters, *parameters.get("GlobalSecondaryIndexes", ())):
        definitions.refuse_unsupported(each)
    return parameters


def _index_parameters(index: Mapping[str, Any]) -> dict[str, Any]:
    return {name: index[name] for name in _INDEX_MEMBERS if name in index}


async def _described(api: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = (await api.describe_table(TableName=name))["Table"]
    except ResourceNotFoundException:
        return None
    return found


async def _settle(provision: Provision, api: Any, name: str) -> Provisioned | InProgress:
    """Take the next step from what stands to what is wanted, until nothing is left to do."""
    table = await _described(api, name)
    if table is None:
        raise ResourceNotFoundException(f"Requested resource not found: Table: {name} not found")
    if table["TableStatus"] != "ACTIVE":
        return InProgress(_RETRY_MS)
    change = (
        _index_deletion(provision.want, table)
        or _table_change(provision.want, table)
        or _index_change(provision.want, table)
    )
    if change is not None:
        await api.update_table(TableName=name, **change)
        return await _settle(provision, api, name)
    waiting = await _settle_expiry(provision.want, api, name)
    if waiting is not None:
        return waiting
    await _settle_tags(provision, api, table["TableArn"])
    await _settle_policy(provision, api, table["TableArn"])
    attributes = {"Arn": table["TableArn"], "TableId": table["TableId"]}
    return Provisioned(physical_id=name, attributes=attributes)


def _table_change(want: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any] | None:
    """What UpdateTable has to change of the table itself."""
    change: dict[str, Any] = {}
    wanted = want.get("BillingMode", "PROVISIONED")
    stands = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    if wanted != stands:
        change["BillingMode"] = wanted
        if wanted == "PROVISIONED":
            change["ProvisionedThroughput"] = want.get("ProvisionedThroughput")
            change["GlobalSecondaryIndexUpdates"] = _all_throughputs(want, table)
    elif wanted == "PROVISIONED" and _units_differ(want, table):
        change["ProvisionedThroughput"] = want["ProvisionedThroughput"]
    protected = want.get("DeletionProtectionEnabled", False)
    if protected != table["DeletionProtectionEnabled"]:
        change["DeletionProtectionEnabled"] = protected
    table_class = want.get("TableClass", "STANDARD")
    if table_class != table.get("TableClassSummary", {}).get("TableClass", "STANDARD"):
        change["TableClass"] = table_class
    warm = want.get("WarmThroughput", {})
    if any(int(units) > table["WarmThroughput"][name] for name, units in warm.items()):
        change["WarmThroughput"] = warm
    return {name: value for name, value in change.items() if value not in (None, [])} or None


def _all_throughputs(want: Mapping[str, Any], table: Mapping[str, Any]) -> list[dict[str, Any]]:
    stands = {each["IndexName"] for each in table.get("GlobalSecondaryIndexes", ())}
    return [
        {"Update": {name: index[name] for name in ("IndexName", "ProvisionedThroughput")}}
        for index in want.get("GlobalSecondaryIndexes", ())
        if index["IndexName"] in stands and "ProvisionedThroughput" in index
    ]


def _units_differ(want: Mapping[str, Any], stands: Mapping[str, Any]) -> bool:
    wanted = want.get("ProvisionedThroughput")
    if wanted is None:
        return False
    return any(stands["ProvisionedThroughput"][name] != int(wanted[name]) for name in wanted)


Indexes = dict[str, Mapping[str, Any]]


def _indexes(want: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[Indexes, Indexes]:
    """The global indexes that are wanted, and those that stand."""
    wanted, stands = (
        {each["IndexName"]: each for each in of.get("GlobalSecondaryIndexes", ())}
        for of in (want, table)
    )
    return wanted, stands


def _index_deletion(want: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any] | None:
    """The next index to go: UpdateTable makes or deletes one at a time."""
    wanted, stands = _indexes(want, table)
    for name, index in stands.items():
        if name not in wanted or _shape(wanted[name]) != _shape(index):
            return {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]}
    return None


def _index_change(want: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any] | None:
    """The next index to make, or throughput to change."""
    wanted, stands = _indexes(want, table)
    for name, index in wanted.items():
        if name not in stands:
            return {
                "AttributeDefinitions": want["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [{"Create": _index_parameters(index)}],
            }
    updates = [
        {"Update": {"IndexName": name, "ProvisionedThroughput": index["ProvisionedThroughput"]}}
        for name, index in wanted.items()
        if want.get("BillingMode") != "PAY_PER_REQUEST" and _units_differ(index, stands[name])
    ]
    return {"GlobalSecondaryIndexUpdates": updates} if updates else None


def _shape(index: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes an index another one when it changes."""
    projection = index["Projection"]
    return (
        [(each["AttributeName"], each["KeyType"]) for each in index["KeySchema"]],
        projection.get("ProjectionType"),
        sorted(projection.get("NonKeyAttributes", ())),
    )


async def _settle_expiry(want: Mapping[str, Any], api: Any, name: str) -> InProgress | None:
    """Time to live; another attribute means off, then on again."""
    wanted = want.get("TimeToLiveSpecification") or {}
    attribute = wanted.get("AttributeName", "") if wanted.get("Enabled") else ""
    found = (await api.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] == "ENABLING":
        return InProgress(_RETRY_MS)
    stands = found.get("AttributeName", "")
    if stands and stands != attribute:
        specification = {"Enabled": False, "AttributeName": stands}
        await api.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    if attribute and stands != attribute:
        specification = {"Enabled": True, "AttributeName": attribute}
        await api.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    return None


async def _settle_tags(provision: Provision, api: Any, arn: str) -> None:
    wanted = {tag["Key"]: tag["Value"] for tag in provision.want.get("Tags", ())}
    had = {tag["Key"]: tag["Value"] for tag in provision.had.get("Tags", ())}
    gone = [key for key in had if key not in wanted]
    if gone:
        await api.untag_resource(ResourceArn=arn, TagKeys=gone)
    if provision.had and wanted != had and wanted:
        tags = [{"Key": key, "Value": value} for key, value in wanted.items()]
        await api.tag_resource(ResourceArn=arn, Tags=tags)


async def _settle_policy(provision: Provision, api: Any, arn: str) -> None:
    wanted = provision.want.get("ResourcePolicy")
    if wanted is not None:
        policy = json.dumps(wanted["PolicyDocument"])
        await api.put_resource_policy(ResourceArn=arn, Policy=policy)
    elif "ResourcePolicy" in provision.had:
        try:
            await api.delete_resource_policy(ResourceArn=arn)
        except PolicyNotFoundException:
            return


RESOURCES = (
    ResourceType(
        name="AWS::DynamoDB::Table",
        create=create,
        update=update,
        delete=delete,
        replaced_when_changed=frozenset(
            {"TableName", "KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification"}
        ),
    ),
)
