"""Routing: by target, scope, path and host, before anything looks at the body."""

from __future__ import annotations

import pytest

from skyfold.kernel.http import HttpRequest
from skyfold.kernel.routing import Router, scope_of

MODELS = {
    "sqs": "sqs", "sns": "sns", "s3": "s3", "lambda_": "lambda", "apigatewayv2": "apigatewayv2",
    "dynamodb": "dynamodb", "logs": "logs", "sts": "sts", "iam": "iam",
}  # fmt: skip


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MODELS)


def signed(service: str, region: str = "eu-west-1") -> str:
    scope = f"AKID/20260101/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"


def request(method: str = "POST", path: str = "/", query: str = "", **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method=method, path=path, query=query, headers=named)


def test_a_target_header_names_the_service(router: Router) -> None:
    asked = request(x_amz_target="DynamoDB_20120810.GetItem", authorization=signed("dynamodb"))
    assert router.route(asked)[:3] == ("dynamodb", True, "eu-west-1")


def test_the_credential_scope_names_service_and_region(router: Router) -> None:
    asked = request(path="/2015-03-31/functions", authorization=signed("lambda"))
    assert router.route(asked)[:3] == ("lambda_", True, "eu-west-1")


def test_a_service_that_is_not_here_keeps_its_own_name(router: Router) -> None:
    found = router.route(request(authorization=signed("kinesis")))
    assert (found.service, found.declared) == ("kinesis", False)


def test_services_that_sign_alike_are_told_apart_by_path(router: Router) -> None:
    two = router.route(request(path="/v2/apis", authorization=signed("apigateway")))
    one = router.route(request(path="/restapis", authorization=signed("apigateway")))
    assert two.service == "apigatewayv2"
    assert not one.declared


def test_a_presigned_url_carries_its_scope_in_the_query(router: Router) -> None:
    query = "X-Amz-Credential=AKID%2F20260101%2Fus-west-2%2Fs3%2Faws4_request&X-Amz-Date=x"
    found = router.route(request("GET", "/bucket/key", query))
    assert found == ("s3", True, "us-west-2", "/bucket/key")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("photos.s3.amazonaws.com", "/photos/cat.jpg"),
        ("photos.s3.eu-central-1.amazonaws.com", "/photos/cat.jpg"),
        ("photos.s3.localhost.localstack.cloud:4566", "/photos/cat.jpg"),
        ("photos.s3.localhost:4566", "/photos/cat.jpg"),
        ("photos.localhost:4566", "/photos/cat.jpg"),
        ("my.dotted.bucket.s3.amazonaws.com", "/my.dotted.bucket/cat.jpg"),
        ("s3.amazonaws.com", "/cat.jpg"),
        ("localhost:4566", "/cat.jpg"),
        ("127.0.0.1:4566", "/cat.jpg"),
    ],
)
def test_a_bucket_in_the_host_goes_to_the_front_of_the_path(
    router: Router, host: str, path: str
) -> None:
    found = router.route(request("GET", "/cat.jpg", host=host, authorization=signed("s3")))
    assert (found.service, found.path) == ("s3", path)


def test_an_unsigned_request_is_routed_by_the_service_in_its_host(router: Router) -> None:
    found = router.route(request(host="sqs.us-west-2.amazonaws.com"))
    assert found[:3] == ("sqs", True, "us-west-2")
    found = router.route(request(host="sns.localhost.localstack.cloud:4566"))
    assert found.service == "sns"


def test_an_unsigned_query_is_routed_by_its_version(router: Router) -> None:
    asked = request(host="localhost:4566")
    asked.body = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    assert router.route(asked).service == "sts"


def test_what_names_nothing_is_for_s3(router: Router) -> None:
    assert router.route(request("GET", "/bucket/key", host="localhost:4566")).service == "s3"


def test_rpc_paths_name_service_and_operation(router: Router) -> None:
    asked = request(path="/service/DynamoDB_20120810/operation/ListTables")
    asked.headers["smithy-protocol"] = "rpc-v2-cbor"
    assert router.route(asked).service == "dynamodb"


def test_a_scope_that_is_none_is_empty() -> None:
    assert scope_of(request(authorization="Basic abc")) == ("", "")
