"""Properties held against their type's schema, and made into the types it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from skyfold.services.cloudformation.engine.intrinsics import Unknown, text_of
from skyfold.services.cloudformation.engine.schemas import Schema

_TYPE_WORDS: Final = {
    "string": "String",
    "integer": "Integer",
    "number": "Number",
    "boolean": "Boolean",
    "array": "List",
    "object": "Map",
}
_MISFIT: Final = object()


class Fitting:
    """One pass over the properties of one resource; ``problems`` are in AWS's words."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.problems: list[str] = []
        self.enum_problems: list[str] = []

    def fit_all(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """All properties as the schema types them."""
        schema = self.schema
        node = {
            "properties": schema.properties,
            "required": schema.required,
            "additionalProperties": schema.open,
        }
        fitted = self._object(node, dict(properties), "")
        settable = {name for name in schema.read_only if "/" not in name} - set(schema.required)
        given = sorted(settable & set(properties) - schema.create_only)
        if given and not schema.open:
            self._unsupported("", given)
        return fitted

    def reason(self, logical_id: str) -> str:
        """Why the properties will not do; empty where they will."""
        if self.problems:
            return f"Property validation failure: [{', '.join(self.problems)}]"
        if self.enum_problems:
            return (
                f"Properties validation failed for resource {logical_id} with message:\n"
                + "\n".join(self.enum_problems)
            )
        return ""

    def _fit(self, node: Mapping[str, Any], value: Any, path: str) -> Any:
        if isinstance(value, Unknown):
            return value
        node = self._resolved(node)
        kinds = node.get("type")
        if kinds is None:
            if "properties" in node or "patternProperties" in node:
                kinds = "object"
            else:
                return self._fit_alternatives(node, value, path)
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if len(kinds) > 1 and "string" in kinds and isinstance(value, bool | int | float):
            value = text_of(value)  # of several scalar types, text is what the service keeps
        for kind in kinds:
            if _exactly(kind, value):
                return self._inside(kind, node, value, path)
        for kind in kinds:
            made = _converted(kind, value)
            if made is not _MISFIT:
                return self._inside(kind, node, made, path)
        word = _TYPE_WORDS.get(kinds[0], kinds[0])
        self.problems.append(f"Value of property {{{path or '/'}}} does not match type {{{word}}}")
        return value

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(16):
            pointer = node.get("$ref")
            if not isinstance(pointer, str):
                return node
            section, _, name = pointer.removeprefix("#/").partition("/")
            found = self.schema.definitions if section == "definitions" else self.schema.properties
            node = found.get(name.split("/")[0], {})
        return {}

    def _fit_alternatives(self, node: Mapping[str, Any], value: Any, path: str) -> Any:
        for choice in (*node.get("oneOf", ()), *node.get("anyOf", ())):
            attempt = Fitting(self.schema)
            fitted = attempt._fit(choice, value, path)
            if not attempt.problems and not attempt.enum_problems:
                return fitted
        return value

    def _inside(self, kind: str, node: Mapping[str, Any], value: Any, path: str) -> Any:
        if kind == "object":
            return self._object(node, value, path)
        if kind == "array":
            items = node.get("items")
            if not isinstance(items, dict):
                return value
            return [self._fit(items, item, f"{path}/{at}") for at, item in enumerate(value)]
        allowed = node.get("enum")
        if allowed and value not in allowed:
            self.enum_problems.append(f"#{path}: {text_of(value)} is not a valid enum value")
        return value

    def _object(self, node: Mapping[str, Any], value: dict[str, Any], path: str) -> dict[str, Any]:
        listed = node.get("properties") or {}
        patterns = node.get("patternProperties") or {}
        fitted: dict[str, Any] = {}
        unsupported: list[str] = []
        for name, child in value.items():
            shape = listed.get(name)
            if shape is None:
                shape = next((s for p, s in patterns.items() if _matches(p, name)), None)
            if shape is None:
                extra = node.get("additionalProperties", True)
                if extra is False:
                    unsupported.append(name)
                shape = extra if isinstance(extra, dict) else {}
            fitted[name] = self._fit(shape, child, f"{path}/{name}")
        if unsupported:
            self._unsupported(path, unsupported)
        for name in node.get("required", ()):
            if name not in value:
                self.problems.append(f"The property {{{path}/{name}}} is required")
        return fitted

    def _unsupported(self, path: str, names: list[str]) -> None:
        self.problems.append(
            f"Encountered unsupported properties in {{{path or '/'}}}: [{', '.join(names)}]"
        )


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # written for another dialect of regular expressions
        return True


def _exactly(kind: str, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "array":
        return isinstance(value, list)
    return kind == "object" and isinstance(value, dict)


def _converted(kind: str, value: Any) -> Any:
    """``value`` as a ``kind``, where CloudFormation would tolerate it."""
    if kind == "string" and isinstance(value, bool | int | float):
        return text_of(value)
    if kind == "boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"[-+]?\d+", value.strip()):
        return int(value)
    if kind == "number" and isinstance(value, str):
        try:
            return int(value) if re.fullmatch(r"[-+]?\d+", value.strip()) else float(value)
        except ValueError:
            return _MISFIT
    return _MISFIT


def fitted(
    schema: Schema | None, properties: Mapping[str, Any], logical_id: str
) -> tuple[dict[str, Any], str]:
    """Typed properties, and the reason why they will not do (empty where they will)."""
    if schema is None or schema.open:
        return dict(properties), ""
    fitting = Fitting(schema)
    made = fitting.fit_all(properties)
    return made, fitting.reason(logical_id)
