"""What whoever runs functions says to the sandboxes, and what it hears back."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

Kind = Literal["ok", "handled", "unhandled", "timeout", "crash", "init_error", "out_of_memory"]
"""How an invocation ended.

``ok``: the handler returned. ``handled``: the function answered with an error (raised, rejected,
called back with one). ``unhandled``: it gave an answer that cannot be delivered (too large).
``timeout``, ``crash``, ``out_of_memory``: its sandbox is gone. ``init_error``: its code could not
be loaded. Everything but ``ok`` is a function error, and ``payload`` is then the error's JSON.
"""

Phase = Literal["init", "invoke"]

RESPONSE_BYTES_MAX = 6 * 1024**2 + 100
"""The largest answer of an invocation that is not streamed."""


class Credentials(NamedTuple):
    """Temporary keys of the function's role."""

    access_key: str
    secret_key: str
    token: str
    expires_ms: int
    """When they expire, on the platform's clock. A sandbox is retired before that."""


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """One configuration of one version of a function: all that a sandbox must know of it."""

    key: str
    """Names this version *and* this revision of its configuration: any change gives a new key.
    Sandboxes are shared between invocations of one key, never between two."""
    arn: str
    name: str
    version: str
    runtime: str
    """As in the Lambda API: ``python3.11``, ``nodejs22.x``, ``provided.al2023``."""
    handler: str = ""
    code: Path
    """A folder, mounted read-only at /var/task. Files must be readable by everybody (o+r, folders
    o+rx), as they must on AWS; nothing in it may change while ``key`` is in use."""
    layers: tuple[Path, ...] = ()
    """Folders, merged at /opt in this order: the last one wins."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The customer's variables only; the reserved ones are set here."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    memory_mb: int = 128
    timeout_s: float = 3
    ephemeral_mb: int = 512
    log_group: str = ""
    log_stream: str = ""
    """A prefix-free name for the stream; two sandboxes of one spec share it."""
    log_format: Literal["Text", "JSON"] = "Text"
    log_level: str = ""
    """ApplicationLogLevel, JSON only."""
    region: str = "us-east-1"
    tracing: Literal["PassThrough", "Active"] = "PassThrough"
    initialization: Literal["on-demand", "provisioned-concurrency", "snap-start"] = "on-demand"
    credentials: Callable[[], Awaitable[Credentials]] | None = None
    """Asked once for each new sandbox."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One invocation, as it ended."""

    payload: bytes
    kind: Kind
    error_type: str | None = None
    """``Runtime.ImportModuleError``, ``ValueError``, ``Sandbox.Timedout``, ...; None when ok."""
    content_type: str = "application/json"
    duration_ms: float
    """From handing over the event to the answer; without init."""
    init_ms: float | None = None
    """How long the new sandbox took to load the code; None where a warm one answered."""
    max_memory_mb: int = 0
    log: bytes = b""
    """Everything the function printed, the output of its init included, and what is to be said of
    its end (``RequestId: ... Error: Runtime exited ...``) and of an init that failed
    (``INIT_REPORT``). START, END, REPORT and ``Task timed out`` are the caller's to write."""
    log_stream: str = ""

    @property
    def ok(self) -> bool:
        return self.kind == "ok"

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, init included as since August 2025."""
        exact = self.duration_ms + (self.init_ms or 0.0)
        return max(1, int(exact) + (exact % 1 > 0))


class RuntimeChoice(NamedTuple):
    """What a runtime's name means on this machine."""

    name: str
    program: Path
    version: str
    note: str = ""
    """Said in the function's log where a later version stands in for the one asked for."""


class Compute(Protocol):
    """The sandboxes. ``skyfold.compute.supervisor.Supervisor`` is the real one."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """End every sandbox and every process behind them."""

    async def prepare(self, runtime: str, spec: FunctionSpec | None = None) -> RuntimeChoice:
        """Have ``runtime`` ready ahead of need, in the way that suits ``spec`` best; raises
        RuntimeMissing. Call it when a function is created or updated."""

    def choose(self, runtime: str) -> RuntimeChoice:
        """What ``runtime`` means here; raises RuntimeMissing. Starts nothing."""

    def available_runtimes(self) -> Mapping[str, RuntimeChoice]:
        """Every runtime name that can run here."""

    async def invoke(
        self,
        spec: FunctionSpec,
        event: bytes,
        *,
        request_id: str,
        deadline_ms: int | None = None,
        client_context: str | None = None,
        cognito_identity: str | None = None,
        trace_id: str | None = None,
        invoked_arn: str = "",
        on_log: Callable[[bytes], None] | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> Outcome:
        """Run one invocation: in a warm sandbox, else a new one. Never queues, never retries.

        ``deadline_ms``: when it must have ended, in milliseconds of real time since the epoch
        (default: ``spec.timeout_s`` after its init). ``client_context``: JSON text, not base64.
        ``on_log`` gets each log event as it is written, in order, without its final newline.
        ``on_phase`` is told ``init`` (new sandboxes only) and ``invoke`` before the first log event
        of that phase. Raises RuntimeMissing or IsolationRefused; all else is an Outcome.
        """

    async def drop(self, key: str) -> None:
        """``key`` is out of use: its idle sandboxes end now, busy ones after their invocation."""

    @property
    def level(self) -> int:
        """How far sandboxes are isolated: 3 most, 0 not at all."""

    def describe(self) -> list[str]:
        """The level, what it enforces and what it does not, a line each."""


OnGateway = Callable[[socket.socket, FunctionSpec], Callable[[], None]]
"""Serve the platform's API on a listening socket that lives inside a sandbox, as the port of the
platform; what it returns is called when the sandbox has ended. Must not block."""


class ComputeError(Exception):
    """Why nothing could be run. The text is for people: what is wrong and what to do."""


class RuntimeMissing(ComputeError):
    """No interpreter on this machine may run this runtime."""


class IsolationRefused(ComputeError):
    """The isolation that was required cannot be had on this machine."""
