"""PutItem, GetItem, UpdateItem and DeleteItem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.dynamodb.engine import legacy
from skyfold.services.dynamodb.engine.capacity import Consumed, read_units, write_units
from skyfold.services.dynamodb.engine.expressions import (
    NO_VALUES,
    NOTHING,
    Plan,
    check_parameters,
    compiled,
)
from skyfold.services.dynamodb.engine.matchers import Values
from skyfold.services.dynamodb.engine.paths import Projection
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.engine.updates import Update
from skyfold.services.dynamodb.engine.values import (
    Item,
    Value,
    clean_item,
    item_size,
    text_bytes,
    too_deep,
    value_size,
)
from skyfold.services.dynamodb.errors import (
    ConditionalCheckFailedException,
    ValidationException,
    invalid,
)
from skyfold.services.dynamodb.limits import ITEM_BYTES_MAX
from skyfold.services.dynamodb.operations.access import open_table, reads_done, writes_done
from skyfold.services.dynamodb.operations.storage import (
    Written,
    item_of,
    replace,
    size_of,
)
from skyfold.store.api import ReadTx, Tx

_CONDITION = ("ConditionExpression",)
_UPDATE = ("UpdateExpression", "ConditionExpression")
_PROJECTION = ("ProjectionExpression",)
_EXPECTED = ("Expected", "ConditionalOperator")
NO_ITEM: Item = {}


async def get_item(tx: ReadTx, call: Call, request: Request) -> Any:
    projection = projection_of(request)
    key, _ = clean_item(request["Key"])
    schema = await open_table(
        tx,
        call,
        request["TableName"],
        "GetItem",
        keys=(key,),
        attributes=None if projection is None else {*key, *projection.heads},
        context=returns(request, "Select", "SPECIFIC_ATTRIBUTES" if projection else ""),
    )
    place = schema.item_key(key)
    if projection is not None and projection.nested:
        schema.check_nested(projection.nested)
    raw = await tx.get(place)
    size = 0 if raw is None else size_of(raw)
    consumed = Consumed(read_units(size, consistent=request.get("ConsistentRead", False)))
    reads_done(call, schema, consumed)
    item = None
    if raw is not None:
        item = item_of(raw) if projection is None else projection(item_of(raw))
    return reply(Item=item, ConsumedCapacity=consumed.reply(request, request["TableName"]))


def projection_of(request: Request) -> Projection | None:
    """ProjectionExpression, or AttributesToGet."""
    listed = request.get("AttributesToGet")
    if listed is None and "ProjectionExpression" not in request:
        if "ExpressionAttributeNames" in request:
            check_parameters(request, _PROJECTION, ())
        return None
    check_parameters(request, _PROJECTION, ("AttributesToGet",))
    if listed is not None:
        return listed_projection(listed)
    return compiled(request, _PROJECTION)[0].projection


def listed_projection(listed: list[str]) -> Projection:
    for name in listed:
        if listed.count(name) > 1:
            raise invalid(f"Duplicate value in attribute name: {name}")
    return Projection(tuple((name,) for name in listed))


def returns(request: Request, *more: str) -> dict[str, Any]:
    """Condition keys for IAM that the request itself answers."""
    known: dict[str, Any] = {}
    if "ReturnConsumedCapacity" in request:
        known["dynamodb:ReturnConsumedCapacity"] = request["ReturnConsumedCapacity"]
    if "ReturnValues" in request:
        known["dynamodb:ReturnValues"] = request["ReturnValues"]
    if more and more[1]:
        known[f"dynamodb:{more[0]}"] = more[1]
    return known


class Guard:
    """The condition of a write, in either of its forms."""

    __slots__ = ("_legacy", "_request", "_values", "plan")

    def __init__(self, request: Request, plan: Plan, values: Values) -> None:
        self._request, self.plan, self._values = request, plan, values
        self._legacy: legacy.Match | None = None
        expected = request.get("Expected")
        if expected is not None:
            tests = legacy.expected_tests(expected)
            self._legacy = legacy.match_of(tests, request.get("ConditionalOperator"))
        elif "ConditionalOperator" in request:
            raise ValidationException(
                "ConditionalOperator cannot be used without Filter or Expected"
            )

    @property
    def heads(self) -> frozenset[str]:
        condition = self.plan.condition
        return frozenset() if condition is None else condition.heads

    def check(self, call: Call, schema: Schema, old: Item | None) -> None:
        """Raise where the item that is there does not meet the condition."""
        condition, item = self.plan.condition, NO_ITEM if old is None else old
        if condition is not None:
            if condition.matches(item, self._values):
                return
        elif self._legacy is None or self._legacy(item):
            return
        metric = "ConditionalCheckFailedRequests"
        call.metric("AWS/DynamoDB", metric, 1, "Count", TableName=schema.name)
        shown = self._request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        if shown and old is not None:
            raise ConditionalCheckFailedException(Item=old)
        raise ConditionalCheckFailedException

    @property
    def idle(self) -> bool:
        return self.plan.condition is None and self._legacy is None


_UPDATE_SET = frozenset(_UPDATE)
_OLD_UPDATE = ("AttributeUpdates", *_EXPECTED)
_OLD = frozenset(_OLD_UPDATE)
UNCONDITIONAL = Guard({}, NOTHING, NO_VALUES)
_CONDITIONAL = frozenset(
    {
        *_UPDATE,
        *_EXPECTED,
        "AttributeUpdates",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
    }
)


def guard_of(request: Request, expressions: tuple[str, ...] = _CONDITION) -> tuple[Guard, Values]:
    """The condition of a write, and the values that its expressions use."""
    if _CONDITIONAL.isdisjoint(request):
        return UNCONDITIONAL, NO_VALUES
    if _UPDATE_SET.isdisjoint(request) or not _OLD.isdisjoint(request):
        check_parameters(request, expressions, _OLD_UPDATE if "Key" in request else _EXPECTED)
    plan, values = compiled(request, expressions)
    return Guard(request, plan, values), values


def checked_item(request: Request) -> tuple[Item, int]:
    item, size = clean_item(request["Item"])
    if size > ITEM_BYTES_MAX:
        raise ValidationException("Item size has exceeded the maximum allowed size")
    return item, size


async def put_item(tx: Tx, call: Call, request: Request) -> Any:
    guard, item, size = check_put(request)
    schema = await open_table(
        tx,
        call,
        request["TableName"],
        "PutItem",
        keys=(item,),
        attributes=item,
        context=returns(request),
    )
    place = schema.new_item_key(item)
    old_raw, written = await put(tx, call, schema, guard, place, item, size)
    writes_done(call, schema, written.consumed)
    wanted = request.get("ReturnValues") == "ALL_OLD" and old_raw is not None
    return write_reply(
        request, schema, written, item, item_of(old_raw) if wanted and old_raw else None
    )


def check_put(request: Request) -> tuple[Guard, Item, int]:
    """What can be known of a Put without its table."""
    only_old_values(request)
    guard, _ = guard_of(request)
    return guard, *checked_item(request)


def only_old_values(request: Request) -> None:
    if request.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise ValidationException("ReturnValues can only be ALL_OLD or NONE")


async def put(
    tx: Tx, call: Call, schema: Schema, guard: Guard, place: bytes, item: Item, size: int
) -> tuple[bytes | None, Written]:
    old_raw = await tx.get(place)
    if not guard.idle:
        check_condition(call, schema, guard, old_raw)
    return old_raw, await replace(tx, schema, place, old_raw, item, size)


def check_condition(call: Call, schema: Schema, guard: Guard, old_raw: bytes | None) -> None:
    condition = guard.plan.condition
    if condition is not None and condition.nested:
        schema.check_nested(condition.nested)
    try:
        guard.check(call, schema, None if old_raw is None else item_of(old_raw))
    except ConditionalCheckFailedException:
        size = 0 if old_raw is None else size_of(old_raw)
        writes_done(call, schema, Consumed(write_units(size)))  # trying costs as much
        raise


def write_reply(
    request: Request,
    schema: Schema,
    written: Written,
    key: Mapping[str, Value],
    attributes: Item | None,
) -> Any:
    return reply(
        Attributes=attributes,
        ConsumedCapacity=written.consumed.reply(request, request["TableName"]),
        ItemCollectionMetrics=collection_metrics(request, schema, written, key),
    )


def collection_metrics(
    request: Request, schema: Schema, written: Written, key: Mapping[str, Value]
) -> dict[str, Any] | None:
    """The partition's size as AWS rounds it: to whole gigabytes below and above."""
    if not schema.local or request.get("ReturnItemCollectionMetrics", "NONE") == "NONE":
        return None
    gigabytes = float(written.collection_bytes // 1024**3)
    return {
        "ItemCollectionKey": {schema.hash.name: key[schema.hash.name]},
        "SizeEstimateRangeGB": [gigabytes, gigabytes + 1.0],
    }


async def delete_item(tx: Tx, call: Call, request: Request) -> Any:
    only_old_values(request)
    guard, _ = guard_of(request)
    key, _ = clean_item(request["Key"])
    schema = await open_table(
        tx,
        call,
        request["TableName"],
        "DeleteItem",
        keys=(key,),
        attributes={*key, *guard.heads},
        context=returns(request),
    )
    old_raw, written = await delete(tx, call, schema, guard, schema.item_key(key))
    writes_done(call, schema, written.consumed)
    wanted = request.get("ReturnValues") == "ALL_OLD" and old_raw is not None
    return write_reply(
        request, schema, written, key, item_of(old_raw) if wanted and old_raw else None
    )


async def delete(
    tx: Tx, call: Call, schema: Schema, guard: Guard, place: bytes
) -> tuple[bytes | None, Written]:
    old_raw = await tx.get(place)
    if not guard.idle:
        check_condition(call, schema, guard, old_raw)
    if old_raw is None:
        return None, Written(Consumed(1))
    return old_raw, await replace(tx, schema, place, old_raw, None, 0)


AnyUpdate = Update | legacy.LegacyUpdate


class Change:
    """An update as requested: what to do, under which condition."""

    def __init__(self, request: Request) -> None:
        self.guard, self.values = guard_of(request, _UPDATE)
        listed = request.get("AttributeUpdates")
        self.update: AnyUpdate | None = self.guard.plan.update
        if listed is not None:
            self.update = legacy.LegacyUpdate(listed)

    @property
    def heads(self) -> frozenset[str]:
        return frozenset() if self.update is None else self.update.heads

    def check_schema(self, schema: Schema) -> None:
        for name in schema.names:
            if name in self.heads:
                raise invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        if self.update is not None and self.update.nested:
            schema.check_nested(self.update.nested)

    def applied(self, schema: Schema, key: Item, old: Item | None) -> Item | None:
        """The new item; None where there was none and nothing makes one."""
        update = self.update
        if update is None:
            return {**key} if old is None else old
        if old is None and update.actions and not self._creates(update):
            return None
        new = update.apply(key if old is None else old, self.values)
        literal = frozenset(str(a.path[0]) for a in update.actions if a.literal)
        schema.check_updated(new, literal)
        if update.nested and any(too_deep(new[name]) for name in update.heads if name in new):
            raise ValidationException("Nesting Levels have exceeded supported limits")
        return new

    def growth(self, old: Item, new: Item) -> int:
        """The bytes by which the update makes the item larger: only what it names can change."""
        grown = 0
        for name in self.heads:
            for item, sign in ((old, -1), (new, 1)):
                if name in item:
                    grown += sign * (text_bytes(name) + value_size(item[name]))
        return grown

    @staticmethod
    def _creates(update: AnyUpdate) -> bool:
        return any(action.clause in ("SET", "ADD") for action in update.actions)


async def update_item(tx: Tx, call: Call, request: Request) -> Any:
    change = Change(request)
    key, _ = clean_item(request["Key"])
    schema = await open_table(
        tx,
        call,
        request["TableName"],
        "UpdateItem",
        keys=(key,),
        attributes={*key, *change.heads, *change.guard.heads},
        context=returns(request),
    )
    place = schema.item_key(key)
    old, new, written = await update(tx, call, schema, change, key, place)
    writes_done(call, schema, written.consumed)
    attributes = _returned(request.get("ReturnValues", "NONE"), change, old, new)
    return write_reply(request, schema, written, key, attributes)


async def update(
    tx: Tx, call: Call, schema: Schema, change: Change, key: Item, place: bytes
) -> tuple[Item | None, Item | None, Written]:
    """The item before and after, and what it cost."""
    change.check_schema(schema)
    old_raw = await tx.get(place)
    if not change.guard.idle:
        check_condition(call, schema, change.guard, old_raw)
    old = None if old_raw is None else item_of(old_raw)
    new = change.applied(schema, key, old)
    if new is None:
        return None, None, Written(Consumed(1))
    size = item_size(key) if old_raw is None else size_of(old_raw)
    size += change.growth(key if old is None else old, new)
    if size > ITEM_BYTES_MAX:
        raise ValidationException("Item size to update has exceeded the maximum allowed size")
    written = await replace(tx, schema, place, old_raw, new, size)
    return old, new, written


def _returned(wanted: str, change: Change, old: Item | None, new: Item | None) -> Item | None:
    if wanted == "ALL_OLD":
        return old
    if wanted == "ALL_NEW":
        return new
    source = {"UPDATED_OLD": old, "UPDATED_NEW": new}.get(wanted)
    if source is None or change.update is None:
        return None
    return Projection(change.update.paths)(source) or None
