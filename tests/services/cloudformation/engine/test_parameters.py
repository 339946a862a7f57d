"""Parameters: types, constraints, defaults, previous values."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.cloudformation.engine.parameters import (
    check_declarations,
    check_value,
    choose_parameters,
    given_parameters,
    values_of,
)
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import Parameter


@pytest.mark.parametrize(
    ("declaration", "value", "message"),
    [
        ({"Type": "String"}, "anything", ""),
        ({"Type": "Number"}, "1.5", ""),
        ({"Type": "Number"}, "-3", ""),
        ({"Type": "Number"}, "abc", "Parameter 'P' must be a number."),
        ({"Type": "Number", "MinValue": 2}, "1", "Parameter 'P' must be a number not less than 2"),
        (
            {"Type": "Number", "MaxValue": 2},
            "3",
            "Parameter 'P' must be a number not greater than 2",
        ),
        ({"Type": "List<Number>"}, "1, 2,3", ""),
        ({"Type": "List<Number>"}, "1,x", "Parameter 'P' must be a number."),
        (
            {"Type": "String", "AllowedValues": ["a", 1, True]},
            "b",
            "Parameter 'P' must be one of AllowedValues",
        ),
        ({"Type": "String", "AllowedValues": ["a", 1, True]}, "true", ""),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "a,b", ""),
        (
            {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]},
            "a,c",
            "Parameter 'P' must be one of AllowedValues",
        ),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "abc", ""),
        (
            {"Type": "String", "AllowedPattern": "[a-z]+"},
            "abc1",
            "Parameter 'P' must match pattern [a-z]+",
        ),
        (
            {"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "be lower"},
            "A",
            "Parameter P failed to satisfy constraint: be lower",
        ),
        (
            {"Type": "String", "MinLength": "3"},
            "ab",
            "Parameter 'P' must contain at least 3 characters",
        ),
        (
            {"Type": "String", "MaxLength": 3},
            "abcd",
            "Parameter 'P' must contain at most 3 characters",
        ),
    ],
)
def test_a_value_is_held_against_its_declaration(
    declaration: dict[str, Any], value: str, message: str
) -> None:
    if not message:
        check_value("P", declaration, value)
        return
    with pytest.raises(ValidationError) as refused:
        check_value("P", declaration, value)
    assert refused.value.text == message


@pytest.mark.parametrize(
    "kind",
    [
        "String",
        "Number",
        "List<Number>",
        "CommaDelimitedList",
        "AWS::SSM::Parameter::Name",
        "AWS::SSM::Parameter::Value<String>",
        "AWS::SSM::Parameter::Value<List<String>>",
        "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
        "AWS::EC2::VPC::Id",
        "List<AWS::EC2::Subnet::Id>",
        "AWS::EC2::KeyPair::KeyName",
        "AWS::EC2::AvailabilityZone::Name",
        "AWS::Route53::HostedZone::Id",
    ],
)
def test_every_published_type_is_known(kind: str) -> None:
    check_declarations({"P": {"Type": kind}})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"P": {"Type": "Text"}}, "Template format error: Unrecognized parameter type: Text"),
        ({"a-b": {"Type": "String"}}, "Parameter name a-b is non alphanumeric."),
        ({"P": {}}, "Every Parameters object must contain a Type member."),
        ({"P": {"Type": "String", "Defualt": 1}}, "Invalid template parameter property 'Defualt'"),
    ],
)
def test_a_malformed_declaration_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_declarations(declared)
    assert message in refused.value.text


DECLARED = {
    "Named": {"Type": "String"},
    "Count": {"Type": "Number", "Default": 2},
    "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
    "Secret": {"Type": "String", "NoEcho": True, "Default": ""},
}


def test_given_values_come_before_defaults() -> None:
    given = given_parameters(
        [
            {"ParameterKey": "Named", "ParameterValue": "x"},
            {"ParameterKey": "Count", "ParameterValue": "5"},
        ]
    )
    chosen = choose_parameters(DECLARED, given, None)
    assert values_of(chosen) == {"Named": "x", "Count": "5", "Zones": ["a", "b"], "Secret": ""}
    assert {p.key for p in chosen if p.no_echo} == {"Secret"}


def test_a_previous_value_is_used_where_it_is_asked_for() -> None:
    previous = {"Named": Parameter(key="Named", value="old", type="String")}
    given = given_parameters([{"ParameterKey": "Named", "UsePreviousValue": True}])
    assert values_of(choose_parameters(DECLARED, given, previous))["Named"] == "old"


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([], "Parameters: [Named] must have values"),
        (
            [{"ParameterKey": "Named", "UsePreviousValue": True}],
            "Parameters: [Named] must have values",
        ),
        (
            [
                {"ParameterKey": "Named", "ParameterValue": "x"},
                {"ParameterKey": "Nobody", "ParameterValue": "x"},
            ],
            "Parameters: [Nobody] do not exist in the template",
        ),
    ],
)
def test_missing_and_foreign_parameters_are_refused(
    listed: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        choose_parameters(DECLARED, given_parameters(listed), {})
    assert refused.value.text == message
