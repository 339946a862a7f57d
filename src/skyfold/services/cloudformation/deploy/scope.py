"""What the expressions of a stack's template may speak of, taken from its rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from skyfold.kernel.call import Call
from skyfold.services.cloudformation.engine.intrinsics import (
    NO_VALUE,
    ExportNeeded,
    Scope,
)
from skyfold.services.cloudformation.engine.parameters import values_of
from skyfold.services.cloudformation.engine.schemas import arn_format, schema_of
from skyfold.services.cloudformation.engine.template import Template, parsed
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import EXPORTS, Definition, Resource, Stack
from skyfold.store.api import ReadTx

T = TypeVar("T")


def template_of(definition: Definition) -> Template:
    return parsed(definition.processed)


def pseudo_parameters(stack: Stack, notification_arns: tuple[str, ...]) -> dict[str, Any]:
    return {
        "AWS::AccountId": stack.account,
        "AWS::NotificationARNs": list(notification_arns),
        "AWS::NoValue": NO_VALUE,
        "AWS::Partition": "aws",
        "AWS::Region": stack.region,
        "AWS::StackId": stack.arn,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
    }


def scope_for(
    stack: Stack,
    definition: Definition,
    reference: Callable[[str], Any] | None = None,
    attribute: Callable[[str, str], Any] | None = None,
    exports: Mapping[str, Any] | None = None,
) -> Scope:
    template = template_of(definition)
    return Scope(
        parameters=values_of(definition.parameters),
        pseudo=pseudo_parameters(stack, definition.notification_arns),
        mappings=template.mappings,
        conditions=template.conditions,
        reference=reference,
        attribute=attribute,
        exports=exports or {},
        extended=template.extended,
    )


class Standing:
    """References to the resources that stand."""

    def __init__(self, stack: Stack, rows: Mapping[str, Resource], included: set[str]) -> None:
        self._stack, self._rows, self._included = stack, rows, included

    def reference(self, name: str) -> Any:
        return self._row(name).physical_id

    def attribute(self, name: str, attribute: str) -> Any:
        row = self._row(name)
        found = _within(row.attributes, attribute)
        if found is None:
            found = _within(row.properties, attribute)
        if found is None and row.inert and attribute == "Arn":
            found = _published_arn(self._stack, row)
        if found is not None:
            return found
        schema = schema_of(row.type)
        if row.inert and schema is not None and schema.has_attribute(attribute):
            raise ValidationError(
                f"Skyfold keeps {row.type} without effect: it has no attribute {attribute}."
            )
        raise ValidationError(
            f"Resource type {row.type} does not support attribute {{{attribute}}}."
        )

    def _row(self, name: str) -> Resource:
        row = self._rows.get(name)
        if row is None or name not in self._included or not row.physical_id:
            raise ValidationError(
                f"Template format error: Unresolved resource dependencies [{name}] "
                "in the Resources block of the template"
            )
        return row


def _within(values: Mapping[str, Any], attribute: str) -> Any:
    """``Endpoint.Address`` is looked up as it is, and as a path."""
    if attribute in values:
        return values[attribute]
    node: Any = values
    for part in attribute.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def _published_arn(stack: Stack, row: Resource) -> str | None:
    """The ARN that an inert resource would have, where its form is published."""
    if row.physical_id.startswith("arn:"):
        return row.physical_id
    prefix = arn_format(row.type)
    if prefix is None:
        return None
    for name, value in (
        ("${Partition}", "aws"),
        ("${Region}", stack.region),
        ("${Account}", stack.account),
    ):
        prefix = prefix.replace(name, value)
    return prefix + row.physical_id


async def export_value(tx: ReadTx, account: str, region: str, name: str) -> str | None:
    found = await EXPORTS.get(tx, account, region, name)
    return None if found is None else found.value


async def with_exports(
    call: Call, stack: Stack, attempt: Callable[[dict[str, Any]], T]
) -> tuple[T, tuple[str, ...]]:
    """Run ``attempt(exports)`` until it has all the exports it asks for; which ones those were."""
    exports: dict[str, Any] = {}
    while True:
        try:
            return attempt(exports), tuple(sorted(exports))
        except ExportNeeded as needed:
            value = await call.read(export_value, stack.account, stack.region, needed.name)
            if value is None:
                raise ValidationError(f"No export named {needed.name} found.") from None
            exports[needed.name] = value


Evaluation = Callable[[Scope], Awaitable[Any]]
