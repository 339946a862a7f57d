"""Where templates come from: the request itself, or an object in our own S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.services.cloudformation.deploy.dynamic import need_service
from skyfold.services.cloudformation.deploy.roles import between_services
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import (
    TEMPLATE_BODY_BYTES_MAX,
    TEMPLATE_URL_BYTES_MAX,
)

_VIRTUAL = re.compile(r"^(?P<bucket>.+)\.s3[.-][a-z0-9.-]+$")
_LOCAL = re.compile(r"^(?P<bucket>.+?)(\.s3)?\.localhost(\.localstack\.cloud)?$")


async def given_text(call: Call, request: Mapping[str, Any], name: str = "Template") -> str | None:
    """The text in ``TemplateBody`` or behind ``TemplateURL``; None where neither is given."""
    body, url = request.get(f"{name}Body"), request.get(f"{name}URL")
    if body is not None and url is not None:
        raise ValidationError(f"{name} body and {name} URL cannot both be specified.")
    if url is not None:
        return await read_url(call, url, limit=TEMPLATE_URL_BYTES_MAX)
    if body is None:
        return None
    if len(body.encode()) > TEMPLATE_BODY_BYTES_MAX and name == "Template":
        raise ValidationError(
            f"1 validation error detected: Value '{body}' at 'templateBody' failed to satisfy "
            "constraint: Member must have length less than or equal to "
            f"{TEMPLATE_BODY_BYTES_MAX}"
        )
    return str(body)


def bucket_and_key(url: str) -> tuple[str, str]:
    """The object that an S3 URL of any form names."""
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
        return parts.netloc, unquote(parts.path.lstrip("/"))
    host = (parts.hostname or "").lower()
    path = unquote(parts.path.lstrip("/"))
    for form in (_VIRTUAL, _LOCAL):
        found = form.match(host)
        if found and found["bucket"] != "s3":
            return found["bucket"], path
    bucket, _, key = path.partition("/")
    if parts.scheme not in ("http", "https") or not bucket or not key:
        raise ValidationError("TemplateURL must be a supported URL.")
    return bucket, key


async def read_url(call: Call, url: str, *, limit: int) -> str:
    bucket, key = bucket_and_key(url)
    return await read_object(call, bucket, key, limit=limit)


async def read_object(
    call: Call, bucket: str, key: str, *, limit: int = TEMPLATE_URL_BYTES_MAX
) -> str:
    need_service(call, "s3")
    try:
        found = await between_services(call).api("s3").get_object(Bucket=bucket, Key=key)
    except AwsError as refused:
        raise ValidationError(f"S3 error: {refused.text}") from refused
    raw = await _whole(found.get("Body", b""), limit)
    try:
        return raw.decode()
    except UnicodeDecodeError as bad:
        raise ValidationError("Template format error: the template is not UTF-8 text.") from bad


async def _whole(body: Any, limit: int) -> bytes:
    """A reply's body, whether it came whole or as a stream."""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        collected = bytes(body)
    else:
        collected = b""
        async for piece in body:
            collected += piece
            if len(collected) > limit:
                break
    if len(collected) > limit:
        raise ValidationError(f"Template may not exceed {limit} bytes in size.")
    return collected
