"""The address in GetFunction's Code.Location: a function's package, for whoever holds the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.service import DataPlane

if TYPE_CHECKING:
    from skyfold.kernel.platform import Platform

PATH = "/_aws/lambda/code/"


def matches(request: HttpRequest) -> bool:
    return request.path.startswith(PATH) and request.method == "GET"


async def serve(platform: Platform, request: HttpRequest) -> HttpReply:
    """The zip file. The blob's id is random, so the link is the permission, as on AWS."""
    blob = request.path.removeprefix(PATH)
    if not blob.replace("-", "").isalnum() or not platform.blobs.path(blob).is_file():
        return HttpReply(status=404)
    headers = [("Content-Type", "application/zip")]
    return HttpReply(headers=headers, body=platform.blobs.read(blob))


CODE = DataPlane(matches=matches, serve=serve)
