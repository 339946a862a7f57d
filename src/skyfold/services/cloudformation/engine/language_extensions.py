"""The transform AWS::LanguageExtensions: loops unrolled, and what can be known now evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from skyfold.services.cloudformation.engine.intrinsics import (
    UNKNOWN,
    ExportNeeded,
    Scope,
    evaluate,
    has_unknown,
)
from skyfold.services.cloudformation.errors import ValidationError

FOR_EACH: Final = "Fn::ForEach::"
NAME: Final = "AWS::LanguageExtensions"
_EARLY: Final = ("Fn::Length", "Fn::ToJsonString")


def transform_extensions(body: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """The template without loops; ``scope`` knows parameters, mappings and pseudo parameters."""
    scope = Scope(
        parameters=scope.parameters,
        pseudo=scope.pseudo,
        mappings=scope.mappings,
        conditions=scope.conditions,
        reference=lambda name: UNKNOWN,
        attribute=lambda name, attribute: UNKNOWN,
        extended=True,
    )
    unrolled = _unroll(body, {}, scope)
    early: dict[str, Any] = {
        section: child if section in ("Parameters", "Metadata") else _early(child, scope)
        for section, child in unrolled.items()
    }
    return early


def _unroll(node: Any, bound: Mapping[str, str], scope: Scope) -> Any:
    if isinstance(node, list):
        return [_unroll(child, bound, scope) for child in node]
    if isinstance(node, str):
        return _named(node, bound)
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and isinstance(node.get("Ref"), str) and node["Ref"] in bound:
        return bound[node["Ref"]]
    found: dict[str, Any] = {}
    for name, child in node.items():
        if not name.startswith(FOR_EACH):
            found[_named(name, bound)] = _unroll(child, bound, scope)
            continue
        for made_name, made in _loop(name, child, bound, scope):
            if made_name in found:
                raise _refusal(f"Fn::ForEach makes the key {made_name} more than once")
            found[made_name] = made
    return found


def _loop(
    name: str, argument: Any, bound: Mapping[str, str], scope: Scope
) -> list[tuple[str, Any]]:
    well_formed = isinstance(argument, list) and len(argument) == 3
    if not well_formed or not isinstance(argument[0], str) or not isinstance(argument[2], dict):
        raise _refusal(f"{name} layout is incorrect")
    variable, collection, output = argument
    if variable in bound:
        raise _refusal(f"{name} uses the identifier {variable} twice")
    values = evaluate(_unroll(collection, bound, scope), scope)
    if not isinstance(values, list) or has_unknown(values):
        raise _refusal(f"{name} needs a collection of strings that is known beforehand")
    made: list[tuple[str, Any]] = []
    for value in values:
        unrolled = _unroll(output, {**bound, variable: str(value)}, scope)
        made += unrolled.items()
    return made


def _named(text: str, bound: Mapping[str, str]) -> str:
    """``${Variable}`` and ``&{Variable}`` (without what is not alphanumeric) replaced."""
    for variable, value in bound.items():
        if variable in text:
            text = text.replace(f"${{{variable}}}", value)
            text = text.replace(f"&{{{variable}}}", re.sub(r"[^A-Za-z0-9]", "", value))
    return text


def _early(node: Any, scope: Scope) -> Any:
    """Lengths and JSON texts that depend on no resource, in place of their functions."""
    if isinstance(node, list):
        return [_early(child, scope) for child in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and next(iter(node)) in _EARLY:
        try:
            value = evaluate(node, scope)
        except ExportNeeded:
            return node
        return node if has_unknown(value) else value
    found = {name: _early(child, scope) for name, child in node.items()}
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if "Type" in found and isinstance(found.get(policy), dict):
            found[policy] = evaluate(found[policy], scope)
    return found


def _refusal(problem: str) -> ValidationError:
    return ValidationError(f"Transform {NAME} failed with: {problem}")
