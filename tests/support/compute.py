"""Functions without sandboxes: a test says what each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from skyfold.compute.api import FunctionSpec, Outcome, RuntimeChoice, RuntimeMissing

Handler = Callable[[Any], Any]


class FakeCompute:
    """Keeps the contract of compute.api.Compute, runs handlers given by function name."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.invoked: list[tuple[str, Any]] = []
        self.specs: list[FunctionSpec] = []
        self.dropped: list[str] = []
        self.missing: set[str] = set()
        self.level = 3

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def prepare(self, runtime: str) -> RuntimeChoice:
        return self.choose(runtime)

    def choose(self, runtime: str) -> RuntimeChoice:
        if runtime in self.missing:
            raise RuntimeMissing(f"No interpreter for {runtime}: install it.")
        return RuntimeChoice(runtime, Path("/bin/true"), "1")

    def available_runtimes(self) -> Mapping[str, RuntimeChoice]:
        return {}

    async def invoke(
        self,
        spec: FunctionSpec,
        event: bytes,
        *,
        request_id: str,
        on_log: Callable[[bytes], None] | None = None,
        on_phase: Callable[[Any], None] | None = None,
        **more: Any,
    ) -> Outcome:
        self.choose(spec.runtime)
        self.specs.append(spec)
        value = msgspec.json.decode(event)
        self.invoked.append((spec.name, value))
        if on_phase is not None:
            on_phase("invoke")
        if on_log is not None:
            on_log(b"a line of the function")
        try:
            answer = self.handlers.get(spec.name, lambda event: event)(value)
        except Exception as error:
            failed = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return Outcome(
                payload=msgspec.json.encode(failed),
                kind="handled",
                error_type=type(error).__name__,
                duration_ms=1.5,
            )
        return Outcome(payload=msgspec.json.encode(answer), kind="ok", duration_ms=1.5)

    async def drop(self, key: str) -> None:
        self.dropped.append(key)

    def describe(self) -> list[str]:
        return ["no sandboxes: a test"]
