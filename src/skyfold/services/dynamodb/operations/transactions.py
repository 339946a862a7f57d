"""TransactWriteItems and TransactGetItems."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.dynamodb.engine.capacity import (
    TRANSACTIONAL,
    Consumed,
    read_units,
    write_units,
)
from skyfold.services.dynamodb.engine.schema import Schema
from skyfold.services.dynamodb.engine.values import Item, clean_item
from skyfold.services.dynamodb.errors import (
    ConditionalCheckFailedException,
    IdempotentParameterMismatchException,
    ItemCollectionSizeLimitExceededException,
    TransactionCanceledException,
    ValidationException,
)
from skyfold.services.dynamodb.limits import TRANSACTION_BYTES_MAX, TRANSACTION_TOKEN_MS
from skyfold.services.dynamodb.operations.access import open_table, reads_done, writes_done
from skyfold.services.dynamodb.operations.items import (
    Change,
    Guard,
    check_condition,
    check_put,
    collection_metrics,
    delete,
    guard_of,
    projection_of,
    put,
    update,
)
from skyfold.services.dynamodb.operations.storage import Written, item_of, size_of
from skyfold.services.dynamodb.tables import TOKEN_EXPIRY, TOKENS, TokenRow
from skyfold.store.api import ReadTx, Tx

_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_FORGOTTEN_AT_ONCE = 8
_REASONS = {
    ConditionalCheckFailedException: "ConditionalCheckFailed",
    ItemCollectionSizeLimitExceededException: "ItemCollectionSizeLimitExceeded",
    ValidationException: "ValidationError",
}
_EMPTY_KEY = "One or more parameter values are not valid."


class _Action(NamedTuple):
    """One action as requested, checked as far as that goes without its table."""

    kind: str
    request: Mapping[str, Any]
    key: Item
    """The key, or the whole item of a Put."""
    size: int
    guard: Guard
    change: Change | None


class _Failure(Exception):
    """An action that cannot be done, and why."""

    def __init__(self, error: AwsError) -> None:
        super().__init__(error.text)
        self.reason: dict[str, Any] = {"Code": _REASONS[type(error)], "Message": error.text}
        if "Item" in error.members:
            self.reason["Item"] = error.members["Item"]


def _cancelled(reasons: list[dict[str, Any]]) -> TransactionCanceledException:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return TransactionCanceledException(
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


async def transact_write_items(tx: Tx, call: Call, request: Request) -> Any:
    actions = [_action(each) for each in request["TransactItems"]]
    if sum(action.size for action in actions) > TRANSACTION_BYTES_MAX:
        raise ValidationException(
            "Collection size of items exceeded, which can also be caused by the aggregate size "
            "of the items in the transaction exceeding the 4MB limit"
        )
    schemas = [await _open(tx, call, action) for action in actions]
    places = _places(actions, schemas)
    if "ClientRequestToken" in request and await _done_before(tx, call, request):
        return await _replayed(tx, call, request, actions, schemas, places)
    reasons: list[dict[str, Any]] = []
    written: list[Written] = []
    for action, schema, place in zip(actions, schemas, places, strict=True):
        try:
            if isinstance(place, AwsError):
                raise place
            written.append(await _perform(tx, call, action, schema, place))
            reasons.append({"Code": "None"})
        except tuple(_REASONS) as failure:
            if isinstance(failure, ValidationException) and failure.text.startswith(_EMPTY_KEY):
                raise
            reasons.append(_Failure(failure).reason)
    if any(reason["Code"] != "None" for reason in reasons):
        raise _cancelled(reasons)
    return _write_reply(call, request, actions, schemas, written)


def _action(each: Mapping[str, Any]) -> _Action:
    if len(each) != 1:
        raise ValidationException(
            "TransactItems can only contain one of Check, Put, Update or Delete"
        )
    kind, request = next(iter(each.items()))
    if kind == "Put":
        guard, item, size = check_put(request)
        return _Action(kind, request, item, size, guard, None)
    key, size = clean_item(request["Key"])
    if kind == "Update":
        change = Change(request)
        return _Action(kind, request, key, size, change.guard, change)
    return _Action(kind, request, key, size, guard_of(request)[0], None)


async def _open(tx: ReadTx, call: Call, action: _Action) -> Schema:
    heads = action.change.heads if action.change else frozenset()
    return await open_table(
        tx,
        call,
        action.request["TableName"],
        _ACTIONS[action.kind],
        keys=(action.key,),
        attributes={*action.key, *heads, *action.guard.heads},
        context={"dynamodb:EnclosingOperation": "TransactWriteItems"},
    )


def _places(actions: list[_Action], schemas: list[Schema]) -> list[bytes | ValidationException]:
    """Where each action works, or why its key is no key; no place may come twice."""
    places: list[bytes | ValidationException] = []
    seen: set[bytes] = set()
    for action, schema in zip(actions, schemas, strict=True):
        try:
            whole = action.kind == "Put"
            place = schema.new_item_key(action.key) if whole else schema.item_key(action.key)
        except ValidationException as bad:
            if bad.text.startswith(_EMPTY_KEY):
                raise
            places.append(bad)
            continue
        if place in seen:
            raise ValidationException(
                "Transaction request cannot include multiple operations on one item"
            )
        seen.add(place)
        places.append(place)
    return places


async def _perform(tx: Tx, call: Call, action: _Action, schema: Schema, place: bytes) -> Written:
    if action.kind == "Put":
        item, size = action.key, action.size
        return (await put(tx, call, schema, action.guard, place, item, size))[1]
    if action.change is not None:
        return (await update(tx, call, schema, action.change, action.key, place))[2]
    if action.kind == "Delete":
        return (await delete(tx, call, schema, action.guard, place))[1]
    raw = await tx.get(place)
    check_condition(call, schema, action.guard, raw)
    size = 0 if raw is None else size_of(raw)
    return Written(Consumed(write_units(size)))


def _write_reply(
    call: Call,
    request: Request,
    actions: list[_Action],
    schemas: list[Schema],
    written: list[Written],
) -> Any:
    metrics: dict[str, list[dict[str, Any]]] = {}
    sums: dict[str, tuple[Schema, Consumed]] = {}
    for action, schema, each in zip(actions, schemas, written, strict=True):
        name = action.request["TableName"]
        sums.setdefault(name, (schema, Consumed()))[1].add(each.consumed.times(TRANSACTIONAL))
        measured = collection_metrics(request, schema, each, action.key)
        if measured is not None and each.collection_bytes:
            metrics.setdefault(name, []).append(measured)
    for schema, consumed in sums.values():
        writes_done(call, schema, consumed)
    return reply(
        ConsumedCapacity=_capacities(request, sums, "Write"), ItemCollectionMetrics=metrics or None
    )


def _capacities(
    request: Request, sums: Mapping[str, tuple[Schema, Consumed]], split: str
) -> list[dict[str, Any]] | None:
    told = [consumed.reply(request, name, split=split) for name, (_, consumed) in sums.items()]
    return [capacity for capacity in told if capacity is not None] or None


async def _done_before(tx: Tx, call: Call, request: Request) -> bool:
    """Whether this token's transaction was done in the last ten minutes; note it if not."""
    token, now = request["ClientRequestToken"], call.now
    packed = msgspec.msgpack.encode(request["TransactItems"], order="deterministic")
    digest = hashlib.sha256(packed).digest()
    row = await TOKENS.get(tx, call.account, call.region, token)
    if row is not None and row.expires_at > now:
        if row.digest != digest:
            raise IdempotentParameterMismatchException
        return True
    for expired in await TOKEN_EXPIRY.scan(tx, below=(now + 1,), limit=_FORGOTTEN_AT_ONCE):
        TOKEN_EXPIRY.delete(tx, *expired)
        TOKENS.delete(tx, *expired[1:])
    row = TokenRow(
        account=call.account,
        region=call.region,
        token=token,
        digest=digest,
        expires_at=now + TRANSACTION_TOKEN_MS,
    )
    TOKENS.put(tx, row)
    TOKEN_EXPIRY.put(tx, row.expires_at, row.account, row.region, token)
    return False


async def _replayed(
    tx: Tx,
    call: Call,
    request: Request,
    actions: list[_Action],
    schemas: list[Schema],
    places: list[bytes | ValidationException],
) -> Any:
    """The answer to a retry: nothing is written, and reading the items is what it costs."""
    sums: dict[str, tuple[Schema, Consumed]] = {}
    for action, schema, place in zip(actions, schemas, places, strict=True):
        raw = await tx.get(place) if isinstance(place, bytes) else None
        units = read_units(0 if raw is None else size_of(raw), consistent=True) * TRANSACTIONAL
        sums.setdefault(action.request["TableName"], (schema, Consumed()))[1].table += units
    for schema, consumed in sums.values():
        reads_done(call, schema, consumed)
    return reply(ConsumedCapacity=_capacities(request, sums, "Read"))


async def transact_get_items(tx: ReadTx, call: Call, request: Request) -> Any:
    gets = [each["Get"] for each in request["TransactItems"]]
    projections = [projection_of(get) for get in gets]
    keys = [clean_item(get["Key"])[0] for get in gets]
    reasons: list[dict[str, Any]] = []
    responses: list[dict[str, Any]] = []
    sums: dict[str, tuple[Schema, Consumed]] = {}
    seen: set[bytes] = set()
    for get, projection, key in zip(gets, projections, keys, strict=True):
        schema = await open_table(
            tx,
            call,
            get["TableName"],
            "GetItem",
            keys=(key,),
            attributes=None if projection is None else {*key, *projection.heads},
            context={"dynamodb:EnclosingOperation": "TransactGetItems"},
        )
        try:
            place = schema.item_key(key)
        except ValidationException as bad:
            if bad.text.startswith(_EMPTY_KEY):
                raise
            reasons.append(_Failure(bad).reason)
            continue
        reasons.append({"Code": "None"})
        if place in seen:
            raise ValidationException(
                "Transaction request cannot include multiple operations on one item"
            )
        seen.add(place)
        raw = await tx.get(place)
        units = read_units(0 if raw is None else size_of(raw), consistent=True) * TRANSACTIONAL
        sums.setdefault(get["TableName"], (schema, Consumed()))[1].table += units
        item = None if raw is None else item_of(raw)
        shown = item if item is None or projection is None else projection(item)
        responses.append({} if shown is None else {"Item": shown})
    if any(reason["Code"] != "None" for reason in reasons):
        raise _cancelled(reasons)
    for schema, consumed in sums.values():
        reads_done(call, schema, consumed)
    return reply(Responses=responses, ConsumedCapacity=_capacities(request, sums, "Read"))
