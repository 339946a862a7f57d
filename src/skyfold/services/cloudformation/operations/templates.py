"""Templates: getting them back, summing them up, holding them against the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.handlers import exists
from skyfold.services.cloudformation.deploy.prepare import (
    check_shape_before_transforms,
    uses_transforms,
)
from skyfold.services.cloudformation.deploy.scope import template_of
from skyfold.services.cloudformation.deploy.sources import given_text
from skyfold.services.cloudformation.engine import capabilities
from skyfold.services.cloudformation.engine.intrinsics import text_of
from skyfold.services.cloudformation.engine.schemas import schema_of
from skyfold.services.cloudformation.engine.template import (
    Template,
    check,
    parsed,
    transforms_of,
)
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.operations.lookup import (
    stack_or,
    the_change_set,
)
from skyfold.services.cloudformation.tables import DEFINITIONS, Definition
from skyfold.store.api import ReadTx


async def get_template(tx: ReadTx, call: Call, request: Request) -> Any:
    if request.get("ChangeSetName"):
        stack, change_set = await the_change_set(tx, call, request)
        wanted = change_set.definition
    else:
        if not request.get("StackName"):
            raise ValidationError("StackName is a required parameter.")
        stack = await stack_or(tx, call, request["StackName"], "Stack with id {} does not exist")
        wanted = stack.definition
    definition = await DEFINITIONS.get(tx, stack.id, wanted) if wanted else None
    if definition is None:
        return reply(TemplateBody="", StagesAvailable=["Original"])
    stages = ["Original", "Processed"] if definition.processed else ["Original"]
    if request.get("TemplateStage") == "Processed":
        if not definition.processed:
            raise ValidationError("The processed template is not available.")
        return reply(TemplateBody=definition.processed, StagesAvailable=stages)
    return reply(TemplateBody=definition.original, StagesAvailable=stages)


async def _given(call: Call, request: Request) -> Template:
    text = await given_text(call, request)
    if text is None:
        raise ValidationError("Either Template URL or Template Body must be specified.")
    template = parsed(text)
    if uses_transforms(template):
        check_shape_before_transforms(template)
    else:
        check(template)
        strange = sorted(
            {
                r.type
                for r in template.resources.values()
                if not exists(call.platform.catalog, r.type)
            }
        )
        if strange:
            raise ValidationError(
                f"Template format error: Unrecognized resource types: [{', '.join(strange)}]"
            )
    return template


async def validate_template(call: Call, request: Request) -> Any:
    template = await _given(call, request)
    needed, why, transforms = _needs(template)
    return reply(
        Parameters=[
            {
                member: value
                for member, value in _declared(name, body).items()
                if member in ("ParameterKey", "DefaultValue", "NoEcho", "Description")
            }
            for name, body in template.parameters.items()
        ],
        Description=template.description or None,
        Capabilities=needed or None,
        CapabilitiesReason=why or None,
        DeclaredTransforms=transforms or None,
    )


def _needs(template: Template) -> tuple[list[str], str, list[str]]:
    """Capabilities, why, and the declared transforms."""
    transforms = transforms_of(template.body)
    if transforms:
        needed = [capabilities.AUTO_EXPAND]
        return needed, "The template uses transforms", transforms
    needed, why = capabilities.needed(template.resources.values())
    return needed, why, transforms


def _declared(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ParameterKey": name, "ParameterType": body["Type"]}
    if "Default" in body:
        shown["DefaultValue"] = "" if body["Default"] is None else text_of(body["Default"])
    shown["NoEcho"] = text_of(body.get("NoEcho", "")).lower() == "true"
    if "Description" in body:
        shown["Description"] = text_of(body["Description"])
    allowed = [text_of(value) for value in body.get("AllowedValues", ())]
    shown["ParameterConstraints"] = {"AllowedValues": allowed} if allowed else {}
    return shown


async def get_template_summary(call: Call, request: Request) -> Any:
    sources = [m for m in ("TemplateBody", "TemplateURL", "StackName") if request.get(m)]
    if request.get("StackSetName"):
        raise ValidationError("Skyfold has no stack sets yet.")
    if len(sources) != 1:
        raise ValidationError(
            "Only one of the parameters StackName, TemplateBody, TemplateURL, StackSetName "
            "can be specified."
            if sources
            else "Either Template URL, Template Body or Stack Name must be specified."
        )
    if request.get("StackName"):
        definition = await call.read(_of_stack, call, request["StackName"])
        template = parsed(definition.original)
        processed = template_of(definition) if definition.processed else template
    else:
        template = processed = await _given(call, request)
    needed, why, transforms = _needs(template)
    resources = processed.raw_resources
    types = [body.get("Type", "") for body in resources.values() if isinstance(body, dict)]
    metadata = template.body.get("Metadata")
    return reply(
        Parameters=[_declared(name, body) for name, body in template.parameters.items()],
        Description=template.description or None,
        Capabilities=needed or None,
        CapabilitiesReason=why or None,
        ResourceTypes=types,
        Version=template.body.get("AWSTemplateFormatVersion"),
        Metadata=msgspec.json.encode(metadata).decode() if metadata is not None else None,
        DeclaredTransforms=transforms or None,
        ResourceIdentifierSummaries=_identifiers(resources),
    )


async def _of_stack(tx: ReadTx, call: Call, name: str) -> Definition:
    stack = await stack_or(tx, call, name, "Stack with id {} does not exist")
    definition = await DEFINITIONS.get(tx, stack.id, stack.definition) if stack.definition else None
    if definition is None:
        raise ValidationError("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
    return definition


def _identifiers(resources: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By type: which properties tell one resource from another."""
    by_type: dict[str, list[str]] = {}
    for name, body in resources.items():
        if isinstance(body, dict) and isinstance(body.get("Type"), str):
            by_type.setdefault(body["Type"], []).append(name)
    summaries = []
    for kind, names in by_type.items():
        schema = schema_of(kind)
        if schema is not None and schema.primary:
            summaries.append(
                {
                    "ResourceType": kind,
                    "LogicalResourceIds": names,
                    "ResourceIdentifiers": list(schema.primary),
                }
            )
    return summaries
