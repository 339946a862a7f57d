"""XML: bodies to parameters for rest-xml, and replies of rest-xml and query, as generated code."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from skyfold.kernel.wire import timestamps
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.shapes import Shape

Element = ElementTree.Element
Read = Callable[[Any], Any]
_NOT_WELL_FORMED = "The XML you provided was not well-formed"
_INT = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)


def parse_document(body: bytes) -> Element:
    """The root of a document; entities and document types are refused, whatever they hold."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SerializationException(_NOT_WELL_FORMED) from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SerializationException(_NOT_WELL_FORMED)
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise SerializationException(_NOT_WELL_FORMED) from error


def xml_name(name: str, member: Shape) -> str:
    """What a member's element is called."""
    traits = member.traits
    if member.type == "list" and member.flattened and "xmlName" not in traits:
        inner = member.member.traits.get("locationName")
        if inner is not None:
            return str(inner)
    return str(traits.get("xmlName") or traits.get("locationName") or name)


def item_name(shape: Shape) -> str:
    return str(shape.member.traits.get("locationName", "member"))


def entry_names(shape: Shape) -> tuple[str, str]:
    key, value = shape.key.traits, shape.value.traits
    return (
        str(key.get("xmlName") or key.get("locationName") or "key"),
        str(value.get("xmlName") or value.get("locationName") or "value"),
    )


def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def namespace_attribute(shape: Shape) -> str:
    """The declaration that a shape's element carries, if any."""
    found = shape.traits.get("xmlNamespace")
    if not found:
        return ""
    if isinstance(found, str):
        return f' xmlns="{found}"'
    prefix = f":{found['prefix']}" if found.get("prefix") else ""
    return f' xmlns{prefix}="{found["uri"]}"'


# --- scalars, shared with headers, labels and query strings ------------------------------------


def _number(text: str, bits: int) -> int:
    if _INT.fullmatch(text) is None or not -(2**bits) <= int(text) < 2**bits:
        raise SerializationException(f'For input string: "{text[:100]}"')
    return int(text)


def read_integer(text: str) -> int:
    return _number(text, 31)


def read_long(text: str) -> int:
    return _number(text, 63)


def read_float(text: str) -> float:
    try:
        if "_" in text or not text.isascii():
            raise ValueError(text)
        return float(text)
    except ValueError as error:
        raise SerializationException(f'For input string: "{text[:100]}"') from error


def read_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("true", "1"):
        return True
    if lowered in ("false", "0"):
        return False
    raise SerializationException(f"Invalid boolean: {text[:100]}")


def read_blob(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:
        raise SerializationException("Invalid Base64") from error


def read_timestamp(text: str) -> int:
    try:
        return timestamps.from_text(text)
    except (ValueError, OverflowError) as error:
        raise SerializationException(f"Invalid timestamp: {text[:100]}") from error


SCALARS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": read_integer,
    "long": read_long,
    "float": read_float,
    "double": read_float,
    "boolean": read_boolean,
    "blob": read_blob,
    "timestamp": read_timestamp,
}


# --- reading -----------------------------------------------------------------------------------


class XmlReaders:
    """Compiles shapes to functions of an element."""

    def __init__(self) -> None:
        self._done: dict[Shape, Read] = {}

    def compile(self, shape: Shape) -> Read:
        if shape.type == "structure" and shape is not shape.base:
            return self.compile(shape.base)
        found = self._done.get(shape)
        if found is None:
            found = self._done[shape] = getattr(self, f"_{shape.type}", self._scalar)(shape)
        return found

    def _scalar(self, shape: Shape) -> Read:
        read = SCALARS[shape.type]
        return lambda element: read(element.text or "")

    def structure(self, members: Mapping[str, Shape]) -> Read:
        table: dict[str, tuple[str, Read, str]] = {}
        read = _structure_reader(table, _attributes(members))
        self._fill(table, members)
        return read

    def _structure(self, shape: Shape) -> Read:
        table: dict[str, tuple[str, Read, str]] = {}
        read = self._done[shape] = _structure_reader(table, _attributes(shape.members))
        self._fill(table, shape.members)
        return read

    def _fill(self, table: dict[str, tuple[str, Read, str]], members: Mapping[str, Shape]) -> None:
        for name, member in members.items():
            if member.traits.get("xmlAttribute"):
                continue
            if member.flattened and member.type == "list":
                entry = (name, self.compile(member.member), "list")
                table.setdefault(str(member.traits.get("locationName", name)), entry)
            elif member.flattened and member.type == "map":
                entry = (name, self._entry(member), "map")
            else:
                entry = (name, self.compile(member), "")
            table[xml_name(name, member)] = entry

    def _list(self, shape: Shape) -> Read:
        each = self.compile(shape.member)
        return lambda element: [each(child) for child in element]

    def _map(self, shape: Shape) -> Read:
        entry = self._entry(shape)
        return lambda element: dict(entry(child) for child in element)

    def _entry(self, shape: Shape) -> Read:
        key_name, value_name = entry_names(shape)
        read_key, read_value = self.compile(shape.key), self.compile(shape.value)

        def entry(element: Element) -> tuple[Any, Any]:
            key = value = None
            for child in element:
                tag = local(child.tag)
                if tag == key_name:
                    key = read_key(child)
                elif tag == value_name:
                    value = read_value(child)
            if key is None or value is None:
                raise SerializationException(_NOT_WELL_FORMED)
            return key, value

        return entry


def _attributes(members: Mapping[str, Shape]) -> dict[str, str]:
    return {
        str(member.traits.get("locationName", name)).rpartition(":")[2]: name
        for name, member in members.items()
        if member.traits.get("xmlAttribute")
    }


def _structure_reader(
    table: Mapping[str, tuple[str, Read, str]], attributes: Mapping[str, str]
) -> Read:
    def read(element: Element) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for child in element:
            found = table.get(local(child.tag))
            if found is None:
                continue
            name, convert, repeated = found
            if not repeated:
                out[name] = convert(child)
            elif repeated == "list":
                out.setdefault(name, []).append(convert(child))
            else:
                key, value = convert(child)
                out.setdefault(name, {})[key] = value
        for key, text in element.attrib.items():
            if (name_of := attributes.get(local(key))) is not None:
                out[name_of] = text
        return out

    return read


# --- writing -----------------------------------------------------------------------------------

_ESCAPES = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;",
    "\r": "&#13;", "\x85": "&#x85;", "\u2028": "&#x2028;",
}  # fmt: skip
_ESCAPED = re.compile('[&<>"\r\x85\u2028\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')


def escape(text: str) -> str:
    """Text as content or as an attribute. What XML 1.0 cannot hold becomes a reference to it."""
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m[0]) or f"&#x{ord(m[0]):x};", text)


_PLAIN = frozenset(("string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"))


def _float_text(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value)


def _base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


class XmlWriters:
    """Generates one Python function for each structure: straight-line concatenations.

    ``content`` gives a function from a value to the text inside its element.
    """

    def __init__(self, iso_milliseconds: bool = False) -> None:
        iso = timestamps.to_iso8601_ms if iso_milliseconds else timestamps.to_iso8601
        self._scope: dict[str, Any] = {
            "esc": escape, "b64": _base64, "float_text": _float_text,
            "ts_iso8601": iso, "ts_rfc822": timestamps.to_http_date,
            "ts_unixTimestamp": timestamps.to_epoch_text,
        }  # fmt: skip
        self._names: dict[Shape, str] = {}

    def content(self, shape: Shape, members: Mapping[str, Shape] | None = None) -> Read:
        """The function for a shape; ``members`` restricts a structure to some of its members."""
        if shape.type != "structure":
            source = f"lambda v: {self._content(shape, 'v', 0)}"
            return eval(source, self._scope)
        if members is None or len(members) == len(shape.members):
            return self._scope[self._function(shape)]
        name = f"part_{shape.name}_{len(self._scope)}"
        self._define(name, members)
        return self._scope[name]

    def element(self, shape: Shape, tag: str) -> Read:
        """A function from a value to its whole element."""
        return eval(f"lambda v: {self._element(shape, tag, 'v', 0)}", self._scope)

    def attributes(self, shape: Shape) -> Read | None:
        """The function for the attributes of a structure's element, where it has any."""
        found = self._attributes(shape, "v")
        return eval(f"lambda v: {found[3:]}", self._scope) if found else None

    def _function(self, shape: Shape) -> str:
        base = shape.base
        name = self._names.get(base)
        if name is None:
            name = self._names[base] = f"write_{len(self._names)}_{base.name}"
            self._define(name, base.members)
        return name

    def _define(self, name: str, members: Mapping[str, Shape]) -> None:
        lines = [f"def {name}(d):", "    o = ''"]
        for member_name, member in members.items():
            if member.traits.get("xmlAttribute"):
                continue
            lines.append(f"    if (v := d.get({member_name!r})) is not None:")
            tag = xml_name(member_name, member)
            if member.type in _PLAIN and "xmlNamespace" not in member.traits:
                # Nothing but the value stands between the tags: one formatted string.
                if member.type not in ("integer", "long"):
                    lines.append(f"        v = {self._content(member, 'v', 0)}")
                lines.append(f"        o += f'<{tag}>{{v}}</{tag}>'")
            else:
                lines.append(f"        o += {self._element(member, tag, 'v', 0)}")
        lines.append("    return o")
        exec("\n".join(lines), self._scope)

    def _element(self, shape: Shape, tag: str, var: str, depth: int) -> str:
        """An expression: the element, or the elements of a flattened list or map."""
        if shape.type == "list" and shape.flattened:
            item = f"x{depth}"
            inner = self._element(shape.member, tag, item, depth + 1)
            return f"''.join([{inner} for {item} in {var}])"
        if shape.type == "map" and shape.flattened:
            return self._entries(shape, tag, var, depth)
        opening = f"<{tag}{namespace_attribute(shape)}"
        attributes = self._attributes(shape, var)
        inner = self._content(shape, var, depth)
        return f"{opening!r}{attributes} + '>' + {inner} + '</{tag}>'".replace("' + '>", ">")

    def _attributes(self, shape: Shape, var: str) -> str:
        found = ""
        if shape.type == "structure":
            for name, member in shape.members.items():
                if member.traits.get("xmlAttribute"):
                    wire = member.traits.get("locationName", name)
                    found += f" + ' {wire}=\"' + esc({var}.get({name!r}, '')) + '\"'"
        return found

    def _content(self, shape: Shape, var: str, depth: int) -> str:
        kind = shape.type
        if kind == "string":
            if "enum" in shape.traits:
                known = f"known_{len(self._scope)}"
                self._scope[known] = frozenset(shape.traits["enum"])
                return f"({var} if {var} in {known} else esc({var}))"
            clean = " and ".join(f"{char!r} not in {var}" for char in "&<>")
            return f"({var} if {var}.isprintable() and {clean} else esc({var}))"
        if kind == "structure":
            return f"{self._function(shape)}({var})"
        if kind == "list":
            item = f"x{depth}"
            inner = self._element(shape.member, item_name(shape), item, depth + 1)
            return f"''.join([{inner} for {item} in {var}])"
        if kind == "map":
            return self._entries(shape, "entry", var, depth)
        if kind == "boolean":
            return f"('true' if {var} else 'false')"
        if kind == "timestamp":
            spelling = shape.traits.get("timestampFormat", "iso8601").replace("unixt", "unixT")
            return f"ts_{spelling}({var})"
        if kind == "blob":
            return f"b64({var})"
        return f"float_text({var})" if kind in ("float", "double") else f"str({var})"

    def _entries(self, shape: Shape, tag: str, var: str, depth: int) -> str:
        key, item = f"k{depth}", f"x{depth}"
        key_name, value_name = entry_names(shape)
        key_element = self._element(shape.key, key_name, key, depth + 1)
        value_element = self._element(shape.value, value_name, item, depth + 1)
        return (
            f"''.join(['<{tag}>' + {key_element} + {value_element} + '</{tag}>' "
            f"for {key}, {item} in {var}.items()])"
        )
