"""Whatever is written, a table and its indexes answer as a plain dictionary would."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from skyfold.services.dynamodb.engine.values import clean_item, item_size
from tests.services.dynamodb.conftest import Dynamo, Item, index, key_schema

partitions = st.sampled_from(["a", "a\0", "ab", "é"]).map(lambda s: {"S": s})
sorts = st.sampled_from(["-10", "-1.5", "0", "2", "10", "1E20"]).map(lambda n: {"N": n})
groups = st.sampled_from([b"g", b"g\xff", b"\xff\xff"]).map(lambda b: {"B": b})
labels = st.sampled_from(["l", "la", "lb", "m"]).map(lambda s: {"S": s})
extras = st.fixed_dictionaries(
    {},
    optional={
        "grp": groups,
        "lbl": labels,
        "extra": st.sampled_from(["", "x" * 2000]).map(lambda s: {"S": s}),
    },
)
LOCAL = index("local", "pk", "lbl", projection="INCLUDE", include=("extra",))
GLOBAL = index("global", "grp", "sk", projection="KEYS_ONLY")
LATE = index("late", "lbl")
INDEXES: dict[str, tuple[str, str]] = {
    "": ("pk", "sk"),
    "local": ("pk", "lbl"),
    "global": ("grp", "sk"),
    "late": ("lbl", ""),
}
KINDS = {"pk": "S", "sk": "N", "grp": "B", "lbl": "S"}


def order(item: Item, name: str) -> Any:
    if not name:
        return 0
    ((kind, raw),) = item[name].items()
    return Decimal(raw) if kind == "N" else raw.encode() if kind == "S" else raw


def projected(name: str, item: Item) -> Item:
    kept = {
        "local": {"pk", "sk", "lbl", "extra"},
        "global": {"pk", "sk", "grp"},
    }.get(name)
    return item if kept is None else {n: v for n, v in item.items() if n in kept}


class TableAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.dynamo = Dynamo()
        self.model: dict[tuple[str, str], Item] = {}
        self.late = False
        self.run(
            "CreateTable",
            KeySchema=key_schema("pk", "sk"),
            AttributeDefinitions=[
                {"AttributeName": n, "AttributeType": k} for n, k in KINDS.items()
            ],
            BillingMode="PAY_PER_REQUEST",
            LocalSecondaryIndexes=[LOCAL],
            GlobalSecondaryIndexes=[GLOBAL],
        )

    def teardown(self) -> None:
        self.runner.close()

    def run(self, operation: str, **request: Any) -> Any:
        return self.runner.run(self.dynamo(operation, TableName="table", **request))

    def remember(self, item: Item) -> None:
        cleaned, _ = clean_item(item)
        self.model[cleaned["pk"]["S"], cleaned["sk"]["N"]] = cleaned

    @rule(pk=partitions, sk=sorts, extra=extras)
    def put(self, pk: Any, sk: Any, extra: Any) -> None:
        self.run("PutItem", Item={"pk": pk, "sk": sk, **extra})
        self.remember({"pk": pk, "sk": sk, **extra})

    @rule(pk=partitions, sk=sorts, grp=groups)
    def set_group_remove_label(self, pk: Any, sk: Any, grp: Any) -> None:
        self.run(
            "UpdateItem",
            Key={"pk": pk, "sk": sk},
            UpdateExpression="SET grp = :g REMOVE lbl",
            ExpressionAttributeValues={":g": grp},
        )
        key, _ = clean_item({"pk": pk, "sk": sk})
        old = self.model.get((key["pk"]["S"], key["sk"]["N"]), key)
        self.remember({**{n: v for n, v in old.items() if n != "lbl"}, "grp": grp})

    @rule(pk=partitions, sk=sorts)
    def delete(self, pk: Any, sk: Any) -> None:
        self.run("DeleteItem", Key={"pk": pk, "sk": sk})
        key, _ = clean_item({"pk": pk, "sk": sk})
        self.model.pop((key["pk"]["S"], key["sk"]["N"]), None)

    @rule(pk=partitions, extra=extras)
    def write_batch(self, pk: Any, extra: Any) -> None:
        kept = {"pk": pk, "sk": {"N": "0"}, **extra}
        writes = [
            {"PutRequest": {"Item": kept}},
            {"DeleteRequest": {"Key": {"pk": pk, "sk": {"N": "2"}}}},
        ]
        self.runner.run(self.dynamo("BatchWriteItem", RequestItems={"table": writes}))
        self.remember(kept)
        self.model.pop((pk["S"], "2"), None)

    @rule(pk=partitions, extra=extras)
    def transact(self, pk: Any, extra: Any) -> None:
        kept = {"pk": pk, "sk": {"N": "10"}, **extra}
        actions = [
            {"Put": {"TableName": "table", "Item": kept}},
            {"Delete": {"TableName": "table", "Key": {"pk": pk, "sk": {"N": "-10"}}}},
        ]
        self.runner.run(self.dynamo("TransactWriteItems", TransactItems=actions))
        self.remember(kept)
        self.model.pop((pk["S"], "-10"), None)

    @rule()
    def add_or_drop_the_late_index(self) -> None:
        change = {"Delete": {"IndexName": "late"}} if self.late else {"Create": LATE}
        self.run(
            "UpdateTable",
            AttributeDefinitions=[{"AttributeName": "lbl", "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[change],
        )
        self.late = not self.late

    def expected(self, name: str) -> list[Item]:
        first, second = INDEXES[name]
        needed = {first, second} - {""}
        return [item for item in self.model.values() if needed <= item.keys()]

    @rule(
        data=st.data(),
        name=st.sampled_from(sorted(INDEXES)),
        forward=st.booleans(),
        limit=st.sampled_from([None, 1, 2, 3]),
    )
    def query(self, data: Any, name: str, forward: bool, limit: int | None) -> None:
        if name == "late" and not self.late:
            return
        first, second = INDEXES[name]
        values = {":h": data.draw(st.one_of(partitions, labels) if first != "grp" else groups)}
        text = f"{first} = :h"
        test = data.draw(st.sampled_from(["", "<", "<=", ">", ">=", "="])) if second else ""
        if test:
            values[":r"] = data.draw(sorts if second == "sk" else labels)
            text += f" AND {second} {test} :r"
        request: dict[str, Any] = {
            "KeyConditionExpression": text,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": forward,
        }
        if name:
            request["IndexName"] = name
        if limit is not None:
            request["Limit"] = limit
        pages = self.runner.run(self.dynamo.pages("Query", TableName="table", **request))

        matching = [item for item in self.expected(name) if item[first] == values[":h"]]
        if test:
            bound = order(clean_item({second: values[":r"]})[0], second)
            matching = [i for i in matching if holds(order(i, second), test, bound)]
        got = [item for page in pages for item in page]
        assert all(limit is None or len(page) <= limit for page in pages)
        assert [order(item, second) for item in got] == sorted(
            (order(item, second) for item in matching), reverse=not forward
        )
        assert same(got, [projected(name, item) for item in matching])

    @rule(
        name=st.sampled_from(sorted(INDEXES)),
        segments=st.sampled_from([1, 2, 5]),
        limit=st.sampled_from([None, 2]),
    )
    def scan(self, name: str, segments: int, limit: int | None) -> None:
        if name == "late" and not self.late:
            return
        request: dict[str, Any] = {"IndexName": name} if name else {}
        if limit is not None:
            request["Limit"] = limit
        got: list[Item] = []
        for segment in range(segments):
            pages = self.dynamo.pages(
                "Scan", TableName="table", Segment=segment, TotalSegments=segments, **request
            )
            got += [item for page in self.runner.run(pages) for item in page]
        assert same(got, [projected(name, item) for item in self.expected(name)])

    @invariant()
    def counts_are_exact(self) -> None:
        table = self.run("DescribeTable")["Table"]
        assert table["ItemCount"] == len(self.model)
        assert table["TableSizeBytes"] == sum(map(item_size, self.model.values()))
        for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
            for each in table.get(kind, ()):
                name = each["IndexName"]
                entries = [projected(name, item) for item in self.expected(name)]
                assert each["ItemCount"] == len(entries)
                assert each["IndexSizeBytes"] == sum(map(item_size, entries))


def holds(value: Any, test: str, bound: Any) -> bool:
    return bool(
        {
            "<": value < bound,
            "<=": value <= bound,
            ">": value > bound,
            ">=": value >= bound,
            "=": value == bound,
        }[test]
    )


def same(got: list[Item], expected: list[Item]) -> bool:
    """Equal whatever the order."""
    left = list(expected)
    for item in got:
        if item not in left:
            return False
        left.remove(item)
    return not left


TestTableAgainstModel = TableAgainstModel.TestCase
TestTableAgainstModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, derandomize=True
)
