"""Template parameters: what is declared, what was given, and whether that will do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skyfold.services.cloudformation.engine.intrinsics import text_of
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import PARAMETER_VALUE_CHARS_MAX
from skyfold.services.cloudformation.tables import Parameter

_SSM_VALUE = re.compile(r"^AWS::SSM::Parameter::Value<(?P<inner>.+)>$")
_LIST = re.compile(r"^List<(?P<inner>.+)>$")
_MEMBERS = frozenset(
    {
        "Type",
        "Default",
        "Description",
        "NoEcho",
        "AllowedValues",
        "AllowedPattern",
        "ConstraintDescription",
        "MinLength",
        "MaxLength",
        "MinValue",
        "MaxValue",
    }
)


class Given(msgspec.Struct, frozen=True):
    """A parameter as a request gives it."""

    key: str
    value: str | None = None
    previous: bool = False


def given_parameters(listed: Sequence[Mapping[str, Any]] | None) -> list[Given]:
    """The ``Parameters`` member of a request."""
    found: dict[str, Given] = {}
    for item in listed or ():
        key, value = item.get("ParameterKey"), item.get("ParameterValue")
        previous = bool(item.get("UsePreviousValue"))
        if not key:
            raise ValidationError("Parameter key must be specified.")
        if previous and value is not None:
            raise ValidationError(
                f"Invalid input for parameter key {key}. "
                "Cannot specify usePreviousValue as true and non empty value for a parameter"
            )
        if key in found:
            raise ValidationError(f"Duplicate parameter keys found: [{key}]")
        found[key] = Given(key, value, previous)
    return list(found.values())


def check_declarations(declared: Mapping[str, Any]) -> None:
    """Raise ValidationError unless the Parameters section is well formed."""
    for name, body in declared.items():
        where = f"Template format error: [/Parameters/{name}]"
        if not name.isalnum():
            raise ValidationError(
                f"Template format error: Parameter name {name} is non alphanumeric."
            )
        if not isinstance(body, dict) or not isinstance(body.get("Type"), str):
            raise ValidationError(f"{where} Every Parameters object must contain a Type member.")
        unknown = sorted(set(body) - _MEMBERS)
        if unknown:
            raise ValidationError(f"Invalid template parameter property '{unknown[0]}'")
        if not _known_type(body["Type"]):
            raise ValidationError(
                f"Template format error: Unrecognized parameter type: {body['Type']}"
            )
        if "Default" in body and isinstance(body["Default"], dict | list):
            raise ValidationError("Template format error: Every Default member must be a string.")
        if "AllowedValues" in body and not isinstance(body["AllowedValues"], list):
            raise ValidationError(f"{where} AllowedValues must be a list.")


def _known_type(kind: str) -> bool:
    ssm = _SSM_VALUE.match(kind)
    if ssm:
        inner = ssm["inner"]
        return inner in ("String", "CommaDelimitedList", "List<String>") or bool(
            re.match(r"^(List<)?AWS::[A-Za-z0-9]+::.+", inner)
        )
    if kind in ("String", "Number", "CommaDelimitedList", "List<Number>", "List<String>"):
        return True
    if kind == "AWS::SSM::Parameter::Name":
        return True
    listed = _LIST.match(kind)
    inner = listed["inner"] if listed else kind
    return bool(
        re.match(r"^AWS::(EC2|Route53)::[A-Za-z]+::(Id|Name|KeyName|GroupName)$", inner)
    ) or (inner == "AWS::EC2::AvailabilityZone::Name")


def ssm_inner(kind: str) -> str | None:
    """Of ``AWS::SSM::Parameter::Value<X>`` the X; None for any other type."""
    found = _SSM_VALUE.match(kind)
    return found["inner"] if found else None


def is_list(kind: str) -> bool:
    kind = ssm_inner(kind) or kind
    return kind == "CommaDelimitedList" or kind.startswith("List<")


def choose_parameters(
    declared: Mapping[str, Any], given: Sequence[Given], previous: Mapping[str, Parameter] | None
) -> list[Parameter]:
    """The values that a stack is to have, checked; Systems Manager's still to be resolved.

    ``previous`` are those of the stack that is updated; None where there is no such stack.
    """
    wanted = {item.key: item for item in given}
    foreign = sorted(key for key in wanted if key not in declared)
    if foreign:
        raise ValidationError(f"Parameters: [{', '.join(foreign)}] do not exist in the template")
    chosen: dict[str, str] = {}
    missing: list[str] = []
    for name, body in declared.items():
        item = wanted.get(name)
        if item is not None and item.previous:
            if previous is None or name not in previous:
                missing.append(name)
                continue
            chosen[name] = previous[name].value
        elif item is not None and item.value is not None:
            chosen[name] = item.value
        elif "Default" in body:
            chosen[name] = "" if body["Default"] is None else text_of(body["Default"])
        else:
            missing.append(name)
    if missing:
        raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in chosen.items():
        check_value(name, declared[name], value)
    return [
        Parameter(
            key=name,
            value=value,
            type=declared[name]["Type"],
            no_echo=text_of(declared[name].get("NoEcho", "")).lower() == "true",
        )
        for name, value in chosen.items()
    ]


def check_value(name: str, body: Mapping[str, Any], value: str) -> None:
    """Raise ValidationError unless ``value`` keeps every constraint of the declaration."""
    kind = body["Type"]
    if len(value) > PARAMETER_VALUE_CHARS_MAX:
        raise ValidationError(
            f"Parameter '{name}' must contain at most {PARAMETER_VALUE_CHARS_MAX} characters"
        )
    if ssm_inner(kind) is not None:
        _check_text(name, body, value)
        return
    if kind in ("Number", "List<Number>"):
        values = split_list(value) if kind == "List<Number>" else [value]
        for one in values:
            _check_number(name, body, one)
        _check_allowed(name, body, values)
        return
    if is_list(kind):
        _check_allowed(name, body, split_list(value))
        for one in split_list(value):
            _check_pattern(name, body, one)
        return
    _check_allowed(name, body, [value])
    _check_text(name, body, value)


def _refusal(name: str, body: Mapping[str, Any], otherwise: str) -> ValidationError:
    described = body.get("ConstraintDescription")
    if described:
        return ValidationError(f"Parameter {name} failed to satisfy constraint: {described}")
    return ValidationError(f"Parameter '{name}' {otherwise}")


def _check_number(name: str, body: Mapping[str, Any], value: str) -> None:
    if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", value.strip()):
        raise ValidationError(f"Parameter '{name}' must be a number.")
    number = float(value)
    low, high = body.get("MinValue"), body.get("MaxValue")
    if low is not None and number < float(text_of(low)):
        raise _refusal(name, body, f"must be a number not less than {low}")
    if high is not None and number > float(text_of(high)):
        raise _refusal(name, body, f"must be a number not greater than {high}")


def _check_allowed(name: str, body: Mapping[str, Any], values: list[str]) -> None:
    allowed = body.get("AllowedValues")
    if allowed is None:
        return
    choices = {text_of(choice) for choice in allowed}
    if any(value not in choices for value in values):
        raise _refusal(name, body, "must be one of AllowedValues")


def _check_text(name: str, body: Mapping[str, Any], value: str) -> None:
    low, high = body.get("MinLength"), body.get("MaxLength")
    if low is not None and len(value) < int(text_of(low)):
        raise _refusal(name, body, f"must contain at least {low} characters")
    if high is not None and len(value) > int(text_of(high)):
        raise _refusal(name, body, f"must contain at most {high} characters")
    _check_pattern(name, body, value)


def _check_pattern(name: str, body: Mapping[str, Any], value: str) -> None:
    pattern = body.get("AllowedPattern")
    if not isinstance(pattern, str):
        return
    try:
        matches = re.fullmatch(pattern, value) is not None
    except re.error as bad:
        raise ValidationError(
            f"Template format error: AllowedPattern of parameter {name} is no regular expression: "
            f"{bad}"
        ) from bad
    if not matches:
        raise _refusal(name, body, f"must match pattern {pattern}")


def split_list(value: str) -> list[str]:
    """The elements of a comma-delimited list; none of the empty text."""
    return [part.strip() for part in value.split(",")] if value else []


def values_of(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """What ``Ref`` gives for each: text, or a list of texts."""
    found: dict[str, Any] = {}
    for parameter in parameters:
        value = parameter.value if parameter.resolved is None else parameter.resolved
        found[parameter.key] = split_list(value) if is_list(parameter.type) else value
    return found
