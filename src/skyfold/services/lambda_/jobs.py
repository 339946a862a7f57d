"""Asynchronous invocations: run, tried again as AWS does, and given up to a dead-letter queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.principal import service_principal
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidRuntimeException,
    ServiceException,
    TooManyRequestsException,
)
from skyfold.services.lambda_.running import Running
from skyfold.services.lambda_.tables import FUNCTIONS, LATEST, Function

if TYPE_CHECKING:
    from skyfold.kernel.call import Call
    from skyfold.kernel.platform import Platform


async def run_async(platform: Platform, row: JobRow) -> Again | None:
    """One attempt at one asynchronous invocation."""
    job = dict(row.payload)
    who = service_principal("lambda.amazonaws.com", account=job["account"])
    call = platform.call(who, region=job["region"], operation="lambda_:Invoke")
    function = await platform.store.read(
        FUNCTIONS.get, job["account"], job["region"], job["name"], LATEST
    )
    if function is None:
        return None
    age_s = (call.now - job["since"]) / 1000
    call.metric(
        "AWS/Lambda", "AsyncEventAge", age_s * 1000, "Milliseconds", FunctionName=function.name
    )
    try:
        ran = await platform.own(Running).run(
            call, function, job["event"].encode(), request_id=job["request_id"]
        )
    except (TooManyRequestsException, ServiceException, InvalidRuntimeException) as refused:
        return await _put_off(call, function, job, age_s, refused)
    if ran.outcome.ok:
        return None
    if job["failures"] < len(limits.ASYNC_RETRY_WAITS_S) and age_s < limits.ASYNC_AGE_S_MAX:
        wait_s = limits.ASYNC_RETRY_WAITS_S[job["failures"]]
        return Again(call.now + wait_s * 1000, {**job, "failures": job["failures"] + 1})
    await _give_up(call, function, job, "200", _message_of(ran.outcome.payload))
    return None


async def _put_off(
    call: Call, function: Function, job: dict[str, Any], age_s: float, refused: AwsError
) -> Again | None:
    """Throttled: again after 1 s, twice as long each time, for as long as the event may age."""
    if age_s >= limits.ASYNC_AGE_S_MAX:
        await _give_up(call, function, job, str(refused.status), refused.text)
        return None
    wait_s = min(2 ** job["throttles"], limits.THROTTLED_WAIT_S_MAX)
    return Again(call.now + wait_s * 1000, {**job, "throttles": job["throttles"] + 1})


async def _give_up(
    call: Call, function: Function, job: dict[str, Any], code: str, message: str
) -> None:
    call.metric("AWS/Lambda", "AsyncEventsDropped", 1, "Count", FunctionName=function.name)
    if not function.dead_letter_arn:
        return
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": job["request_id"]},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:1024] or "-"},
    }
    role = await call.platform.own(Running).role_principal(call, function)
    parcel = Parcel(body=job["event"], attributes=attributes)
    try:
        await call.write(deliver, call.acting_as(role), function.dead_letter_arn, parcel)
    except AwsError:
        call.metric("AWS/Lambda", "DeadLetterErrors", 1, "Count", FunctionName=function.name)


def _message_of(payload: bytes) -> str:
    try:
        found = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return ""
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""


ASYNC_JOB = Job(run=run_async, concurrency=limits.CONCURRENCY_PER_CORE, per_core=True)
