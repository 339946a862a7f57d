"""A template through its transforms: AWS::Include, the language extensions, and SAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.access.managed import managed
from skyfold.kernel.call import Call
from skyfold.services.cloudformation.deploy.sources import bucket_and_key, read_object
from skyfold.services.cloudformation.engine import language_extensions
from skyfold.services.cloudformation.engine.intrinsics import Scope, evaluate
from skyfold.services.cloudformation.engine.sam import SAM, transform_sam
from skyfold.services.cloudformation.engine.template import Template, transforms_of
from skyfold.services.cloudformation.engine.yaml_reader import read_template_text
from skyfold.services.cloudformation.errors import ValidationError

INCLUDE = "AWS::Include"


async def transformed(
    call: Call, template: Template, scope: Scope, texts: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The processed template and the names of the transforms that made it.

    ``texts`` are the parameters as texts. Raises ValidationError saying which transform failed.
    """
    used: list[str] = []
    body = await _inner(call, dict(template.body), scope, used)
    for name, parameters in _declared(body):
        used.append(name)
        if name == language_extensions.NAME:
            body = language_extensions.transform_extensions(body, scope)
        elif name == SAM:
            policies = {entry["name"]: arn for arn, entry in managed().items()}
            body = transform_sam(body, texts, call.region, policies)
        elif name == INCLUDE:
            body = {**body, **await _included(call, parameters, scope)}
        else:
            raise _unknown(call, name)
    body.pop("Transform", None)
    if language_extensions.NAME in used:  # its functions are evaluated where they stand
        body["Transform"] = language_extensions.NAME
    return msgspec.json.decode(msgspec.json.encode(body)), tuple(dict.fromkeys(used))


def _declared(body: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    declared = body.get("Transform")
    listed = declared if isinstance(declared, list) else [declared]
    names = transforms_of(body)
    found = [
        (name, item.get("Parameters") or {} if isinstance(item, dict) else {})
        for name, item in zip(names, listed, strict=False)
    ]
    # Loops are unrolled before SAM reads the resources, whatever order they are named in.
    return sorted(found, key=lambda entry: entry[0] == SAM)


def _unknown(call: Call, name: str) -> ValidationError:
    full = name if name.startswith("AWS::") else f"{call.account}::{name}"
    return ValidationError(f"No transform named {full} found.")


async def _inner(call: Call, node: Any, scope: Scope, used: list[str]) -> Any:
    """Every ``Fn::Transform`` within the template, the innermost first."""
    if isinstance(node, list):
        return [await _inner(call, child, scope, used) for child in node]
    if not isinstance(node, dict):
        return node
    found: dict[str, Any] = {}
    for name, child in node.items():
        found[name] = await _inner(call, child, scope, used)
    if "Fn::Transform" not in found:
        return found
    made: dict[str, Any] = {}
    wanted = found.pop("Fn::Transform")
    for entry in wanted if isinstance(wanted, list) else [wanted]:
        if not isinstance(entry, dict) or not isinstance(entry.get("Name"), str):
            raise ValidationError("Key Name of transform definition must be a string.")
        if entry["Name"] != INCLUDE:
            raise _unknown(call, entry["Name"])
        used.append(INCLUDE)
        made.update(await _included(call, entry.get("Parameters") or {}, scope))
    return {**found, **made}


async def _included(call: Call, parameters: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    location = evaluate(parameters.get("Location"), scope)
    failed = f"Transform {INCLUDE} failed with: "
    if not isinstance(location, str):
        raise ValidationError(f"{failed}The value of Location must be a string.")
    try:
        bucket, key = bucket_and_key(location)
        return read_template_text(await read_object(call, bucket, key))
    except AwsError as refused:
        raise ValidationError(failed + refused.text.removeprefix("S3 error: ")) from refused
