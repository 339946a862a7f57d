"""The published resource schemas, read as data from the wheel ``cfn-lint`` when first needed."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

_CUSTOM = "AWS::CloudFormation::CustomResource"


@dataclass(frozen=True)
class Schema:
    """What is published of one resource type."""

    type: str
    properties: Mapping[str, Any]
    definitions: Mapping[str, Any]
    required: tuple[str, ...]
    read_only: frozenset[str]
    """Pointers without ``/properties/``: ``Arn``, ``Endpoint/Address``."""
    create_only: frozenset[str]
    conditional_create_only: frozenset[str]
    open: bool
    """Whether properties that are not listed are allowed."""
    tag_property: str
    """Where its tags are given; empty where it has none."""
    primary: tuple[str, ...]

    def has_attribute(self, name: str) -> bool:
        """Whether GetAtt may ask for it at all."""
        return self.open or name.split(".", 1)[0] in self.properties

    def system_tags(self) -> bool:
        return bool(self.tag_property)


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("The package cfn-lint, which carries the schemas, is not installed")
    return Path(next(iter(found.submodule_search_locations))) / "data"


@functools.cache
def _types() -> Mapping[str, str]:
    path = _folder() / "schemas" / "providers" / "us-east-1.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


def is_custom(kind: str) -> bool:
    return kind == _CUSTOM or kind.startswith("Custom::")


def known_types() -> Mapping[str, str]:
    """Every published type; the values mean nothing outside this module."""
    return _types()


@functools.lru_cache(maxsize=512)
def schema_of(kind: str) -> Schema | None:
    """The schema of a resource type; None where none is published."""
    digest = _types().get(_CUSTOM if is_custom(kind) else kind)
    if digest is None:
        return None
    body = msgspec.json.decode(
        (_folder() / "schemas" / "resources" / f"{digest}.json").read_bytes()
    )
    return _schema(kind, body)


def _schema(kind: str, body: Mapping[str, Any]) -> Schema:
    properties = body.get("properties", {})
    tagging = body.get("tagging", {})
    tags = str(tagging.get("tagProperty", "/properties/Tags")).removeprefix("/properties/")
    taggable = tagging.get("taggable", body.get("taggable", True)) and tags in properties
    return Schema(
        type=kind,
        properties=properties,
        definitions=body.get("definitions", {}),
        required=tuple(body.get("required", ())),
        read_only=_pointers(body, "readOnlyProperties"),
        create_only=_pointers(body, "createOnlyProperties"),
        conditional_create_only=_pointers(body, "conditionalCreateOnlyProperties"),
        open=is_custom(kind) or body.get("additionalProperties", True) is True,
        tag_property=tags if taggable else "",
        primary=tuple(sorted(_pointers(body, "primaryIdentifier"))),
    )


def _pointers(body: Mapping[str, Any], member: str) -> frozenset[str]:
    return frozenset(pointer.removeprefix("/properties/") for pointer in body.get(member, ()))


@functools.lru_cache(maxsize=256)
def arn_format(kind: str) -> str | None:
    """How IAM's reference writes the ARN of a type: ``arn:...:repository/``, to append an id to.

    None where it names no such resource, or one with more in its ARN than one name.
    """
    _, service, noun = ([*kind.split("::"), "", ""])[:3]
    found = _arn_formats().get(service.lower())
    if found is None:
        return None
    shape = found.get(noun.lower())
    if shape is None or not shape.endswith(".*") or shape.count(".*") != 1:
        return None
    return shape.removesuffix(".*")


@functools.cache
def _arn_formats() -> Mapping[str, Mapping[str, str]]:
    path = _folder() / "AdditionalSpecs" / "Policies.json"
    services = msgspec.json.decode(path.read_bytes())
    return {
        service.replace("-", ""): {
            noun.replace("-", "").lower(): resource["ARNFormats"][0]
            for noun, resource in body.get("Resources", {}).items()
            if resource.get("ARNFormats")
        }
        for service, body in services.items()
    }
