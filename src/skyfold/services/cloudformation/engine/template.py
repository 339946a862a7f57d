"""A template as parsed: its sections, its static rules, and what depends on what."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from skyfold.services.cloudformation.engine.parameters import check_declarations
from skyfold.services.cloudformation.engine.references import Reference, references
from skyfold.services.cloudformation.engine.yaml_reader import read_template_text
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import (
    MAPPINGS_MAX,
    OUTPUTS_MAX,
    PARAMETERS_MAX,
    RESOURCES_MAX,
)

SECTIONS: Final = (
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
)
RESOURCE_MEMBERS: Final = frozenset(
    {
        "Type",
        "Properties",
        "DependsOn",
        "Condition",
        "DeletionPolicy",
        "UpdateReplacePolicy",
        "Metadata",
        "CreationPolicy",
        "UpdatePolicy",
        "Description",
        "Version",
    }
)
POLICIES: Final = ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate")
PSEUDO_PARAMETERS: Final = frozenset(
    {
        "AWS::AccountId",
        "AWS::NotificationARNs",
        "AWS::NoValue",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)
LANGUAGE_EXTENSIONS: Final = "AWS::LanguageExtensions"


@dataclass(frozen=True)
class ResourceBody:
    """One member of the Resources section."""

    name: str
    type: str
    properties: Mapping[str, Any]
    depends_on: tuple[str, ...]
    condition: str
    body: Mapping[str, Any]


class Template:
    """A template's sections. Made by ``parsed`` and never changed."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.parameters: Mapping[str, Any] = _section(body, "Parameters")
        self.mappings: Mapping[str, Any] = _section(body, "Mappings")
        self.conditions: Mapping[str, Any] = _section(body, "Conditions")
        self.outputs: Mapping[str, Any] = _section(body, "Outputs")
        self.rules: Mapping[str, Any] = _section(body, "Rules")
        self.raw_resources: Mapping[str, Any] = _section(body, "Resources")
        self.description = str(body.get("Description") or "")
        self.extended = LANGUAGE_EXTENSIONS in transforms_of(body)

    @functools.cached_property
    def resources(self) -> Mapping[str, ResourceBody]:
        return {name: _resource(name, body) for name, body in self.raw_resources.items()}

    def included(self, holds: Callable[[str], bool]) -> dict[str, ResourceBody]:
        """The resources whose condition is true."""
        return {
            name: resource
            for name, resource in self.resources.items()
            if not resource.condition or holds(resource.condition)
        }


@functools.lru_cache(maxsize=64)
def parsed(text: str) -> Template:
    """The template in ``text``, cached: treat it as immutable."""
    return Template(read_template_text(text))


def transforms_of(body: Mapping[str, Any]) -> list[str]:
    """The names in the Transform section, in order."""
    declared = body.get("Transform")
    listed = declared if isinstance(declared, list) else [] if declared is None else [declared]
    names: list[str] = []
    for item in listed:
        name = item.get("Name") if isinstance(item, dict) else item
        if not isinstance(name, str):
            raise ValidationError("Key Name of transform definition must be a string.")
        names.append(name)
    return names


def _section(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValidationError(f"Template format error: {name} must be an object.")
    return found


def _resource(name: str, body: Any) -> ResourceBody:
    properties = body.get("Properties")
    depends_on = body.get("DependsOn") or ()
    return ResourceBody(
        name=name,
        type=body["Type"],
        properties={} if properties is None else properties,
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=body.get("Condition") or "",
        body=body,
    )


def check_shape(template: Template) -> None:
    """The rules that hold before transforms too: sections, sizes, names."""
    unknown = [name for name in template.body if name not in SECTIONS]
    if unknown:
        raise ValidationError(f"Invalid template property or properties [{', '.join(unknown)}]")
    version = template.body.get("AWSTemplateFormatVersion")
    if version is not None and version != "2010-09-09":
        raise ValidationError(
            f"Template format error: {json.dumps(version)} is not a supported value for "
            "AWSTemplateFormatVersion."
        )
    if not template.raw_resources:
        raise ValidationError(
            "Template format error: At least one Resources member must be defined."
        )
    if not isinstance(template.body.get("Description", ""), str):
        raise ValidationError("Template format error: Description must be a string.")
    for section, count, most in (
        ("resources", len(template.raw_resources), RESOURCES_MAX),
        ("parameters", len(template.parameters), PARAMETERS_MAX),
        ("outputs", len(template.outputs), OUTPUTS_MAX),
        ("mappings", len(template.mappings), MAPPINGS_MAX),
    ):
        if count > most:
            raise ValidationError(
                f"Template format error: Number of {section}, {count}, is greater than maximum "
                f"allowed, {most}"
            )
    check_declarations(template.parameters)
    _check_mappings(template.mappings)


def _check_mappings(mappings: Mapping[str, Any]) -> None:
    for name, keys in mappings.items():
        if not isinstance(keys, dict):
            raise ValidationError(
                f"Template format error: Every Mappings member {name} must be a map"
            )
        for attributes in keys.values():
            if not isinstance(attributes, dict):
                raise ValidationError(
                    f"Template format error: Every Mappings member {name} must be a map"
                )
            for value in attributes.values():
                if isinstance(value, dict) and not any(k.startswith("Fn::") for k in value):
                    raise ValidationError(
                        "Template format error: Every Mappings attribute must be a String or a "
                        "List."
                    )


def check(template: Template) -> None:
    """Raise ValidationError for whatever can be seen to be wrong without evaluating anything."""
    check_shape(template)
    for name, body in template.raw_resources.items():
        _check_resource(name, body)
    for name, body in template.outputs.items():
        if not name.isalnum():
            raise ValidationError(f"Template format error: Output name {name} is non alphanumeric.")
        if not isinstance(body, dict) or "Value" not in body:
            raise ValidationError(
                f"Template format error: Output {name} is malformed. Every Outputs member must "
                "contain a Value object"
            )
    _check_references(template)
    order(graph(template.resources, None))


def _check_resource(name: str, body: Any) -> None:
    if not name.isalnum():
        raise ValidationError(f"Template format error: Resource name {name} is non alphanumeric.")
    where = f"Template format error: [/Resources/{name}]"
    if not isinstance(body, dict):
        raise ValidationError(f"{where} Every Resources object must be an object.")
    if not isinstance(body.get("Type"), str):
        raise ValidationError(f"{where} Every Resources object must contain a Type member.")
    for member in body:
        if member not in RESOURCE_MEMBERS:
            raise ValidationError(f"Invalid template resource property '{member}'")
    properties = body.get("Properties")
    if properties is not None and not isinstance(properties, dict):
        raise ValidationError(f"{where} Properties must be an object.")
    null = _path_of_null(properties, f"/Resources/{name}/Properties")
    if null:
        raise ValidationError(
            f"Template format error: [{null}] 'null' values are not allowed in templates"
        )
    depends_on = body.get("DependsOn") or []
    listed = [depends_on] if isinstance(depends_on, str) else depends_on
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise ValidationError(f"{where} DependsOn must be a string or a list of strings.")
    for member in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = body.get(member, "Delete")
        if isinstance(policy, dict):
            continue
        if policy not in POLICIES or (member, policy) == (
            "UpdateReplacePolicy",
            "RetainExceptOnCreate",
        ):
            raise ValidationError(
                f"{where} Unrecognized {member} {policy}: it must be one of "
                f"{', '.join(POLICIES[:3])}"
            )
        if policy == "Snapshot":
            raise ValidationError(
                f"Template error: resource type {body['Type']} does not support {member} Snapshot "
                f"(resource {name})"
            )


def _path_of_null(value: Any, path: str) -> str:
    if isinstance(value, dict):
        pairs: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    else:
        return ""
    for key, child in pairs:
        found = f"{path}/{key}" if child is None else _path_of_null(child, f"{path}/{key}")
        if found:
            return found
    return ""


def _check_references(template: Template) -> None:
    known = set(template.resources) | set(template.parameters) | PSEUDO_PARAMETERS
    for expression in template.conditions.values():
        names = _unresolved(
            references(expression, conditions=True),
            set(template.parameters) | PSEUDO_PARAMETERS,
            template.conditions,
            "Conditions",
        )
        if names:
            raise ValidationError(
                f"Template format error: Unresolved dependencies [{', '.join(names)}]. "
                "Cannot reference resources in the Conditions block of the template"
            )
    missing: list[str] = []
    for resource in template.resources.values():
        found = references({k: v for k, v in resource.body.items() if k != "Condition"})
        missing += _unresolved(found, known, template.conditions, "Resources", template.resources)
        missing += [item for item in resource.depends_on if item not in template.resources]
        if resource.condition and resource.condition not in template.conditions:
            raise _no_condition(resource.condition, "Resources")
    if missing:
        names = list(dict.fromkeys(missing))
        raise ValidationError(
            f"Template format error: Unresolved resource dependencies [{', '.join(names)}] "
            "in the Resources block of the template"
        )
    for output in template.outputs.values():
        found = references({k: v for k, v in output.items() if k != "Condition"})
        names = _unresolved(found, known, template.conditions, "Outputs", template.resources)
        if names:
            raise ValidationError(
                f"Template format error: Unresolved resource dependencies [{', '.join(names)}] "
                "in the Outputs block of the template"
            )
        condition = output.get("Condition")
        if condition is not None and condition not in template.conditions:
            raise _no_condition(condition, "Outputs")


def _no_condition(name: Any, block: str) -> ValidationError:
    return ValidationError(
        f"Template format error: Unresolved condition dependency {name} "
        f"in the {block} block of the template"
    )


def _unresolved(
    found: Iterator[Reference],
    known: set[str],
    conditions: Mapping[str, Any],
    block: str,
    resources: Mapping[str, Any] | None = None,
) -> list[str]:
    """Names that stand for nothing; raises at once for attributes and conditions of nothing."""
    names: list[str] = []
    for reference in found:
        if reference.kind == "condition":
            if reference.name not in conditions:
                raise _no_condition(reference.name, block)
        elif reference.kind == "ref":
            if reference.name not in known and reference.name not in names:
                names.append(reference.name)
        elif resources is None:
            names.append(reference.name)
        elif reference.name not in resources:
            raise ValidationError(
                "Template error: instance of Fn::GetAtt references undefined resource "
                f"{reference.name}"
            )
    return names


def graph(
    resources: Mapping[str, ResourceBody], holds: Callable[[str], bool] | None
) -> dict[str, set[str]]:
    """Of each resource the resources that it needs; with ``holds`` only through taken branches."""
    needs: dict[str, set[str]] = {}
    for name, resource in resources.items():
        found = {r.name for r in references(resource.body, holds) if r.kind != "condition"}
        needs[name] = (found | set(resource.depends_on)) & set(resources)
    return needs


def order(needs: Mapping[str, set[str]]) -> list[str]:
    """Names so that each comes after all that it needs; raises where they go in a circle."""
    left = {name: set(wanted) for name, wanted in needs.items()}
    wanted_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for other in wanted:
            wanted_by[other].append(name)
    ready = [name for name, wanted in left.items() if not wanted]
    ordered: list[str] = []
    while ready:
        name = ready.pop(0)
        ordered.append(name)
        for other in wanted_by[name]:
            left[other].discard(name)
            if not left[other]:
                ready.append(other)
    if len(ordered) < len(needs):
        circle = _in_circles({name: needs[name] for name in needs if name not in set(ordered)})
        raise ValidationError(f"Circular dependency between resources: [{', '.join(circle)}]")
    return ordered


def _in_circles(needs: Mapping[str, set[str]]) -> list[str]:
    """Of names that cannot be ordered those that are part of a circle, not merely behind one."""
    left = dict(needs)
    while True:
        wanted = {other for name in left for other in left[name]}
        kept = {name: needed for name, needed in left.items() if name in wanted}
        if len(kept) == len(left):
            return sorted(left)
        left = kept


def policy_of(resource: ResourceBody, member: str, evaluated: Any = None) -> str:
    """DeletionPolicy or UpdateReplacePolicy, ``evaluated`` where it is an expression."""
    value = resource.body.get(member, "Delete")
    return str(evaluated if isinstance(value, dict) else value)
