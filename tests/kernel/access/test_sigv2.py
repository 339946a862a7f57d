"""Presigned S3 URLs of signature version 2, as botocore makes them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from skyfold.kernel.access.access import Access
from skyfold.kernel.access.errors import (
    AccessError,
    InvalidClientTokenId,
    InvalidRequest,
    QueryAuthIncomplete,
    RequestExpired,
    SignatureDoesNotMatch,
)
from skyfold.kernel.access.tables import SESSIONS, SessionRow
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.principal import root_of
from skyfold.store.api import Tx
from skyfold.store.engines.memory import MemoryStore

ACCOUNT = "123456789012"
URL = "http://localhost/bucket/a%20b/%C3%A9?versionId=3&response-content-type=text%2Fplain&x=1"


def presigned(
    url: str = URL,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    auth_path: str | None = None,
    token: str | None = None,
    key: str = ACCOUNT,
    secret: str = "test",
) -> HttpRequest:
    request = AWSRequest(method=method, url=url, headers=headers or {}, auth_path=auth_path)
    auth.HmacV1QueryAuth(Credentials(key, secret, token), expires=3600).add_auth(request)
    parts = urlsplit(request.url)
    return HttpRequest(
        method=method, path=parts.path, query=parts.query, headers={"host": parts.netloc}
    )


def expires_at(request: HttpRequest) -> int:
    parameters = dict(part.split("=", 1) for part in request.query.split("&") if "=" in part)
    return int(parameters["Expires"]) * 1000


async def principal_of(request: HttpRequest, store: MemoryStore | None = None) -> str:
    now = expires_at(request) - 1000
    found = await Access().authenticate(store or MemoryStore(), request, now, service="s3")
    return found.principal.arn


async def test_a_url_of_botocore_s_is_let_in() -> None:
    assert await principal_of(presigned()) == root_of(ACCOUNT).arn


async def test_the_bucket_may_stand_in_the_host() -> None:
    request = presigned("http://bucket.s3.localhost/key?acl", auth_path="/bucket/key")

    assert await principal_of(request) == root_of(ACCOUNT).arn


async def test_headers_that_were_signed_may_come_in_the_url() -> None:
    request = presigned(
        method="PUT", headers={"x-amz-meta-foo": "bar baz", "Content-Type": "text/plain"}
    )

    assert await principal_of(request) == root_of(ACCOUNT).arn


async def test_a_header_that_was_not_signed_is_noticed() -> None:
    request = presigned(method="PUT")
    request.headers["x-amz-meta-foo"] = "bar"

    with pytest.raises(SignatureDoesNotMatch) as refused:
        await principal_of(request)

    said = refused.value.spoken("s3", "rest-xml")
    assert said.members["AWSAccessKeyId"] == ACCOUNT
    assert said.members["StringToSign"].startswith("PUT\n\n\n")
    assert "CanonicalRequest" not in said.members


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("method", "DELETE"),
        ("path", "/bucket/other"),
        ("query", "versionId=4"),
        ("query", "response-content-type=text%2Fhtml"),
        ("query", "Expires=99999999999"),
    ],
)
async def test_whatever_is_changed_after_signing_is_noticed(field: str, change: str) -> None:
    request = presigned()
    now = expires_at(request) - 1000
    if field == "query":
        name = change.partition("=")[0]
        kept = [part for part in request.query.split("&") if not part.startswith(name + "=")]
        request.query = "&".join([*kept, change])
    else:
        setattr(request, field, change)

    with pytest.raises(SignatureDoesNotMatch):
        await Access().authenticate(MemoryStore(), request, now, service="s3")


async def test_a_url_ends_when_it_says() -> None:
    request = presigned()

    with pytest.raises(RequestExpired) as refused:
        await Access().authenticate(MemoryStore(), request, expires_at(request), service="s3")

    assert refused.value.spoken("s3", "rest-xml").text == "Request has expired"


async def test_temporary_credentials_bring_their_token() -> None:
    store = MemoryStore()
    request = presigned(key="ASIAX", secret="secret", token="the+token/=")

    async def put(tx: Tx) -> None:
        SESSIONS.put(
            tx,
            SessionRow(
                id="ASIAX",
                secret="secret",
                token="the+token/=",
                principal=root_of(ACCOUNT),
                expires_at=expires_at(request),
            ),
        )

    await store.write(put)

    assert await principal_of(request, store) == root_of(ACCOUNT).arn


@pytest.mark.parametrize(
    ("query", "service", "kind"),
    [
        ("AWSAccessKeyId=a&Expires=1", "s3", QueryAuthIncomplete),
        ("Signature=a", "s3", QueryAuthIncomplete),
        ("AWSAccessKeyId=a&Signature=b&Expires=soon", "s3", QueryAuthIncomplete),
        ("AWSAccessKeyId=a&Signature=b&Expires=%EF%BC%91", "s3", QueryAuthIncomplete),
        ("AWSAccessKeyId=a&Signature=b&Expires=0", "s3", RequestExpired),
        ("AWSAccessKeyId=nobody&Signature=b&Expires=999999999999", "s3", InvalidClientTokenId),
        ("AWSAccessKeyId=test&Signature=%C3%A9&Expires=999", "s3", SignatureDoesNotMatch),
        ("AWSAccessKeyId=test&Signature=b&Expires=9", "sqs", InvalidRequest),
    ],
)
async def test_what_is_no_such_url_is_refused(
    query: str, service: str, kind: type[AccessError]
) -> None:
    request = HttpRequest(method="GET", path="/b/k", query=query, headers={"host": "s3"})

    with pytest.raises(kind):
        await Access().authenticate(MemoryStore(), request, 0, service=service)
