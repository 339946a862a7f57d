"""Service models as Python values: shapes with their traits, operations, errors."""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

_HEAD_BYTES = 4096
"""Compressed bytes that surely hold a model's metadata object, which stands at its beginning."""
_STRUCTURAL = frozenset(("members", "member", "key", "value", "documentation", "shape"))


class Shape:
    """One shape as one reference sees it: the shape's own traits, overridden by the reference's."""

    __slots__ = (
        "_key", "_member", "_members", "_model", "_raw", "_value", "location",
        "name", "required", "traits", "type",
    )  # fmt: skip

    def __init__(self, model: Model, name: str, raw: Mapping[str, Any], ref: Mapping[str, Any]):
        self._model, self._raw, self.name = model, raw, name
        self.type: str = raw["type"]
        self.traits: dict[str, Any] = {k: v for k, v in raw.items() if k not in _STRUCTURAL}
        # A name of the shape's own is that of a document's root; members are named by references.
        if "locationName" in self.traits:
            self.traits.setdefault("xmlRoot", self.traits.pop("locationName"))
        for trait, value in ref.items():
            if trait not in _STRUCTURAL:
                self.traits[trait] = value
        self.location: str | None = self.traits.get("location")
        self.required: tuple[str, ...] = tuple(self.traits.get("required", ()))
        self._members: dict[str, Shape] | None = None
        self._member: Shape | None = None
        self._key: Shape | None = None
        self._value: Shape | None = None

    def __repr__(self) -> str:
        return f"<{self.type} {self.name}>"

    @property
    def members(self) -> dict[str, Shape]:
        if self._members is None:
            raw = self._raw.get("members", {})
            self._members = {name: self._model.resolve(ref) for name, ref in raw.items()}
        return self._members

    @property
    def member(self) -> Shape:
        if self._member is None:
            self._member = self._model.resolve(self._raw["member"])
        return self._member

    @property
    def key(self) -> Shape:
        if self._key is None:
            self._key = self._model.resolve(self._raw["key"])
        return self._key

    @property
    def value(self) -> Shape:
        if self._value is None:
            self._value = self._model.resolve(self._raw["value"])
        return self._value

    @property
    def base(self) -> Shape:
        """The shape without what a reference adds."""
        return self._model.shape(self.name)

    @property
    def flattened(self) -> bool:
        return bool(self.traits.get("flattened"))

    @property
    def document(self) -> bool:
        """Any JSON value."""
        return bool(self.traits.get("document"))

    @property
    def event_member(self) -> str | None:
        """The member of this structure that is a stream of events."""
        for name, member in self.members.items():
            if member.traits.get("eventstream"):
                return name
        return None

    @property
    def streaming(self) -> bool:
        return bool(self.traits.get("streaming"))

    def children(self) -> Iterator[Shape]:
        if self.type == "structure":
            yield from self.members.values()
        elif self.type == "list":
            yield self.member
        elif self.type == "map":
            yield self.key
            yield self.value

    def reaches(self, test: Any) -> bool:
        """Whether ``test`` holds for this shape or any below it."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            shape = waiting.pop()
            if id(shape) in seen:
                continue
            seen.add(id(shape))
            if test(shape):
                return True
            waiting.extend(shape.children())
        return False


class Model:
    """A parsed service model. Shapes are interned, so that what is compiled of them is shared."""

    def __init__(self, raw: Mapping[str, Any], name: str = "") -> None:
        self.raw, self.name = raw, name
        self.metadata: Mapping[str, Any] = raw["metadata"]
        self.operations: Mapping[str, Any] = raw["operations"]
        self._shapes: dict[str, Any] = raw["shapes"]
        self._interned: dict[Any, Shape] = {}

    def shape(self, name: str) -> Shape:
        return self.resolve({"shape": name})

    def resolve(self, ref: Mapping[str, Any]) -> Shape:
        name = ref["shape"]
        if len(ref) == 1:
            key: Any = name
        else:
            kept = [(k, repr(v)) for k, v in ref.items() if k not in _STRUCTURAL]
            key = (name, *sorted(kept)) if kept else name
        found = self._interned.get(key)
        if found is None:
            found = self._interned[key] = Shape(self, name, self._shapes[name], ref)
        return found

    @functools.cached_property
    def errors(self) -> dict[str, Shape]:
        """Shapes of errors by shape name and by the code that the wire calls them."""
        found: dict[str, Shape] = {}
        for name, raw in self._shapes.items():
            if raw.get("exception") or "error" in raw:
                found[name] = self.shape(name)
        for shape in list(found.values()):
            code = shape.traits.get("error", {}).get("code")
            if code:
                found.setdefault(code, shape)
        return found


@functools.cache
def _data_folder() -> Path:
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise LookupError("botocore is not installed")
    return Path(spec.origin).parent / "data"


@functools.cache
def _model_file(model: str) -> Path:
    """The newest version of ``model`` that botocore has. Raises LookupError where it has none."""
    folder = _data_folder() / model
    # Names come from credential scopes too, that is from anybody.
    if not model.replace("-", "").isalnum() or not folder.is_dir():
        raise LookupError(f"There is no service model {model!r}")
    versions = sorted(child.name for child in folder.iterdir() if child.name[:1].isdigit())
    return folder / versions[-1] / "service-2.json.gz"


@functools.cache
def _corrections(model: str) -> Mapping[str, Any]:
    """What botocore's model lost or never had, kept as data beside this module."""
    file = Path(__file__).parent / "corrections" / f"{model}.json"
    return orjson.loads(file.read_bytes()) if file.exists() else {}


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


@functools.cache
def metadata(model: str) -> Mapping[str, Any]:
    """The model's ``metadata`` without parsing the rest of it: start-up asks every service."""
    with _model_file(model).open("rb") as file:
        head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(file.read(_HEAD_BYTES))
    text = head.decode("utf-8", "ignore")
    at = text.index("{", text.index('"metadata"'))
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, at)[0]
    _merge(found, _corrections(model).get("metadata", {}))
    return found


def load(model: str) -> Model:
    """The whole model, without its documentation."""
    raw = orjson.loads(gzip.decompress(_model_file(model).read_bytes()))
    _merge(raw, _corrections(model))
    _drop_documentation(raw)
    return Model(raw, model)


def _drop_documentation(raw: dict[str, Any]) -> None:
    raw.pop("documentation", None)
    for operation in raw["operations"].values():
        operation.pop("documentation", None)
    for shape in raw["shapes"].values():
        shape.pop("documentation", None)
        for member in shape.get("members", {}).values():
            member.pop("documentation", None)
