"""Invoking: now and waiting, later, or only asking whether one may."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.jobs import schedule
from skyfold.kernel.service import Request, reply
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidRequestContentException,
    RequestTooLargeException,
)
from skyfold.services.lambda_.operations.finding import function_of
from skyfold.services.lambda_.running import Running
from skyfold.services.lambda_.tables import Function
from skyfold.store.api import Tx

ASYNC = "lambda.async"
"""The job of one asynchronous invocation."""


async def invoke(call: Call, request: Request) -> Any:
    kind = request.get("InvocationType", "RequestResponse")
    payload = checked_payload(request.get("Payload", b""), kind)
    context = _client_context(request.get("ClientContext", ""))
    function = await call.read(function_of, call, request)
    if kind == "DryRun":
        return reply(StatusCode=204)
    if kind == "Event":
        await call.write(enqueue, call, function, payload.decode(), call.request_id)
        return reply(StatusCode=202, Payload=b"")
    ran = await call.platform.own(Running).run(
        call, function, payload, request_id=call.request_id, client_context=context
    )
    tail = request.get("LogType") == "Tail"
    return reply(
        StatusCode=200,
        FunctionError=None if ran.outcome.ok else "Unhandled",
        LogResult=base64.b64encode(ran.log_tail).decode() if tail else None,
        ExecutedVersion=function.version,
        Payload=ran.outcome.payload,
    )


def checked_payload(payload: Any, kind: str) -> bytes:
    """The event, as JSON bytes; what is empty is an empty object."""
    if not isinstance(payload, bytes):
        raise InvalidRequestContentException("The payload must be held in memory.")
    largest = limits.ASYNC_PAYLOAD_BYTES_MAX if kind == "Event" else limits.SYNC_PAYLOAD_BYTES_MAX
    if len(payload) > largest:
        raise RequestTooLargeException(
            f"{len(payload)} byte payload is too large for the {kind} invocation type "
            f"(limit {largest} bytes)"
        )
    if not payload:
        return b"{}"
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError as bad:
        raise InvalidRequestContentException(
            f"Could not parse request body into json: {bad}"
        ) from bad
    return payload


def _client_context(text: str) -> str | None:
    if not text:
        return None
    try:
        decoded = base64.b64decode(text, validate=True)
        msgspec.json.decode(decoded)
        return decoded.decode()
    except (ValueError, msgspec.DecodeError):
        raise InvalidRequestContentException(
            "Client context must be a valid Base64-encoded JSON object."
        ) from None


async def enqueue(tx: Tx, call: Call, function: Function, event: str, request_id: str) -> None:
    """Have ``function`` invoked asynchronously, from this transaction on."""
    payload = {
        "account": function.account,
        "region": function.region,
        "name": function.name,
        "event": event,
        "request_id": request_id,
        "since": call.now,
        "failures": 0,
        "throttles": 0,
    }
    await schedule(tx, ASYNC, call.new_id(), due_at=call.now, payload=payload)
