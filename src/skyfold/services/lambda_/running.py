"""Running functions: limits, sandboxes, credentials, logs, metrics and what is billed."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from skyfold.compute.api import ComputeError, Credentials, FunctionSpec, Outcome, RuntimeMissing
from skyfold.kernel.principal import Principal
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidRuntimeException,
    ServiceException,
    TooManyRequestsException,
)
from skyfold.services.lambda_.tables import Function

if TYPE_CHECKING:
    from skyfold.kernel.call import Call
    from skyfold.kernel.platform import Platform
    from skyfold.store.api import Tx

SESSION_S = 3600
RENEW_BEFORE_MS = 15 * 60 * 1000


class Ran(NamedTuple):
    """One invocation, ended and reported."""

    outcome: Outcome
    log_tail: bytes


class _Session(NamedTuple):
    keys: Credentials
    principal: Principal


class Running:
    """What this process knows of running functions: ``platform.own(Running)``."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._busy: Counter[str] = Counter()
        self._specs: dict[str, FunctionSpec] = {}
        self._sessions: dict[tuple[str, str], _Session] = {}

    def _enter(self, function: Function) -> None:
        reserved = function.reserved_concurrency
        limit = limits.CONCURRENCY_MAX if reserved is None else reserved
        if self._busy[function.arn] >= limit or self._busy.total() >= limits.CONCURRENCY_MAX:
            raise TooManyRequestsException
        self._busy[function.arn] += 1

    def _leave(self, function: Function) -> None:
        self._busy[function.arn] -= 1
        if not self._busy[function.arn]:
            del self._busy[function.arn]

    async def run(
        self,
        call: Call,
        function: Function,
        event: bytes,
        *,
        request_id: str,
        client_context: str | None = None,
        invoked_arn: str = "",
    ) -> Ran:
        """Run once, now. Raises TooManyRequestsException past the limits; a function's own failure
        is an Outcome."""
        there = call.acting_as(call.principal, account=function.account, region=function.region)
        metric = _metric_of(there, function)
        try:
            self._enter(function)
        except TooManyRequestsException:
            metric("Throttles", 1, "Count")
            raise
        try:
            metric("ConcurrentExecutions", self._busy[function.arn], "Count")
            return await self._run(
                there, function, event, request_id, client_context, invoked_arn or function.arn
            )
        finally:
            self._leave(function)

    async def _run(
        self,
        call: Call,
        function: Function,
        event: bytes,
        request_id: str,
        client_context: str | None,
        invoked_arn: str,
    ) -> Ran:
        session = await self._session(call, function)
        spec = await self._spec(function)
        journal = _Journal(self._platform, function, spec, session.principal, request_id)
        try:
            compute = await self._platform.sandboxes()
            outcome = await compute.invoke(
                spec,
                event,
                request_id=request_id,
                client_context=client_context,
                trace_id=call.headers.get("x-amzn-trace-id"),
                invoked_arn=invoked_arn,
                on_log=journal.write,
                on_phase=journal.phase,
            )
        except RuntimeMissing as missing:
            raise InvalidRuntimeException(str(missing)) from missing
        except ComputeError as refused:
            raise ServiceException(str(refused)) from refused
        journal.report(outcome)
        self._account_for(call, function, outcome)
        return Ran(outcome, journal.tail())

    def _account_for(self, call: Call, function: Function, outcome: Outcome) -> None:
        metric = _metric_of(call, function)
        metric("Invocations", 1, "Count")
        metric("Errors", 0 if outcome.ok else 1, "Count")
        metric("Duration", outcome.duration_ms, "Milliseconds")
        arm = "-ARM" if function.architecture == "arm64" else ""
        gb_seconds = function.memory_mb / 1024 * outcome.billed_ms / 1000
        call.meter(f"Request{arm}", resource=function.arn)
        call.meter(f"Lambda-GB-Second{arm}", gb_seconds, resource=function.arn)

    async def _spec(self, function: Function) -> FunctionSpec:
        found = self._specs.get(function.key)
        if found is not None:
            return found
        platform = self._platform
        day = f"{_moment(platform.clock.now()):%Y/%m/%d}"
        digest = hashlib.sha256(f"{function.key}/{platform.node}".encode()).hexdigest()[:32]

        async def credentials() -> Credentials:
            return (await self._session(platform.call(_nobody(function)), function)).keys

        spec = FunctionSpec(
            key=function.key,
            arn=function.arn,
            name=function.name,
            version=function.version,
            runtime=function.runtime,
            handler=function.handler,
            code=await platform.code.folder(function.code_blob),
            environment=function.environment or {},
            architecture=function.architecture,  # type: ignore[arg-type]  # checked by the model
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
            ephemeral_mb=function.ephemeral_mb,
            log_group=function.logs_to,
            log_stream=f"{day}/[{function.version}]{digest}",
            log_format=function.log_format,  # type: ignore[arg-type]  # checked by the model
            log_level=function.log_level,
            region=function.region,
            tracing=function.tracing,  # type: ignore[arg-type]  # checked by the model
            credentials=credentials,
        )
        self._specs[function.key] = spec
        return spec

    async def _session(self, call: Call, function: Function) -> _Session:
        """The function's role, assumed; kept until a quarter of an hour before it expires."""
        key = (function.arn, function.role)
        found = self._sessions.get(key)
        if found is not None and found.keys.expires_ms > call.now + RENEW_BEFORE_MS:
            return found
        lambda_ = call.acting_as(_nobody(function), region=function.region)
        made = await call.write(_assume, lambda_, function)
        self._sessions[key] = made
        return made

    async def role_principal(self, call: Call, function: Function) -> Principal:
        """Who a function is, for calls that the platform makes in its place (pollers)."""
        return (await self._session(call, function)).principal

    async def retire(self, function: Function) -> None:
        """A newer revision has taken the place of ``function``, or nothing has."""
        self._specs.pop(function.key, None)
        self._sessions.pop((function.arn, function.role), None)
        compute = await self._platform.sandboxes()
        await compute.drop(function.key)


async def _assume(tx: Tx, call: Call, function: Function) -> _Session:
    issued = await call.platform.access.assume(
        tx,
        call,
        function.role,
        function.name,
        SESSION_S,
        service_principal="lambda.amazonaws.com",
    )
    keys = Credentials(issued.access_key, issued.secret, issued.token, issued.expires_at)
    return _Session(keys, issued.principal)


def _nobody(function: Function) -> Principal:
    from skyfold.kernel.principal import service_principal

    return service_principal(
        "lambda.amazonaws.com", account=function.account, source_arn=function.arn
    )


def _metric_of(call: Call, function: Function) -> Any:
    def record(name: str, value: float, unit: str) -> None:
        call.metric("AWS/Lambda", name, value, unit, FunctionName=function.name)
        call.metric("AWS/Lambda", name, value, unit)

    return record


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


class _Journal:
    """The log of one invocation: to CloudWatch Logs as it comes, and its tail for the caller."""

    def __init__(
        self,
        platform: Platform,
        function: Function,
        spec: FunctionSpec,
        role: Principal,
        request_id: str,
    ) -> None:
        self._platform, self._function, self._spec = platform, function, spec
        self._role, self._id = role, request_id
        self._lines: list[str] = []
        self._begun = False

    def _note(self, text: str) -> None:
        self._lines.append(text)
        at = self._platform.clock.now()
        region = self._function.region
        self._platform.logs.add(
            self._role, region, self._spec.log_group, self._spec.log_stream, at, text
        )

    def write(self, raw: bytes) -> None:
        """A log event of the function."""
        self._note(raw.decode("utf-8", "replace") + "\n")

    def phase(self, phase: str) -> None:
        if phase == "invoke":
            self._begin()

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        version = self._function.version
        if self._function.log_format == "JSON":
            self._platform_event("platform.start", {"requestId": self._id, "version": version})
        else:
            self._note(f"START RequestId: {self._id} Version: {version}\n")

    def _platform_event(self, kind: str, record: dict[str, Any]) -> None:
        line = {"time": self._stamp(), "type": kind, "record": record}
        self._note(msgspec.json.encode(line).decode() + "\n")

    def _stamp(self) -> str:
        now = self._platform.clock.now()
        return f"{_moment(now):%Y-%m-%dT%H:%M:%S}.{now % 1000:03d}Z"

    def report(self, outcome: Outcome) -> None:
        """END and REPORT, in the words of the log format."""
        self._begin()
        if self._function.log_format == "JSON":
            self._report_json(outcome)
            return
        if outcome.kind == "timeout":
            text = msgspec.json.decode(outcome.payload).get("errorMessage", "")
            self._note(f"{self._stamp()} {self._id} {text.partition('Error: ')[2] or text}\n\n")
        self._note(f"END RequestId: {self._id}\n")
        parts = [
            f"REPORT RequestId: {self._id}",
            f"Duration: {outcome.duration_ms:.2f} ms",
            f"Billed Duration: {outcome.billed_ms} ms",
            f"Memory Size: {self._function.memory_mb} MB",
            f"Max Memory Used: {outcome.max_memory_mb} MB",
        ]
        if outcome.init_ms is not None:
            parts.append(f"Init Duration: {outcome.init_ms:.2f} ms")
        if outcome.kind == "timeout":
            parts.append("Status: timeout")
        elif outcome.kind in ("crash", "init_error", "out_of_memory"):
            parts.append(f"Status: error\tError Type: {outcome.error_type}")
        self._note("\t".join(parts) + "\t\n")

    def _report_json(self, outcome: Outcome) -> None:
        metrics: dict[str, Any] = {
            "durationMs": round(outcome.duration_ms, 3),
            "billedDurationMs": outcome.billed_ms,
            "memorySizeMB": self._function.memory_mb,
            "maxMemoryUsedMB": outcome.max_memory_mb,
        }
        if outcome.init_ms is not None:
            metrics["initDurationMs"] = round(outcome.init_ms, 3)
        status = {"ok": "success", "handled": "success", "timeout": "timeout"}
        record = {
            "requestId": self._id,
            "status": status.get(outcome.kind, "error"),
            "metrics": metrics,
        }
        self._platform_event("platform.report", record)

    def tail(self) -> bytes:
        return "".join(self._lines).encode()[-limits.LOG_TAIL_BYTES :]
