"""The URL that custom resources and wait conditions are answered at."""

from __future__ import annotations

import json
from typing import Any

from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.service import DataPlane
from skyfold.services.cloudformation.deploy.custom import ANSWER, RESPONSE_PATH, parsed_answer
from skyfold.services.cloudformation.deploy.run import wake_stalled
from skyfold.services.cloudformation.tables import HANDLES, SIGNALS, Signal
from skyfold.store.api import Tx


def matches(request: HttpRequest) -> bool:
    return request.path.startswith(RESPONSE_PATH)


async def serve(platform: Platform, request: HttpRequest) -> HttpReply:
    """``PUT`` of an answer; the URL itself is the permission."""
    if request.method != "PUT":
        return _refusal(405, "MethodNotAllowed", "An answer is PUT to this URL.")
    raw = request.body if request.stream is None else await request.stream.read()
    handle = request.path.removeprefix(RESPONSE_PATH).split("?")[0].strip("/")
    known = await platform.store.write(put_signal, platform, handle, parsed_answer(raw))
    if not known:
        return _refusal(404, "NotFound", "Nothing waits for an answer at this URL any more.")
    return HttpReply(status=200)


async def put_signal(tx: Tx, platform: Platform, handle: str, body: dict[str, Any]) -> bool:
    """Keep an answer and wake who waits for it; whether anybody gave out this handle."""
    given = await HANDLES.get(tx, handle)
    if given is None:
        return False
    unique = ANSWER if given.kind == "custom" else str(body.get("UniqueId", ""))
    if await SIGNALS.get(tx, handle, unique) is None:  # the first answer counts
        now = platform.clock.now()
        SIGNALS.put(tx, Signal(handle=handle, unique_id=unique, at=now, body=body))
        await wake_stalled(tx, now, given.stack_id)
    return True


def _refusal(status: int, code: str, message: str) -> HttpReply:
    body = json.dumps({"Code": code, "Message": message}).encode()
    return HttpReply(status=status, headers=[("Content-Type", "application/json")], body=body)


RESPONSES = DataPlane(matches=matches, serve=serve)
