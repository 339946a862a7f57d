"""Query and Scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.dynamodb.engine import legacy
from skyfold.services.dynamodb.engine.capacity import Consumed, read_units
from skyfold.services.dynamodb.engine.expressions import Plan, check_parameters, compiled
from skyfold.services.dynamodb.engine.keys import segment_bounds, successor
from skyfold.services.dynamodb.engine.matchers import Values
from skyfold.services.dynamodb.engine.ranges import (
    KeyRange,
    bounds,
    legacy_ranges,
    position,
    ranges_of,
    start_key_names,
)
from skyfold.services.dynamodb.engine.schema import IndexSchema, Schema
from skyfold.services.dynamodb.engine.values import Item, Value, clean
from skyfold.services.dynamodb.errors import ValidationException, invalid
from skyfold.services.dynamodb.limits import PAGE_BYTES_MAX
from skyfold.services.dynamodb.operations.access import open_index, open_table, reads_done
from skyfold.services.dynamodb.operations.items import listed_projection, returns
from skyfold.services.dynamodb.operations.storage import item_of, size_of
from skyfold.store.api import ReadTx

_QUERY = ("ProjectionExpression", "FilterExpression", "KeyConditionExpression")
_OLD_QUERY_NAMES = ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions")
_OLD_QUERY = frozenset(_OLD_QUERY_NAMES)
_SCAN = ("ProjectionExpression", "FilterExpression")
_FIRST_CHUNK = 64
_CHUNK_MAX = 1000
Filter = Callable[[Mapping[str, Value]], bool]


async def query(tx: ReadTx, call: Call, request: Request) -> Any:
    if "KeyConditionExpression" not in request or not _OLD_QUERY.isdisjoint(request):
        check_parameters(request, _QUERY, _OLD_QUERY_NAMES)
    plan, values = compiled(request, _QUERY)
    ranges = _key_ranges(request, plan, values)
    reading = _Reading(request, "QueryFilter", plan, values, querying=True)
    eq = {name: each.values[0] for name, each in ranges.items() if each.operator == "="}
    await reading.open(tx, call, "Query", eq)
    schema, index = reading.schema, reading.index
    start, stop = bounds(index or schema, ranges)
    reading.check_keys()
    reverse = request.get("ScanIndexForward") is False
    if reading.start_key is not None:
        place = position(schema, index, reading.start_key, scan=False)
        if not start <= place < stop:
            raise ValidationException(
                "The provided starting key does not match the range key predicate"
                if len(ranges) > 1
                else "The provided starting key is outside query boundaries based on provided "
                "conditions"
            )
        start, stop = (start, place) if reverse else (place + b"\0", stop)
    await reading.run(tx, start, stop, reverse=reverse)
    return reading.reply(call)


def _key_ranges(request: Request, plan: Plan, values: Values) -> dict[str, KeyRange]:
    if plan.key_condition is not None:
        return ranges_of(plan.key_condition, values)
    if "KeyConditions" in request:
        return legacy_ranges(legacy.tests_of(request["KeyConditions"]))
    raise ValidationException(
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the "
        "request."
    )


async def scan(tx: ReadTx, call: Call, request: Request) -> Any:
    check_parameters(request, _SCAN, ("AttributesToGet", "ScanFilter", "ConditionalOperator"))
    plan, values = compiled(request, _SCAN)
    segment, total = _segment(request)
    reading = _Reading(request, "ScanFilter", plan, values, querying=False)
    await reading.open(tx, call, "Scan", None)
    schema, index = reading.schema, reading.index
    root = (index or schema).root
    reading.check_keys()
    first, past = segment_bounds(segment, total)
    start = root + first
    stop = successor(root) if past is None else root + past
    if reading.start_key is not None:
        place = position(schema, index, reading.start_key, scan=True)
        if not start <= place < stop:
            raise ValidationException(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
                "ExclusiveStartKey with correct Segment. "
                f"TotalSegments: {total} Segment: {segment}"
            )
        start = place + b"\0"
    await reading.run(tx, start, stop, reverse=False)
    return reading.reply(call)


def _segment(request: Request) -> tuple[int, int]:
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if segment is None and total is None:
        return 0, 1
    if total is None:
        raise ValidationException(
            "The TotalSegments parameter is required but was not present in the request when "
            "Segment parameter is present"
        )
    if segment is None:
        raise ValidationException(
            "The Segment parameter is required but was not present in the request when "
            "parameter TotalSegments is present"
        )
    if segment >= total:
        raise ValidationException(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return segment, total


class _Reading:
    """One page of a Query or Scan: what is wanted of it, and what was found."""

    schema: Schema

    def __init__(
        self, request: Request, filter_name: str, plan: Plan, values: Values, *, querying: bool
    ) -> None:
        self.request, self._filter_name, self._querying = request, filter_name, querying
        self._plan, self._values = plan, values
        self.projection = plan.projection
        if "AttributesToGet" in request:
            self.projection = listed_projection(request["AttributesToGet"])
        self._filter_heads: frozenset[str] = frozenset()
        self.filter = self._make_filter()
        self.select = self._checked_select()
        self.start_key = self._clean_start_key()
        self.index: IndexSchema | None = None
        self.items: list[Item] = []
        self.count = self.scanned = 0
        self._bytes = self._fetched = self._fetched_units = 0
        self._last: Item | None = None
        self._show: Callable[[Item], Item] | None = None

    def _make_filter(self) -> Filter | None:
        condition, values = self._plan.filter, self._values
        if condition is not None:
            self._filter_heads = condition.heads
            matches = condition.matches
            return lambda item: matches(item, values)
        given, operator = (
            self.request.get(self._filter_name),
            self.request.get("ConditionalOperator"),
        )
        if given is None:
            if operator is not None and "KeyConditions" not in self.request:
                raise ValidationException(
                    "ConditionalOperator cannot be used without Filter or Expected"
                )
            return None
        tests = legacy.tests_of(given)
        self._filter_heads = frozenset(tests)
        return legacy.match_of(tests, operator)

    def _checked_select(self) -> str:
        select = self.request.get("Select")
        what = "AttributesToGet" if "AttributesToGet" in self.request else "ProjectionExpression"
        if self.projection is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
            got = "only the Count" if select == "COUNT" else select
            raise ValidationException(f"Cannot specify the {what} when choosing to get {got}")
        if select == "SPECIFIC_ATTRIBUTES" and self.projection is None:
            raise ValidationException(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
                "SPECIFIC_ATTRIBUTES"
            )
        if select == "ALL_PROJECTED_ATTRIBUTES" and "IndexName" not in self.request:
            doing = "Querying" if self._querying else "Scanning"
            raise ValidationException(
                f"ALL_PROJECTED_ATTRIBUTES can be used only when {doing} using an IndexName"
            )
        if select is not None:
            return str(select)
        if self.projection is not None:
            return "SPECIFIC_ATTRIBUTES"
        return "ALL_PROJECTED_ATTRIBUTES" if "IndexName" in self.request else "ALL_ATTRIBUTES"

    def _clean_start_key(self) -> Item | None:
        given = self.request.get("ExclusiveStartKey")
        if given is None:
            return None
        try:
            return {name: clean(value)[0] for name, value in given.items()}
        except ValidationException as bad:
            raise ValidationException(f"The provided starting key is invalid: {bad.text}") from None

    async def open(
        self, tx: ReadTx, call: Call, action: str, key: Mapping[str, Value] | None
    ) -> None:
        projection = self.projection
        self.schema = await open_table(
            tx,
            call,
            self.request["TableName"],
            action,
            keys=() if key is None else (key,),
            attributes=None if projection is None else {*projection.heads, *self._filter_heads},
            index=self.request.get("IndexName"),
            context=returns(self.request, "Select", self.select),
        )
        self.index = index = open_index(self.schema, self.request.get("IndexName"))
        self._show = projection
        if index is not None and index.projected is not None and projection is None:
            self._show = index.project if self.select == "ALL_PROJECTED_ATTRIBUTES" else None

    def check_keys(self) -> None:
        """What the schema does not allow of consistency, projection and filter."""
        index, projection = self.index, self.projection
        if index is not None and index.is_global:
            self._check_global(index)
        if projection is not None and projection.nested:
            self.schema.check_nested(projection.nested)
        if self._querying and self._filter_heads:
            what = "Filter Expression" if self._plan.filter else "QueryFilter"
            for name in (index or self.schema).names:
                if name in self._filter_heads:
                    raise ValidationException(
                        f"{what} can only contain non-primary key attributes: "
                        f"Primary key attribute: {name}"
                    )
        if self._plan.filter is not None and self._plan.filter.nested:
            self.schema.check_nested(self._plan.filter.nested)

    def _check_global(self, index: IndexSchema) -> None:
        if self.request.get("ConsistentRead"):
            raise ValidationException(
                "Consistent reads are not supported on global secondary indexes"
            )
        if index.projected is None:
            return
        if self.select == "ALL_ATTRIBUTES":
            raise invalid(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index "
                f"{index.name} because its projection type is not ALL"
            )
        if self.projection is not None:
            missing = sorted(self.projection.heads - index.projected)
            if missing:
                raise invalid(
                    f"Global secondary index {index.name} does not project [{', '.join(missing)}]"
                )

    def _fetches(self) -> bool:
        """Whether items have to be read from the table behind a local index."""
        index = self.index
        if index is None or index.is_global or index.projected is None:
            return False
        if self.select == "ALL_ATTRIBUTES":
            return True
        wanted = self._filter_heads
        if self.projection is not None:
            wanted = wanted | self.projection.heads
        return not wanted <= index.projected

    async def run(self, tx: ReadTx, start: bytes, stop: bytes, *, reverse: bool) -> None:
        """Read until the limit, the size of a page or the end."""
        limit = self.request.get("Limit")
        fetches, chunk = self._fetches(), _FIRST_CHUNK
        while True:
            wanted = chunk if limit is None else min(chunk, limit - self.scanned)
            pairs = await tx.scan(start, stop, limit=wanted, reverse=reverse)
            for _, raw in pairs:
                self.scanned += 1
                self._bytes += int.from_bytes(raw[2:6])  # size_of, without the call
                if fetches:
                    self._take(await self._fetch(tx, raw))
                else:
                    self._take(raw)
                if self._bytes >= PAGE_BYTES_MAX or self.scanned == limit:
                    self._last = item_of(raw)
                    return
            if len(pairs) < wanted:
                return
            if reverse:
                stop = pairs[-1][0]
            else:
                start = pairs[-1][0] + b"\0"
            average = max(1, self._bytes // self.scanned)
            chunk = max(1, min(_CHUNK_MAX, (PAGE_BYTES_MAX - self._bytes) // average + 1))

    async def _fetch(self, tx: ReadTx, entry: bytes) -> bytes:
        """The item behind an index entry."""
        whole = await tx.get(self.schema.place(item_of(entry)))
        assert whole is not None, "an index entry has its item"
        self._fetched += 1
        self._fetched_units += int(read_units(size_of(whole), consistent=True))
        return whole

    def _take(self, raw: bytes) -> None:
        counting = self.select == "COUNT"
        if self.filter is None and counting:
            self.count += 1
            return
        item = item_of(raw)
        if self.filter is not None and not self.filter(item):
            return
        self.count += 1
        if not counting:
            self.items.append(item if self._show is None else self._show(item))

    def reply(self, call: Call) -> Any:
        consistent = bool(self.request.get("ConsistentRead", False))
        consumed = self._consumed(consistent)
        reads_done(call, self.schema, consumed)
        operation = "Query" if self._querying else "Scan"
        call.metric(
            "AWS/DynamoDB",
            "ReturnedItemCount",
            self.count,
            "Count",
            TableName=self.schema.name,
            Operation=operation,
        )
        last = self._last
        return reply(
            Items=None if self.select == "COUNT" else self.items,
            Count=self.count,
            ScannedCount=self.scanned,
            LastEvaluatedKey=None
            if last is None
            else {name: last[name] for name in start_key_names(self.schema, self.index)},
            ConsumedCapacity=consumed.reply(self.request, self.request["TableName"]),
        )

    def _consumed(self, consistent: bool) -> Consumed:
        units = read_units(self._bytes, consistent=consistent)
        if self.index is None:
            return Consumed(units)
        fetched = self._fetched_units if consistent else self._fetched_units / 2
        consumed = Consumed(fetched if self._fetched else 0)
        consumed.add_index(self.index.name, units, is_global=self.index.is_global)
        return consumed
