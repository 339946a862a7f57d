"""One interface over the three kinds of bodies, so that the rest of the wire asks for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from skyfold.kernel.wire import cbor_codec, json_codec
from skyfold.kernel.wire.constraints import Checks, SerializationException
from skyfold.kernel.wire.shapes import Model, Shape
from skyfold.kernel.wire.xml_codec import (
    XmlReaders,
    XmlWriters,
    namespace_attribute,
    parse_document,
)

ReadBody = Callable[[bytes], Any]
WriteBody = Callable[[Any], bytes]
_ODD = (json_codec.Odd, KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What the quick readers raise on anything they do not expect."""


class Bodies(Protocol):
    """How a protocol spells structures as bodies."""

    content_type: str

    def reader(self, shape: Shape) -> ReadBody:
        """For a structure: of all members that are bound nowhere else."""

    def writer(self, shape: Shape, root: str) -> WriteBody: ...


class JsonBodies:
    """JSON, quickly: what is right already is handed on as orjson made it."""

    def __init__(self, checks: Checks, content_type: str) -> None:
        self.content_type = content_type
        self._checks = checks
        self._readers = json_codec.Readers(json_codec.READ_QUICKLY)
        self._writers = json_codec.Writers(json_codec.WRITE)
        self._loads: Callable[[bytes], Any] = json_codec.loads
        self._dumps: Callable[[Any], bytes] = json_codec.dumps
        self._scalars = json_codec.READ_THOROUGHLY

    def reader(self, shape: Shape) -> ReadBody:
        loads, scalars = self._loads, self._scalars
        if shape.document:
            return loads
        return lambda body: json_codec.read_body(shape, loads(body), scalars)

    def checked_reader(self, shape: Shape, check: Callable[[Any], None]) -> ReadBody:
        """The whole of a request; ``check`` is asked only where the quick test says no."""
        loads, scalars = self._loads, self._scalars
        convert, right = self._readers.compile(shape), self._checks.test(shape)

        def read(body: bytes) -> Any:
            value = loads(body)
            try:
                quick = value if convert is None else convert(value)
                if right(quick):
                    return quick
            except _ODD:
                pass
            params = json_codec.read_body(shape, value, scalars)
            check(params)
            return params

        return read

    def writer(self, shape: Shape, root: str) -> WriteBody:
        dumps = self._dumps
        convert = None if shape.document else self._writers.body(shape)
        if convert is None:
            return dumps
        converting = convert
        return lambda value: dumps(converting(value))


class CborBodies(JsonBodies):
    """CBOR: the same values but for timestamps, bytes and floats."""

    def __init__(self, checks: Checks) -> None:
        super().__init__(checks, "application/cbor")
        self._readers = json_codec.Readers(cbor_codec.READ_QUICKLY)
        self._writers = json_codec.Writers(cbor_codec.WRITE)
        self._loads, self._dumps = cbor_codec.loads, cbor_codec.dumps
        self._scalars = cbor_codec.READ_THOROUGHLY


class XmlBodies:
    """XML with the namespace of the service on the root."""

    content_type = "application/xml"

    def __init__(self, model: Model) -> None:
        self._readers = XmlReaders()
        self._writers = XmlWriters(bool(model.metadata.get("isoMilliseconds")))
        namespace = model.metadata.get("xmlNamespace")
        uri = namespace.get("uri") if isinstance(namespace, dict) else namespace
        self._namespace = f' xmlns="{uri}"' if uri else ""

    def reader(self, shape: Shape) -> ReadBody:
        read = self._readers.structure(json_codec.body_members(shape))

        def read_body(body: bytes) -> Any:
            return read(parse_document(body)) if body and not body.isspace() else {}

        return read_body

    def writer(self, shape: Shape, root: str) -> WriteBody:
        own = namespace_attribute(shape)
        namespace = own if own.startswith(" xmlns=") else self._namespace + own
        opening = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{namespace}'
        start = f"{opening}>"
        end = f"</{root}>"
        unwrapped = shape.traits.get("xmlUnwrapped")
        if unwrapped:
            inner = self._writers.content(shape.members[unwrapped])
            return lambda value: f"{start}{inner(value.get(unwrapped) or '')}{end}".encode()
        content = self._writers.content(shape, json_codec.reply_members(shape))
        attributes = self._writers.attributes(shape)
        if attributes is not None:
            of = attributes
            return lambda value: f"{opening}{of(value)}>{content(value)}{end}".encode()
        return lambda value: f"{start}{content(value)}{end}".encode()

    def fragment(self, shape: Shape) -> Callable[[Any], str]:
        """The inside of a structure's element."""
        return self._writers.content(shape)


def text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SerializationException("The body is not UTF-8") from error


def present(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without members that are None."""
    return {name: item for name, item in value.items() if item is not None}
