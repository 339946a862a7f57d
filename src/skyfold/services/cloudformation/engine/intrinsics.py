"""CloudFormation's intrinsic functions, evaluated against what is known of a stack."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from skyfold.services.cloudformation.engine.references import (
    LITERAL,
    PLACEHOLDER,
    function_of,
    split_get_att,
)
from skyfold.services.cloudformation.errors import ValidationError


class Unknown:
    """A value that exists only once a resource does. Whatever is made of it is unknown too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{{changeSet:KNOWN_AFTER_APPLY}}"


UNKNOWN: Final = Unknown()
NO_VALUE: Final = object()
"""What ``Ref: AWS::NoValue`` gives: the property or list element around it is left out."""


class ExportNeeded(Exception):
    """The value of an export has to be looked up before this can be evaluated."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Scope:
    """What an expression may speak of."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Text, or a list of texts."""
    pseudo: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """The expressions; evaluated when first asked for."""
    reference: Callable[[str], Any] | None = None
    """What ``Ref`` of a resource gives."""
    attribute: Callable[[str, str], Any] | None = None
    exports: Mapping[str, Any] = field(default_factory=dict)
    extended: bool = False
    """Whether the template uses AWS::LanguageExtensions."""
    decided: dict[str, bool] = field(default_factory=dict)
    deciding: set[str] = field(default_factory=set)

    def holds(self, condition: str) -> bool:
        """Whether a named condition is true."""
        if condition in self.decided:
            return self.decided[condition]
        if condition not in self.conditions:
            raise ValidationError(
                f"Template format error: Unresolved condition dependency {condition}"
            )
        if condition in self.deciding:
            raise ValidationError(
                f"Template format error: Circular dependency between conditions: [{condition}]"
            )
        self.deciding.add(condition)
        result = decide(self.conditions[condition], self)
        self.deciding.discard(condition)
        self.decided[condition] = result
        return result

    def named(self, name: str) -> Any:
        """What ``Ref`` of ``name`` gives."""
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if self.reference is None:
            raise unresolved(name)
        return self.reference(name)

    def attribute_of(self, name: str, attribute: str) -> Any:
        if self.attribute is None:
            raise ValidationError(
                f"Template error: instance of Fn::GetAtt references undefined resource {name}"
            )
        return self.attribute(name, attribute)


def unresolved(name: str) -> ValidationError:
    return ValidationError(
        f"Template format error: Unresolved resource dependencies [{name}] "
        "in the Resources block of the template"
    )


def evaluate(node: Any, scope: Scope) -> Any:
    """The value of an expression; ``UNKNOWN`` in the places where it is not known yet."""
    function = function_of(node)
    if function is not None:
        run = FUNCTIONS.get(function)
        if run is None:
            supported = ", ".join(FUNCTIONS)
            raise ValidationError(
                f"Template error: Encountered unsupported function: {function} "
                f"Supported functions are: [{supported}]"
            )
        return run(node[function], scope)
    if isinstance(node, dict):
        found = {name: evaluate(child, scope) for name, child in node.items()}
        return {name: value for name, value in found.items() if value is not NO_VALUE}
    if isinstance(node, list):
        return [v for v in (evaluate(child, scope) for child in node) if v is not NO_VALUE]
    return node


def decide(node: Any, scope: Scope) -> bool:
    """Whether a condition expression is true."""
    if isinstance(node, dict) and len(node) == 1 and isinstance(node.get("Condition"), str):
        return scope.holds(node["Condition"])
    value = evaluate(node, scope)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValidationError(
        "Template format error: Every Conditions member must be a boolean expression."
    )


def text_of(value: Any) -> str:
    """A scalar as CloudFormation writes it into text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_unknown(child) for child in value.values())
    if isinstance(value, list):
        return any(has_unknown(child) for child in value)
    return isinstance(value, Unknown)


def _ref(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, str) or not argument:
        if scope.extended:
            argument = evaluate(argument, scope)
        if not isinstance(argument, str) or not argument:
            raise ValidationError(
                "Template error: every Ref object must have a single String value."
            )
    return scope.named(argument)


def _get_att(argument: Any, scope: Scope) -> Any:
    target = split_get_att(argument)
    name, attribute = target or ("", "")
    attribute = evaluate(attribute, scope)
    if not name or not isinstance(attribute, str) or not attribute:
        raise ValidationError(
            "Template error: every Fn::GetAtt object requires two non-empty parameters, "
            "the resource name and the resource attribute"
        )
    return scope.attribute_of(name, attribute)


def _sub(argument: Any, scope: Scope) -> Any:
    local: Mapping[str, Any] = {}
    template = argument
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
        template = argument[0]
        local = {name: evaluate(child, scope) for name, child in argument[1].items()}
    if not isinstance(template, str):
        raise ValidationError(
            "Template error: One or more Fn::Sub intrinsic functions don't specify expected "
            "arguments. Specify a string as first argument, and an optional second argument to "
            "specify a mapping of values to replace in the string"
        )
    pieces: list[str] = []
    at, unknown = 0, False
    for match in PLACEHOLDER.finditer(template):
        pieces.append(template[at : match.start()])
        at = match.end()
        name = match.group(1).strip()
        value = local[name] if name in local else _named(name, scope)
        unknown = unknown or has_unknown(value)
        pieces.append(_within_sub(name, value))
    if unknown:
        return UNKNOWN
    pieces.append(template[at:])
    # Literals are opened piece by piece: a value that looks like one stays as it is.
    return "".join(
        LITERAL.sub(r"${\1}", piece) if index % 2 == 0 else piece
        for index, piece in enumerate(pieces)
    )


def _named(name: str, scope: Scope) -> Any:
    if "." in name and name not in scope.pseudo:
        return scope.attribute_of(*name.split(".", 1))
    return scope.named(name)


def _within_sub(name: str, value: Any) -> str:
    if value is NO_VALUE:
        return ""
    if isinstance(value, list) and all(_scalar(part) for part in value):
        return ",".join(text_of(part) for part in value)
    if not _scalar(value) and not isinstance(value, Unknown):
        raise ValidationError(
            f"Template error: variable {name} in Fn::Sub expression does not resolve to a string"
        )
    return text_of(value)


def _join(argument: Any, scope: Scope) -> Any:
    refusal = ValidationError(
        "Template error: every Fn::Join object requires two parameters, (1) a string delimiter "
        "and (2) a list of strings to be joined or a function that returns a list of strings "
        "(such as Fn::GetAZs) to be joined."
    )
    if not isinstance(argument, list) or len(argument) != 2:
        raise refusal
    delimiter, parts = evaluate(argument[0], scope), evaluate(argument[1], scope)
    if has_unknown(parts) or has_unknown(delimiter):
        return UNKNOWN
    if not isinstance(delimiter, str) or not isinstance(parts, list):
        raise refusal
    if not all(_scalar(part) for part in parts):
        raise refusal
    return delimiter.join(text_of(part) for part in parts)


def _split(argument: Any, scope: Scope) -> Any:
    refusal = ValidationError(
        "Template error: every Fn::Split object requires two parameters, (1) a string delimiter "
        "and (2) a string to be split or a function that returns a string to be split."
    )
    if not isinstance(argument, list) or len(argument) != 2:
        raise refusal
    delimiter, source = evaluate(argument[0], scope), evaluate(argument[1], scope)
    if isinstance(source, Unknown):
        return UNKNOWN
    if not isinstance(delimiter, str) or not delimiter or not _scalar(source):
        raise refusal
    return text_of(source).split(delimiter)


def _select(argument: Any, scope: Scope) -> Any:
    refusal = ValidationError(
        "Template error: Fn::Select requires a list argument with two elements: "
        "an integer index and a list"
    )
    if not isinstance(argument, list) or len(argument) != 2:
        raise refusal
    index, choices = evaluate(argument[0], scope), evaluate(argument[1], scope)
    if isinstance(index, Unknown) or isinstance(choices, Unknown):
        return UNKNOWN
    try:
        position = int(text_of(index))
    except ValueError:
        raise refusal from None
    if not isinstance(choices, list) or not 0 <= position < len(choices):
        raise refusal
    return choices[position]


def _find_in_map(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, list) or len(argument) not in (3, 4):
        raise ValidationError(
            "Template error: every Fn::FindInMap object requires three parameters, the map name, "
            "map key and the attribute for return value"
        )
    names = [evaluate(part, scope) for part in argument[:3]]
    if has_unknown(names):
        return UNKNOWN
    found: Any = scope.mappings
    for name in names:
        found = found.get(text_of(name)) if isinstance(found, dict) else None
    if found is not None:
        return evaluate(found, scope) if scope.extended else found
    if len(argument) == 4 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:
        return evaluate(argument[3]["DefaultValue"], scope)
    if names[0] not in scope.mappings:
        raise ValidationError(
            f"Template error: Mapping named '{names[0]}' is not present in the 'Mappings' "
            "section of template."
        )
    raise ValidationError(
        f"Template error: Unable to get mapping for {'::'.join(text_of(name) for name in names)}"
    )


def _if(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
        raise ValidationError(
            "Template error: Fn::If requires a list argument with three elements: the name of a "
            "condition, a value if it is true and a value if it is false"
        )
    return evaluate(argument[1] if scope.holds(argument[0]) else argument[2], scope)


def _equals(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, list) or len(argument) != 2:
        raise ValidationError(
            "Template error: every Fn::Equals object requires a list of 2 string parameters."
        )
    left, right = (evaluate(part, scope) for part in argument)
    if _scalar(left) and _scalar(right):
        return text_of(left) == text_of(right)
    return left == right


def _and(argument: Any, scope: Scope) -> Any:
    return all(decide(part, scope) for part in _boolean_list("Fn::And", argument))


def _or(argument: Any, scope: Scope) -> Any:
    return any(decide(part, scope) for part in _boolean_list("Fn::Or", argument))


def _boolean_list(function: str, argument: Any) -> list[Any]:
    if not isinstance(argument, list) or not 2 <= len(argument) <= 10:
        raise ValidationError(
            f"Template error: every {function} object requires a list of at least 2 and at most "
            "10 boolean parameters."
        )
    return argument


def _not(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, list) or len(argument) != 1:
        raise ValidationError(
            "Template error: every Fn::Not object requires one boolean parameter."
        )
    return not decide(argument[0], scope)


def _base64(argument: Any, scope: Scope) -> Any:
    value = evaluate(argument, scope)
    if isinstance(value, Unknown):
        return UNKNOWN
    if not _scalar(value):
        raise ValidationError(
            "Template error: every Fn::Base64 object must have a String-typed value."
        )
    return base64.b64encode(text_of(value).encode()).decode()


def _cidr(argument: Any, scope: Scope) -> Any:
    parts = [evaluate(part, scope) for part in argument] if isinstance(argument, list) else []
    if has_unknown(parts):
        return UNKNOWN
    try:
        block = ipaddress.ip_network(text_of(parts[0]), strict=False)
        count = int(text_of(parts[1]))
        bits = int(text_of(parts[2])) if len(parts) > 2 else 8
        prefix = block.max_prefixlen - bits
        if not 1 <= count <= 256 or len(parts) > 3 or prefix < block.prefixlen:
            raise ValueError("count or bits out of range")
        if count > 1 << (prefix - block.prefixlen):
            raise ValueError("no room")
    except (ValueError, IndexError) as bad:
        raise ValidationError(
            f"Template error: Fn::Cidr cannot divide {json.dumps(parts, default=str)}: it requires "
            "an IP address block, a count from 1 to 256 and the number of subnet bits"
        ) from bad
    size = 1 << bits
    first = int(block.network_address)
    kind = type(block.network_address)
    return [f"{kind(first + index * size)}/{prefix}" for index in range(count)]


def _get_azs(argument: Any, scope: Scope) -> Any:
    region = evaluate(argument, scope)
    if isinstance(region, Unknown):
        return UNKNOWN
    if not isinstance(region, str):
        raise ValidationError(
            "Template error: every Fn::GetAZs object must have a String-typed value."
        )
    region = region or scope.pseudo.get("AWS::Region", "us-east-1")
    return [f"{region}{zone}" for zone in "abc"]


def _import_value(argument: Any, scope: Scope) -> Any:
    name = evaluate(argument, scope)
    if isinstance(name, Unknown):
        return UNKNOWN
    if not isinstance(name, str) or not name:
        raise ValidationError(
            "Template error: the attribute in Fn::ImportValue must not depend on any resources, "
            "imported values, or Fn::GetAZs"
        )
    if name not in scope.exports:
        raise ExportNeeded(name)
    return scope.exports[name]


def _length(argument: Any, scope: Scope) -> Any:
    value = evaluate(argument, scope)
    if isinstance(value, Unknown):
        return UNKNOWN
    if not isinstance(value, list):
        raise ValidationError(
            "Transform AWS::LanguageExtensions failed with: Fn::Length layout is incorrect"
        )
    return len(value)


def _to_json_string(argument: Any, scope: Scope) -> Any:
    if not isinstance(argument, dict | list):
        raise ValidationError(
            "Transform AWS::LanguageExtensions failed with: Fn::ToJsonString layout is incorrect"
        )
    value = evaluate(argument, scope)
    if has_unknown(value):
        return UNKNOWN
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


FUNCTIONS: Final[Mapping[str, Callable[[Any, Scope], Any]]] = {
    "Ref": _ref,
    "Fn::And": _and,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::Equals": _equals,
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": _get_azs,
    "Fn::GetAtt": _get_att,
    "Fn::If": _if,
    "Fn::ImportValue": _import_value,
    "Fn::Join": _join,
    "Fn::Length": _length,
    "Fn::Not": _not,
    "Fn::Or": _or,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": _sub,
    "Fn::ToJsonString": _to_json_string,
}
