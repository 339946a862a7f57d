"""The filter through which all system calls of a function go: an allow-list, assembled here."""

from __future__ import annotations

import ctypes
import errno
import struct

from . import syscalls, system

_LOAD, _JUMP, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)
_NUMBER, _ARCH, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 24, 32
_X32_BIT = 0x40000000
_SECCOMP = (317, 277)

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX


class _Program:
    """Instructions with labels; a label of '' is the next instruction."""

    def __init__(self) -> None:
        self._lines: list[object] = []
        self._fresh = 0

    def label(self, name: str) -> None:
        self._lines.append(name)

    def new_label(self) -> str:
        self._fresh += 1
        return "." + str(self._fresh)

    def emit(self, code: int, value: int = 0, then: str = "", otherwise: str = "") -> None:
        self._lines.append((code, value, then, otherwise))

    def assemble(self) -> bytes:
        places: dict[str, int] = {}
        lines: list[tuple[int, int, str, str]] = []
        for line in self._lines:
            if isinstance(line, tuple):
                lines.append(line)
            else:
                places[str(line)] = len(lines)
        raw = b""
        for at, (code, value, then, otherwise) in enumerate(lines):
            if code == _JUMP:
                raw += struct.pack("HBBI", code, 0, 0, places[then] - at - 1)
                continue
            jumps = [places[label] - at - 1 if label else 0 for label in (then, otherwise)]
            if max(jumps) > 255 or min(jumps) < 0:
                raise ValueError("a conditional jump of the filter is too far")
            raw += struct.pack("HBBI", code, jumps[0], jumps[1], value)
        return raw


def _search(program: _Program, bounds: list[tuple[int, str]]) -> None:
    """Binary search: ``bounds`` are (first number, where to go) with the first from 0 on."""
    if len(bounds) == 1:
        program.emit(_JUMP, 0, bounds[0][1])
        return
    middle = len(bounds) // 2
    upper = program.new_label()
    program.emit(_JGE, bounds[middle][0], upper)
    _search(program, bounds[:middle])
    program.label(upper)
    _search(program, bounds[middle:])


def _argument_rules(program: _Program, column: int) -> None:
    """Ends for the calls that are allowed with some arguments only."""
    program.label("socket")
    program.emit(_LOAD, _FIRST_ARGUMENT)
    for family in (_AF_UNIX, _AF_INET, _AF_INET6):
        program.emit(_JEQ, family, "allow")
    program.emit(_JEQ, _AF_NETLINK, "", "refuse")
    program.emit(_LOAD, _THIRD_ARGUMENT)
    program.emit(_JEQ, 0, "allow", "refuse")  # NETLINK_ROUTE, for getifaddrs

    program.label("clone")
    program.emit(_LOAD, _FIRST_ARGUMENT)
    program.emit(_JSET, _NEW_NAMESPACES, "refuse", "allow")

    program.label("ioctl")
    program.emit(_LOAD, _SECOND_ARGUMENT)
    for request in _TERMINAL_INJECTION:
        program.emit(_JEQ, request, "refuse")
    program.emit(_RETURN, _ALLOW)

    program.label("personality")
    program.emit(_LOAD, _FIRST_ARGUMENT)
    for value in _PERSONALITIES:
        program.emit(_JEQ, value, "allow")
    program.emit(_RETURN, _ERRNO | errno.EPERM)


def assemble(column: int | None = None) -> bytes:
    """The filter as the kernel takes it, for one architecture (this machine's by default)."""
    column = syscalls.architecture() if column is None else column
    allowed = syscalls.numbers(column)
    ends = dict.fromkeys(allowed.values(), "allow")
    for name in ("socket", "clone", "ioctl", "personality"):
        ends[allowed[name]] = name
    # The C library takes ENOSYS for clone3 as "use clone", whose flags a filter can see.
    ends[allowed["clone3"]] = "missing"
    bounds: list[tuple[int, str]] = []
    for first in sorted({0, syscalls.NEWEST, *ends, *(number + 1 for number in ends)}):
        end = ends.get(first, "missing" if first >= syscalls.NEWEST else "refuse")
        if not bounds or bounds[-1][1] != end:
            bounds.append((first, end))

    program = _Program()
    program.emit(_LOAD, _ARCH)
    program.emit(_JEQ, _AUDIT_ARCH[column], "native")
    program.emit(_RETURN, _KILL)
    program.label("native")
    program.emit(_LOAD, _NUMBER)
    program.emit(_JGE, _X32_BIT, "", "search")
    program.emit(_RETURN, _KILL)
    program.label("search")
    _search(program, bounds)
    _argument_rules(program, column)
    program.label("allow")
    program.emit(_RETURN, _ALLOW)
    program.label("missing")
    program.emit(_RETURN, _ERRNO | errno.ENOSYS)
    program.label("refuse")
    program.emit(_RETURN, _ERRNO | errno.EPERM)
    return program.assemble()


class Filter:
    """The assembled filter, kept in memory for applying it after a fork."""

    def __init__(self) -> None:
        raw = assemble()
        self._code = ctypes.create_string_buffer(raw)
        self._program = ctypes.create_string_buffer(
            struct.pack("HxxxxxxQ", len(raw) // 8, ctypes.addressof(self._code))
        )
        self._number = _SECCOMP[syscalls.architecture()]

    def apply(self) -> None:
        """From here on, for this process and all that it starts. Needs no_new_privs."""
        system.checked(system.libc.syscall(self._number, 1, 0, self._program), "seccomp")
