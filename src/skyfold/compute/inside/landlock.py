"""Landlock: which files a process may touch, where it cannot be given a world of its own."""

from __future__ import annotations

import ctypes
import os
import struct

from . import system

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_SCOPES = 3  # abstract Unix sockets and signals stay within
_PATH_BENEATH = 1


def version() -> int:
    """What this kernel can do; 0 where it has no Landlock."""
    return max(int(system.libc.syscall(_CREATE, None, 0, _VERSION)), 0)


def _handled(abi: int) -> int:
    rights = (1 << 13) - 1
    for needs, right in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL)):
        rights |= right if abi >= needs else 0
    return rights


def restrict(readable: list[str], writable: list[str]) -> None:
    """From here on, only these trees; signals and abstract sockets only among ourselves."""
    abi = version()
    rights = _handled(abi)
    words = [rights, 0, _SCOPES]
    attributes = struct.pack("QQQ", *words)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    size = len(attributes)
    ruleset = system.checked(
        system.libc.syscall(_CREATE, ctypes.c_char_p(attributes), size, 0), "landlock_create"
    )
    try:
        for path in readable:
            _allow(ruleset, path, _READ & rights)
        for path in writable:
            _allow(ruleset, path, rights)
        system.forbid_new_privileges()
        system.checked(system.libc.syscall(_RESTRICT, ruleset, 0), "landlock_restrict")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, fd)
        system.checked(
            system.libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0),
            "landlock_add_rule " + path,
        )
    finally:
        os.close(fd)
