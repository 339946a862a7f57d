"""The system calls that Python has no function for: namespaces, mounts, capabilities, clone3."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct

from . import syscalls

# PyDLL keeps the GIL: these programs have one thread, and a call costs less that way.
libc = ctypes.PyDLL(None, use_errno=True)
_python = ctypes.pythonapi

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000
NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15
_PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 24, 36
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47
_CLONE3 = 435
_CAPSET = (126, 91)
_LAST_CAPABILITY = 63


def checked(result: int, what: str) -> int:
    """``result`` of a call, or the error that it left behind."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    checked(
        libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        "mount " + target,
    )


def unmount(target: str) -> None:
    """Detach ``target`` and what is mounted below it."""
    checked(libc.umount2(target.encode(), MNT_DETACH), "umount " + target)


def pivot_root(new: str, old: str) -> None:
    checked(libc.pivot_root(new.encode(), old.encode()), "pivot_root")


def unshare(flags: int) -> None:
    checked(libc.unshare(flags), "unshare")


def sethostname(name: str) -> None:
    raw = name.encode()
    checked(libc.sethostname(raw, len(raw)), "sethostname")


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


def clone3(flags: int, cgroup: int | None = None) -> tuple[int, int]:
    """Fork into new namespaces: (0, -1) in the child, (its pid, its pidfd) in the parent.

    Goes round the C library, which is sound only while this process has a single thread.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs()
    args.flags = flags | CLONE_PIDFD
    args.pidfd = ctypes.addressof(pidfd)
    args.exit_signal = signal.SIGCHLD
    if cgroup is not None:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup
    _python.PyOS_BeforeFork()
    pid = libc.syscall(_CLONE3, ctypes.byref(args), ctypes.sizeof(args))
    number = ctypes.get_errno()
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number), "clone3")
    return pid, pidfd.value


def bring_up_loopback() -> None:
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))


def drop_bounding_set() -> None:
    """No program executed from here on gains a capability, whatever its file says."""
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def drop_capabilities() -> None:
    libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("II", 0x20080522, 0))
    nothing = ctypes.create_string_buffer(24)
    number = _CAPSET[syscalls.architecture()]
    checked(libc.syscall(number, header, nothing), "capset")


def forbid_new_privileges() -> None:
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def hide_from_same_user() -> None:
    """/proc/<pid>/{mem,fd,environ,root} of this process are closed to processes of its uid."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")


def show_to_same_user() -> None:
    """Undo what a change of uid does to /proc/self: programs read their own files there."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")


def die_with_parent() -> None:
    """Be killed when the parent ends. A change of uid resets it: call it afterwards."""
    checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "pdeathsig")


def adopt_orphans() -> None:
    checked(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")


def name_process(name: str) -> None:
    libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def keep_capabilities_over_exec() -> None:
    """Hand all capabilities to the next program although its user is not root."""
    header = ctypes.create_string_buffer(struct.pack("II", 0x20080522, 0))
    sets = ctypes.create_string_buffer(24)
    column = syscalls.architecture()
    checked(libc.syscall((125, 90)[column], header, sets), "capget")
    words = list(struct.unpack("6I", sets.raw))
    words[2], words[5] = words[1], words[4]  # inheritable = permitted
    filled = ctypes.create_string_buffer(struct.pack("6I", *words))
    checked(libc.syscall(_CAPSET[column], header, filled), "capset")
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAP_AMBIENT, 2, capability, 0, 0)
