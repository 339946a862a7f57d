"""Process 1 of a cell: makes its world, starts its runtime, mounts the code on assignment, reaps.

It keeps the right to mount until the cell is assigned; then it locks itself as the runtime is
locked already, and only after that lets the runtime go. It answers to the platform alone, over
``channel``; when the platform closes that, the cell ends with everything in it.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from . import seal, system
from .lock import drop_rights
from .seccomp import Filter

RUNTIME_FD, RELEASE_FD = 3, 4
_BACKLOG = 128
EPHEMERAL_MB = 512
"""The size of /tmp until the function says another."""


def run(
    order: dict[str, Any],
    channel: socket.socket,
    runtime_fd: int,
    log_fd: int,
    filter_: Filter | None,
    start_runtime: Callable[[dict[str, Any]], None],
) -> None:
    """Be process 1 until the cell ends; ``start_runtime`` is called in the runtime's process."""
    uid = order["uid"]
    _take_output(log_fd, uid)
    if order["level"] >= 2:
        make_world(uid)
    else:
        os.setsid()
        system.adopt_orphans()
    listeners = [_listen(port) for port in order["ports"]]
    ready = json.dumps({"ready": [one.getsockname()[1] for one in listeners]}).encode()
    socket.send_fds(channel, [ready], [one.fileno() for one in listeners])
    for listener in listeners:
        listener.close()
    if order["hold"] and not channel.recv(64):  # while the platform puts us under its limits
        os._exit(0)
    release, released = os.pipe()
    runtime = os.fork()
    if runtime == 0:
        os.close(released)
        _only_runtime_fds(runtime_fd, release)
        drop_rights(uid, filter_)
        os._exit(_run_to_end(start_runtime, order))
    os.close(runtime_fd)
    os.close(release)
    assignment = channel.recv(1 << 16)
    if not assignment:
        os._exit(0)
    assigned = json.loads(assignment)
    waker = _wake_on_child()
    try:
        if order["level"] >= 2:
            _mount_function(assigned)
        drop_rights(uid, filter_, hidden=True)
        limit = assigned["data_bytes"]
        if limit:  # as the runtime's own user, which needs no right for it
            resource.prlimit(runtime, resource.RLIMIT_DATA, (limit, limit))
    except OSError as error:
        channel.send(json.dumps({"error": str(error)}).encode())
        os._exit(1)
    os.write(released, b"..")  # once for the runtime, once for a program that it becomes
    os.close(released)
    _watch(channel, runtime, waker)


def _run_to_end(start_runtime: Callable[[dict[str, Any]], None], order: dict[str, Any]) -> int:
    """The exit status that Python itself would end with, and what it does before it ends."""
    status = 0
    try:
        start_runtime(order)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()  # noqa: SLF001 - a fork ends by os._exit, which skips them
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status & 0xFF


def _take_output(log_fd: int, uid: int | None) -> None:
    if uid is not None:
        os.fchown(log_fd, uid, uid)  # so that /dev/stdout can be opened by name
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def make_world(uid: int | None) -> None:
    """Fresh /proc, /tmp and network, without the host's; the code comes on assignment."""
    noexec = system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC
    system.mount("proc", "/proc", "proc", noexec)
    system.unmount("/run/hp")
    system.mount("tmpfs", "/dev/shm", "tmpfs", noexec, "size=64m,mode=1777")
    if uid is not None:
        with open("/dev/shm/passwd", "w", encoding="ascii") as file:
            file.write(seal.passwd(uid))
        os.chmod("/dev/shm/passwd", 0o444)
        system.mount("/dev/shm/passwd", "/etc/passwd", flags=system.MS_BIND)
        os.unlink("/dev/shm/passwd")
    flags = system.MS_NOSUID | system.MS_NODEV
    system.mount("tmpfs", "/tmp", "tmpfs", flags, f"size={EPHEMERAL_MB}m,mode=1777")
    system.mount("/tmp", "/var/tmp", flags=system.MS_BIND)
    system.sethostname("169.254.100.6")
    system.bring_up_loopback()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


def _only_runtime_fds(runtime_fd: int, release: int) -> None:
    """Nothing is open in the runtime but its output, its frames and the pipe that lets it go."""
    frames = fcntl.fcntl(runtime_fd, fcntl.F_DUPFD, 10)
    pipe = fcntl.fcntl(release, fcntl.F_DUPFD, 10)
    os.dup2(frames, RUNTIME_FD, inheritable=False)
    os.dup2(pipe, RELEASE_FD, inheritable=False)
    os.closerange(RELEASE_FD + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _mount_function(assigned: dict[str, Any]) -> None:
    """Its code and layers, and nobody else's: the store goes away."""
    system.mount(assigned["code"], "/var/task", flags=system.MS_BIND)
    if assigned["opt"]:
        system.mount(assigned["opt"], "/opt", flags=system.MS_BIND)
    system.unmount(seal.STORE)
    if assigned["ephemeral_mb"] != EPHEMERAL_MB:
        flags = system.MS_REMOUNT | system.MS_NOSUID | system.MS_NODEV
        size = f"size={assigned['ephemeral_mb']}m,mode=1777"
        system.mount("", "/tmp", flags=flags, data=size)


def _wake_on_child() -> int:
    """A file descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _watch(channel: socket.socket, runtime: int, waker: int) -> None:
    """Reap orphans, report how the runtime ended, end when the platform lets go."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(waker, select.POLLIN)
    while True:
        _reap(channel, runtime)
        for fd, _ in poll.poll():
            if fd == channel.fileno() and not channel.recv(64):
                _end_all()
            if fd == waker:
                os.read(waker, 4096)


def _reap(channel: socket.socket, runtime: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == runtime:
            channel.send(
                json.dumps(
                    {
                        "exit": os.WEXITSTATUS(status)
                        if os.WIFEXITED(status)
                        else -os.WTERMSIG(status)
                    }
                ).encode()
            )


def _end_all() -> None:
    """End with every process that we ever started. Where we are process 1 of a namespace the
    kernel does it; elsewhere orphans have come to us, so we find them all."""
    if os.getpid() == 1:
        os._exit(0)
    try:
        while True:
            with open("/proc/thread-self/children", encoding="ascii") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)
            os.waitpid(-1, 0)
    except (ChildProcessError, FileNotFoundError):
        os._exit(0)
