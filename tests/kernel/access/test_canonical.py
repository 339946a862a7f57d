"""AWS's own signing vectors: canonical request, string to sign and signature."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.kernel.access import sigv4
from skyfold.kernel.access.canonical import (
    canonical_headers,
    canonical_path,
    canonical_path_s3,
    canonical_query,
    octets,
)
from skyfold.kernel.http import HttpRequest


def defined(text: str) -> str:
    """A query parameter encoded as the definition has it: decoded, then encoded once."""
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


@given(st.text("aZ9-_.~%2DdEe5F+ é/", max_size=12))
def test_parameters_are_encoded_once_whatever_they_were(value: str) -> None:
    assert canonical_query(f"a={value}".replace("&", "")) == f"a={defined(value)}"


@given(st.binary(max_size=6))
def test_an_encoded_parameter_stays_as_it_is(value: bytes) -> None:
    encoded = quote(value, safe="-_.~")

    assert canonical_query(f"k={encoded}") == f"k={encoded}"


VECTORS = Path(__file__).parents[3] / ".." / "shared" / "conformance-data" / "sigv4" / "v4"
CASES = sorted(p.name for p in VECTORS.iterdir() if p.is_dir()) if VECTORS.exists() else []


def parsed(text: str) -> HttpRequest:
    """A request of the vectors; folded header lines are joined, as an HTTP server would."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.split("\n")
    method, rest = first.split(" ", 1)
    target = rest.rsplit(" ", 1)[0]
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    last = ""
    for line in lines:
        if line.startswith(" "):
            headers[last] += " " + line.strip()
            continue
        name, _, value = line.partition(":")
        last = name.lower()
        headers[last] = f"{headers[last]},{value.strip()}" if last in headers else value
    return HttpRequest(method=method, path=path, query=query, headers=headers, body=body.encode())


def canonical_of(request: HttpRequest, signed: str, context: dict, presigned: bool) -> str:
    path = (canonical_path if context["normalize"] else canonical_path_s3)(request.path)
    without = "X-Amz-Signature" if presigned else ""
    query = canonical_query(request.query, without=without)
    headers = canonical_headers(tuple(signed.split(";")), request.headers)
    payload = sha256(request.body).hexdigest()
    return f"{request.method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}"


@pytest.mark.skipif(not CASES, reason="the signing vectors are not here")
@pytest.mark.parametrize("way", ["header", "query"])
@pytest.mark.parametrize("case", CASES)
def test_the_canonical_request_and_signature_are_aws_s(case: str, way: str) -> None:
    folder = VECTORS / case
    context = json.loads((folder / "context.json").read_text())
    wanted = (folder / f"{way}-canonical-request.txt").read_text()
    signed = wanted.rsplit("\n", 2)[-2]
    request = parsed((folder / f"{way}-signed-request.txt").read_text())

    found = canonical_of(request, signed, context, presigned=way == "query")

    if context.get("omit_session_token") and way == "query":
        found = "\n".join(
            "&".join(p for p in line.split("&") if not p.startswith("X-Amz-Security-Token"))
            if number == 2
            else line
            for number, line in enumerate(found.split("\n"))
        )
    assert found == wanted
    to_sign = (folder / f"{way}-string-to-sign.txt").read_text()
    assert to_sign.split("\n")[-1] == sha256(octets(found)).hexdigest()
    _, stamp, scope, _ = to_sign.split("\n")
    date, region, service, _ = scope.split("/")
    key = sigv4.signing_key(context["credentials"]["secret_access_key"], date, region, service)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    assert signature == (folder / f"{way}-signature.txt").read_text()
    assert stamp[:8] == date
