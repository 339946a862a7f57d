"""Signature version 4, verified: pure functions from a request and a secret to yes or an error."""

from __future__ import annotations

import functools
import hmac
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote

from skyfold.kernel.access.canonical import (
    canonical_headers,
    canonical_path,
    canonical_path_s3,
    canonical_query,
    octets,
)
from skyfold.kernel.access.errors import (
    AccessError,
    AuthorizationQueryParametersError,
    HeadersNotSigned,
    IncompleteSignature,
    InvalidArgument,
    InvalidRequest,
    MissingAuthenticationToken,
    RequestExpired,
    SignatureDoesNotMatch,
    SignatureExpired,
    WrongScope,
    XAmzContentSHA256Mismatch,
)
from skyfold.kernel.http import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_MS_MAX = 15 * 60 * 1000
FUTURE_MS_MAX = 5 * 60 * 1000
"""Services other than S3 allow less of a lead than of a delay."""
EXPIRES_S_MAX = 7 * 24 * 3600
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
CHUNKED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
S3_NAMES = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
"""Signing names whose paths are signed as they are and whose body hash is a header."""

_MALFORMED_S3 = (
    "The authorization header is malformed; the Credential is mal-formed; expecting "
    '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)
_QUERY_MALFORMED = (
    "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
    '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)
_QUERY_NEEDED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_QUERY_MISSING = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
    "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
_ONLY_ONE = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
    "string parameter or the Authorization header should be specified"
)
_STAMP = re.compile(r"\d{8}T\d{6}Z\Z").match
_HASH = re.compile(r"[0-9a-f]{64}\Z").match


class Scope(NamedTuple):
    """Who signed, for what, and which headers: constant over many requests of one client."""

    access_key: str
    date: str
    region: str
    service: str
    text: str
    """``date/region/service/aws4_request``."""
    signed_headers: tuple[str, ...]
    signed_text: str


class Claim(NamedTuple):
    """What a request says of itself, before anything is proved."""

    scope: Scope
    signature: str
    stamp: str
    """``YYYYMMDDTHHMMSSZ``."""
    token: str
    s3: bool
    expires_s: int | None
    """For presigned URLs."""


def claimed(request: HttpRequest, now: int, service: str) -> Claim | None:
    """The claim of a request, or None where it is not signed at all.

    ``service`` is the signing name of the service asked, where the gateway knows it.
    """
    authorization = request.headers.get("authorization")
    query = request.query
    presigned = "X-Amz-" in query and ("X-Amz-Algorithm=" in query or "X-Amz-Signature=" in query)
    if authorization is None:
        if presigned:
            return _presigned_claim(request, now, service)
        return None
    if presigned and service in S3_NAMES:
        raise InvalidArgument(_ONLY_ONE, ArgumentName="Authorization", ArgumentValue=authorization)
    return _header_claim(request, authorization, now, service)


def _header_claim(request: HttpRequest, authorization: str, now: int, service: str) -> Claim:
    start, mark, signature = authorization.rpartition("Signature=")
    if not mark or "," in signature:
        scope, signature = _parsed_in_any_order(authorization)
    else:
        scope, signature = parsed_scope(start), signature.strip()
    headers = request.headers
    stamp = headers.get("x-amz-date") or _stamp_of(headers.get("date", ""), authorization)
    if not _STAMP(stamp):
        raise IncompleteSignature(
            "Date must be in ISO-8601 'basic format'. Got '"
            f"{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601",
            s3_message="AWS authentication requires a valid Date or x-amz-date header",
        )
    s3 = (service or scope.service) in S3_NAMES
    _check_age(stamp, now, s3)
    if stamp[:8] != scope.date:
        raise WrongScope(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{scope.date}' != '{stamp[:8]}', from '{stamp}'.",
            s3_message="The authorization header is malformed; Invalid credential date "
            f'"{scope.date}". This date is not the same as X-Amz-Date: "{stamp[:8]}".',
        )
    token = headers.get("x-amz-security-token", "")
    return Claim(scope, signature, stamp, token, s3, None)


@functools.lru_cache(maxsize=4096)
def parsed_scope(start: str) -> Scope:
    """The part of an Authorization header before the signature."""
    fields = _fields(start)
    return _scope(fields["Credential"], fields["SignedHeaders"])


def _parsed_in_any_order(authorization: str) -> tuple[Scope, str]:
    fields = _fields(authorization, "Signature")
    return _scope(fields["Credential"], fields["SignedHeaders"]), fields["Signature"]


def _fields(authorization: str, *further: str) -> dict[str, str]:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm == "AWS4-ECDSA-P256-SHA256":
        raise InvalidRequest(
            "Signature version 4A (AWS4-ECDSA-P256-SHA256) is not supported. "
            f"Please use {ALGORITHM}."
        )
    if algorithm == "AWS" or algorithm.startswith("AWS3"):
        raise InvalidRequest()
    if algorithm != ALGORITHM:
        raise _not_an_authorization(authorization)
    fields = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    needed = ("Credential", "SignedHeaders", *further)
    missing = [n for n in ("Credential", "Signature", "SignedHeaders") if n not in fields]
    if any(name not in fields for name in needed):
        raise IncompleteSignature(
            " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
            + f" Authorization={algorithm}",
            s3_message="The authorization header is malformed; the authorization header requires "
            "three components: Credential, SignedHeaders, and Signature.",
        )
    return fields


def _not_an_authorization(authorization: str) -> AccessError:
    if "=" in authorization:
        return IncompleteSignature(
            f"Unsupported AWS 'algorithm': '{authorization.split(' ', 1)[0]}'.",
            s3_message="Unsupported Authorization Type",
        )
    return MissingAuthenticationToken()


@functools.lru_cache(maxsize=4096)
def _scope(credential: str, signed: str) -> Scope:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or credential.count("/") < 4:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential}'",
            s3_message=_MALFORMED_S3,
        )
    access_key, date, region, service, end = parts
    if end != "aws4_request":
        raise WrongScope(
            f"Credential should be scoped with a valid terminator: 'aws4_request', not '{end}'.",
            s3_message=_MALFORMED_S3,
        )
    names = tuple(name.strip().lower() for name in signed.split(";"))
    if "host" not in names and ":authority" not in names:
        raise SignatureDoesNotMatch(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    text = f"{date}/{region}/{service}/{end}"
    return Scope(access_key, date, region, service, text, names, ";".join(names))


def _presigned_claim(request: HttpRequest, now: int, service: str) -> Claim:
    found: dict[str, str] = {}
    for part in request.query.split("&"):
        name, _, value = part.partition("=")
        if name.startswith("X-Amz-"):
            found[name] = unquote(value)
    if any(not found.get(name) for name in _QUERY_NEEDED if name != "X-Amz-Expires"):
        raise AuthorizationQueryParametersError(_QUERY_MISSING)
    if found["X-Amz-Algorithm"] != ALGORITHM:
        raise AuthorizationQueryParametersError(
            'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"'
            if not found["X-Amz-Algorithm"].startswith("AWS4-")
            else f"Signature version 4A is not supported. Please use {ALGORITHM}."
        )
    try:
        scope = _scope(found["X-Amz-Credential"], found["X-Amz-SignedHeaders"])
    except (IncompleteSignature, WrongScope) as bad:
        raise AuthorizationQueryParametersError(_QUERY_MALFORMED) from bad
    stamp = found["X-Amz-Date"]
    if not _STAMP(stamp):
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if stamp[:8] != scope.date:
        raise AuthorizationQueryParametersError(
            f'Error parsing the X-Amz-Credential parameter; incorrect date "{scope.date}". '
            f'This date is not the same as X-Amz-Date: "{stamp}".'
        )
    s3 = (service or scope.service) in S3_NAMES
    expires_s = _expires(found.get("X-Amz-Expires"), s3)
    signed_at = moment(stamp)
    if now >= signed_at + expires_s * 1000:
        raise RequestExpired(
            **{
                "X-Amz-Expires": str(expires_s),
                "Expires": iso(signed_at + expires_s * 1000),
                "ServerTime": iso(now),
            }
        )
    if signed_at > now + SKEW_MS_MAX:
        raise RequestExpired("Request is not yet valid")
    token = found.get("X-Amz-Security-Token", "")
    return Claim(scope, found["X-Amz-Signature"], stamp, token, s3, expires_s)


def _expires(text: str | None, s3: bool) -> int:
    if text is None and not s3:
        return SKEW_MS_MAX // 1000
    if not text:
        raise AuthorizationQueryParametersError(_QUERY_MISSING)
    try:
        expires_s = int(text)
    except ValueError as bad:
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number") from bad
    if expires_s < 0:
        raise AuthorizationQueryParametersError("X-Amz-Expires must be non-negative")
    if expires_s > EXPIRES_S_MAX:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            "X-Amz-Expires must be less than 604800 seconds"
        )
    return expires_s


def _check_age(stamp: str, now: int, s3: bool) -> None:
    signed_at = moment(stamp)
    behind_ms = now - signed_at
    if s3:
        if abs(behind_ms) > SKEW_MS_MAX:
            raise SignatureExpired(
                RequestTime=stamp,
                ServerTime=iso(now),
                MaxAllowedSkewMilliseconds=str(SKEW_MS_MAX),
            )
        return
    if behind_ms > SKEW_MS_MAX:
        raise SignatureExpired(
            f"Signature expired: {stamp} is now earlier than {basic(now - SKEW_MS_MAX)} "
            f"({basic(now)} - 15 min.)"
        )
    if -behind_ms > FUTURE_MS_MAX:
        raise SignatureExpired(
            f"Signature not yet current: {stamp} is still later than "
            f"{basic(now + FUTURE_MS_MAX)} ({basic(now)} + 5 min.)"
        )


def payload_hash(request: HttpRequest, claim: Claim) -> str:
    """The last line of the canonical request; S3 takes the client's word and checks it after."""
    if not claim.s3:
        return sha256(request.body).hexdigest() if request.body else EMPTY_SHA256
    said = request.headers.get("x-amz-content-sha256")
    if said is not None:
        return said
    if claim.expires_s is not None:
        return UNSIGNED
    raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")


def verify(request: HttpRequest, claim: Claim, secret: str) -> None:
    """Raise SignatureDoesNotMatch unless ``secret`` makes the claim's signature of ``request``."""
    scope = claim.scope
    payload = payload_hash(request, claim)
    headers = canonical_headers(scope.signed_headers, request.headers)
    if claim.s3:
        _check_all_signed(request, scope.signed_headers)
        path = canonical_path_s3(request.path)
    else:
        path = canonical_path(request.path)
    without = "" if claim.expires_s is None else "X-Amz-Signature"
    query = canonical_query(request.query, without=without) if request.query else ""
    canonical = octets(
        f"{request.method}\n{path}\n{query}\n{headers or ''}\n{scope.signed_text}\n{payload}"
    )
    digest = sha256(canonical).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.stamp}\n{scope.text}\n{digest}".encode()
    key = signing_key(secret, scope.date, scope.region, scope.service)
    expected = hmac.digest(key, to_sign, "sha256").hex()
    if headers is None or not same(expected, claim.signature):
        raise SignatureDoesNotMatch(
            access_key=scope.access_key,
            canonical=canonical,
            to_sign=to_sign,
            provided=claim.signature,
        )
    if claim.s3 and request.stream is None and _HASH(payload):
        check_body(payload, sha256(request.body).hexdigest())


def check_body(said: str, computed: str) -> None:
    """For S3, where the header that was signed may not be the hash of the body that came."""
    if said != computed:
        raise XAmzContentSHA256Mismatch(
            ClientComputedContentSHA256=said, S3ComputedContentSHA256=computed
        )


def body_hash(request: HttpRequest, claim: Claim) -> str:
    """The hash that a streamed body must turn out to have; empty where nothing was promised."""
    if request.stream is None or not claim.s3:
        return ""
    said = request.headers.get("x-amz-content-sha256", "")
    return said if _HASH(said) else ""


def _check_all_signed(request: HttpRequest, signed: tuple[str, ...]) -> None:
    """S3 lets no x-amz- header in that the signature does not cover."""
    unsigned = [n for n in request.headers if n.startswith("x-amz-") and n not in signed]
    if unsigned and (unsigned != ["x-amz-content-sha256"]):
        names = sorted(n for n in unsigned if n != "x-amz-content-sha256")
        raise HeadersNotSigned(HeadersNotSigned=", ".join(names))


class ChunkVerifier:
    """The chain of signatures over the chunks of one body, begun by the request's own."""

    def __init__(self, claim: Claim, secret: str) -> None:
        scope = claim.scope
        self._key = signing_key(secret, scope.date, scope.region, scope.service)
        self._middle = f"\n{claim.stamp}\n{scope.text}\n"
        self._previous = claim.signature

    def chunk(self, data_sha256_hex: str, signature: str) -> bool:
        """Whether ``signature`` is the next in the chain, over data with this hash."""
        text = f"{ALGORITHM}-PAYLOAD{self._middle}{self._previous}\n{EMPTY_SHA256}\n"
        return self._next(text + data_sha256_hex, signature)

    def trailer(self, canonical_trailer_bytes: bytes, signature: str) -> bool:
        """The same for the trailing headers, as ``name:value\\n`` each."""
        digest = sha256(canonical_trailer_bytes).hexdigest()
        text = f"{ALGORITHM}-TRAILER{self._middle}{self._previous}\n{digest}"
        return self._next(text, signature)

    def _next(self, text: str, signature: str) -> bool:
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        self._previous = expected
        return same(expected, signature)


def chunk_verifier(request: HttpRequest, claim: Claim, secret: str) -> ChunkVerifier | None:
    """The verifier for a body whose chunks are signed, or None for any other body."""
    if not claim.s3 or request.headers.get("x-amz-content-sha256") not in {
        CHUNKED,
        CHUNKED_TRAILER,
    }:
        return None
    return ChunkVerifier(claim, secret)


def same(expected: str, given: str) -> bool:
    """Compared in constant time."""
    return given.isascii() and hmac.compare_digest(expected, given)


@functools.lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@functools.lru_cache(maxsize=64)
def _day(date: str) -> int:
    day = datetime(int(date[:4]), int(date[4:6]), int(date[6:8]), tzinfo=UTC)
    return int(day.timestamp()) * 1000


def moment(stamp: str) -> int:
    """``YYYYMMDDTHHMMSSZ`` in ms. A day that the calendar does not have is long past."""
    try:
        day = _day(stamp[:8])
    except ValueError:
        return 0
    seconds = int(stamp[9:11]) * 3600 + int(stamp[11:13]) * 60 + int(stamp[13:15])
    return day + seconds * 1000


def basic(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp_of(date: str, authorization: str) -> str:
    """From a Date header, which may be in RFC 1123 or in ISO form."""
    if _STAMP(date):
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except ValueError as bad:
        raise IncompleteSignature(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            f"Authorization={authorization.partition(' ')[0]}",
            s3_message="AWS authentication requires a valid Date or x-amz-date header",
        ) from bad
