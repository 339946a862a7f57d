"""Every intrinsic function, by table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.services.cloudformation.engine.intrinsics import (
    NO_VALUE,
    UNKNOWN,
    ExportNeeded,
    Scope,
    evaluate,
)
from skyfold.services.cloudformation.errors import ValidationError

SCOPE = Scope(
    parameters={"Env": "prod", "Count": "3", "Zones": ["a", "b", "c"], "Empty": ""},
    pseudo={"AWS::Region": "eu-west-1", "AWS::NoValue": NO_VALUE, "AWS::AccountId": "123456789012"},
    mappings={"Sizes": {"prod": {"cpu": 4, "zones": ["x", "y"]}, "dev": {"cpu": 1}}},
    conditions={
        "IsProd": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
        "IsDev": {"Fn::Not": [{"Condition": "IsProd"}]},
        "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
        "Either": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
    },
    reference=lambda name: UNKNOWN if name == "Later" else f"{name}-id",
    attribute=lambda name, attribute: UNKNOWN if name == "Later" else f"{name}:{attribute}",
    exports={"shared": "value"},
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Ref": "Env"}, "prod"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "Box"}, "Box-id"),
        ({"Fn::GetAtt": ["Box", "Arn"]}, "Box:Arn"),
        ({"Fn::GetAtt": "Box.Outputs.Name"}, "Box:Outputs.Name"),
        ({"Fn::GetAtt": ["Box", {"Ref": "Env"}]}, "Box:prod"),
        ({"Fn::Sub": "${Env}-${AWS::Region}-${Box}-${Box.Arn}"}, "prod-eu-west-1-Box-id-Box:Arn"),
        ({"Fn::Sub": "${!Literal} ${Env}"}, "${Literal} prod"),
        ({"Fn::Sub": ["${X}/${Env}", {"X": {"Ref": "Count"}}]}, "3/prod"),
        ({"Fn::Sub": ["${X}", {"X": "${!Env}"}]}, "${!Env}"),
        ({"Fn::Sub": ["${X}", {"X": True}]}, "true"),
        ({"Fn::Sub": "$Env $ {Env} ${}"}, "$Env $ {Env} ${}"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Count"}, 1, True]]}, "a-3-1-true"),
        ({"Fn::Join": [",", {"Ref": "Zones"}]}, "a,b,c"),
        ({"Fn::Join": ["", ["a", {"Ref": "AWS::NoValue"}, "b"]]}, "ab"),
        ({"Fn::Split": ["|", "a|b|"]}, ["a", "b", ""]),
        ({"Fn::Select": ["1", {"Ref": "Zones"}]}, "b"),
        ({"Fn::Select": [{"Ref": "Count"}, ["a", "b", "c", "d"]]}, "d"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "cpu"]}, 4),
        ({"Fn::FindInMap": ["Sizes", "prod", "zones"]}, ["x", "y"]),
        ({"Fn::FindInMap": ["Sizes", "no", "cpu", {"DefaultValue": 9}]}, 9),
        ({"Fn::If": ["IsProd", "yes", {"Fn::GetAtt": ["No", "Such"]}]}, "yes"),
        ({"Fn::If": ["IsDev", "yes", {"Ref": "AWS::NoValue"}]}, NO_VALUE),
        ({"a": {"Fn::If": ["Both", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ([{"Fn::If": ["Either", 1, 2]}, {"Ref": "AWS::NoValue"}], [1]),
        ({"Fn::Base64": "hällo"}, "aMOkbGxv"),
        ({"Fn::Base64": {"Fn::Sub": "${Env}"}}, "cHJvZA=="),
        ({"Fn::GetAZs": ""}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::GetAZs": "us-east-1"}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        (
            {"Fn::Cidr": ["10.0.0.0/16", 3, 8]},
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
        ),
        ({"Fn::Select": [1, {"Fn::Cidr": ["2001:db8::/56", "2", "64"]}]}, "2001:db8:0:1::/64"),
        ({"Fn::ImportValue": "shared"}, "value"),
        ({"Fn::Length": {"Ref": "Zones"}}, 3),
        ({"Fn::ToJsonString": {"a": {"Ref": "Env"}, "b": [1, True]}}, '{"a":"prod","b":[1,true]}'),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
        ({"Ref": "Later"}, UNKNOWN),
        ({"Fn::Sub": "x-${Later}"}, UNKNOWN),
        ({"Fn::Join": ["", ["a", {"Fn::GetAtt": ["Later", "Arn"]}]]}, UNKNOWN),
        ({"Fn::Select": [0, {"Fn::Split": [":", {"Ref": "Later"}]}]}, UNKNOWN),
        ({"a": [{"Ref": "Later"}, 1]}, {"a": [UNKNOWN, 1]}),
        ({"Fn::Base64": {"Ref": "Later"}}, UNKNOWN),
    ],
)
def test_a_function_has_the_value_that_aws_gives_it(expression: Any, value: Any) -> None:
    assert evaluate(expression, SCOPE) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            {"Fn::Select": [9, ["a"]]},
            "Template error: Fn::Select requires a list argument with two elements: "
            "an integer index and a list",
        ),
        (
            {"Fn::Select": ["x", ["a"]]},
            "Template error: Fn::Select requires a list argument with two elements: "
            "an integer index and a list",
        ),
        (
            {"Fn::FindInMap": ["Sizes", "prod", "disk"]},
            "Template error: Unable to get mapping for Sizes::prod::disk",
        ),
        (
            {"Fn::FindInMap": ["None", "prod", "disk"]},
            "Template error: Mapping named 'None' is not present in the 'Mappings' section of "
            "template.",
        ),
        (
            {"Fn::Equals": ["a"]},
            "Template error: every Fn::Equals object requires a list of 2 string parameters.",
        ),
        (
            {"Fn::Not": []},
            "Template error: every Fn::Not object requires one boolean parameter.",
        ),
        (
            {"Fn::And": [{"Condition": "IsProd"}]},
            "Template error: every Fn::And object requires a list of at least 2 and at most 10 "
            "boolean parameters.",
        ),
        ({"Ref": ["a"]}, "Template error: every Ref object must have a single String value."),
        (
            {"Fn::GetAtt": ["Box"]},
            "Template error: every Fn::GetAtt object requires two non-empty parameters, the "
            "resource name and the resource attribute",
        ),
        (
            {"Fn::Base64": ["a"]},
            "Template error: every Fn::Base64 object must have a String-typed value.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_awss_words(expression: Any, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        evaluate(expression, SCOPE)
    assert refused.value.text == message


def test_a_function_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="unsupported function: Fn::Nonsense"):
        evaluate({"Fn::Nonsense": 1}, SCOPE)


def test_an_export_that_was_not_looked_up_is_asked_for() -> None:
    with pytest.raises(ExportNeeded) as asked:
        evaluate({"Fn::ImportValue": {"Fn::Sub": "${Env}-vpc"}}, SCOPE)
    assert asked.value.name == "prod-vpc"


def test_conditions_that_need_each_other_are_refused() -> None:
    scope = Scope(conditions={"A": {"Condition": "B"}, "B": {"Fn::Not": [{"Condition": "A"}]}})
    with pytest.raises(ValidationError, match="Circular dependency"):
        scope.holds("A")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(plain)
def test_data_without_functions_is_its_own_value(data: Any) -> None:
    assert evaluate(data, SCOPE) == data


@given(st.lists(st.text("abc,", max_size=4), min_size=1, max_size=5), st.sampled_from("|;#"))
def test_split_takes_apart_what_join_put_together(parts: list[str], delimiter: str) -> None:
    joined = {"Fn::Join": [delimiter, parts]}
    assert evaluate({"Fn::Split": [delimiter, joined]}, SCOPE) == parts


@given(st.text(max_size=30))
def test_sub_leaves_text_without_placeholders_alone(text: str) -> None:
    if "${" not in text:
        assert evaluate({"Fn::Sub": text}, SCOPE) == text
