"""The resource types that Skyfold provisions."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.pages import token
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.handlers import create_only, type_named
from skyfold.services.cloudformation.engine.schemas import schema_of
from skyfold.services.cloudformation.errors import TypeNotFoundException, ValidationError
from skyfold.services.cloudformation.operations.stacks import page_position
from skyfold.store.api import ReadTx

PAGE = 100


def _arn(call: Call, name: str) -> str:
    return f"arn:aws:cloudformation:{call.region}::type/resource/{name.replace('::', '-')}"


async def list_types(tx: ReadTx, call: Call, request: Request) -> Any:
    """The types with an effect; what is merely kept is not listed."""
    if request.get("Visibility", "PRIVATE") != "PUBLIC" or request.get("Type", "RESOURCE") != (
        "RESOURCE"
    ):
        return reply(TypeSummaries=[])
    filters = request.get("Filters") or {}
    if filters.get("Category", "AWS_TYPES") != "AWS_TYPES" or filters.get("PublisherId"):
        return reply(TypeSummaries=[])
    prefix = filters.get("TypeNamePrefix", "")
    above = page_position("ListTypes", request["NextToken"])[0] if request.get("NextToken") else ""
    names = sorted(
        name
        for name in call.platform.catalog.resource_types
        if name.startswith(prefix) and name > above
    )
    limit = request.get("MaxResults") or PAGE
    return reply(
        TypeSummaries=[
            {
                "Type": "RESOURCE",
                "TypeName": name,
                "TypeArn": _arn(call, name),
                "IsActivated": True,
                "PublisherName": "AWS",
            }
            for name in names[:limit]
        ],
        NextToken=token("ListTypes", names[limit - 1]) if len(names) > limit else None,
    )


async def describe_type(tx: ReadTx, call: Call, request: Request) -> Any:
    name = request.get("TypeName") or ""
    if request.get("Arn"):
        name = request["Arn"].rpartition("/")[2].replace("-", "::")
    if not name or request.get("Type", "RESOURCE") != "RESOURCE":
        raise ValidationError("Either Arn, or Type RESOURCE and TypeName, must be specified.")
    schema = schema_of(name)
    if schema is None or type_named(call.platform.catalog, name) is None:
        raise TypeNotFoundException(f"The type '{name}' cannot be found.")
    published = {
        "typeName": name,
        "properties": schema.properties,
        "definitions": schema.definitions,
        "required": list(schema.required),
        "readOnlyProperties": [f"/properties/{p}" for p in sorted(schema.read_only)],
        "createOnlyProperties": [
            f"/properties/{p}" for p in sorted(create_only(call.platform.catalog, name))
        ],
        "primaryIdentifier": [f"/properties/{p}" for p in schema.primary],
        "additionalProperties": schema.open,
    }
    return reply(
        Arn=_arn(call, name),
        Type="RESOURCE",
        TypeName=name,
        Schema=msgspec.json.encode(published).decode(),
        ProvisioningType="FULLY_MUTABLE",
        DeprecatedStatus="LIVE",
        Visibility="PUBLIC",
        IsActivated=True,
    )
