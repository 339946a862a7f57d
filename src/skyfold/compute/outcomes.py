"""What became of an invocation, in the words that AWS has for it."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime

from skyfold.compute.api import RESPONSE_BYTES_MAX, FunctionSpec, Kind, Outcome, Phase
from skyfold.compute.cells import GONE, TIMEOUT, Cell, Reply
from skyfold.compute.inside import frames
from skyfold.compute.logs import Record

REUSABLE = frozenset((frames.RESULT, frames.ERROR, frames.TOO_LARGE))
"""After these the cell may serve another invocation."""

_SIGNALS = {
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGSYS: "bad system call",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
}


def _ending(status: int) -> str:
    """How a process ended, as Go says it."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    words = _SIGNALS.get(signal.Signals(-status), f"signal {-status}")
    return f"Runtime exited with error: signal: {words}"


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def error_type(payload: bytes) -> str:
    """The type that an error's JSON names."""
    try:
        error = json.loads(payload)
    except ValueError:
        return "Runtime.Unknown"
    found = error.get("errorType") if isinstance(error, dict) else None
    return found if isinstance(found, str) and found else "Runtime.Unknown"


def _split(payload: bytes, cell: Cell) -> tuple[str, bytes]:
    """The rest of a frame's first line, and what follows it; takes note of the peak of memory."""
    head, _, body = payload.partition(b"\n")
    peak, _, rest = head.partition(b" ")
    if peak.isdigit():
        cell.peak_kib = max(cell.peak_kib, int(peak))
    return rest.decode("latin-1"), body


def _finish(record: Record, cell: Cell, said: str) -> None:
    cell.log.finish()
    if said:
        record.add(said.encode())


def of_invocation(
    spec: FunctionSpec,
    request_id: str,
    reply: Reply,
    duration_ms: float,
    init_ms: float | None,
    record: Record,
    cell: Cell,
) -> Outcome:
    """The outcome of an invocation that a loaded handler got."""
    kind: Kind = "ok"
    content_type, said = "application/json", ""
    error: str | None = None
    if reply.kind == frames.RESULT:
        content_type, payload = _split(reply.payload, cell)
    elif reply.kind in (frames.ERROR, frames.FATAL):
        _, payload = _split(reply.payload, cell)
        kind, error = "handled", error_type(payload)
    elif reply.kind == frames.TOO_LARGE:
        _, size = _split(reply.payload, cell)
        kind, error = "unhandled", "Function.ResponseSizeTooLarge"
        payload = _error(
            error,
            f"Response payload size ({size.decode()} bytes) exceeded maximum allowed payload size "
            f"({RESPONSE_BYTES_MAX} bytes).",
        )
    elif reply.kind == TIMEOUT:
        kind, error, payload = _timed_out(request_id, spec.timeout_s)
    else:
        kind, error, payload, said = _ended(request_id, reply, cell)
    _finish(record, cell, said)
    return _outcome(spec, payload, kind, error, content_type, duration_ms, init_ms, record, cell)


def of_init(
    spec: FunctionSpec,
    request_id: str,
    reply: Reply,
    duration_ms: float,
    init_ms: float,
    record: Record,
    cell: Cell,
) -> Outcome:
    """The outcome of an invocation whose code could not be loaded, not even the second time."""
    said = ""
    kind: Kind = "init_error"
    error: str | None
    if reply.kind == frames.INIT_ERROR:
        _, payload = _split(reply.payload, cell)
        error = error_type(payload)
    elif reply.kind == TIMEOUT:
        kind, error, payload = _timed_out(request_id, spec.timeout_s)
    else:
        kind, error, payload, said = _ended(request_id, reply, cell)
        kind = "init_error" if kind == "crash" else kind
    _finish(record, cell, said)
    return _outcome(
        spec, payload, kind, error, "application/json", duration_ms, init_ms, record, cell
    )


def note_failed_init(
    spec: FunctionSpec, reply: Reply, init_ms: float, record: Record, phase: Phase
) -> None:
    """AWS reports an init in the log only where it failed."""
    status, error = "error", "Runtime.ExitError"
    if reply.kind == TIMEOUT:
        status, error = "timeout", ""
    elif reply.kind == frames.INIT_ERROR:
        error = error_type(reply.payload.partition(b"\n")[2])
    if spec.log_format == "JSON":
        report: dict[str, object] = {
            "initializationType": spec.initialization,
            "phase": phase,
            "status": status,
            **({"errorType": error} if error else {}),
            "metrics": {"durationMs": round(init_ms, 3)},
        }
        line = {"time": _moment(), "type": "platform.initReport", "record": report}
        record.add(json.dumps(line).encode())
        return
    text = f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    record.add((text + (f"\tError Type: {error}" if error else "")).encode())


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _timed_out(request_id: str, timeout_s: float) -> tuple[Kind, str, bytes]:
    text = f"Task timed out after {timeout_s:.2f} seconds"
    payload = _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
    return "timeout", "Sandbox.Timedout", payload


def _ended(request_id: str, reply: Reply, cell: Cell) -> tuple[Kind, str, bytes, str]:
    kind: Kind
    if reply.kind == GONE and reply.payload:
        ending = f"The sandbox failed: {reply.payload.decode()}"
        kind, error = "crash", "Sandbox.Failure"
    elif reply.kind == frames.OUT_OF_MEMORY or cell.out_of_memory:
        ending = _ending(-signal.SIGKILL)
        kind, error = "out_of_memory", "Runtime.OutOfMemory"
    else:
        ending = _ending(reply.status)
        kind, error = "crash", "Runtime.ExitError"
    text = f"RequestId: {request_id} Error: {ending}"
    return kind, error, _error(error, text), f"{text}\n{error}"


def _outcome(
    spec: FunctionSpec,
    payload: bytes,
    kind: Kind,
    error: str | None,
    content_type: str,
    duration_ms: float,
    init_ms: float | None,
    record: Record,
    cell: Cell,
) -> Outcome:
    return Outcome(
        payload=payload,
        kind=kind,
        error_type=error,
        content_type=content_type,
        duration_ms=duration_ms,
        init_ms=init_ms,
        max_memory_mb=cell.max_memory_mb,
        log=record.text,
        log_stream=spec.log_stream,
    )
