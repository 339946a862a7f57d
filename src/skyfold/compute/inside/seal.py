"""The first program of a spawner: builds the sealed root, moves into it, becomes the runtime.

Runs on the platform's own interpreter, once for each spawner. The root is a small read-only tmpfs
with read-only binds of what programs need and nothing of the host besides. The control socket is
file descriptor 3; its first message says what to bind and what to execute.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from . import system

CONTROL_FD = 3
STORE = "/run/store"
_HOST_PROC = "/run/hp"
_FLAGS_OF_STATVFS = ((1, 1), (2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))

_HOST_FILES = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_FOLDERS = (
    "/dev/shm",
    "/opt/lib",
    "/proc",
    "/run/hp",
    "/run/old",
    "/run/store",
    "/tmp",
    "/var/lang",
    "/var/runtime/lib",
    "/var/task/lib",
    "/var/tmp",
)
"""The lib folders exist before anything is mounted on them because the C library remembers which
folders of LD_LIBRARY_PATH did not."""

USER, USER_GROUP = "sbx_user1051", "990"
_ETC = {
    "group": f"root:x:0:\n{USER}:x:{USER_GROUP}:\n",
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
}


def passwd(uid: int) -> str:
    return f"root:x:0:0:root:/root:/sbin/nologin\n{USER}:x:{uid}:{uid}::/tmp:/sbin/nologin\n"


def bind_read_only(source: str, target: str) -> None:
    """Show ``source`` at ``target``, which is made, without the right to change it."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "a", encoding="ascii"):
            pass
    try:
        system.mount(source, target, flags=system.MS_BIND)
    except OSError:
        # In a user namespace a tree with mounts of the host below it comes as a whole or not.
        system.mount(source, target, flags=system.MS_BIND | system.MS_REC)
    # Flags that the host has set may not be taken away in a user namespace: repeat them.
    seen = os.statvfs(target).f_flag
    flags = sum(flag for bit, flag in _FLAGS_OF_STATVFS if seen & bit)
    flags |= system.MS_RDONLY | system.MS_NOSUID | system.MS_NODEV
    system.mount("", target, flags=system.MS_BIND | system.MS_REMOUNT | flags)


def enter_user_namespace() -> None:
    """Be allowed to mount, as an ordinary user: own everything in a namespace of ourselves."""
    uid, gid = os.geteuid(), os.getegid()
    system.unshare(system.CLONE_NEWUSER | system.CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text)


def _fill(root: str, uid: int) -> None:
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), f"{root}/{name}")
        elif os.path.isdir("/" + name):
            bind_read_only("/" + name, f"{root}/{name}")
    bind_read_only("/usr", root + "/usr")
    for folder in _FOLDERS:
        os.makedirs(root + folder, exist_ok=True)
    os.makedirs(root + "/etc")
    for name, text in (*_ETC.items(), ("passwd", passwd(uid))):
        with open(f"{root}/etc/{name}", "w", encoding="ascii") as file:
            file.write(text)
    for path in _HOST_FILES:
        if os.path.exists(path):
            bind_read_only(os.path.realpath(path), root + path)
    for name in _DEVICES:
        with open(f"{root}/dev/{name}", "w", encoding="ascii"):
            pass
        system.mount("/dev/" + name, f"{root}/dev/{name}", flags=system.MS_BIND)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")


def build(mountpoint: str, binds: list[list[str]], covered: list[str]) -> None:
    """Make the sealed root and move into it; the host's files are out of reach afterwards."""
    size = "size=4m,mode=0755,nr_inodes=4k"
    system.mount("", "/", flags=system.MS_REC | system.MS_PRIVATE)
    system.mount("tmpfs", mountpoint, "tmpfs", system.MS_NOSUID | system.MS_NODEV, size)
    _fill(mountpoint, os.geteuid())
    os.makedirs(mountpoint + "/run/empty")
    # A mount of its own: a cell detaches all of the store at once before it runs any code.
    store_flags = system.MS_NOSUID | system.MS_NODEV
    system.mount("tmpfs", mountpoint + STORE, "tmpfs", store_flags, "size=1m,mode=0711")
    for source, target in binds:
        bind_read_only(source, mountpoint + target)
    for target in covered:
        if os.path.isdir(mountpoint + target):
            bind_read_only(mountpoint + "/run/empty", mountpoint + target)
    # A fresh /proc may be mounted in a user namespace only while another one is to be seen.
    proc = mountpoint + _HOST_PROC
    system.mount("/proc", proc, flags=system.MS_BIND | system.MS_REC)
    os.chdir(mountpoint)
    system.pivot_root(".", "run/old")
    os.chdir("/")
    system.unmount("/run/old")
    flags = system.MS_REMOUNT | system.MS_RDONLY | system.MS_NOSUID | system.MS_NODEV
    system.mount("", "/", flags=flags, data=size)


def main() -> None:
    """Seal, then become the program that the first message names."""
    control = socket.socket(fileno=CONTROL_FD)
    config: dict[str, Any] = json.loads(control.recv(1 << 20))
    try:
        if config["level"] == 2:
            enter_user_namespace()
        else:
            system.unshare(system.CLONE_NEWNS)
        build(config["mountpoint"], config["binds"], config["covered"])
        if config["level"] == 2:
            system.keep_capabilities_over_exec()
        control.set_inheritable(True)
        os.execve(config["argv"][0], config["argv"], config["environment"])
    except OSError as error:
        control.send(json.dumps({"error": str(error), "errno": error.errno}).encode())
        sys.exit(1)
