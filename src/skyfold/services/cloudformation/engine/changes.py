"""What a definition would change of what stands: the changes that a change set shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from skyfold.services.cloudformation.engine.intrinsics import (
    UNKNOWN,
    ExportNeeded,
    Scope,
    Unknown,
    evaluate,
    has_unknown,
)
from skyfold.services.cloudformation.engine.references import function_of, references
from skyfold.services.cloudformation.engine.template import ResourceBody, Template, graph, order
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import Resource

KNOWN_AFTER_APPLY: Final = "{{changeSet:KNOWN_AFTER_APPLY}}"
NESTED: Final = "AWS::CloudFormation::Stack"
ATTRIBUTES_COMPARED: Final = ("Metadata", "DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy")


def differing(had: Mapping[str, Any], want: Mapping[str, Any], path: str = "") -> list[str]:
    """Paths at which two sets of properties differ; into maps, but not into lists."""
    paths: list[str] = []
    for name in {**had, **want}:
        here = f"{path}/{name}"
        if name not in had or name not in want:
            paths.append(here)
        elif isinstance(had[name], dict) and isinstance(want[name], dict):
            paths += differing(had[name], want[name], here)
        elif not _same(had[name], want[name]):
            paths.append(here)
    return paths


def _same(had: Any, want: Any) -> bool:
    if isinstance(want, Unknown) or isinstance(had, Unknown):
        return False
    if isinstance(had, list) and isinstance(want, list):
        return len(had) == len(want) and all(map(_same, had, want))
    if isinstance(had, dict) and isinstance(want, dict):
        return had.keys() == want.keys() and all(_same(had[k], want[k]) for k in had)
    if isinstance(had, bool) or isinstance(want, bool):
        return str(had).lower() == str(want).lower()
    if isinstance(had, str) != isinstance(want, str):
        return str(had) == str(want)
    return bool(had == want)


def touches(paths: Iterable[str], pointers: Iterable[str]) -> list[str]:
    """Those of ``paths`` that lie at, over or under one of the schema's ``pointers``."""
    marked = [tuple(part for part in p.split("/") if part != "*") for p in pointers]
    found = []
    for path in paths:
        parts = tuple(path.strip("/").split("/"))
        if any(parts[: len(m)] == m or m[: len(parts)] == parts for m in marked):
            found.append(path)
    return found


def shown(value: Any) -> Any:
    """A value as a change set shows it."""
    if isinstance(value, Unknown):
        return KNOWN_AFTER_APPLY
    if isinstance(value, dict):
        return {name: shown(child) for name, child in value.items()}
    if isinstance(value, list):
        return [shown(child) for child in value]
    return value


@dataclass
class Planned:
    """What is to become of one resource."""

    logical_id: str
    type: str
    action: str
    """Add, Modify, Remove."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    """Metadata and policies that change."""
    tags: bool = False
    automatic: bool = False
    """A nested stack, whose template may have changed under the same URL."""
    replacement: str = ""
    """True, False or Conditional."""


class Planner:
    """Goes through a template in the order of its dependencies, with what is known beforehand."""

    def __init__(
        self,
        template: Template,
        previous: Template | None,
        rows: Mapping[str, Resource],
        make_scope: Callable[[Callable[[str], Any], Callable[[str, str], Any]], Scope],
        create_only: Callable[[str], Iterable[str]],
        tags_changed: bool = False,
    ) -> None:
        self.template, self.previous, self.rows = template, previous, rows
        self.create_only, self.tags_changed = create_only, tags_changed
        self.scope = make_scope(self._reference, self._attribute)
        self.planned: dict[str, Planned] = {}
        self.warnings: list[str] = []
        self.missing_exports: set[str] = set()
        self._names: set[str] = set()

    def plan(self) -> list[Planned]:
        """The changes, in AWS's order: by the resources' names."""
        included = self.template.included(self.scope.holds)
        self._names = set(included)
        for name in order(graph(included, self.scope.holds)):
            planned = self._of(included[name])
            if planned is not None:
                self.planned[name] = planned
        for name, row in self.rows.items():
            if name not in included:
                self.planned[name] = Planned(name, row.type, "Remove", row.properties)
        return [self.planned[name] for name in sorted(self.planned)]

    def _reference(self, name: str) -> Any:
        if name not in self._names:
            raise ValidationError(
                f"Template format error: Unresolved resource dependencies [{name}] "
                "in the Resources block of the template"
            )
        row, planned = self.rows.get(name), self.planned.get(name)
        if row is None or not row.stands or (planned and planned.replacement != "False"):
            return UNKNOWN
        return row.physical_id

    def _attribute(self, name: str, attribute: str) -> Any:
        if self._reference(name) is UNKNOWN:
            return UNKNOWN
        row, planned = self.rows[name], self.planned.get(name)
        if planned is not None:
            return UNKNOWN
        value = row.attributes.get(attribute, row.properties.get(attribute))
        return UNKNOWN if value is None else value

    def _evaluated(self, resource: ResourceBody) -> dict[str, Any]:
        """The properties, with what needs a missing export left unknown."""
        found: dict[str, Any] = {}
        for name, node in resource.properties.items():
            try:
                value = evaluate({name: node}, self.scope)
            except ExportNeeded as needed:
                self.missing_exports.add(needed.name)
                self.warnings.append(
                    f"ChangeSet creation failed for resource [{resource.name}] because: "
                    f"No export named {needed.name}"
                )
                value = {name: UNKNOWN}
            found.update(value)
        return found

    def _of(self, resource: ResourceBody) -> Planned | None:
        row = self.rows.get(resource.name)
        properties = self._evaluated(resource)
        if row is None or not row.stands:
            return Planned(resource.name, resource.type, "Add", properties)
        if row.type != resource.type:
            raise ValidationError(
                "Update of resource type is not permitted. The new template modifies resource "
                f"type of the following resources: [{resource.name}]"
            )
        paths = differing(row.properties, properties)
        attributes = self._attributes_changed(resource)
        unsettled = row.status.endswith("FAILED")
        nested = row.type == NESTED
        if not (paths or attributes or self.tags_changed or unsettled or nested):
            return None
        planned = Planned(resource.name, resource.type, "Modify", properties, paths, attributes)
        planned.tags = self.tags_changed
        planned.automatic = nested and not paths
        forced = touches(paths, self.create_only(resource.type))
        planned.replacement = self._replacement(resource, forced)
        return planned

    def _replacement(self, resource: ResourceBody, forced: list[str]) -> str:
        if not forced:
            return "False"
        for path in forced:
            if not any(entry["Evaluation"] == "Dynamic" for entry in self.causes(resource, path)):
                return "True"
            if any(entry["Evaluation"] == "Static" for entry in self.causes(resource, path)):
                return "True"
        return "Conditional"

    def _attributes_changed(self, resource: ResourceBody) -> list[str]:
        if self.previous is None or resource.name not in self.previous.resources:
            return []
        before = self.previous.resources[resource.name].body
        return [m for m in ATTRIBUTES_COMPARED if before.get(m) != resource.body.get(m)]

    def causes(self, resource: ResourceBody, path: str) -> list[dict[str, str]]:
        """Why the property at ``path`` changes, as a change set tells it."""
        expression = _expression_at(resource.properties, path)
        entries: list[dict[str, str]] = []
        for reference in dict.fromkeys(references(expression, self.scope.holds)):
            if reference.kind == "condition":
                continue
            planned = self.planned.get(reference.name)
            if reference.name in self.template.parameters:
                source, certain, entity = "ParameterReference", True, reference.name
            elif planned is None:
                continue
            elif reference.kind == "ref":
                source, entity = "ResourceReference", reference.name
                certain = planned.replacement in ("True", "")
            else:
                source, entity = "ResourceAttribute", f"{reference.name}.{reference.attribute}"
                certain = planned.replacement in ("True", "")
            evaluation = "Static" if certain else "Dynamic"
            entries.append(
                {"CausingEntity": entity, "ChangeSource": source, "Evaluation": evaluation}
            )
        if not entries:
            entries.append({"ChangeSource": "DirectModification", "Evaluation": "Static"})
        elif any(entry["ChangeSource"] == "ParameterReference" for entry in entries):
            entries.append({"ChangeSource": "DirectModification", "Evaluation": "Dynamic"})
        return entries


def _expression_at(properties: Any, path: str) -> Any:
    """The part of a template that makes the value at ``path``."""
    node = properties
    for part in path.strip("/").split("/"):
        if function_of(node) is not None or not isinstance(node, dict) or part not in node:
            return node if node is not properties else None
        node = node[part]
    return node


def described(
    planner: Planner, planned: Planned, row: Resource | None, policy: str
) -> dict[str, Any]:
    """A ``Change`` of DescribeChangeSet, property values included."""
    change: dict[str, Any] = {
        "Action": planned.action,
        "LogicalResourceId": planned.logical_id,
        "ResourceType": planned.type,
        "Scope": [],
        "Details": [],
    }
    if row is not None and row.physical_id:
        change["PhysicalResourceId"] = row.physical_id
    if planned.action == "Remove":
        change["PolicyAction"] = "Retain" if policy.startswith("Retain") else "Delete"
        change["BeforeContext"] = {"Properties": shown(dict(planned.properties))}
        return {"Type": "Resource", "ResourceChange": change}
    change["AfterContext"] = {"Properties": shown(dict(planned.properties))}
    if planned.action == "Modify" and row is not None:
        change["BeforeContext"] = {"Properties": dict(row.properties)}
        change["Replacement"] = planned.replacement
        if planned.replacement == "True" or planned.replacement == "Conditional":
            retained = policy.startswith("Retain")
            change["PolicyAction"] = "ReplaceAndRetain" if retained else "ReplaceAndDelete"
        change["Scope"] = (
            (["Properties"] if planned.paths or planned.automatic else [])
            + (["Tags"] if planned.tags and not planned.paths else [])
            + planned.attributes
        )
        change["Details"] = _details(planner, planned, row)
    return {"Type": "Resource", "ResourceChange": change}


def _details(planner: Planner, planned: Planned, row: Resource) -> list[dict[str, Any]]:
    resource = planner.template.resources[planned.logical_id]
    create_only = list(planner.create_only(planned.type))
    details: list[dict[str, Any]] = []
    for path in planned.paths:
        recreation = "Never"
        if touches([path], create_only):
            recreation = "Always"
        before, after = _value_at(row.properties, path), _value_at(planned.properties, path)
        target = {
            "Attribute": "Properties",
            "Name": path.strip("/").split("/")[0],
            "Path": f"/Properties{path}",
            "RequiresRecreation": recreation,
            "AttributeChangeType": _change_type(before, after),
        }
        if before is not None:
            target["BeforeValue"] = _text(before)
        if after is not None:
            target["AfterValue"] = _text(after)
        details += [{"Target": target, **entry} for entry in planner.causes(resource, path)]
    if planned.automatic:
        target = {"Attribute": "Properties", "RequiresRecreation": "Never"}
        details.append({"Target": target, "Evaluation": "Dynamic", "ChangeSource": "Automatic"})
    for member in planned.attributes:
        details.append(_direct({"Attribute": member, "RequiresRecreation": "Never"}))
    if planned.tags and not planned.paths:
        details.append(_direct({"Attribute": "Tags", "RequiresRecreation": "Never"}))
    return details


def _direct(target: dict[str, Any]) -> dict[str, Any]:
    return {"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}


def _change_type(before: Any, after: Any) -> str:
    if before is None:
        return "Add"
    return "Remove" if after is None else "Modify"


def _text(value: Any) -> str:
    import json

    if isinstance(value, str):
        return value
    if isinstance(value, Unknown):
        return KNOWN_AFTER_APPLY
    return json.dumps(shown(value), separators=(",", ":"), ensure_ascii=False)


def _value_at(properties: Any, path: str) -> Any:
    node = properties
    for part in path.strip("/").split("/"):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def outputs_change(
    template: Template,
    previous: Template | None,
    scope: Scope,
    standing: Mapping[str, tuple[str, str]],
) -> bool:
    """Whether the outputs would differ from those that stand: key to value and export name."""
    included = {
        key: body
        for key, body in template.outputs.items()
        if not body.get("Condition") or scope.holds(body["Condition"])
    }
    if set(included) != set(standing):
        return True
    if previous is not None and template.outputs == previous.outputs:
        compare_values = False
    else:
        compare_values = True
    for key, body in included.items():
        try:
            value = evaluate(body["Value"], scope)
            export = evaluate((body.get("Export") or {}).get("Name", ""), scope)
        except ExportNeeded:
            return True
        if has_unknown(value) or has_unknown(export):
            if compare_values:
                return True
            continue
        if (str(value), str(export)) != standing[key]:
            return True
    return False
