"""A world with tables in it, and short ways to say what is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from tests.support.world import World

Item = dict[str, dict[str, Any]]


def S(text: str) -> dict[str, str]:
    return {"S": text}


def N(number: object) -> dict[str, str]:
    return {"N": str(number)}


def key_schema(*names: str) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": n, "KeyType": k} for n, k in zip(names, kinds, strict=False)]


def definitions(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


def index(name: str, *keys: str, projection: str = "ALL", include: tuple[str, ...] = ()) -> Any:
    described: dict[str, Any] = {"ProjectionType": projection}
    if include:
        described["NonKeyAttributes"] = list(include)
    return {"IndexName": name, "KeySchema": key_schema(*keys), "Projection": described}


class Dynamo:
    """``await dynamo("PutItem", TableName=..., Item=...)``."""

    def __init__(self) -> None:
        self.world = World()

    async def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        return await self.world.dynamodb(operation, **request)

    async def refused(self, operation: str, **request: Any) -> AwsError:
        """The error that the operation answers with."""
        with pytest.raises(AwsError) as refusal:
            await self(operation, **request)
        return refusal.value

    async def table(self, name: str = "table", *keys: str, **more: Any) -> str:
        """An on-demand table keyed by ``pk`` (and ``sk``), both text unless told otherwise."""
        names = keys or ("pk",)
        attributes = more.pop("attributes", dict.fromkeys(names, "S"))
        await self(
            "CreateTable",
            TableName=name,
            KeySchema=key_schema(*names),
            AttributeDefinitions=definitions(**attributes),
            **{"BillingMode": "PAY_PER_REQUEST", **more},
        )
        return name

    async def put(self, item: Item, table: str = "table", **more: Any) -> dict[str, Any]:
        return await self("PutItem", TableName=table, Item=item, **more)

    async def get(self, key: Item, table: str = "table") -> Item | None:
        return (await self("GetItem", TableName=table, Key=key)).get("Item")

    async def pages(self, operation: str, **request: Any) -> list[list[Item]]:
        """Every page of a Query or Scan."""
        pages = []
        while True:
            page = await self(operation, **request)
            pages.append(page["Items"])
            if "LastEvaluatedKey" not in page:
                return pages
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def everything(self, operation: str, **request: Any) -> list[Item]:
        return [item for page in await self.pages(operation, **request) for item in page]


@pytest.fixture
async def dynamo() -> AsyncIterator[Dynamo]:
    yield Dynamo()
