"""What API Gateway V2 keeps.

An API is a row; its routes, integrations, stages and deployments are parts, keyed by their kind,
whose ``members`` are what the API answers for them. A deployment holds a copy of the routes and
integrations of its moment in ``snapshot``, so that a stage serves what was deployed. ``WHERE``
finds an API by its id alone, which is all that a host name says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.store.tables import Table


class Api(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    id: str
    created_at: int
    members: Mapping[str, Any]
    """Name, ProtocolType, CorsConfiguration and so on, as GetApi answers them."""
    quick_target: str = ""

    @property
    def arn(self) -> str:
        """Of the API as a resource that is managed."""
        return f"arn:aws:apigateway:{self.region}::/apis/{self.id}"


class Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    api_id: str
    kind: str
    """route, integration, stage or deployment."""
    id: str
    members: Mapping[str, Any]
    snapshot: Mapping[str, Any] | None = None


class Where(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    api_id: str
    account: str
    region: str


APIS = Table("apigatewayv2.apis", Api, key=("account", "region", "id"))
PARTS = Table("apigatewayv2.parts", Part, key=("api_id", "kind", "id"))
WHERE = Table("apigatewayv2.where", Where, key=("api_id",))

ROUTE, INTEGRATION, STAGE, DEPLOYMENT = "route", "integration", "stage", "deployment"
