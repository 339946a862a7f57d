"""What an expression speaks of: references to parameters, resources, conditions and maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(r"\$\{([^!${}][^${}]*)\}")
"""``${Name}`` in a Sub; ``${!Literal}`` is none."""
LITERAL = re.compile(r"\$\{!([^{}]*)\}")


class Reference(NamedTuple):
    kind: str
    """ref, att, condition."""
    name: str
    attribute: str = ""


def function_of(node: Any) -> str | None:
    """The name of the function that ``node`` is, as a template writes it; None for plain data."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    name = next(iter(node))
    if name == "Ref" or (isinstance(name, str) and name.startswith("Fn::")):
        return name
    return None


def references(
    node: Any, taken: Callable[[str], bool] | None = None, *, conditions: bool = False
) -> Iterator[Reference]:
    """Every reference in ``node``; of an If only the branch that is ``taken``, where that is known.

    ``conditions``: whether ``{"Condition": name}`` is a reference, as it is inside conditions.
    """
    function = function_of(node)
    if function == "Ref" and isinstance(node["Ref"], str):
        yield Reference("ref", node["Ref"])
    elif function == "Fn::GetAtt":
        yield from _of_get_att(node["Fn::GetAtt"], taken)
    elif function == "Fn::Sub":
        yield from _of_sub(node["Fn::Sub"], taken)
    elif function == "Fn::If":
        yield from _of_if(node["Fn::If"], taken, conditions)
    elif isinstance(node, dict):
        if conditions and len(node) == 1 and isinstance(node.get("Condition"), str):
            yield Reference("condition", node["Condition"])
            return
        inside = conditions or function in ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals")
        for child in node.values():
            yield from references(child, taken, conditions=inside)
    elif isinstance(node, list):
        for child in node:
            yield from references(child, taken, conditions=conditions)


def _of_get_att(argument: Any, taken: Callable[[str], bool] | None) -> Iterator[Reference]:
    target = split_get_att(argument)
    if target is None:
        return
    name, attribute = target
    yield Reference("att", name, attribute if isinstance(attribute, str) else "")
    if not isinstance(attribute, str):
        yield from references(attribute, taken)


def split_get_att(argument: Any) -> tuple[str, Any] | None:
    """Resource and attribute of a GetAtt, in either of its forms."""
    if isinstance(argument, str) and "." in argument:
        name, attribute = argument.split(".", 1)
        return name, attribute
    if isinstance(argument, list) and len(argument) >= 2 and isinstance(argument[0], str):
        if len(argument) > 2 and all(isinstance(part, str) for part in argument):
            return argument[0], ".".join(argument[1:])
        return argument[0], argument[1]
    return None


def _of_sub(argument: Any, taken: Callable[[str], bool] | None) -> Iterator[Reference]:
    local: set[str] = set()
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
        local = set(argument[1])
        for child in argument[1].values():
            yield from references(child, taken)
        argument = argument[0]
    if not isinstance(argument, str):
        return
    for name in PLACEHOLDER.findall(argument):
        name = name.strip()
        if name in local:
            continue
        if "." in name:
            yield Reference("att", *name.split(".", 1))
        else:
            yield Reference("ref", name)


def _of_if(
    argument: Any, taken: Callable[[str], bool] | None, conditions: bool
) -> Iterator[Reference]:
    if not (isinstance(argument, list) and len(argument) == 3 and isinstance(argument[0], str)):
        for child in argument if isinstance(argument, list) else ():
            yield from references(child, taken, conditions=conditions)
        return
    yield Reference("condition", argument[0])
    branches = argument[1:]
    if taken is not None:
        branches = [argument[1] if taken(argument[0]) else argument[2]]
    for branch in branches:
        yield from references(branch, taken, conditions=conditions)
