"""Signatures: what botocore signs is let in, and whatever was changed afterwards is not."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from botocore import auth
from hypothesis import given, settings
from hypothesis import strategies as st

from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.kernel.access import sigv4
from skyfold.kernel.access.access import Access, Authenticated
from skyfold.kernel.access.credentials import put_key
from skyfold.kernel.access.errors import (
    AccessError,
    AuthorizationQueryParametersError,
    ExpiredToken,
    HeadersNotSigned,
    IncompleteSignature,
    InvalidArgument,
    InvalidClientTokenId,
    InvalidRequest,
    InvalidToken,
    MissingAuthenticationToken,
    RequestExpired,
    SignatureDoesNotMatch,
    SignatureExpired,
    WrongScope,
    XAmzContentSHA256Mismatch,
)
from skyfold.kernel.access.tables import KEY_USES, KEYS, SESSIONS, KeyRow, SessionRow
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.principal import Principal, root_of
from skyfold.store.api import Tx
from skyfold.store.engines.memory import MemoryStore
from tests.kernel.access.signing import KEY, SECRET, signed, signed_at

ACCOUNT = "123456789012"
S3_URL = "http://bucket.s3.localhost:4566/some%20key/a%2Bb/%C3%A9?list-type=2&prefix=a%2Fb&x"
MINUTE = 60_000


async def put_root_key(tx: Tx) -> None:
    put_key(
        tx,
        KeyRow(id=KEY, account=ACCOUNT, owner=ACCOUNT, user="", secret=SECRET, created_at=0),
    )


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await made.write(put_root_key)
    return made


async def let_in(
    store: MemoryStore, request: HttpRequest, later_ms: int = 0, **options: Any
) -> Authenticated:
    return await Access().authenticate(store, request, signed_at(request) + later_ms, **options)


async def refused(
    store: MemoryStore, request: HttpRequest, later_ms: int = 0, **options: Any
) -> AccessError:
    with pytest.raises(AccessError) as caught:
        await let_in(store, request, later_ms, **options)
    return caught.value


async def test_a_signed_request_is_its_key_s_principal(store: MemoryStore) -> None:
    request = signed(headers={"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "a/b"})

    found = await let_in(store, request, service="sqs")

    assert found.principal.arn == f"arn:aws:iam::{ACCOUNT}:root"
    assert (found.access_key, found.region, found.service) == (KEY, "eu-west-1", "sqs")
    assert found.chunks is None


async def test_an_unsigned_request_is_nobody_s(store: MemoryStore) -> None:
    found = await Access().authenticate(store, HttpRequest(method="GET", path="/", headers={}), 0)

    assert found.principal.kind == "anonymous"


@pytest.mark.parametrize(
    "url",
    [
        "http://h/",
        "http://h/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/x",
        "http://h/a%20b/c+d/~e/?q=1&b=%20&a=b%2Bc&z",
        "http://h/a/../b/./c//d/",
    ],
)
async def test_paths_and_queries_are_canonical_as_botocore_makes_them(
    store: MemoryStore, url: str
) -> None:
    assert await let_in(store, signed(method="GET", url=url, body=b"", service="lambda"))


@pytest.mark.parametrize("signer", [auth.S3SigV4Auth, auth.S3SigV4QueryAuth])
@pytest.mark.parametrize("url", [S3_URL, "http://s3.localhost/b/a//b/../c", "http://s3.local/b"])
async def test_s3_signs_paths_as_they_are(store: MemoryStore, signer: type[Any], url: str) -> None:
    request = signed(signer, method="PUT", url=url, body=b"data", service="s3")

    assert (await let_in(store, request, service="s3")).service == "s3"


async def test_a_presigned_query_of_another_service_is_let_in(store: MemoryStore) -> None:
    url = "http://sts.local/?Action=GetCallerIdentity&Version=2011-06-15"
    request = signed(auth.SigV4QueryAuth, method="GET", url=url, body=b"", service="sts")

    assert (await let_in(store, request, service="sts")).service == "sts"


async def test_presigned_urls_end_when_they_say(store: MemoryStore) -> None:
    request = signed(
        auth.S3SigV4QueryAuth, method="GET", url=S3_URL, body=b"", service="s3", expires=60
    )

    assert await let_in(store, request, 59_000)
    error = await refused(store, request, 60_000)

    assert isinstance(error, RequestExpired)
    said = error.spoken("s3", "rest-xml")
    assert (said.code, said.status, said.text) == ("AccessDenied", 403, "Request has expired")
    assert said.members["X-Amz-Expires"] == "60"


async def test_an_unknown_key_has_the_code_of_each_protocol(store: MemoryStore) -> None:
    error = await refused(store, signed(key="AKIANOBODY"))

    assert isinstance(error, InvalidClientTokenId)
    codes = {
        "json": ("UnrecognizedClientException", 400),
        "rest-json": ("UnrecognizedClientException", 403),
        "query": ("InvalidClientTokenId", 403),
    }
    for protocol, wanted in codes.items():
        said = error.spoken("x", protocol)
        assert (said.code, said.status) == wanted
        assert said.text == "The security token included in the request is invalid."
        assert said.members == {}
    said = error.spoken("s3", "rest-xml")
    assert (said.code, said.status) == ("InvalidAccessKeyId", 403)
    assert said.members == {"AWSAccessKeyId": "AKIANOBODY"}
    assert error.spoken("sqs", "json").code == "InvalidClientTokenId"


async def test_a_wrong_secret_is_told_with_what_should_have_been_signed(
    store: MemoryStore,
) -> None:
    error = await refused(store, signed(secret="wrong"))

    assert isinstance(error, SignatureDoesNotMatch)
    said = error.spoken("dynamodb", "json")
    assert (said.code, said.status) == ("InvalidSignatureException", 400)
    assert "The Canonical String for this request should have been\n'POST\n/\n" in said.text
    assert "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" in said.text
    assert error.spoken("iam", "query").code == "SignatureDoesNotMatch"


async def test_s3_tells_a_wrong_signature_in_members(store: MemoryStore) -> None:
    request = signed(auth.S3SigV4Auth, service="s3", secret="wrong", url=S3_URL)

    said = (await refused(store, request)).spoken("s3", "rest-xml")

    assert (said.code, said.status) == ("SignatureDoesNotMatch", 403)
    assert said.text.endswith("Check your key and signing method.")
    assert said.members["AWSAccessKeyId"] == KEY
    assert said.members["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert said.members["StringToSignBytes"].startswith("41 57 53 34")
    assert said.members["CanonicalRequest"].startswith("POST\n/some%20key/")
    assert len(said.members["SignatureProvided"]) == 64


async def test_the_same_signature_does_not_carry_another_body(store: MemoryStore) -> None:
    request = signed(body=b'{"amount": 1}')
    request.body = b'{"amount": 9}'

    assert isinstance(await refused(store, request), SignatureDoesNotMatch)


async def test_s3_compares_the_body_with_the_hash_that_was_signed(store: MemoryStore) -> None:
    request = signed(
        auth.S3SigV4Auth,
        method="PUT",
        service="s3",
        url=S3_URL,
        body=b"one",
        headers={"X-Amz-Content-SHA256": sha256(b"one").hexdigest()},
    )
    request.body = b"two"

    error = await refused(store, request)

    assert isinstance(error, XAmzContentSHA256Mismatch)
    assert error.members["S3ComputedContentSHA256"] == sha256(b"two").hexdigest()


async def test_a_streamed_body_s_hash_is_handed_on(store: MemoryStore) -> None:
    digest = sha256(b"one").hexdigest()
    request = signed(
        auth.S3SigV4Auth,
        method="PUT",
        service="s3",
        url="https://s3.local/b",
        body=b"one",
        headers={"X-Amz-Content-SHA256": digest},
    )
    request.body, request.stream = b"", Streamed(b"one")

    promised = (await let_in(store, request)).body_sha256

    assert promised == request.headers["x-amz-content-sha256"]


async def test_a_streamed_body_of_another_service_is_read_and_checked(store: MemoryStore) -> None:
    request = signed(body=b"abc", service="lambda")
    request.body, request.stream = b"", Streamed(b"abc")

    assert await let_in(store, request)
    assert (request.body, request.stream) == (b"abc", None)


class Streamed:
    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    async def read(self) -> bytes:
        return self._data


@pytest.mark.parametrize("later_ms", [16 * MINUTE, -6 * MINUTE])
async def test_a_signature_is_good_for_some_minutes(store: MemoryStore, later_ms: int) -> None:
    request = signed()

    assert await let_in(store, request, 14 * MINUTE)
    error = await refused(store, request, later_ms)

    assert isinstance(error, SignatureExpired)
    said = error.spoken("sts", "query")
    opening = "Signature expired: " if later_ms > 0 else "Signature not yet current: "
    assert said.text.startswith(opening + request.headers["x-amz-date"])
    assert said.code == "SignatureDoesNotMatch"


async def test_s3_calls_an_old_signature_skewed(store: MemoryStore) -> None:
    request = signed(auth.S3SigV4Auth, service="s3", url=S3_URL)

    said = (await refused(store, request, 16 * MINUTE)).spoken("s3", "rest-xml")

    assert (said.code, said.status) == ("RequestTimeTooSkewed", 403)
    assert said.members["MaxAllowedSkewMilliseconds"] == "900000"


async def test_the_scope_has_to_name_service_and_region(store: MemoryStore) -> None:
    wrong_service = await refused(store, signed(service="sns"), service="sqs")
    wrong_region = await refused(store, signed(), service="sqs", region="us-east-1")

    assert isinstance(wrong_service, WrongScope)
    assert wrong_service.text == "Credential should be scoped to correct service: 'sqs'. "
    assert wrong_region.text == "Credential should be scoped to a valid region. "


async def test_s3_names_the_region_that_it_expects(store: MemoryStore) -> None:
    request = signed(auth.S3SigV4Auth, service="s3", url=S3_URL)

    said = (await refused(store, request, region="us-east-1")).spoken("s3", "rest-xml")

    assert said.code == "AuthorizationHeaderMalformed"
    assert said.text == (
        "The authorization header is malformed; the region 'eu-west-1' is wrong; "
        "expecting 'us-east-1'"
    )
    assert said.members == {"Region": "us-east-1"}


async def test_s3_wants_every_amz_header_signed(store: MemoryStore) -> None:
    request = signed(auth.S3SigV4QueryAuth, method="PUT", url=S3_URL, service="s3")
    request.headers |= {"x-amz-meta-b": "1", "x-amz-acl": "public-read"}

    error = await refused(store, request)

    assert isinstance(error, HeadersNotSigned)
    assert error.members == {"HeadersNotSigned": "x-amz-acl, x-amz-meta-b"}


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        ("X-Amz-Credential", AuthorizationQueryParametersError),
        ("X-Amz-Signature", AuthorizationQueryParametersError),
        ("X-Amz-Date", AuthorizationQueryParametersError),
        ("X-Amz-Expires", AuthorizationQueryParametersError),
        ("X-Amz-SignedHeaders", AuthorizationQueryParametersError),
    ],
)
async def test_a_presigned_url_needs_all_its_parts(
    store: MemoryStore, missing: str, kind: type[AccessError]
) -> None:
    request = signed(auth.S3SigV4QueryAuth, method="GET", url=S3_URL, service="s3", body=b"")
    now = signed_at(request)
    request.query = "&".join(p for p in request.query.split("&") if not p.startswith(missing))

    with pytest.raises(kind) as caught:
        await Access().authenticate(store, request, now, service="s3")

    assert caught.value.text == (
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
        "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Expires=3600", "Expires=604801"), "X-Amz-Expires must be less than a week"),
        (("Expires=3600", "Expires=-1"), "X-Amz-Expires must be non-negative"),
        (("Expires=3600", "Expires=soon"), "X-Amz-Expires should be a number"),
        (("%2Faws4_request", "%252Faws4_request"), "Error parsing the X-Amz-Credential"),
        (("AWS4-HMAC-SHA256", "MD5"), "X-Amz-Algorithm only supports"),
        (("Date=2", "Date=x"), "X-Amz-Date must be in the ISO8601 Long Format"),
    ],
)
async def test_the_parts_of_a_presigned_url_are_checked(
    store: MemoryStore, change: tuple[str, str], message: str
) -> None:
    request = signed(auth.S3SigV4QueryAuth, method="GET", url=S3_URL, service="s3", body=b"")
    now = signed_at(request)
    assert change[0] in request.query
    request.query = request.query.replace(*change)

    with pytest.raises(AuthorizationQueryParametersError) as caught:
        await Access().authenticate(store, request, now, service="s3")

    assert caught.value.text.startswith(message)


@pytest.mark.parametrize(
    ("authorization", "kind"),
    [
        ("AWS AKID:signature", InvalidRequest),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/20200101/s/aws4_request", InvalidRequest),
        ("AWS4-HMAC-SHA256 Credential=a", IncompleteSignature),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x", IncompleteSignature),
        ("AWS4-HMAC-SHA256 Signature=x, Credential=, SignedHeaders=host", IncompleteSignature),
        (
            "AWS4-HMAC-SHA256 Credential=a/20231114/r/s/other, SignedHeaders=host, Signature=x",
            WrongScope,
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20231114/r/s/aws4_request, SignedHeaders=x, Signature=x",
            SignatureDoesNotMatch,
        ),
        ("Bearer abc", MissingAuthenticationToken),
        ("", MissingAuthenticationToken),
        ("AWS4-HMAC-SHA256", IncompleteSignature),
        (
            "AWS4-HMAC-SHA256 Credential=a/2/r/s/aws4_request, SignedHeaders=host, Signature=é",
            WrongScope,
        ),
    ],
)
async def test_an_authorization_that_is_none_is_refused(
    store: MemoryStore, authorization: str, kind: type[AccessError]
) -> None:
    request = signed()
    now = signed_at(request)
    request.headers["authorization"] = authorization

    with pytest.raises(kind):
        await Access().authenticate(store, request, now)


async def test_s3_takes_one_way_to_sign_at_a_time(store: MemoryStore) -> None:
    request = signed(auth.S3SigV4QueryAuth, method="GET", url=S3_URL, service="s3", body=b"")
    request.headers["authorization"] = signed().headers["authorization"]

    assert isinstance(await refused(store, request, service="s3"), InvalidArgument)


async def put_session(tx: Tx, token: str, expires_at: int) -> None:
    principal = Principal(
        kind="role",
        account=ACCOUNT,
        arn="arn:aws:iam::1:role/r",
        id="AROA:s",
        name="r",
        session="s",
        access_key="ASIAX",
    )
    SESSIONS.put(
        tx,
        SessionRow(
            id="ASIAX", secret=SECRET, token=token, principal=principal, expires_at=expires_at
        ),
    )


async def test_temporary_credentials_need_their_token(store: MemoryStore) -> None:
    request = signed(key="ASIAX", token="the token")
    await store.write(put_session, "the token", signed_at(request) + MINUTE)

    assert (await let_in(store, request)).principal.session == "s"
    assert isinstance(await refused(store, signed(key="ASIAX", token="other")), InvalidToken)
    assert isinstance(await refused(store, signed(key="ASIAX")), InvalidClientTokenId)


async def test_temporary_credentials_expire(store: MemoryStore) -> None:
    request = signed(key="ASIAX", token="the token")
    await store.write(put_session, "the token", signed_at(request) + MINUTE)

    error = await refused(store, request, MINUTE)

    assert isinstance(error, ExpiredToken)
    assert error.spoken("lambda", "rest-json").code == "ExpiredTokenException"
    assert error.spoken("s3", "rest-xml").text == "The provided token has expired."
    assert error.spoken("s3", "rest-xml").members == {"Token-0": "the token"}


@pytest.mark.parametrize("key", ["test", "123456789012"])
async def test_seeded_keys_belong_to_root(key: str) -> None:
    request = signed(key=key, secret="test", token="ignored")

    found = await Access(account="000000000000").authenticate(
        MemoryStore(), request, signed_at(request)
    )

    account = "000000000000" if key == "test" else key
    assert found.principal.arn == root_of(account).arn


async def test_without_seeded_keys_there_is_a_random_root_key() -> None:
    store, access = MemoryStore(), Access()
    settings = Settings(account=ACCOUNT, seeded_keys=False)
    made = await store.write(access.seed, settings, Ids(seed=1), 5)
    again = await store.write(access.seed, settings, Ids(seed=1), 6)

    assert made is not None
    assert again is None
    request = signed(key=made.id, secret=made.secret)
    found = await access.authenticate(store, request, signed_at(request))
    assert found.principal.kind == "root"
    for_test = signed(key="test", secret="test")
    with pytest.raises(InvalidClientTokenId):
        await access.authenticate(store, for_test, signed_at(for_test))


async def test_a_key_that_is_taken_away_stops_at_once(store: MemoryStore) -> None:
    access, request = Access(settling_s=0), signed()
    await access.authenticate(store, request, signed_at(request))

    async def remove(tx: Tx) -> None:
        KEYS.delete(tx, KEY)

    await store.write(remove)

    with pytest.raises(InvalidClientTokenId):
        await access.authenticate(store, request, signed_at(request))


def test_chunk_signatures_are_a_chain_that_ends_with_the_trailer() -> None:
    """The example of AWS's documentation on chunked uploads, with its published signatures."""
    claim = sigv4.Claim(
        sigv4.parsed_scope(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=content-encoding;host,"
        ),
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "20130524T000000Z",
        "",
        True,
        None,
    )
    chunks = sigv4.ChunkVerifier(claim, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    first, second = sha256(b"a" * 65536).hexdigest(), sha256(b"a" * 1024).hexdigest()

    assert chunks.chunk(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
    assert chunks.chunk(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
    assert chunks.chunk(
        sigv4.EMPTY_SHA256, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
    )


def test_a_trailer_is_signed_over_its_headers() -> None:
    scope = sigv4.parsed_scope(
        "AWS4-HMAC-SHA256 Credential=K/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, "
    )
    claim = sigv4.Claim(scope, "0" * 64, "20130524T000000Z", "", True, None)
    trailer = b"x-amz-checksum-crc32c:sOO8/Q==\n"
    text = (
        f"AWS4-HMAC-SHA256-TRAILER\n20130524T000000Z\n{scope.text}\n{'0' * 64}\n"
        f"{sha256(trailer).hexdigest()}"
    )
    key = sigv4.signing_key("secret", "20130524", "us-east-1", "s3")
    signature = hmac.digest(key, text.encode(), "sha256").hex()

    assert sigv4.ChunkVerifier(claim, "secret").trailer(trailer, signature)
    assert not sigv4.ChunkVerifier(claim, "secret").trailer(trailer + b"x", signature)


@pytest.mark.parametrize(
    "said", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"]
)
async def test_signed_chunks_come_with_a_verifier(store: MemoryStore, said: str) -> None:
    class Streaming(auth.S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return said

    request = signed(Streaming, method="PUT", url=S3_URL, service="s3", body=b"")

    assert (await let_in(store, request)).chunks is not None


TAMPERED = st.sampled_from(["method", "path", "query", "body", "header", "signature", "scope"])


@settings(max_examples=80, deadline=None)
@given(what=TAMPERED, noise=st.text("abcdef0123456789", min_size=1, max_size=5), s3=st.booleans())
async def test_whatever_is_changed_after_signing_is_noticed(
    what: str, noise: str, s3: bool
) -> None:
    store = MemoryStore()
    await store.write(put_root_key)
    request = signed(
        auth.S3SigV4Auth if s3 else auth.SigV4Auth,
        method="PUT",
        url="http://host/path?a=1",
        service="s3" if s3 else "lambda",
        headers={"X-Amz-Meta-A": "value"},
    )
    now = signed_at(request)
    if what == "method":
        request.method = "DELETE"
    elif what == "path":
        request.path += "/" + noise
    elif what == "query":
        request.query += "&" + noise
    elif what == "body":
        request.body += noise.encode()
    elif what == "header":
        request.headers["x-amz-meta-a"] += noise
    elif what == "signature":
        request.headers["authorization"] = request.headers["authorization"][:-2] + "zz"
    else:
        replaced = request.headers["authorization"].replace("eu-west-1", "eu-" + noise)
        request.headers["authorization"] = replaced

    with pytest.raises((SignatureDoesNotMatch, XAmzContentSHA256Mismatch)):
        await Access().authenticate(store, request, now)


@settings(max_examples=150, deadline=None)
@given(
    authorization=st.text(max_size=200),
    query=st.text(max_size=80),
    date=st.one_of(st.none(), st.text(max_size=20)),
    s3=st.booleans(),
)
async def test_nonsense_is_refused_and_never_breaks(
    authorization: str, query: str, date: str | None, s3: bool
) -> None:
    store = MemoryStore()
    headers = {"host": "h", "authorization": "AWS4-HMAC-SHA256 " + authorization}
    if date is not None:
        headers["x-amz-date"] = date
    request = HttpRequest(method="GET", path="/", query="X-Amz-Algorithm=" + query, headers=headers)
    presigned = HttpRequest(
        method="GET", path="/", query="X-Amz-Signature=" + query, headers={"host": "h"}
    )

    for tried in (request, presigned):
        with pytest.raises(AccessError):
            await Access().authenticate(store, tried, 0, service="s3" if s3 else "sqs")


async def test_the_use_of_a_key_is_noted_once_a_minute(store: MemoryStore) -> None:
    access, request = Access(), signed()
    now = signed_at(request)

    for later_ms in (0, 1000, MINUTE):
        await access.authenticate(store, request, now + later_ms)
        await store.flush()
        row = await store.read(KEY_USES.get, KEY)
        assert row is not None
        wanted = now if later_ms < MINUTE else now + MINUTE
        assert (row.used_at, row.region, row.service) == (wanted, "eu-west-1", "sqs")


async def test_temporary_credentials_end_by_the_cloud_s_own_clock(store: MemoryStore) -> None:
    request = signed(key="ASIAX", token="the token")
    await store.write(put_session, "the token", 5000)

    assert await let_in(store, request, platform_now=4999)
    assert isinstance(await refused(store, request, platform_now=5000), ExpiredToken)
