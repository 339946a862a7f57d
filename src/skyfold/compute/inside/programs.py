"""Runtimes that are programs: Node, and whatever ``bootstrap`` a package brings."""

from __future__ import annotations

import json
import os
from typing import Any

from . import frames
from .init import RELEASE_FD, RUNTIME_FD
from .lock import confine


def become(order: dict[str, Any]) -> None:
    """Boot the program that the order names; it waits for its assignment by itself."""
    for fd in (RUNTIME_FD, RELEASE_FD):
        os.set_inheritable(fd, True)
    os.chdir("/")
    os.execve(order["argv"][0], order["argv"], order["environment"])


def wait_and_become(order: dict[str, Any]) -> None:
    """Wait for the assignment, then start the program that it names, in the function's folder."""
    stream = frames.Stream(RUNTIME_FD)
    _, payload = stream.read(ahead=0)
    assignment = json.loads(payload)
    if not os.read(RELEASE_FD, 1):
        os._exit(0)
    confine(assignment)
    tried = assignment["programs"]
    if assignment["frames"]:  # it goes on as one of our own runtimes, and reads both itself
        os.set_inheritable(RUNTIME_FD, True)
        os.set_inheritable(RELEASE_FD, True)
    os.chdir(assignment["task"])
    for program in tried:
        try:
            os.execve(program, [program, *assignment["arguments"]], assignment["environment"])
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failure = f"fork/exec {program}: {os.strerror(error.errno or 0).lower()}"
            _refuse(stream, "Runtime.InvalidEntrypoint", failure)
    found = " ".join(tried)
    _refuse(stream, "Runtime.InvalidEntrypoint", f"Couldn't find valid bootstrap(s): [{found}]")


def _refuse(stream: frames.Stream, kind: str, message: str) -> None:
    error = {"errorType": kind, "errorMessage": message}
    stream.write(frames.INIT_ERROR, b"0\n" + json.dumps(error).encode())
    os._exit(1)
