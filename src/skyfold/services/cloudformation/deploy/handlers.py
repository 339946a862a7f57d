"""Who provisions a resource type, and what it is handed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.provisioning import InProgress, Provision, Provisioned, ResourceType
from skyfold.services.cloudformation.engine.properties import fitted
from skyfold.services.cloudformation.engine.schemas import is_custom, schema_of
from skyfold.services.cloudformation.tables import Resource, Stack

CUSTOM_RESOURCE = "AWS::CloudFormation::CustomResource"
NESTED = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, kw_only=True)
class StackProvision(Provision):
    """What CloudFormation's own types get: the surroundings too, to open transactions."""

    call: Call
    step: str
    notification_arns: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    tags: Mapping[str, str]
    """The stack's own tags."""
    root: str
    """The ARN of the outermost stack."""
    started_at: int
    """When this step began, whatever attempt it is."""
    resource_type: str


def type_named(catalog: Catalog, kind: str) -> ResourceType | None:
    """The behaviour of a type; None where it is inert."""
    return catalog.resource_types.get(CUSTOM_RESOURCE if is_custom(kind) else kind)


def exists(catalog: Catalog, kind: str) -> bool:
    """Whether CloudFormation knows the type at all."""
    return type_named(catalog, kind) is not None or schema_of(kind) is not None


def create_only(catalog: Catalog, kind: str) -> Iterable[str]:
    """Pointers to the properties that force replacement."""
    declared = type_named(catalog, kind)
    if declared is not None and declared.replaced_when_changed is not None:
        return declared.replaced_when_changed
    schema = schema_of(kind)
    return schema.create_only if schema is not None and not is_custom(kind) else ()


def prepared(
    kind: str, properties: Mapping[str, Any], logical_id: str, tags: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """Properties as a handler gets them, typed and tagged; and why they will not do, if so."""
    schema = schema_of(kind)
    made, problem = fitted(schema, properties, logical_id)
    if schema is not None and schema.tag_property and tags and not is_custom(kind):
        made[schema.tag_property] = _tagged(
            schema.properties[schema.tag_property], made.get(schema.tag_property), tags
        )
    return made, problem


def _tagged(node: Mapping[str, Any], own: Any, tags: Mapping[str, str]) -> Any:
    """The template's tags of a resource and, behind them, the stack's."""
    if node.get("type") == "object" or isinstance(own, dict):
        return {**tags, **(own or {})}
    mine = {tag.get("Key") for tag in own or [] if isinstance(tag, dict)}
    return [*(own or []), *({"Key": k, "Value": v} for k, v in tags.items() if k not in mine)]


async def create_inert(provision: Provision) -> Provisioned:
    """An inert resource has an id and its properties, and no effect."""
    assert isinstance(provision, StackProvision)
    schema = schema_of(provision.resource_type)
    primary = schema.primary if schema else ()
    named = provision.want.get(primary[0]) if len(primary) == 1 else None
    return Provisioned(physical_id=str(named or provision.default_name()))


async def update_inert(provision: Provision) -> Provisioned:
    return Provisioned(physical_id=provision.physical_id)


async def delete_inert(provision: Provision) -> InProgress | None:
    return None


def inert(kind: str) -> ResourceType:
    return ResourceType(name=kind, create=create_inert, update=update_inert, delete=delete_inert)


def inert_note(catalog: Catalog, kind: str) -> str:
    """What an event says of a resource that has no effect."""
    service = kind.split("::")[1].lower() if kind.count("::") > 1 else ""
    known = any(name.rstrip("_").replace("_", "") == service for name in catalog.services)
    missing = "resource type" if known else "service"
    return f"Skyfold keeps {kind} without effect: no such {missing} yet"


def system_tags(stack: Stack, resource: Resource) -> dict[str, str]:
    return {
        "aws:cloudformation:logical-id": resource.logical_id,
        "aws:cloudformation:stack-id": stack.arn,
        "aws:cloudformation:stack-name": stack.name,
    }


def arn_of(resource: Resource) -> str:
    """The ARN under which a service keeps the resource's tags; empty where it is not known."""
    candidates = [resource.attributes.get("Arn"), resource.physical_id]
    noun = resource.type.rsplit("::", 1)[-1]
    candidates.insert(1, resource.attributes.get(f"{noun}Arn"))
    for found in candidates:
        if isinstance(found, str) and found.startswith("arn:"):
            return found.removesuffix(":*")
    return ""
