"""Dynamic references: ``{{resolve:ssm:...}}`` and ``{{resolve:secretsmanager:...}}``."""

from __future__ import annotations

import json
import re
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.services.cloudformation.errors import ValidationError

_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):((?:[^{}]|\{(?!\{)|\}(?!\}))*)\}\}")


async def resolved(value: Any, call: Call) -> Any:
    """``value`` with every dynamic reference in it looked up, as the caller may."""
    if isinstance(value, str):
        return await _text(value, call) if "{{resolve:" in value else value
    if isinstance(value, dict):
        return {name: await resolved(child, call) for name, child in value.items()}
    if isinstance(value, list):
        return [await resolved(child, call) for child in value]
    return value


async def _text(text: str, call: Call) -> str:
    pieces: list[str] = []
    at = 0
    for match in _REFERENCE.finditer(text):
        pieces.append(text[at : match.start()])
        pieces.append(await _lookup(match[1], match[2], call))
        at = match.end()
    return "".join(pieces) + text[at:]


async def _lookup(service: str, key: str, call: Call) -> str:
    if service in ("ssm", "ssm-secure"):
        return await parameter_value(key, call, decrypt=service == "ssm-secure")
    if service == "secretsmanager":
        return await _secret(key, call)
    raise ValidationError(f"Dynamic reference to unknown service: {service}")


async def parameter_value(key: str, call: Call, *, decrypt: bool = False) -> str:
    """A Systems Manager parameter by name, or ``name:version``."""
    need_service(call, "ssm")
    try:
        found = await call.api("ssm").get_parameter(Name=key, WithDecryption=decrypt)
    except AwsError as refused:
        if refused.code != "ParameterNotFound":
            raise
        raise ValidationError(
            f"Unable to fetch parameters [{key}] from parameter store for this account."
        ) from refused
    return str(found["Parameter"]["Value"])


async def _secret(key: str, call: Call) -> str:
    need_service(call, "secretsmanager")
    secret, _, rest = key.partition(":SecretString")
    parts = [*rest.lstrip(":").split(":"), "", "", ""]
    request = {"SecretId": secret, "VersionStage": parts[1], "VersionId": parts[2]}
    found = await call.api("secretsmanager").get_secret_value(
        **{name: value for name, value in request.items() if value}
    )
    text = str(found.get("SecretString", ""))
    if not parts[0]:
        return text
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or parts[0] not in fields:
        raise ValidationError(
            f"Could not find a value associated with JSONKey in SecretString: {parts[0]}"
        )
    value = fields[parts[0]]
    return value if isinstance(value, str) else json.dumps(value)


def need_service(call: Call, service: str) -> None:
    if service not in call.platform.catalog.services:
        raise ValidationError(f"The template needs {service}, which Skyfold does not have yet.")
