"""CreateTable and UpdateTable requests turned into rows: key schemas, indexes, throughput."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skyfold.services.dynamodb.errors import ValidationException, invalid
from skyfold.services.dynamodb.limits import (
    GLOBAL_INDEXES_MAX,
    LOCAL_INDEXES_MAX,
    PROJECTED_ATTRIBUTES_MAX,
    THROUGHPUT_UNITS_MAX,
)
from skyfold.services.dynamodb.tables import IndexRow, KeyRow, Units

Attributes = tuple[tuple[str, str], ...]
_REFUSED = {
    "StreamSpecification": "DynamoDB Streams",
    "SSESpecification": "customer managed encryption keys",
    "GlobalTableSourceArn": "global tables",
    "GlobalTableSettingsReplicationMode": "global tables",
    "ReplicaUpdates": "global tables",
    "MultiRegionConsistency": "global tables",
    "GlobalTableWitnessUpdates": "global tables",
    "DisassociationProtectionEnabled": "global tables",
    "OnDemandThroughput": "maximum on-demand throughput",
    "VectorIndexes": "vector indexes",
    "VectorIndexUpdates": "vector indexes",
}
_SWITCHES = {"StreamSpecification": "StreamEnabled", "SSESpecification": "Enabled"}


def refuse_unsupported(request: Mapping[str, Any]) -> None:
    """Name what Skyfold cannot obey, rather than to keep it and ignore it."""
    stream = request.get("StreamSpecification") or {}
    if stream.get("StreamEnabled") is False and "StreamViewType" in stream:
        raise invalid("StreamViewType cannot be specified when StreamEnabled is false")
    for parameter, feature in _REFUSED.items():
        given = request.get(parameter)
        switch = _SWITCHES.get(parameter)
        if given is None or (switch and not given.get(switch)):
            continue
        raise ValidationException(
            f"{parameter} is not supported: Skyfold does not implement {feature} yet"
        )


def attributes_of(given: Iterable[Mapping[str, str]]) -> Attributes:
    found: dict[str, str] = {}
    for each in given:
        name = each["AttributeName"]
        if name in found:
            raise invalid(
                f"Cannot have two attributes with the same name in AttributeDefinitions: {name}"
            )
        found[name] = each["AttributeType"]
    return tuple(found.items())


def key_of(given: Sequence[Mapping[str, str]], at: str = "keySchema") -> KeyRow:
    """A KeySchema: a HASH key, then perhaps a RANGE key."""
    if len(given) > 2:
        shown = ", ".join(
            f"KeySchemaElement(attributeName={each['AttributeName']}, keyType={each['KeyType']})"
            for each in given
        )
        raise ValidationException(
            f"1 validation error detected: Value '[{shown}]' at '{at}' failed to satisfy "
            "constraint: Member must have length less than or equal to 2"
        )
    names = [each["AttributeName"] for each in given]
    if given[0]["KeyType"] != "HASH":
        raise ValidationException(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
        )
    if len(names) == 2 and names[0] == names[1]:
        raise ValidationException(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name"
        )
    if len(given) == 2 and given[1]["KeyType"] != "RANGE":
        raise ValidationException(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
        )
    return KeyRow(hash=names[0], range=names[1] if len(names) == 2 else "")


def names_of(key: KeyRow) -> list[str]:
    return [key.hash, key.range] if key.range else [key.hash]


def check_defined(keys: Sequence[KeyRow], attributes: Attributes) -> None:
    """Every key attribute is defined, and nothing else is."""
    defined = [name for name, _ in attributes]
    for key in keys:
        if not set(names_of(key)) <= set(defined):
            raise invalid(
                "Some index key attributes are not defined in AttributeDefinitions. "
                f"Keys: [{', '.join(names_of(key))}], "
                f"AttributeDefinitions: [{', '.join(defined)}]"
            )
    used = {name for key in keys for name in names_of(key)}
    if len(used) == len(defined):
        return
    if len(keys) == 1:
        raise invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes "
            "defined in AttributeDefinitions"
        )
    raise invalid(
        "Some AttributeDefinitions are not used. "
        f"AttributeDefinitions: [{', '.join(defined)}], keys used: [{', '.join(sorted(used))}]"
    )


def units_of(given: Mapping[str, int]) -> Units:
    for name, units in given.items():
        if units > THROUGHPUT_UNITS_MAX:
            raise ValidationException(f"Given value {units} for {name} is out of bounds")
    return Units(read=given["ReadCapacityUnits"], write=given["WriteCapacityUnits"])


def index_of(
    given: Mapping[str, Any], tree: int, *, is_global: bool, on_demand: bool, status: str = "ACTIVE"
) -> IndexRow:
    """An index as requested, checked by itself."""
    name = given["IndexName"]
    key = key_of(given["KeySchema"])
    projection = given["Projection"]
    kind, included = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid("Unknown ProjectionType: null")
    if included is not None and kind != "INCLUDE":
        raise invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if kind == "INCLUDE" and not included:
        raise invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    refuse_unsupported(given)
    throughput = given.get("ProvisionedThroughput")
    if is_global and on_demand and throughput is not None:
        raise invalid(
            f"ProvisionedThroughput should not be specified for index: {name} when BillingMode "
            "is PAY_PER_REQUEST"
        )
    if is_global and not on_demand and throughput is None:
        raise invalid(f"ProvisionedThroughput must be specified for index: {name}")
    return IndexRow(
        name=name,
        tree=tree,
        is_global=is_global,
        key=key,
        projection=kind,
        included=tuple(included or ()),
        units=units_of(throughput) if throughput else Units(),
        status=status,
    )


def check_local(key: KeyRow, index: IndexRow) -> None:
    if not key.range:
        raise invalid(
            "Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex"
        )
    if not index.key.range:
        raise invalid(f"Index KeySchema does not have a range key for index: {index.name}")
    if index.key.hash != key.hash:
        raise invalid(
            "Index KeySchema does not have the same leading hash key as table KeySchema for "
            f"index: {index.name}. index hash key: {index.key.hash}, table hash key: {key.hash}"
        )


def check_indexes(indexes: Sequence[IndexRow]) -> None:
    """What holds of all indexes of a table together."""
    seen: set[str] = set()
    for index in indexes:
        if index.name in seen:
            raise invalid(f"Duplicate index name: {index.name}")
        seen.add(index.name)
    if sum(not index.is_global for index in indexes) > LOCAL_INDEXES_MAX:
        raise invalid("Number of LocalSecondaryIndexes exceeds per-table limit of 5")
    if sum(index.is_global for index in indexes) > GLOBAL_INDEXES_MAX:
        raise invalid("GlobalSecondaryIndex count exceeds the per-table limit of 20")
    if sum(len(index.included) for index in indexes) > PROJECTED_ATTRIBUTES_MAX:
        raise invalid(
            "Number of NonKeyAttributes in all index projections exceeds the limit of 100"
        )
