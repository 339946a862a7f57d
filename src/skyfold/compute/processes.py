"""What the kernel tells about the processes of a cell."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def family_of(pid: int) -> list[int]:
    """``pid`` and all of its descendants."""
    found = [pid]
    for one in found:  # grows while it is walked
        try:
            threads = os.listdir(f"/proc/{one}/task")
        except OSError:
            continue
        for thread in threads:
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{one}/task/{thread}/children").read_text().split())
    return found


def status_kib(pid: int, name: str) -> int:
    """A line of /proc/<pid>/status that is in kB; 0 where the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    prefix = name + ":"
    return next((int(line.split()[1]) for line in lines if line.startswith(prefix)), 0)


def resident_kib(pid: int) -> int:
    """The memory that ``pid`` and its descendants hold for themselves."""
    return sum(status_kib(one, "RssAnon") for one in family_of(pid))


def peak_kib(pid: int) -> int:
    """The most memory that one of them ever had."""
    return max(status_kib(one, "VmHWM") for one in family_of(pid))
