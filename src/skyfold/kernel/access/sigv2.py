"""Presigned URLs of signature version 2, which SDKs still make for S3 in us-east-1 by default."""

from __future__ import annotations

import base64
import hmac
import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from skyfold.kernel.access.canonical import octets
from skyfold.kernel.access.errors import (
    QueryAuthIncomplete,
    RequestExpired,
    SignatureDoesNotMatch,
)
from skyfold.kernel.access.sigv4 import iso, same
from skyfold.kernel.http import HttpRequest

SUBRESOURCES = frozenset(
    (
        *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory"),
        *("lifecycle", "location", "logging", "metrics", "notification", "object-lock"),
        *("partNumber", "policy", "replication", "requestPayment", "restore", "select"),
        *("select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads"),
        *("versionId", "versioning", "versions", "website"),
        *("response-cache-control", "response-content-disposition", "response-expires"),
        *("response-content-encoding", "response-content-language", "response-content-type"),
    )
)
"""Query parameters that are part of what is signed."""
_BUCKET = re.compile(r"(.+?)\.s3[.-]").match


class Claim(NamedTuple):
    """What a URL says of itself."""

    access_key: str
    signature: str
    expires: str
    """Seconds since the epoch, as it stands in the URL."""
    token: str


def is_presigned(query: str) -> bool:
    """Whether a query string has any of the three parts of such a signature but Expires."""
    return "AWSAccessKeyId=" in query or "&Signature=" in f"&{query}"


def claimed(request: HttpRequest, now: int) -> Claim:
    """The claim of a URL. Raises where parts are missing or its time is over."""
    found = _parameters(request.query)
    key, signature, expires = (
        found.get(name, "") for name in ("AWSAccessKeyId", "Signature", "Expires")
    )
    if not (key and signature and expires):
        raise QueryAuthIncomplete
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
        raise QueryAuthIncomplete(f"Invalid date (should be seconds since epoch): {expires}")
    if now >= int(expires) * 1000:
        raise RequestExpired(Expires=_moment(int(expires)), ServerTime=iso(now))
    token = found.get("x-amz-security-token") or request.headers.get("x-amz-security-token", "")
    return Claim(key, signature, expires, token)


def verify(request: HttpRequest, claim: Claim, secret: str) -> None:
    """Raise SignatureDoesNotMatch unless ``secret`` makes the signature of the URL."""
    to_sign = b""
    for path in _paths(request):
        to_sign = octets(_to_sign(request, claim, path))
        digest = hmac.digest(secret.encode(), to_sign, "sha1")
        if same(base64.b64encode(digest).decode(), claim.signature):
            return
    raise SignatureDoesNotMatch(
        access_key=claim.access_key, to_sign=to_sign, provided=claim.signature
    )


def _paths(request: HttpRequest) -> list[str]:
    """The path that was signed names the bucket, also where it stands in the host."""
    bucket = _BUCKET(request.host)
    return [f"/{bucket[1]}{request.path}", request.path] if bucket else [request.path]


def _to_sign(request: HttpRequest, claim: Claim, path: str) -> str:
    parameters = _parameters(request.query)
    headers = {name: value for name, value in parameters.items() if name == name.lower()}
    headers |= request.headers
    lines = [
        request.method,
        headers.get("content-md5", "").strip(),
        headers.get("content-type", "").strip(),
        claim.expires,
        *(
            f"{name}:{headers[name].strip()}"
            for name in sorted(headers)
            if name.startswith("x-amz-")
        ),
        path + _subresources(request.query),
    ]
    return "\n".join(lines)


def _subresources(query: str) -> str:
    found = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if name in SUBRESOURCES:
            found.append(f"{name}{equals}{unquote(value)}")
    found.sort(key=lambda part: part.partition("=")[0])
    return "?" + "&".join(found) if found else ""


def _parameters(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&"))
    return {unquote(name): unquote_plus(value) for name, _, value in pairs}


def _moment(seconds: int) -> str:
    """A date far away is shown as it came."""
    try:
        return iso(seconds * 1000)
    except (ValueError, OverflowError):
        return str(seconds)
