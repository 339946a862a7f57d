"""What metered usage costs at AWS's public list prices (us-east-1, November 2026, no free tier)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Price(NamedTuple):
    dollars: float
    """For one unit."""
    unit: str


PRICES: Mapping[tuple[str, str], Price] = {
    ("apigatewayv2", "ApiGatewayHttpRequest"): Price(1.00 / 1e6, "requests"),
    ("lambda_", "Request"): Price(0.20 / 1e6, "requests"),
    ("lambda_", "Lambda-GB-Second"): Price(0.0000166667, "GB-seconds"),
    ("sns", "Requests-Tier1"): Price(0.50 / 1e6, "requests"),
    ("sns", "DeliveryAttempts-SQS"): Price(0.0, "deliveries"),
    ("sns", "DeliveryAttempts-LAMBDA"): Price(0.0, "deliveries"),
    ("sqs", "Requests-Tier1"): Price(0.40 / 1e6, "requests"),
    ("sqs", "Requests"): Price(0.40 / 1e6, "requests"),
    ("dynamodb", "WriteRequestUnits"): Price(0.625 / 1e6, "write units"),
    ("dynamodb", "ReadRequestUnits"): Price(0.125 / 1e6, "read units"),
    ("s3", "Requests-Tier1"): Price(5.00 / 1e6, "requests"),
    ("s3", "Requests-Tier2"): Price(0.40 / 1e6, "requests"),
    ("logs", "DataProcessing-Bytes"): Price(0.50 / 2**30, "bytes"),
}


class Row(NamedTuple):
    service: str
    usage_type: str
    quantity: float
    unit: str
    dollars: float


def cost_of(usage: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row for each usage type that has a price, the dearest first."""
    sums: dict[tuple[str, str], float] = {}
    for row in usage:
        key = (row["service"], row["usage_type"])
        sums[key] = sums.get(key, 0) + row["quantity"]
    rows = [
        Row(
            service,
            kind,
            quantity,
            PRICES[service, kind].unit,
            PRICES[service, kind].dollars * quantity,
        )
        for (service, kind), quantity in sums.items()
        if (service, kind) in PRICES
    ]
    return sorted(rows, key=lambda row: -row.dollars)
