"""Violations of a model, and the words that AWS has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.constraints import Violation
from skyfold.kernel.wire.models import ServiceWire
from skyfold.kernel.wire.shapes import Model


def message(model: str, operation: str, params: dict[str, Any]) -> str:
    with pytest.raises(AwsError) as raised:
        ServiceWire(model).operation(operation).check(params)
    return raised.value.text


def test_a_missing_member_must_not_be_null() -> None:
    assert message("dynamodb", "PutItem", {"TableName": "orders"}) == (
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_a_text_that_is_too_long_is_shown_with_its_limit() -> None:
    assert message("logs", "CreateLogGroup", {"logGroupName": "x" * 513}) == (
        f"1 validation error detected: Value '{'x' * 513}' at 'logGroupName' failed to satisfy "
        "constraint: Member must have length less than or equal to 512"
    )


def test_a_pattern_is_shown_as_the_model_has_it() -> None:
    assert message("sts", "AssumeRole", {"RoleArn": "a" * 20, "RoleSessionName": "Session1:2"}) == (
        "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
    )


def test_a_number_is_held_against_its_range() -> None:
    assert message("kms", "GenerateRandom", {"NumberOfBytes": 1025}) == (
        "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy "
        "constraint: Member must have value less than or equal to 1024"
    )


def test_an_enum_is_shown_with_all_its_values() -> None:
    text = message(
        "lambda", "PutFunctionRecursionConfig", {"FunctionName": "f", "RecursiveLoop": "Invalid"}
    )
    assert text == (
        "1 validation error detected: Value 'Invalid' at 'recursiveLoop' failed to satisfy "
        "constraint: Member must satisfy enum value set: [Allow, Terminate]"
    )


def test_several_violations_are_joined() -> None:
    text = message("dynamodb", "GetItem", {"TableName": ""})

    assert text.startswith("2 validation errors detected: Value null at 'key' ")
    assert "; Value '' at 'tableName' failed to satisfy constraint: Member must have length" in text


def test_members_of_listed_structures_are_numbered_from_one() -> None:
    params = {
        "name": "live",
        "routingConfiguration": [{"stateMachineVersionArn": "arn:aws:states:v:1", "weight": 101}],
    }
    text = message("stepfunctions", "CreateStateMachineAlias", params)

    assert text == (
        "1 validation error detected: Value '101' at 'routingConfiguration.1.member.weight' "
        "failed to satisfy constraint: Member must have value less than or equal to 100"
    )


def test_a_faulty_item_of_a_list_is_worded_as_a_fault_of_the_list() -> None:
    params = {"Role": "arn:aws:iam::000000000000:role/r", "FunctionName": "f", "Code": {}}
    params["VpcConfig"] = {"SubnetIds": ["wrong"]}
    text = message("lambda", "CreateFunction", params)

    assert text == (
        "1 validation error detected: Value '[wrong]' at 'vpcConfig.subnetIds' failed to satisfy "
        "constraint: Member must satisfy constraint: [Member must have length less than or equal "
        "to 1024, Member must have length greater than or equal to 0, Member must satisfy regular "
        "expression pattern: subnet-[0-9a-z]*]"
    )


def test_a_list_that_is_too_long_is_shown_whole() -> None:
    entries = [{"Source": "s", "DetailType": "d", "Detail": "{}"}] * 11
    text = message("events", "PutEvents", {"Entries": entries})

    assert text.startswith("1 validation error detected: Value '[")
    assert text.endswith(
        "at 'entries' failed to satisfy constraint: Member must have length less than or equal "
        "to 10"
    )


def test_api_gateway_names_the_body_and_not_the_path() -> None:
    params = {
        "restApiId": "a", "responseType": "DEFAULT_4XX",
        "patchOperations": [{"op": "add"}, {"op": "wrong-op"}],
    }  # fmt: skip
    text = message("apigateway", "UpdateGatewayResponse", params)

    assert text.startswith(
        "1 validation error detected: Value 'wrong-op' at "
        "'updateGatewayResponseInput.patchOperations.2.member.op' failed to satisfy constraint: "
    )


@pytest.mark.parametrize(
    ("model", "operation", "params", "code"),
    [
        ("dynamodb", "GetItem", {}, "ValidationException"),
        ("lambda", "GetFunction", {}, "ValidationException"),
        ("iam", "GetRole", {}, "ValidationError"),
        ("cloudwatch", "SetAlarmState", {}, "ValidationError"),
        ("logs", "CreateLogGroup", {}, "InvalidParameterException"),
    ],
)
def test_the_code_is_that_of_the_service(
    model: str, operation: str, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as raised:
        ServiceWire(model).operation(operation).check(params)

    assert (raised.value.code, raised.value.status) == (code, 400)


def test_a_sensitive_value_is_not_repeated() -> None:
    params = {"ClientId": "c", "Username": "u", "Password": "\n" * 300}
    text = message("cognito-idp", "SignUp", params)

    assert "Value at 'password' failed to satisfy constraint" in text
    assert "\n\n" not in text


def test_a_union_has_exactly_one_member() -> None:
    wire = ServiceWire(union_model())

    with pytest.raises(AwsError, match="exactly one of its members"):
        wire.operation("Choose").check({"choice": {"a": "1", "b": "2"}})
    with pytest.raises(AwsError, match="exactly one of its members"):
        wire.operation("Choose").check({"choice": {}})
    wire.operation("Choose").check({"choice": {"a": "1"}})


def union_model() -> Model:
    text = {"shape": "Text"}
    shapes = {
        "Text": {"type": "string"},
        "Choice": {"type": "structure", "union": True, "members": {"a": text, "b": text}},
        "Input": {"type": "structure", "members": {"choice": {"shape": "Choice"}}},
    }
    metadata = {"protocol": "json", "jsonVersion": "1.0"}
    operations = {"Choose": {"name": "Choose", "http": {}, "input": {"shape": "Input"}}}
    return Model({"metadata": metadata, "operations": operations, "shapes": shapes})


def test_values_of_the_wrong_type_are_refused_in_process_too() -> None:
    wire = ServiceWire("sqs")

    with pytest.raises(AwsError) as raised:
        wire.operation("SendMessage").check({"QueueUrl": "q", "MessageBody": 5})

    assert raised.value.code == "SerializationException"


def test_members_that_the_model_does_not_know_are_refused_in_process() -> None:
    assert "at 'body'" in message(
        "sqs", "SendMessage", {"QueueUrl": "q", "MessageBody": "m", "Body": "?"}
    )


def test_a_service_may_word_violations_itself() -> None:
    seen: list[Violation] = []

    class MissingParameter(AwsError):
        pass

    def own(violations: Sequence[Violation]) -> Exception:
        seen.extend(violations)
        return MissingParameter(f"The request must contain the parameter {violations[0].member}.")

    operation = ServiceWire("sqs", own).operation("SendMessage")

    with pytest.raises(MissingParameter, match=r"must contain the parameter MessageBody\."):
        operation.check({"QueueUrl": "q"})
    assert (seen[0].kind, seen[0].path, seen[0].value) == ("missing", "messageBody", None)


def test_a_service_may_take_a_violation_as_it_is() -> None:
    operation = ServiceWire("sqs", lambda violations: None).operation("SendMessage")

    operation.check({"QueueUrl": "q"})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"QueueUrl": true, "MessageBody": "m"}',
         "class java.lang.Boolean can not be converted to an String"),
        (b'{"QueueUrl": 5, "MessageBody": "m"}',
         "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an "
         "String"),
        (b'{"QueueUrl": "q", "MessageBody": "m", "DelaySeconds": "5"}',
         "class java.lang.String can not be converted to an Integer"),
        (b'{"QueueUrl": "q", "MessageBody": {}}',
         "Start of structure or map found where not expected."),
        (b'{"QueueUrl": "q", "MessageBody": []}',
         "Unrecognized collection type class java.lang.String"),
        (b'{"QueueUrl": "q", "MessageBody": "m", "MessageAttributes": "x"}',
         "Unexpected field type"),
    ],
)  # fmt: skip
def test_json_of_the_wrong_type_is_refused_in_awss_words(body: bytes, expected: str) -> None:
    request = HttpRequest(method="POST", path="/", headers={}, body=body)

    with pytest.raises(AwsError) as raised:
        ServiceWire("sqs").operation("SendMessage").parse(request, "json", {})

    assert (raised.value.code, raised.value.text) == ("SerializationException", expected)


def test_a_query_parameter_of_the_wrong_type_may_be_worded_by_the_service() -> None:
    class InvalidArgument(AwsError):
        pass

    def own(violations: Sequence[Violation]) -> Exception:
        first = violations[0]
        return InvalidArgument(f"{first.kind} {first.member} {first.value}")

    request = HttpRequest(method="GET", path="/b", query="max-keys=many", headers={})

    with pytest.raises(InvalidArgument, match="type MaxKeys many"):
        ServiceWire("s3", own).operation("ListObjects").parse(request, "rest-xml", {"Bucket": "b"})


def test_nulls_and_unknown_members_of_json_are_dropped() -> None:
    body = b'{"QueueUrl": "q", "MessageBody": "m", "DelaySeconds": null, "Newer": {"x": 1}}'
    request = HttpRequest(method="POST", path="/", headers={}, body=body)

    params = ServiceWire("sqs").operation("SendMessage").parse(request, "json", {})

    assert params == {"QueueUrl": "q", "MessageBody": "m"}


def test_fractions_are_cut_off_whole_numbers() -> None:
    body = orjson.dumps({"QueueUrl": "q", "MessageBody": "m", "DelaySeconds": 3.7})
    request = HttpRequest(method="POST", path="/", headers={}, body=body)

    params = ServiceWire("sqs").operation("SendMessage").parse(request, "json", {})

    assert params["DelaySeconds"] == 3
