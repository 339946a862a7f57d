"""From a request's head to the service it means: by target, path, credential scope or host.

Nothing here looks at a body, so a large one can stay a stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.models import metadata

REGION = r"[a-z]{2}(?:-[a-z]+)+-\d"
_SCOPE_HEADER = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/,\s]*)/([^/,\s]+)/aws4_request")
_SCOPE_QUERY = re.compile(r"X-Amz-Credential=[^&]+?(?:%2F|/)\d{8}(?:%2F|/)([^&]*?)(?:%2F|/)([^&]+?)"
                          r"(?:%2F|/)aws4_request", re.IGNORECASE)  # fmt: skip
_DOMAIN = r"(?:amazonaws\.com|localhost\.localstack\.cloud|localhost)"
_S3_VIRTUAL = re.compile(rf"^(?P<bucket>.+?)\.s3(?:[.-](?P<region>{REGION}))?\.{_DOMAIN}$")
_S3_SHORT = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.localhost$")
_SERVICE_HOST = re.compile(rf"^(?:.+\.)?(?P<service>[a-z0-9-]+)\.{_DOMAIN}$")
_REGIONAL = re.compile(rf"^(?P<rest>.+)\.(?P<region>{REGION})\.{_DOMAIN}$")
_CBOR_PATH = re.compile(r"^/service/([^/]+)/operation/([^/]+)$")


class Route(NamedTuple):
    """Where a request goes. ``service`` is a folder's name, or AWS's name where none is declared.

    ``path`` is the path that the model's templates see: with the bucket in front for S3.
    """

    service: str
    declared: bool
    region: str
    path: str


class Router:
    """The indexes over the declared services' metadata, made once."""

    def __init__(self, models: Mapping[str, str]) -> None:
        self._by_signing: dict[str, list[str]] = {}
        self._by_target: dict[str, str] = {}
        self._by_host: dict[str, str] = {}
        self._by_service_id: dict[str, str] = {}
        self._by_version: dict[str, str] = {}
        for name, model in models.items():
            data = metadata(model)
            endpoint = data["endpointPrefix"]
            self._by_signing.setdefault(data.get("signingName", endpoint), []).append(name)
            self._by_host.setdefault(endpoint, name)
            self._by_version.setdefault(data["apiVersion"], name)
            for key in ("targetPrefix", "jsonTargetPrefix"):
                if key in data:
                    self._by_target[data[key]] = name
            self._by_service_id[data["serviceId"]] = name

    def route(self, request: HttpRequest) -> Route:
        """The service that ``request`` is for; S3 where nothing speaks for another."""
        headers = request.headers
        region, scope = scope_of(request)
        target = headers.get("x-amz-target")
        if target is not None:
            name = self._by_target.get(target.rpartition(".")[0])
            return Route(name or scope, name is not None, region, request.path)
        if scope and scope not in ("s3", "s3express"):
            return self._by_scope(request, scope, region)
        if (cbor := _CBOR_PATH.match(request.path)) and "smithy-protocol" in headers:
            name = self._by_service_id.get(cbor[1]) or self._by_target.get(cbor[1])
            return Route(name or cbor[1].lower(), name is not None, region, request.path)
        return self._by_host_name(request, scope, region)

    def _by_scope(self, request: HttpRequest, scope: str, region: str) -> Route:
        names = self._by_signing.get(scope)
        if not names:
            return Route(scope, False, region, request.path)
        if scope != "apigateway":
            return Route(names[0], True, region, request.path)
        # API Gateway's two services sign alike; the newer one's paths begin with its version.
        version_two = request.path.startswith("/v2/")
        chosen = next((n for n in names if n.endswith("v2") == version_two), None)
        return Route(chosen or scope, chosen is not None, region, request.path)

    def _by_host_name(self, request: HttpRequest, scope: str, region: str) -> Route:
        host = request.host.partition(":")[0].lower()
        s3 = "s3" in self._by_signing
        if found := _S3_VIRTUAL.match(host) or (_S3_SHORT.match(host) if s3 else None):
            where = region or found.groupdict().get("region") or ""
            return Route("s3", s3, where, f"/{found['bucket']}{request.path}")
        if not scope and (regional := _REGIONAL.match(host)):
            region, host = regional["region"], f"{regional['rest']}.amazonaws.com"
        if not scope and (named := _SERVICE_HOST.match(host)):
            name = self._by_host.get(named["service"])
            if name is not None or (host.endswith("amazonaws.com") and named["service"] != "s3"):
                return Route(name or named["service"], name is not None, region, request.path)
        if not scope and (name := self._by_form(request)):
            return Route(name, True, region, request.path)
        return Route("s3", s3, region, request.path)

    def _by_form(self, request: HttpRequest) -> str | None:
        """An unsigned query request names its API version: STS with a web identity, say."""
        form = request.body[:65_536].decode("latin-1") if request.method == "POST" else ""
        found = re.search(r"(?:^|&)Version=(\d{4}-\d\d-\d\d)", form or request.query)
        return self._by_version.get(found[1]) if found else None


def scope_of(request: HttpRequest) -> tuple[str, str]:
    """Region and service of the credential scope, empty where the request is not signed."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        found = _SCOPE_HEADER.search(authorization)
    elif "X-Amz-Credential" in request.query or "x-amz-credential" in request.query.lower():
        found = _SCOPE_QUERY.search(request.query)
    else:
        return "", ""
    return (unquote(found[1]), unquote(found[2])) if found else ("", "")
