"""Bad input gets an AwsError, whatever it is: never a traceback, never a hang."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.models import ServiceWire

CBOR = "smithy-rpc-v2-cbor"
SQS, DYNAMODB, S3 = ServiceWire("sqs"), ServiceWire("dynamodb"), ServiceWire("s3")
CLOUDWATCH, LAMBDA, SNS = ServiceWire("cloudwatch"), ServiceWire("lambda"), ServiceWire("sns")

OPERATIONS = [
    (SQS, "json", "SendMessageBatch"), (SQS, "query", "SendMessageBatch"),
    (DYNAMODB, "json", "PutItem"), (S3, "rest-xml", "PutBucketCors"),
    (S3, "rest-xml", "DeleteObjects"), (CLOUDWATCH, CBOR, "PutMetricData"),
    (LAMBDA, "rest-json", "CreateFunction"), (SNS, "query", "Publish"),
]  # fmt: skip


def parse(
    wire: ServiceWire, protocol: str, operation: str, body: bytes = b"", **more: Any
) -> dict[str, Any]:
    request = HttpRequest(method="POST", path="/", headers=more.pop("headers", {}), **more)
    request.body = body
    return wire.operation(operation).parse(request, protocol, {"Bucket": "b"})


def refused(wire: ServiceWire, protocol: str, operation: str, body: bytes, **more: Any) -> str:
    with pytest.raises(AwsError) as raised:
        parse(wire, protocol, operation, body, **more)
    return raised.value.code


@pytest.mark.parametrize(("wire", "protocol", "operation"), OPERATIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_arbitrary_bytes_are_parsed_or_refused(
    wire: ServiceWire, protocol: str, operation: str, data: st.DataObject
) -> None:
    body = data.draw(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
    try:
        parse(wire, protocol, operation, body)
    except AwsError:
        return


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(("QueueUrl", "Entries", "Id", "TableName", "Item", "S", "L", "M", "B",
                             "MetricData", "Dimensions", "Timestamp", "MessageAttributes")),
            inner, max_size=5,
        ),
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(value=json_values)
def test_any_json_and_any_cbor_is_parsed_or_refused(value: Any) -> None:
    for wire, protocol, operation in (OPERATIONS[0], OPERATIONS[2], OPERATIONS[6]):
        with suppress(AwsError):
            parse(wire, protocol, operation, json.dumps(value).encode())
    with suppress(AwsError):
        parse(CLOUDWATCH, CBOR, "PutMetricData", cbor2.dumps(value))


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"text"', b"nonsense", b'{"a":}', b"\xff\xfe", b"{" * 5000,
        b'{"QueueUrl": "\\ud800", "Entries": []}', b'{"QueueUrl": 1e999}', b"null", b"17",
    ],
)  # fmt: skip
def test_malformed_json_is_a_serialization_exception(body: bytes) -> None:
    assert refused(SQS, "json", "SendMessageBatch", body) == "SerializationException"


def test_json_nested_beyond_all_bounds_is_refused() -> None:
    for depth in (300, 900, 100_000):
        item = b'{"M":{"a":' * depth + b'{"S":"x"}' + b"}}" * depth
        body = b'{"TableName":"orders","Item":{"a":' + item + b"}}"
        try:
            parse(DYNAMODB, "json", "PutItem", body)
        except AwsError as error:
            assert error.code == "SerializationException"


@pytest.mark.parametrize(
    "body",
    [
        b"<CORSConfiguration>", b"<a></b>", b"text", b"\xff\xfe<\x00a\x00/\x00>\x00",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<?xml version="1.0" encoding="nonsense"?><a>\xff</a>',
        b"<a>&undefined;</a>",
    ],
)  # fmt: skip
def test_malformed_xml_and_every_document_type_is_refused(body: bytes) -> None:
    assert refused(S3, "rest-xml", "PutBucketCors", body) == "MalformedXML"


def test_xml_nested_beyond_all_bounds_does_no_harm() -> None:
    body = b"<CORSConfiguration>" + b"<CORSRule>" * 50_000 + b"</CORSRule>" * 50_000
    try:
        parse(S3, "rest-xml", "PutBucketCors", body + b"</CORSConfiguration>")
    except AwsError:
        return


@pytest.mark.parametrize(
    "body",
    [
        b"\xff", b"\xa1\x01", b"\x81" * 5000, b"\x01\x02", b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
        cbor2.dumps(cbor2.CBORTag(35, "(a+)+")), cbor2.dumps([1]), cbor2.dumps("text"),
        cbor2.dumps({"Namespace": "n", "MetricData": [{"MetricName": "m", "Timestamp": b"x"}]}),
    ],
)  # fmt: skip
def test_malformed_cbor_is_a_serialization_exception(body: bytes) -> None:
    assert refused(CLOUDWATCH, CBOR, "PutMetricData", body) == "SerializationException"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=SendMessageBatch&QueueUrl=%FF", "MalformedQueryString"),
        (b"\xff\xfe", "MalformedQueryString"),
        (b"QueueUrl.1=x", "MalformedInput"),
        (b"QueueUrl=q&SendMessageBatchRequestEntry=x", "MalformedInput"),
        (b"QueueUrl=q&SendMessageBatchRequestEntry.one.Id=x", "MalformedInput"),
        (b"QueueUrl=q&SendMessageBatchRequestEntry.1.DelaySeconds=x", "MalformedInput"),
        (b"QueueUrl=q&" + b"a." * 1000 + b"b=x", "MalformedInput"),
        (b"&".join([b"a=b"] * 30_000), "MalformedQueryString"),
    ],
)
def test_malformed_parameters_are_refused(body: bytes, code: str) -> None:
    assert refused(SQS, "query", "SendMessageBatch", body) == code


def test_the_order_of_numbered_parameters_is_that_of_their_numbers() -> None:
    body = b"QueueUrl=q&AttributeName.10=c&AttributeName.2=b&AttributeName.1=All"
    wire = ServiceWire("sqs", lambda violations: None)

    params = parse(wire, "query", "GetQueueAttributes", body)

    assert params["AttributeNames"] == ["All", "b", "c"]


def test_a_compressed_body_is_unpacked_within_bounds() -> None:
    headers = {"content-encoding": "gzip"}
    body = gzip.compress(b'{"QueueUrl": "q", "MessageBody": "m"}')

    assert parse(SQS, "json", "SendMessage", body, headers=headers)["MessageBody"] == "m"
    assert refused(SQS, "json", "SendMessage", b"\x1f\x8bxx", headers=headers) == (
        "SerializationException"
    )
    assert refused(SQS, "json", "SendMessage", body[:-4], headers=headers) == (
        "SerializationException"
    )
    bomb = gzip.compress(b" " * (65 * 1024 * 1024), 9)
    assert refused(SQS, "json", "SendMessage", bomb, headers=headers) == "SerializationException"


@pytest.mark.parametrize("value", ["x", "1.5", "99999999999", "", "\u0663"])
def test_a_number_in_a_query_string_that_is_none_is_refused_or_ignored(value: str) -> None:
    request = HttpRequest(method="GET", path="/b", query=f"max-keys={value}", headers={})
    if not value:
        assert S3.operation("ListObjects").parse(request, "rest-xml", {"Bucket": "b"}) == {
            "Bucket": "b"
        }
        return
    with pytest.raises(AwsError):
        S3.operation("ListObjects").parse(request, "rest-xml", {"Bucket": "b"})
