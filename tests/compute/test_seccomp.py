"""The system call filter, run instruction by instruction for both architectures."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.compute.inside import seccomp, syscalls

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ARCH = (0xC000003E, 0xC00000B7)
PROGRAMS = [seccomp.assemble(column) for column in (0, 1)]
SPECIAL = {"socket", "clone", "clone3", "ioctl", "personality"}


def run(column: int, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would do with a call: a small interpreter of BPF."""
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, ARCH[column] if arch is None else arch, 0, *padded)
    program = PROGRAMS[column]
    accumulator, at = 0, 0
    while True:
        code, then, otherwise, value = struct.unpack_from("HBBI", program, at * 8)
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x05:
            at += value
        else:
            test = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            at += then if test else otherwise


@pytest.mark.parametrize("column", [0, 1])
@given(number=st.integers(0, 1023))
def test_a_call_passes_exactly_if_the_table_has_it(column: int, number: int) -> None:
    table = syscalls.numbers(column)
    special = {table[name] for name in SPECIAL}

    found = run(column, number)

    if number in special:
        return
    expected = ALLOW if number in table.values() else EPERM
    assert found == (ENOSYS if number >= syscalls.NEWEST else expected)


@pytest.mark.parametrize("column", [0, 1])
@given(family=st.integers(0, 50), protocol=st.integers(0, 30))
def test_only_ordinary_sockets_can_be_made(column: int, family: int, protocol: int) -> None:
    number = syscalls.numbers(column)["socket"]

    allowed = family in (1, 2, 10) or (family == 16 and protocol == 0)
    assert run(column, number, family, 1, protocol) == (ALLOW if allowed else EPERM)


@pytest.mark.parametrize("column", [0, 1])
@given(flags=st.integers(0, 2**32 - 1))
def test_a_process_may_be_cloned_but_not_into_a_namespace(column: int, flags: int) -> None:
    number = syscalls.numbers(column)["clone"]

    assert run(column, number, flags) == (EPERM if flags & 0x7E020000 else ALLOW)


@pytest.mark.parametrize("column", [0, 1])
def test_clone3_is_missing_because_its_flags_cannot_be_seen(column: int) -> None:
    assert run(column, syscalls.numbers(column)["clone3"]) == ENOSYS


@pytest.mark.parametrize("column", [0, 1])
def test_input_cannot_be_pushed_into_a_terminal(column: int) -> None:
    number = syscalls.numbers(column)["ioctl"]

    assert run(column, number, 0, 0x5412) == EPERM
    assert run(column, number, 0, 0x5401) == ALLOW


@pytest.mark.parametrize("column", [0, 1])
def test_another_architecture_is_killed(column: int) -> None:
    read = syscalls.numbers(column)["read"]

    assert run(column, read, arch=0x40000003) == KILL
    assert run(column, read | 0x40000000) == KILL


def test_dangerous_calls_are_not_in_the_table() -> None:
    for column in (0, 1):
        assert not {
            *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "ptrace", "bpf"),
            *("io_uring_setup", "userfaultfd", "keyctl", "add_key", "perf_event_open"),
            *("init_module", "finit_module", "kexec_load", "process_vm_readv", "open_tree"),
            *("move_mount", "fsopen", "open_by_handle_at", "reboot", "swapon", "settimeofday"),
            *("pidfd_getfd", "kcmp", "iopl", "ioperm", "sethostname", "quotactl"),
        } & set(syscalls.numbers(column))


def test_no_two_calls_share_a_number() -> None:
    for column in (0, 1):
        table = syscalls.numbers(column)
        assert len(set(table.values())) == len(table)
