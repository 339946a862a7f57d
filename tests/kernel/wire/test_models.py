"""What the gateway asks of a service's wire: metadata, protocols, operations, failures."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson
import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.wire import models
from skyfold.kernel.wire.models import ServiceWire
from tests.kernel.wire import clients
from tests.kernel.wire.declared import MODELS

CBOR = "smithy-rpc-v2-cbor"


class QueueDoesNotExist(AwsError):
    message = "The specified queue does not exist."


class MissingParameter(AwsError):
    message = "The request must contain the parameter MessageBody."


class NoSuchBucket(AwsError):
    status = 404
    message = "The specified bucket does not exist"


class ResourceNotFoundException(AwsError):
    pass


class ConditionalCheckFailedException(AwsError):
    message = "The conditional request failed"


def request(
    *, path: str = "/", query: str = "", body: bytes = b"", method: str = "POST", **headers: str
) -> HttpRequest:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method=method, path=path, query=query, headers=given, body=body)


def headers_of(reply: HttpReply) -> dict[str, str]:
    return {name.lower(): value for name, value in reply.headers}


def error_of(model: str, operation: str, protocol: str, error: AwsError) -> dict[str, Any]:
    reply = ServiceWire(model).failure(None, protocol, error, "request-1", operation)
    described = clients.service_model(model).operation_model(operation)
    return clients.response(described, protocol, reply)


@pytest.mark.parametrize("model", MODELS)
def test_metadata_read_quickly_is_the_models_own(model: str) -> None:
    published = clients.service_model(model).metadata

    found = models.metadata(model)

    assert {name: found.get(name) for name in published if name != "protocols"} == {
        name: value for name, value in published.items() if name != "protocols"
    }


def test_neither_metadata_nor_models_need_botocore() -> None:
    script = (
        "import sys\n"
        "from skyfold.kernel.wire.models import ServiceWire, metadata\n"
        "metadata('sqs'); ServiceWire('sqs').operation('SendMessage')\n"
        "assert 'botocore' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )


@pytest.mark.parametrize(
    ("model", "asked", "protocol", "operation"),
    [
        ("sqs", request(x_amz_target="AmazonSQS.SendMessage"), "json", "SendMessage"),
        ("sqs", request(query="Action=ListQueues", method="GET"), "query", "ListQueues"),
        ("sqs", request(body=b"Action=ListQueues&Version=2012-11-05",
                        content_type="application/x-www-form-urlencoded; charset=utf-8"),
         "query", "ListQueues"),
        ("sns", request(body=b"Version=1&Action=Publish"), "query", "Publish"),
        ("cloudwatch", request(path="/service/GraniteServiceVersion20100801/operation/ListMetrics",
                               smithy_protocol="rpc-v2-cbor"), CBOR, "ListMetrics"),
        ("cloudwatch", request(x_amz_target="GraniteServiceVersion20100801.ListMetrics"),
         "json", "ListMetrics"),
        ("cloudwatch", request(body=b"Action=ListMetrics",
                               content_type="application/x-www-form-urlencoded"),
         "query", "ListMetrics"),
        ("dynamodb", request(x_amz_target="DynamoDB_20120810.PutItem"), "json", "PutItem"),
        ("dynamodb", request(), "json", None),
        ("sns", request(body=b"Version=1"), "query", None),
    ],
)  # fmt: skip
def test_protocol_and_operation_are_read_from_the_request(
    model: str, asked: HttpRequest, protocol: str, operation: str | None
) -> None:
    wire = ServiceWire(model)

    assert wire.protocol_of(asked) == protocol
    assert wire.operation_of(asked, protocol) == operation


def test_an_unknown_operation_is_a_lookup_error_that_clients_may_see() -> None:
    with pytest.raises(LookupError) as raised:
        ServiceWire("sqs").operation("Nonsense")

    assert isinstance(raised.value, AwsError)


# --- SQS in its old protocol -------------------------------------------------------------------


def sqs_query(body: str, path: str = "/") -> dict[str, Any]:
    asked = request(body=body.encode(), path=path, host="localhost:4566")
    wire = ServiceWire("sqs")
    name = wire.operation_of(asked, "query")
    assert name is not None
    return wire.operation(name).parse(asked, "query", {})


def test_old_sqs_clients_send_flattened_maps() -> None:
    assert sqs_query(
        "Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5"
        "&Tag.1.Key=k&Tag.1.Value=v"
    ) == {"QueueName": "q", "Attributes": {"DelaySeconds": "5"}, "tags": {"k": "v"}}


def test_old_sqs_clients_send_batches_with_attributes() -> None:
    params = sqs_query(
        "Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.1.Id=a"
        "&SendMessageBatchRequestEntry.1.MessageBody=x+y"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=Binary"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.BinaryValue=AAE%3D"
    )

    entry = params["Entries"][0]
    assert entry["MessageBody"] == "x y"
    assert entry["MessageAttributes"] == {"n": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}}


def test_a_queue_may_be_named_by_the_path() -> None:
    params = sqs_query("Action=SendMessage&MessageBody=m", path="/000000000000/orders")

    assert params["QueueUrl"] == "http://localhost:4566/000000000000/orders"


def test_old_sqs_clients_get_flattened_xml() -> None:
    message = {"MessageId": "m", "Body": "<b>", "Attributes": {"SenderId": "s"}}

    reply = ServiceWire("sqs").operation("ReceiveMessage").reply(
        "query", {"Messages": [message]}, "request-1"
    )  # fmt: skip

    assert reply.body == (
        b'<?xml version="1.0"?>\n<ReceiveMessageResponse '
        b'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message>'
        b"<MessageId>m</MessageId><Body>&lt;b&gt;</Body><Attribute><Name>SenderId</Name>"
        b"<Value>s</Value></Attribute></Message></ReceiveMessageResult><ResponseMetadata>"
        b"<RequestId>request-1</RequestId></ResponseMetadata></ReceiveMessageResponse>"
    )


# --- failures ----------------------------------------------------------------------------------


def test_a_json_error_of_a_service_that_spoke_query_has_both_codes() -> None:
    reply = ServiceWire("sqs").failure(None, "json", QueueDoesNotExist(), "r", "SendMessage")

    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body) == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }
    headers = headers_of(reply)
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert headers["x-amzn-requestid"] == "r"


def test_codes_without_a_shape_are_translated_as_well() -> None:
    found = error_of("sqs", "SendMessage", "json", MissingParameter())

    assert found["Error"]["Code"] == "MissingParameter"
    assert found["Error"]["QueryErrorCode"] == "MissingRequiredParameterException"


def test_a_query_error_names_who_is_at_fault() -> None:
    reply = ServiceWire("sqs").failure(None, "query", QueueDoesNotExist(), "r", "SendMessage")

    assert reply.body == (
        b'<?xml version="1.0"?>\n<ErrorResponse '
        b'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>'
        b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"
        b"<Message>The specified queue does not exist.</Message><Detail/></Error>"
        b"<RequestId>r</RequestId></ErrorResponse>"
    )


def test_a_status_comes_from_the_model_where_the_error_has_none_of_its_own() -> None:
    reply = ServiceWire("lambda").failure(
        None, "rest-json", ResourceNotFoundException("gone"), "r", "GetFunction"
    )  # fmt: skip

    assert reply.status == 404
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body) == {"Type": "User", "Message": "gone"}
    assert headers_of(reply)["x-amzn-errortype"] == "ResourceNotFoundException"


def test_members_of_an_error_are_serialised_by_its_shape() -> None:
    error = ConditionalCheckFailedException(Item={"pk": {"B": b"\x00"}})

    found = error_of("dynamodb", "PutItem", "json", error)
    reply = ServiceWire("dynamodb").failure(None, "json", error, "r", "PutItem")

    assert found["Error"]["Code"] == "ConditionalCheckFailedException"
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body)["Item"] == {"pk": {"B": "AA=="}}


def test_an_s3_error_has_its_own_document_and_members() -> None:
    found = error_of("s3", "GetObject", "rest-xml", NoSuchBucket(BucketName="a<b"))

    assert found["Error"] == {
        "Code": "NoSuchBucket",
        "Message": "The specified bucket does not exist",
        "BucketName": "a<b",
    }
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert found["ResponseMetadata"]["RequestId"] == "request-1"
    assert found["ResponseMetadata"]["HostId"]


def test_a_head_request_is_refused_without_a_body() -> None:
    asked = request(method="HEAD", path="/b/k")

    reply = ServiceWire("s3").failure(asked, "rest-xml", NoSuchBucket(), "r", "HeadObject")

    assert (reply.status, reply.body) == (404, b"")


def test_a_cbor_error_reaches_the_client() -> None:
    found = error_of("cloudwatch", "GetDashboard", CBOR, ResourceNotFoundException("gone"))

    assert found["Error"]["Code"] == "ResourceNotFoundException"
    assert found["Error"]["Message"] == "gone"


def test_an_error_that_no_model_knows_still_has_its_code_everywhere() -> None:
    for model, protocol, operation in (
        ("dynamodb", "json", "PutItem"), ("iam", "query", "GetUser"),
        ("s3", "rest-xml", "GetObject"), ("lambda", "rest-json", "GetFunction"),
        ("cloudwatch", CBOR, "ListMetrics"),
    ):  # fmt: skip
        found = error_of(model, operation, protocol, type("AccessDeniedX", (AwsError,), {})("no"))
        assert (found["Error"]["Code"], found["Error"]["Message"]) == ("AccessDeniedX", "no"), model


def test_a_header_never_carries_a_line_break() -> None:
    output = {"ContentType": "text/plain\r\nSet-Cookie: a=b", "Metadata": {"k\n": "v\r\nx: y"}}

    reply = ServiceWire("s3").operation("GetObject").reply("rest-xml", output, "r")

    assert not any("\n" in part or "\r" in part for header in reply.headers for part in header)


def test_a_range_of_an_object_is_partial_content() -> None:
    operation = ServiceWire("s3").operation("GetObject")

    whole = operation.reply("rest-xml", {"Body": b"abc"}, "r")
    part = operation.reply("rest-xml", {"Body": b"b", "ContentRange": "bytes 1-1/3"}, "r")

    assert (whole.status, part.status) == (200, 206)


def test_a_streaming_body_passes_through() -> None:
    async def pieces() -> Any:
        yield b"a"

    stream = pieces()
    reply = ServiceWire("s3").operation("GetObject").reply("rest-xml", {"Body": stream}, "r")

    assert reply.body is stream
