"""The same requests leave the same tables on every engine, however often it retries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skyfold.store.api import Store
from skyfold.store.engines.faulty import FaultyStore
from skyfold.store.engines.memory import MemoryStore
from skyfold.store.engines.rocks import RocksStore
from tests.services.dynamodb.conftest import Dynamo, N, S, definitions, index
from tests.support.world import World

ENGINES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "conflicts": lambda folder: FaultyStore(MemoryStore(), seed=7, conflicts=0.3),
    "rocks": lambda folder: RocksStore(folder / "store"),
}


async def played(store: Store) -> Any:
    """A few of everything; what the table and its indexes hold at the end."""
    dynamo = Dynamo()
    dynamo.world = World(store)
    await dynamo.table(
        "table",
        "pk",
        "sk",
        attributes={"pk": "S", "sk": "N", "grp": "S", "lbl": "S"},
        GlobalSecondaryIndexes=[index("byg", "grp", "sk")],
        LocalSecondaryIndexes=[index("byl", "pk", "lbl", projection="KEYS_ONLY")],
    )
    start = dynamo.world.clock.now() // 1000
    await dynamo(
        "UpdateTimeToLive",
        TableName="table",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
    )
    for n in range(60):
        item = {"pk": S(f"p{n % 3}"), "sk": N(n - 30), "grp": S("g"), "lbl": S(f"{n:02}")}
        await dynamo.put({**item, "ttl": N(start + n)})
    for n in range(60):
        await dynamo(
            "UpdateItem",
            TableName="table",
            Key={"pk": S(f"p{n % 3}"), "sk": N(n - 30)},
            UpdateExpression="ADD hits :one REMOVE lbl" if n % 4 else "ADD hits :one",
            ExpressionAttributeValues={":one": N(1)},
        )
    await dynamo(
        "TransactWriteItems",
        ClientRequestToken="once",
        TransactItems=[{"Put": {"TableName": "table", "Item": {"pk": S("t"), "sk": N(1)}}}],
    )
    await dynamo(
        "UpdateTable",
        TableName="table",
        AttributeDefinitions=definitions(lbl="S"),
        GlobalSecondaryIndexUpdates=[{"Create": index("late", "lbl")}],
    )
    await dynamo.world.advance(20)
    pages = [
        await dynamo.pages("Scan", TableName="table", Limit=7),
        await dynamo.pages("Scan", TableName="table", IndexName="byg"),
        await dynamo.pages("Scan", TableName="table", IndexName="byl"),
        await dynamo.pages("Scan", TableName="table", IndexName="late"),
    ]
    described = (await dynamo("DescribeTable", TableName="table"))["Table"]
    counts = [described["ItemCount"], described["TableSizeBytes"]]
    return pages, counts


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "memory"])
async def test_all_engines_agree(engine: str, tmp_path: Path) -> None:
    expected = await played(MemoryStore())
    store = ENGINES[engine](tmp_path)

    found = await played(store)

    await store.close()
    assert found == expected
    assert len([item for page in found[0][0] for item in page]) == 41
