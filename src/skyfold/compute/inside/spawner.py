"""The second program of a spawner: forks a cell for each order until the platform goes away.

It runs on the runtime's own interpreter inside the sealed root, with an empty environment, no
secrets, and a single thread: a fork of it is a cell that has booted already.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

from . import init, programs, python, system
from .seal import CONTROL_FD
from .seccomp import Filter

_FDS_MAX = 4


def main() -> None:
    control = socket.socket(fileno=CONTROL_FD)
    config: dict[str, Any] = json.loads(control.recv(1 << 16))
    sys.path.remove(os.environ["SKYFOLD_INSIDE"])  # all of it has been imported
    try:
        sys.path.extend(config["path"])
        if config["execution_environment"]:
            python.preload(config["execution_environment"], config["preload"])
        os.environ.clear()
        system.drop_bounding_set()
        filter_ = Filter() if config["level"] > 0 else None
    except Exception as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        sys.exit(1)
    system.name_process("skyfold-spawn")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a cell: it is reaped at once
    gc.collect()
    gc.freeze()
    control.send(b'{"ready": true}')
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1 << 16, _FDS_MAX)
        if not message:
            return
        _spawn(control, json.loads(message), fds, filter_)


def _spawn(
    control: socket.socket, order: dict[str, Any], fds: list[int], filter_: Filter | None
) -> None:
    reply: dict[str, Any] = {"cell": order["cell"]}
    cgroup = fds.pop() if order["cgroup"] else None
    pidfds = []
    try:
        if len(os.listdir("/proc/self/task" if order["level"] < 2 else "/run/hp/self/task")) > 1:
            raise OSError("a preloaded module has started a thread")
        pid, pidfd = system.clone3(system.NAMESPACES if order["level"] >= 2 else 0, cgroup)
        if pid == 0:
            _be_cell(control, order, fds, filter_)
        reply["pid"] = pid
        pidfds.append(pidfd)
    except OSError as error:
        reply["error"] = str(error)
    socket.send_fds(control, [json.dumps(reply).encode()], pidfds)
    for fd in (*fds, *pidfds, *([] if cgroup is None else [cgroup])):
        os.close(fd)


def _be_cell(
    control: socket.socket, order: dict[str, Any], fds: list[int], filter_: Filter | None
) -> None:
    try:
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        starters = {
            "python": python.serve,
            "program": programs.become,
            "later": programs.wait_and_become,
        }
        channel = socket.socket(fileno=fds[0])
        init.run(order, channel, fds[1], fds[2], filter_, starters[order["mode"]])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)
