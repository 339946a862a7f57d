"""Properties held against the published schemas."""

from __future__ import annotations

from typing import Any

import pytest

from skyfold.services.cloudformation.engine.properties import fitted
from skyfold.services.cloudformation.engine.schemas import arn_format, schema_of


@pytest.mark.parametrize(
    ("kind", "properties", "made"),
    [
        (
            "AWS::SQS::Queue",
            {"DelaySeconds": "5", "FifoQueue": "true", "QueueName": "q.fifo"},
            {"DelaySeconds": 5, "FifoQueue": True, "QueueName": "q.fifo"},
        ),
        ("AWS::SSM::Parameter", {"Type": "String", "Value": 5}, {"Type": "String", "Value": "5"}),
        (
            "AWS::Lambda::Function",
            {"Code": {"ZipFile": "x"}, "Role": "r", "Environment": {"Variables": {"DEBUG": True}}},
            {
                "Code": {"ZipFile": "x"},
                "Role": "r",
                "Environment": {"Variables": {"DEBUG": "true"}},
            },
        ),
        (
            "AWS::IAM::Role",
            {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
            {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        ),
    ],
)
def test_values_become_the_types_of_the_schema(
    kind: str, properties: dict[str, Any], made: dict[str, Any]
) -> None:
    assert fitted(schema_of(kind), properties, "X") == (made, "")


@pytest.mark.parametrize(
    ("kind", "properties", "reason"),
    [
        (
            "AWS::SSM::Parameter",
            {"Value": "x"},
            "Property validation failure: [The property {/Type} is required]",
        ),
        (
            "AWS::SQS::Queue",
            {"Colour": "red"},
            "Property validation failure: [Encountered unsupported properties in {/}: [Colour]]",
        ),
        (
            "AWS::SQS::Queue",
            {"DelaySeconds": "soon"},
            "Property validation failure: "
            "[Value of property {/DelaySeconds} does not match type {Integer}]",
        ),
        (
            "AWS::SQS::Queue",
            {"Tags": {"a": "b"}},
            "Property validation failure: [Value of property {/Tags} does not match type {List}]",
        ),
        (
            "AWS::SQS::Queue",
            {"Arn": "arn:x"},
            "Property validation failure: [Encountered unsupported properties in {/}: [Arn]]",
        ),
        (
            "AWS::Lambda::Function",
            {"Code": {"ZipFile": "x", "Zap": 1}, "Role": "r"},
            "Property validation failure: [Encountered unsupported properties in {/Code}: [Zap]]",
        ),
        (
            "AWS::Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": "f",
                "Principal": "*",
                "FunctionUrlAuthType": "SOME",
            },
            "Properties validation failed for resource X with message:\n"
            "#/FunctionUrlAuthType: SOME is not a valid enum value",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_awss_words(
    kind: str, properties: dict[str, Any], reason: str
) -> None:
    assert fitted(schema_of(kind), properties, "X")[1] == reason


def test_the_schema_tells_what_forces_replacement_and_what_getatt_may_ask() -> None:
    schema = schema_of("AWS::SQS::Queue")
    assert schema is not None
    assert schema.create_only == {"QueueName", "FifoQueue"}
    assert schema.has_attribute("Arn")
    assert not schema.has_attribute("Nonsense")
    assert schema.tag_property == "Tags"


def test_custom_resources_take_any_property() -> None:
    schema = schema_of("Custom::Anything")
    assert schema is not None and schema.open
    assert schema_of("AWS::No::Such") is None


def test_iams_reference_knows_how_arns_are_written() -> None:
    assert arn_format("AWS::ECR::Repository") == (
        "arn:${Partition}:ecr:${Region}:${Account}:repository/"
    )
    assert arn_format("AWS::KMS::Key") == "arn:${Partition}:kms:${Region}:${Account}:key/"
    assert arn_format("AWS::No::Such") is None
