"""Template text to values: JSON, and YAML with CloudFormation's short function tags."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import TEMPLATE_NODES_MAX

_PLAIN_TAGS = {"Ref": "Ref", "Condition": "Condition"}
_TRUE = frozenset({"true", "yes", "on"})


def read_template_text(text: str) -> dict[str, Any]:
    """The template in ``text``; raises ValidationError in AWS's words where there is none."""
    parsed = _read_json(text) if text.lstrip()[:1] == "{" else _read_yaml(text)
    if not isinstance(parsed, dict):
        raise ValidationError("Template format error: unsupported structure.")
    if _count(parsed, TEMPLATE_NODES_MAX) <= 0:
        raise ValidationError("Template format error: the template is too large.")
    return parsed


def _count(value: Any, left: int) -> int:
    """How many of ``left`` values remain after counting ``value``; stops at nought."""
    left -= 1
    if left <= 0:
        return 0
    children = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for child in children:
            left = _count(child, left)
            if left <= 0:
                return 0
    return left


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as bad:
        # What begins as YAML's flow style is YAML all the same.
        try:
            return _read_yaml(text)
        except ValidationError:
            pass
        raise ValidationError(
            f"Template format error: JSON not well-formed. (line {bad.lineno}, column {bad.colno})"
        ) from bad
    except RecursionError as deep:
        raise ValidationError("Template format error: JSON not well-formed.") from deep


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValidationError(f"Template format error: JSON not well-formed. Duplicate key {twice}")
    return found


def _read_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark or bad.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValidationError(f"Template format error: YAML not well-formed.{where}") from bad
    except (yaml.YAMLError, RecursionError, ValueError) as bad:
        raise ValidationError("Template format error: YAML not well-formed.") from bad


@functools.cache
def _loader() -> Any:
    """The loader class; made when the first YAML template is read."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class TemplateLoader(base):  # type: ignore[misc] # the base is chosen at run time
        """Scalars as CloudFormation reads them: no dates, no octal, no sexagesimal numbers."""

        yaml_implicit_resolvers: Mapping[str, Any] = {}

    for tag, pattern, first in (
        ("tag:yaml.org,2002:bool", r"^(?:true|false|yes|no|on|off)$", "tTfFyYnNoO"),
        ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
        (
            "tag:yaml.org,2002:float",
            r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$",
            "-+.0123456789",
        ),
        ("tag:yaml.org,2002:null", r"^(?:~|null|)$", ["~", "n", "N", ""]),
        ("tag:yaml.org,2002:merge", r"^(?:<<)$", "<"),
    ):
        TemplateLoader.add_implicit_resolver(tag, re.compile(pattern, re.IGNORECASE), list(first))
    TemplateLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
    TemplateLoader.add_constructor("tag:yaml.org,2002:bool", _boolean)
    TemplateLoader.add_multi_constructor("!", _function)
    return TemplateLoader


def _boolean(loader: Any, node: Any) -> bool:
    return loader.construct_scalar(node).lower() in _TRUE


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    own = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    if len(set(own)) != len(own):
        _not_well_formed([k for k, _ in node.value if own.count(k.value) > 1][1])
    loader.flatten_mapping(node)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, dict | list):
            _not_well_formed(key_node)
        if not isinstance(key, str):  # a key is text, however it looks: 8080, true, 2012-10-17
            key = key_node.value
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _not_well_formed(node: Any) -> NoReturn:
    mark = node.start_mark
    raise ValidationError(
        "Template format error: YAML not well-formed. "
        f"(line {mark.line + 1}, column {mark.column + 1})"
    )


def _function(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    """``!Sub x`` is ``{"Fn::Sub": x}``, ``!Ref x`` is ``{"Ref": x}``."""
    import yaml

    value: Any
    if isinstance(node, yaml.ScalarNode):
        resolved = loader.resolve(yaml.ScalarNode, node.value, (True, False))
        plain = node.style is None and resolved != "tag:yaml.org,2002:null"
        retagged = yaml.ScalarNode(resolved if plain else "tag:yaml.org,2002:str", node.value)
        value = loader.construct_object(retagged, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = _mapping(loader, node)
    if suffix == "GetAtt" and isinstance(value, str) and "." in value:
        value = value.split(".", 1)
    return {_PLAIN_TAGS.get(suffix, f"Fn::{suffix}"): value}
