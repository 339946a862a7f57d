"""What a parked cell is told when it becomes a function's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from skyfold.compute import environment
from skyfold.compute.api import FunctionSpec
from skyfold.compute.runtimes import Interpreter, family

_DATA_SLACK_MB = 512
"""Private memory that is reserved, not used: stacks of threads, arenas. The watch over resident
memory is the exact limit where control groups are not to be had."""


class Place(NamedTuple):
    """Where a function finds its files, and those of its runtime."""

    task: str
    opt: str
    inside: str
    program: str


def data_bytes(spec: FunctionSpec, *, limited: bool) -> int:
    """RLIMIT_DATA for the runtime; 0 where a control group limits its memory."""
    return 0 if limited else (spec.memory_mb + _DATA_SLACK_MB) << 20


def for_runtime(
    spec: FunctionSpec,
    interpreter: Interpreter,
    variables: Mapping[str, str] | None,
    place: Place,
    data: int,
) -> dict[str, Any]:
    """For a runtime that has booted and waits."""
    assignment: dict[str, Any] = {
        "environment": variables,
        "handler": spec.handler,
        "task": place.task,
        "data_bytes": data,
    }
    if family(spec.runtime) == "python":
        version = f"python3.{interpreter.version[1]}"
        assignment["path"] = [f"{place.opt}/python/lib/{version}/site-packages"]
        assignment["path"].append(f"{place.opt}/python")
    return assignment


def for_program(
    spec: FunctionSpec,
    interpreter: Interpreter,
    variables: dict[str, str],
    place: Place,
    data: int,
) -> dict[str, Any]:
    """For a process that waits to become a program."""
    kind = family(spec.runtime)
    if kind == "provided":
        programs = [f"{place.task}/bootstrap", f"{place.opt}/bootstrap"]
        return {
            "programs": programs,
            "arguments": [],
            "environment": variables,
            "frames": False,
            "task": place.task,
        }
    if kind == "node":
        command = [place.program, f"{place.inside}/node.cjs"]
    else:
        command = [place.program, f"{place.inside}/fresh.py"]
    wrapper = spec.environment.get(environment.WRAPPER)
    if wrapper:
        command.insert(0, wrapper)
    return {
        "programs": command[:1],
        "arguments": command[1:],
        "environment": variables,
        "frames": True,
        "task": place.task,
        "then": for_runtime(spec, interpreter, None, place, data),
    }
