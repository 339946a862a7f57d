"""From a request to a definition: text, parameters, transforms, and every check before a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.services.cloudformation.deploy.dynamic import parameter_value
from skyfold.services.cloudformation.deploy.handlers import create_only, exists
from skyfold.services.cloudformation.deploy.scope import (
    export_value,
    pseudo_parameters,
    scope_for,
    template_of,
)
from skyfold.services.cloudformation.deploy.transforms import transformed
from skyfold.services.cloudformation.engine import capabilities
from skyfold.services.cloudformation.engine.changes import Planned, Planner, outputs_change
from skyfold.services.cloudformation.engine.intrinsics import Scope
from skyfold.services.cloudformation.engine.parameters import (
    choose_parameters,
    given_parameters,
    ssm_inner,
    values_of,
)
from skyfold.services.cloudformation.engine.rules import check_rules
from skyfold.services.cloudformation.engine.template import (
    Template,
    check,
    check_shape,
    parsed,
    transforms_of,
)
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import TAGS_MAX
from skyfold.services.cloudformation.tables import Definition, Parameter, Resource, Stack


class TransformFailed(ValidationError):
    """The template is well formed, but not what its transforms make of it."""

    code = "ValidationError"


@dataclass(frozen=True)
class Prepared:
    """A definition that has passed every check that can be made beforehand."""

    definition: Definition
    planner: Planner
    planned: list[Planned]
    outputs_changed: bool

    @property
    def changes(self) -> bool:
        return bool(self.planned) or self.outputs_changed


async def prepare(
    call: Call,
    stack: Stack,
    request: Mapping[str, Any],
    text: str,
    previous: Definition | None,
    rows: Mapping[str, Resource],
    *,
    expand: bool,
) -> Prepared:
    """The definition that a request asks for. Raises in AWS's words; changes nothing.

    ``expand``: whether CAPABILITY_AUTO_EXPAND is asked for templates with transforms. Raises
    TransformFailed for what is wrong only after the transforms.
    """
    definition = await draft(call, stack, request, text, previous, expand=expand)
    if not definition.processed:
        return await _after_transforms(call, stack, definition, text, previous, rows)
    return await checked(call, stack, definition, previous, rows)


async def _after_transforms(
    call: Call,
    stack: Stack,
    definition: Definition,
    text: str,
    previous: Definition | None,
    rows: Mapping[str, Resource],
) -> Prepared:
    template = parsed(text)
    scope = Scope(
        parameters=values_of(definition.parameters),
        pseudo=pseudo_parameters(stack, definition.notification_arns),
        mappings=template.mappings,
        conditions=template.conditions,
        extended=template.extended,
    )
    texts = {p.key: p.value if p.resolved is None else p.resolved for p in definition.parameters}
    try:
        body, used = await transformed(call, template, scope, texts)
        processed = msgspec.json.encode(body).decode()
        definition = msgspec.structs.replace(definition, processed=processed, transforms=used)
        return await checked(call, stack, definition, previous, rows)
    except ValidationError as refused:
        raise TransformFailed(refused.text) from refused


async def draft(
    call: Call,
    stack: Stack,
    request: Mapping[str, Any],
    text: str,
    previous: Definition | None,
    *,
    expand: bool,
) -> Definition:
    """The definition before its transforms; ``processed`` is empty where it has any."""
    template = parsed(text)
    has_transforms = uses_transforms(template)
    given = request.get("Capabilities")
    if not has_transforms:
        check(template)
        lacking = capabilities.missing(capabilities.needed(template.resources.values())[0], given)
        if lacking:
            raise capabilities.refusal(lacking)
    else:
        check_shape_before_transforms(template)
        lacking = capabilities.missing([capabilities.AUTO_EXPAND], given) if expand else []
        if lacking:
            raise capabilities.refusal(lacking)
    had = {p.key: p for p in previous.parameters} if previous else None
    chosen = choose_parameters(
        template.parameters, given_parameters(request.get("Parameters")), had
    )
    return Definition(
        stack_id=stack.id,
        id=call.new_id(),
        original=text,
        processed="" if has_transforms else text,
        parameters=tuple([await _resolved(call, parameter) for parameter in chosen]),
        tags=_tags(request, previous),
        capabilities=None if given is None else tuple(given),
        notification_arns=_topics(request, previous),
    )


def uses_transforms(template: Template) -> bool:
    return bool(transforms_of(template.body)) or "Fn::Transform" in _functions(template.body)


def _functions(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(_functions(child) for child in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = {name for name in node if name == "Fn::Transform"}
    for child in node.values():
        found |= _functions(child)
    return found


def check_shape_before_transforms(template: Template) -> None:
    """As ``check_shape``, of a template whose transforms may bring sections of their own."""
    body = {k: v for k, v in template.body.items() if k not in ("Globals", "Fn::Transform")}
    if body.get("Resources") or "Fn::Transform" not in template.body:
        check_shape(Template(body))


async def _resolved(call: Call, parameter: Parameter) -> Parameter:
    """A Systems Manager parameter type stands for the value that is there now."""
    if parameter.type == "AWS::SSM::Parameter::Name":
        await parameter_value(parameter.value, call)
        return parameter
    if ssm_inner(parameter.type) is None:
        return parameter
    value = await parameter_value(parameter.value, call)
    return msgspec.structs.replace(parameter, resolved=value)


def _tags(request: Mapping[str, Any], previous: Definition | None) -> dict[str, str]:
    listed: Sequence[Mapping[str, str]] | None = request.get("Tags")
    if listed is None:
        return dict(previous.tags) if previous else {}
    tags = {tag["Key"]: tag["Value"] for tag in listed}
    if len(tags) > TAGS_MAX:
        raise ValidationError(f"Tags can have at most {TAGS_MAX} entries")
    for key in tags:
        if key.lower().startswith("aws:"):
            raise ValidationError(
                f"aws: prefixed tag key names are not allowed for external use. ({key})"
            )
    return tags


def _topics(request: Mapping[str, Any], previous: Definition | None) -> tuple[str, ...]:
    listed = request.get("NotificationARNs")
    if listed is None:
        return previous.notification_arns if previous else ()
    return tuple(listed)


async def checked(
    call: Call,
    stack: Stack,
    definition: Definition,
    previous: Definition | None,
    rows: Mapping[str, Resource],
) -> Prepared:
    """The definition, held against everything that is known before any resource is touched."""
    template = template_of(definition)
    check(template)
    catalog = call.platform.catalog
    strange = sorted({r.type for r in template.resources.values() if not exists(catalog, r.type)})
    if strange:
        raise ValidationError(
            f"Template format error: Unrecognized resource types: [{', '.join(strange)}]"
        )
    lacking = capabilities.missing(
        capabilities.needed(template.resources.values())[0], definition.capabilities
    )
    if lacking:
        raise capabilities.refusal(lacking)
    scope = scope_for(stack, definition)
    check_rules(template.rules, scope)
    for condition in template.conditions:
        scope.holds(condition)
    standing = {name: row for name, row in rows.items() if row.status != "DELETE_COMPLETE"}
    before = template_of(previous) if previous and previous.processed else None
    exports: dict[str, Any] = {}

    def make_scope(reference: Callable[[str], Any], attribute: Callable[[str, str], Any]) -> Scope:
        return scope_for(stack, definition, reference, attribute, exports)

    while True:
        planner = Planner(
            template,
            before,
            standing,
            make_scope,
            lambda kind: create_only(catalog, kind),
            tags_changed=previous is not None and dict(previous.tags) != dict(definition.tags),
        )
        planned = planner.plan()
        if not await _look_up(call, stack, planner.missing_exports, exports):
            return Prepared(definition, planner, planned, _outputs(stack, planner, before))


async def _look_up(call: Call, stack: Stack, names: set[str], exports: dict[str, Any]) -> bool:
    """Add the values of exports to ``exports``; whether there was any to add."""
    before = len(exports)
    for name in names:
        value = await call.read(export_value, stack.account, stack.region, name)
        if value is not None:
            exports[name] = value
    return len(exports) > before


def _outputs(stack: Stack, planner: Planner, before: Template | None) -> bool:
    standing = {output.key: (output.value, output.export or "") for output in stack.outputs}
    return outputs_change(planner.template, before, planner.scope, standing)
