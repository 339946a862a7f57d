"""REST paths to operations, above all S3's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.base.errors import AwsError
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.models import ServiceWire

S3 = ServiceWire("s3")
LAMBDA = ServiceWire("lambda")


def match(
    wire: ServiceWire, method: str, target: str, **headers: str
) -> tuple[str, dict[str, str]] | None:
    path, _, query = target.partition("?")
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire.match(HttpRequest(method=method, path=path, query=query, headers=given))


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("PUT", "/b", {}, "CreateBucket"),
        ("PUT", "/b/", {}, "CreateBucket"),
        ("GET", "/b", {}, "ListObjects"),
        ("GET", "/b/?prefix=a%2F&delimiter=/", {}, "ListObjects"),
        ("GET", "/b?list-type=2", {}, "ListObjectsV2"),
        ("GET", "/b?acl", {}, "GetBucketAcl"),
        ("GET", "/b?acl=", {}, "GetBucketAcl"),
        ("GET", "/b?uploads", {}, "ListMultipartUploads"),
        ("GET", "/b?versions&prefix=x", {}, "ListObjectVersions"),
        ("GET", "/b?location", {}, "GetBucketLocation"),
        ("GET", "/b?lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("PUT", "/b?notification", {}, "PutBucketNotificationConfiguration"),
        ("GET", "/b?analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET", "/b?analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("HEAD", "/b", {}, "HeadBucket"),
        ("HEAD", "/b/k", {}, "HeadObject"),
        ("GET", "/b/k", {}, "GetObject"),
        ("GET", "/b/k?x-id=GetObject&versionId=1", {}, "GetObject"),
        ("GET", "/b/k?attributes", {"x_amz_object_attributes": "ETag"}, "GetObjectAttributes"),
        ("GET", "/b/k?uploadId=1", {}, "ListParts"),
        ("GET", "/b/k?tagging", {}, "GetObjectTagging"),
        ("PUT", "/b/k", {}, "PutObject"),
        ("PUT", "/b/k", {"x_amz_copy_source": "/b/j"}, "CopyObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {"x_amz_copy_source": "/b/j"}, "UploadPartCopy"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k?uploads=", {}, "CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", {}, "DeleteObject"),
        ("DELETE", "/b", {}, "DeleteBucket"),
        ("POST", "/b/k?select&select-type=2", {}, "SelectObjectContent"),
        ("POST", "/b/k?restore", {}, "RestoreObject"),
    ],
)  # fmt: skip
def test_an_s3_request_finds_its_operation(
    method: str, target: str, headers: dict[str, str], operation: str
) -> None:
    found = match(S3, method, target, **headers)

    assert found is not None
    assert found[0] == operation


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/b/k", "k"),
        ("/b//k", "/k"),
        ("/b/k/", "k/"),
        ("/b//", "/"),
        ("/b/a//b", "a//b"),
        ("/b/a%2Fb", "a/b"),
        ("/b/a+b", "a+b"),
        ("/b/a%2Bb", "a+b"),
        ("/b/a%20b", "a b"),
        ("/b/gr%C3%BC%C3%9Fe", "gr\u00fc\u00dfe"),
        ("/b/%25", "%"),
        ("/b/../x", "../x"),
        ("/b/?", "?"),
    ],
)
def test_an_s3_key_is_decoded_once_and_kept_as_it_is(path: str, key: str) -> None:
    if path.endswith("?"):
        path = "/b/%3F"

    assert match(S3, "GET", path) == ("GetObject", {"Bucket": "b", "Key": key})


@given(key=st.text(min_size=1, max_size=30).filter(lambda text: text not in (".", "..")))
def test_every_key_survives_percent_encoding(key: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in key.encode("utf-8", "surrogatepass"))
    try:
        key.encode()
    except UnicodeEncodeError:
        return

    assert match(S3, "PUT", f"/b/{encoded}") == ("PutObject", {"Bucket": "b", "Key": key})


def test_a_label_may_be_an_arn() -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    encoded = arn.replace(":", "%3A")

    assert match(LAMBDA, "GET", f"/2015-03-31/functions/{encoded}") == (
        "GetFunction",
        {"FunctionName": arn},
    )
    assert match(LAMBDA, "GET", "/2015-03-31/functions/f/configuration") == (
        "GetFunctionConfiguration",
        {"FunctionName": "f"},
    )


def test_a_final_slash_does_not_matter() -> None:
    assert match(LAMBDA, "GET", "/2015-03-31/functions") == ("ListFunctions", {})
    assert match(LAMBDA, "GET", "/2015-03-31/functions/") == ("ListFunctions", {})


def test_an_unknown_path_or_method_finds_nothing() -> None:
    assert match(LAMBDA, "GET", "/nothing") is None
    assert match(LAMBDA, "PATCH", "/2015-03-31/functions") is None
    assert match(LAMBDA, "GET", "/2015-03-31/functions//configuration") is None


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(AwsError):
        match(S3, "GET", "/b/%FF")
