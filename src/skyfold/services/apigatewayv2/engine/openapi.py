"""Reading an OpenAPI 3 document into the routes and integrations of an HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

ANY = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
CORS = "x-amazon-apigateway-cors"
VERBS = ("get", "put", "post", "delete", "options", "head", "patch")
CORS_MEMBERS = {
    "allowOrigins": "AllowOrigins",
    "allowMethods": "AllowMethods",
    "allowHeaders": "AllowHeaders",
    "exposeHeaders": "ExposeHeaders",
    "maxAge": "MaxAge",
    "allowCredentials": "AllowCredentials",
}


class BadDocument(Exception):
    """It cannot be imported; says what and where."""


class Imported(NamedTuple):
    """What a document describes. ``routes`` and ``integrations`` have the same length."""

    name: str
    version: str
    description: str
    cors: Mapping[str, Any] | None
    tags: Mapping[str, str]
    routes: list[dict[str, Any]]
    integrations: list[dict[str, Any]]


def parsed(text: str) -> Mapping[str, Any]:
    """A document in JSON or YAML."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as bad:
            raise BadDocument(f"Unable to parse the document: {bad}") from bad
    if not isinstance(document, dict):
        raise BadDocument("Unable to parse the document.")
    return document


def imported(document: Mapping[str, Any]) -> Imported:
    """The API in an OpenAPI 3 document. Raises BadDocument for what we cannot serve."""
    if not str(document.get("openapi", "")).startswith("3."):
        raise BadDocument("HTTP APIs are imported from OpenAPI 3.0 documents.")
    info = document.get("info") or {}
    cors = document.get(CORS)
    shaped = None
    if isinstance(cors, dict):
        shaped = {CORS_MEMBERS[key]: value for key, value in cors.items() if key in CORS_MEMBERS}
    routes: list[dict[str, Any]] = []
    integrations: list[dict[str, Any]] = []
    for path, item in (document.get("paths") or {}).items():
        for verb, operation in (item or {}).items():
            if verb.lower() in VERBS or verb == ANY:
                key = _key(path, verb)
                routes.append(_route(key, operation or {}, document))
                integrations.append(_integration(key, operation or {}, document))
    tags = {
        tag["name"]: str(tag["x-amazon-apigateway-tag-value"])
        for tag in document.get("tags") or []
        if "x-amazon-apigateway-tag-value" in tag
    }
    return Imported(
        str(info.get("title", "")),
        str(info.get("version", "")),
        str(info.get("description", "")),
        shaped,
        tags,
        routes,
        integrations,
    )


def _key(path: str, verb: str) -> str:
    name = path.lstrip("/")
    if name == "$default":
        return "$default"
    method = "ANY" if verb == ANY else verb.upper()
    return f"{method} /{path.lstrip('/')}"


def _route(key: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    route: dict[str, Any] = {"RouteKey": key, "AuthorizationType": "NONE"}
    if "operationId" in operation:
        route["OperationName"] = operation["operationId"]
    security = operation.get("security", document.get("security")) or []
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    for name in [name for entry in security for name in entry]:
        scheme = schemes.get(name) or {}
        if scheme.get("x-amazon-apigateway-authtype", "").lower() == "awssigv4":
            route["AuthorizationType"] = "AWS_IAM"
        else:
            raise BadDocument(
                f"{key}: Skyfold has no JWT or Lambda authorizers for it yet ({name})."
            )
    auth = operation.get("x-amazon-apigateway-auth") or {}
    if str(auth.get("type", "")).upper() == "AWS_IAM":
        route["AuthorizationType"] = "AWS_IAM"
    return route


def _integration(
    key: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    found = operation.get(INTEGRATION)
    if isinstance(found, dict) and "$ref" in found:
        found = _referenced(document, found["$ref"])
    if not isinstance(found, dict):
        raise BadDocument(f"Unable to create route '{key}': it has no integration.")
    kind = str(found.get("type", "")).upper()
    return {
        member: value
        for member, value in {
            "IntegrationType": kind,
            "IntegrationUri": found.get("uri"),
            "IntegrationMethod": found.get("httpMethod"),
            "PayloadFormatVersion": str(found.get("payloadFormatVersion", "1.0")),
            "TimeoutInMillis": found.get("timeoutInMillis"),
            "CredentialsArn": found.get("credentials"),
            "ConnectionType": found.get("connectionType"),
            "RequestParameters": found.get("requestParameters"),
        }.items()
        if value is not None
    }


def _referenced(document: Mapping[str, Any], pointer: str) -> Any:
    found: Any = document
    for step in pointer.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found
