"""Packaging a template: local code becomes zip files in a bucket, paths become their addresses."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Upload = Callable[[str, bytes], None]
"""(key, body) -> stored in the deployment bucket."""

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = {"__pycache__", ".git", ".aws-sam", ".venv", ".pytest_cache", ".mypy_cache"}


class Place(NamedTuple):
    """A property that may hold a local path, and how its address is written instead."""

    resource_type: str
    property: tuple[str, ...]
    form: str


# Form "uri": s3://bucket/key; "code": {S3Bucket, S3Key}; "bucket": {Bucket, Key}; "url": https.
PLACES = (
    Place("AWS::Serverless::Function", ("CodeUri",), "uri"),
    Place("AWS::Serverless::LayerVersion", ("ContentUri",), "uri"),
    Place("AWS::Serverless::HttpApi", ("DefinitionUri",), "uri-file"),
    Place("AWS::Serverless::Api", ("DefinitionUri",), "uri-file"),
    Place("AWS::Serverless::StateMachine", ("DefinitionUri",), "uri-file"),
    Place("AWS::Serverless::Application", ("Location",), "template"),
    Place("AWS::Lambda::Function", ("Code",), "code"),
    Place("AWS::Lambda::LayerVersion", ("Content",), "code"),
    Place("AWS::CloudFormation::Stack", ("TemplateURL",), "template"),
    Place("AWS::StepFunctions::StateMachine", ("DefinitionS3Location",), "bucket-file"),
)


class NotFound(Exception):
    """There is no template, or not what it names; the message says what is missing."""


def load_template(path: Path) -> dict[str, Any]:
    """A template as plain data: YAML's short tags (``!Ref``) in their long form."""
    text = _existing(path).read_text()
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):  # YAML's flow style begins so too
            return json.loads(text)
    import yaml

    class Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
        pass

    def tagged(loader: Any, suffix: str, node: Any) -> Any:
        name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
            if suffix == "GetAtt":
                value = value.split(".", 1)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        return {name: value}

    Loader.add_multi_constructor("!", tagged)
    # Dates stay text, as CloudFormation reads them ("Version: 2012-10-17").
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda ld, nd: ld.construct_scalar(nd))
    try:
        loaded = yaml.load(text, Loader)
    except yaml.YAMLError as bad:
        raise NotFound(f"{path} is no template: {bad}") from None
    if not isinstance(loaded, dict):
        raise NotFound(f"{path} is no template: it holds no mapping")
    return loaded


def packaged(
    path: Path, bucket: str, upload: Upload, note: Callable[[str], None]
) -> dict[str, Any]:
    """The template at ``path`` with everything local uploaded and addressed."""
    template = load_template(path)
    defaults = template.get("Globals", {}).get("Function", {})
    if isinstance(defaults.get("CodeUri"), str) and not _remote(defaults["CodeUri"]):
        key = _upload(path.parent / defaults["CodeUri"], "", upload, note)
        defaults["CodeUri"] = f"s3://{bucket}/{key}"
    for name, resource in template.get("Resources", {}).items():
        for place in PLACES:
            if isinstance(resource, dict) and resource.get("Type") == place.resource_type:
                said = functools.partial(_named, note, name)
                _replace(resource, place, path.parent, bucket, upload, said)
    return template


def _named(note: Callable[[str], None], name: str, text: str) -> None:
    note(f"{name}: {text}")


def _replace(
    resource: dict[str, Any],
    place: Place,
    folder: Path,
    bucket: str,
    upload: Upload,
    note: Callable[[str], None],
) -> None:
    properties = resource.get("Properties", {})
    last = place.property[-1]
    value = properties.get(last)
    if not isinstance(value, str) or _remote(value):
        return
    local = folder / value
    if place.form == "template":
        nested = json.dumps(packaged(_existing(local), bucket, upload, note)).encode()
        key = f"{hashlib.sha256(nested).hexdigest()}.template"
        upload(key, nested)
        properties[last] = f"https://s3.amazonaws.com/{bucket}/{key}"
        return
    if place.form.endswith("-file"):
        body = _existing(local).read_bytes()
        key = hashlib.sha256(body).hexdigest() + local.suffix
        upload(key, body)
    else:
        key = _upload(local, str(properties.get("Runtime", "")), upload, note)
    if place.form.startswith("uri"):
        properties[last] = f"s3://{bucket}/{key}"
    elif place.form.startswith("code"):
        properties[last] = {"S3Bucket": bucket, "S3Key": key}
    else:
        properties[last] = {"Bucket": bucket, "Key": key}


def _upload(local: Path, runtime: str, upload: Upload, note: Callable[[str], None]) -> str:
    body = zipped(_existing(local))
    key = f"{hashlib.sha256(body).hexdigest()}.zip"
    note(f"{len(body) / 1024:,.0f} KiB from {os.path.relpath(local)}")
    upload(key, body)
    return key


def zipped(source: Path) -> bytes:
    """A folder (or file, or ready zip) as a zip file that is the same for the same content.

    Where a folder has a requirements.txt its packages are installed into the zip.
    """
    if source.is_file() and source.suffix in (".zip", ".jar"):
        return source.read_bytes()
    with tempfile.TemporaryDirectory(prefix="skyfold-build-") as installed:
        layers = [source]
        if source.is_dir() and (source / "requirements.txt").is_file():
            _install(source / "requirements.txt", Path(installed))
            layers = [Path(installed), source]
        return _zip(layers)


def _zip(layers: list[Path]) -> bytes:
    files: dict[str, Path] = {}
    for layer in layers:
        files.update(_files(layer))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            mode = 0o755 if os.access(path, os.X_OK) else 0o644
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def _files(layer: Path) -> Iterator[tuple[str, Path]]:
    if layer.is_file():
        yield layer.name, layer
        return
    for folder, folders, names in os.walk(layer):
        folders[:] = sorted(f for f in folders if f not in LEFT_OUT)
        for name in names:
            path = Path(folder, name)
            yield path.relative_to(layer).as_posix(), path


def _install(requirements: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
    done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True)
    if done.returncode:
        raise NotFound(f"pip could not install {requirements}:\n{done.stderr.strip()}")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NotFound(f"The template names {path}, which does not exist.")
    return path


def _remote(value: str) -> bool:
    return value.startswith(("s3://", "http://", "https://", "arn:"))
