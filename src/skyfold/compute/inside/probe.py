"""Tries out which level of isolation this machine allows, by doing it; prints the result as JSON.

Arguments: a folder that may be mounted on, and the level to try as root or not.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from . import init, landlock, seal, system
from .lock import drop_rights
from .seccomp import Filter


def main() -> None:
    folder = sys.argv[1]
    root = os.geteuid() == 0
    namespaces = _attempt(lambda: _seal_and_clone(folder, root))
    found = {
        "namespaces": namespaces,
        "landlock": landlock.version(),
        "landlock_error": _attempt(lambda: landlock.restrict(["/usr"], [])),
        "seccomp": _attempt(lambda: drop_rights(None, Filter())),
    }
    print(json.dumps(found))


def _attempt(act: Callable[[], None]) -> str:
    """'' when ``act`` succeeds in a process of its own, else why not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:
            act()
            status = 0
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    said = os.read(reader, 4096).decode()
    os.close(reader)
    return said or ("" if status == 0 else f"it ended with status {status}")


def _seal_and_clone(folder: str, root: bool) -> None:
    if root:
        system.unshare(system.CLONE_NEWNS)
    else:
        seal.enter_user_namespace()
    seal.build(folder, [], [])
    reader, writer = os.pipe()
    pid, _ = system.clone3(system.NAMESPACES)
    if pid == 0:
        try:
            init.make_world(200_000 if root else None)
            drop_rights(200_000 if root else None, Filter())
            os.write(writer, b"!")
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    said = os.read(reader, 4096)
    if said != b"!":
        raise OSError(0, said.decode() or "a cell ended at once")
