"""Items are deleted once their time has come, at that time, from indexes too."""

from __future__ import annotations

from typing import Any

from skyfold.services.dynamodb.operations import filling
from tests.services.dynamodb.conftest import Dynamo, N, S, index

YEAR_S = 365 * 24 * 3600


async def turn(dynamo: Dynamo, enabled: bool, attribute: str = "ttl") -> None:
    await dynamo(
        "UpdateTimeToLive",
        TableName="table",
        TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute},
    )


def now(dynamo: Dynamo) -> int:
    return dynamo.world.clock.now() // 1000


async def keys(dynamo: Dynamo, **more: Any) -> set[str]:
    found = await dynamo.everything("Scan", TableName="table", **more)
    return {item["pk"]["S"] for item in found}


async def test_items_expire_in_their_turn(dynamo: Dynamo) -> None:
    await dynamo.table(
        attributes={"pk": "S", "grp": "S"}, GlobalSecondaryIndexes=[index("byg", "grp")]
    )
    await turn(dynamo, True)
    start = now(dynamo)
    for key, seconds in (("late", 100), ("early", 50), ("never", None)):
        expiry = {} if seconds is None else {"ttl": N(start + seconds)}
        await dynamo.put({"pk": S(key), "grp": S("g"), **expiry})

    await dynamo.world.advance(49)
    before = await keys(dynamo)
    await dynamo.world.advance(10)
    between = await keys(dynamo)
    await dynamo.world.advance(100)

    assert before == {"late", "early", "never"}
    assert between == {"late", "never"}
    assert await keys(dynamo) == {"never"}
    assert await keys(dynamo, IndexName="byg") == {"never"}
    table = (await dynamo("DescribeTable", TableName="table"))["Table"]
    assert table["ItemCount"] == 1


async def test_an_item_whose_expiry_was_changed_expires_at_the_new_time(dynamo: Dynamo) -> None:
    await dynamo.table()
    await turn(dynamo, True)
    start = now(dynamo)
    for key in ("sooner", "later", "kept"):
        await dynamo.put({"pk": S(key), "ttl": N(start + 100)})
    await dynamo.put({"pk": S("later"), "ttl": N(start + 300)})
    await dynamo.put({"pk": S("sooner"), "ttl": N(start + 10)})
    await dynamo.put({"pk": S("kept")})

    await dynamo.world.advance(20)
    first = await keys(dynamo)
    await dynamo.world.advance(200)
    second = await keys(dynamo)
    await dynamo.world.advance(200)

    assert first == {"later", "kept"}
    assert second == {"later", "kept"}
    assert await keys(dynamo) == {"kept"}


async def test_items_that_were_there_before_expire_too(dynamo: Dynamo) -> None:
    await dynamo.table()
    count = filling.PAGE_ITEMS * 2 + 10
    for at in range(0, count, 20):
        writes = [
            {"PutRequest": {"Item": {"pk": S(str(n)), "ttl": N(now(dynamo) + 50)}}}
            for n in range(at, at + 20)
        ]
        await dynamo("BatchWriteItem", RequestItems={"table": writes})

    await turn(dynamo, True)
    status = (await dynamo("DescribeTimeToLive", TableName="table"))["TimeToLiveDescription"]
    await dynamo.world.advance(1)
    ready = (await dynamo("DescribeTimeToLive", TableName="table"))["TimeToLiveDescription"]
    await dynamo.world.advance(60)

    assert status == {"TimeToLiveStatus": "ENABLING", "AttributeName": "ttl"}
    assert ready == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert await keys(dynamo) == set()


async def test_what_is_no_time_or_absurdly_old_does_not_expire(dynamo: Dynamo) -> None:
    await dynamo.table()
    await turn(dynamo, True)
    await dynamo.put({"pk": S("text"), "ttl": S("1")})
    await dynamo.put({"pk": S("milliseconds"), "ttl": N(dynamo.world.clock.now())})
    await dynamo.put({"pk": S("huge"), "ttl": N("1E100")})
    await dynamo.put({"pk": S("negative"), "ttl": N(-5)})
    await dynamo.put({"pk": S("six years"), "ttl": N(now(dynamo) - 6 * YEAR_S)})
    await dynamo.put({"pk": S("four years"), "ttl": N(now(dynamo) - 4 * YEAR_S)})

    await dynamo.world.advance(3600)

    assert await keys(dynamo) == {"text", "milliseconds", "huge", "negative", "six years"}


async def test_nothing_expires_once_it_is_turned_off(dynamo: Dynamo) -> None:
    await dynamo.table()
    await turn(dynamo, True)
    await dynamo.put({"pk": S("a"), "ttl": N(now(dynamo) + 5)})
    await turn(dynamo, False)

    await dynamo.world.advance(3600)

    assert await keys(dynamo) == {"a"}
    described = (await dynamo("DescribeTimeToLive", TableName="table"))["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "DISABLED"}


async def test_turning_it_to_where_it_is_is_refused(dynamo: Dynamo) -> None:
    await dynamo.table()

    def wanted(enabled: bool, attribute: str = "ttl") -> dict[str, Any]:
        specification = {"Enabled": enabled, "AttributeName": attribute}
        return {"TableName": "table", "TimeToLiveSpecification": specification}

    off = await dynamo.refused("UpdateTimeToLive", **wanted(False))
    await turn(dynamo, True)
    on = await dynamo.refused("UpdateTimeToLive", **wanted(True, "other"))
    other = await dynamo.refused("UpdateTimeToLive", **wanted(False, "other"))

    assert off.text == "TimeToLive is already disabled"
    assert on.text == "TimeToLive is already enabled"
    assert other.text.startswith("TimeToLive is active on a different AttributeName")
