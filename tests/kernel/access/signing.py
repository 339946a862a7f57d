"""Requests signed by botocore, turned into what the gateway sees."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from skyfold.kernel.access.sigv4 import moment
from skyfold.kernel.http import HttpRequest

KEY, SECRET = "AKIAEXAMPLEEXAMPLE12", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def signed(
    signer: type[Any] = auth.SigV4Auth,
    *,
    method: str = "POST",
    url: str = "http://localhost:4566/",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    service: str = "sqs",
    region: str = "eu-west-1",
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    **options: Any,
) -> HttpRequest:
    """What a client sends. It is signed now; ask ``signed_at`` when that was."""
    # botocore would make query parameters of the body of a presigned request.
    data = b"" if issubclass(signer, auth.SigV4QueryAuth) else body
    request = AWSRequest(method=method, url=url, data=data, headers=dict(headers or {}))
    signer(Credentials(key, secret, token), service, region, **options).add_auth(request)
    parts = urlsplit(request.url)
    found = {name.lower(): str(value) for name, value in request.headers.items()}
    found.setdefault("host", parts.netloc)
    return HttpRequest(
        method=request.method,
        path=parts.path or "/",
        query=parts.query,
        headers=found,
        body=body,
    )


def signed_at(request: HttpRequest) -> int:
    """The moment in the signature, ms."""
    stamp = request.headers.get("x-amz-date")
    if stamp is None:
        found = re.search(r"X-Amz-Date=(\d{8}T\d{6}Z)", request.query)
        assert found is not None
        stamp = found[1]
    return moment(stamp)
