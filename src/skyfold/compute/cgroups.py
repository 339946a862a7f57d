"""Control groups: limits of memory and processes for a cell, where we may set them.

There is no share of the processor by memory size as on AWS: its only effect here would be to make
functions slow. A function in an endless loop ends at its timeout.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

PROCESSES_MAX = 1024
_MEMORY_SLACK_MB = 32
_REMOVE_TRIES = 50


class Group:
    """The control groups of one cell."""

    def __init__(self, hierarchies: Hierarchies, folders: dict[str, Path]) -> None:
        self._v2 = hierarchies.unified
        self._folders = folders
        self.fd: int | None = None
        """A folder to be born in, where the kernel can do that (version 2)."""
        if self._v2:
            self.fd = os.open(folders["memory"], os.O_RDONLY | os.O_DIRECTORY)
        memory = folders.get("memory")
        self._peak = -1
        if memory is not None:
            name = "memory.peak" if self._v2 else "memory.max_usage_in_bytes"
            with contextlib.suppress(OSError):  # memory.peak is of Linux 5.19
                self._peak = os.open(memory / name, os.O_RDONLY)

    @property
    def attaches_late(self) -> bool:
        """Whether ``attach`` has to be called, before the cell starts anything."""
        return not self._v2

    def attach(self, pid: int) -> None:
        """Takes milliseconds for memory: not for the event loop."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def limit(self, memory_mb: int, ephemeral_mb: int) -> None:
        """What is in /tmp is charged as memory: it comes on top."""
        most = (memory_mb + ephemeral_mb + _MEMORY_SLACK_MB) << 20
        memory = self._folders.get("memory")
        if memory is not None:
            name = "memory.max" if self._v2 else "memory.limit_in_bytes"
            (memory / name).write_text(str(most))

    @property
    def limits_memory(self) -> bool:
        return "memory" in self._folders

    def peak_kib(self) -> int:
        if self._peak < 0:
            return 0
        return int(os.pread(self._peak, 32, 0)) // 1024

    def resident_kib(self) -> int:
        """Memory that the cell's processes hold for themselves now, without /tmp and caches."""
        return self._number("memory.stat", "anon " if self._v2 else "total_rss ") // 1024

    def was_killed(self) -> bool:
        """Whether the kernel has killed a process of the cell for want of memory."""
        return self._number("memory.events" if self._v2 else "memory.oom_control", "oom_kill ") > 0

    def remove(self) -> None:
        """After the last process has ended. Not for the event loop."""
        for fd in (self.fd, self._peak):
            if fd is not None and fd >= 0:
                os.close(fd)
        self.fd, self._peak = None, -1
        for folder in set(self._folders.values()):
            _remove(folder)

    def _number(self, file: str, prefix: str) -> int:
        memory = self._folders.get("memory")
        if memory is None:
            return 0
        try:
            lines = (memory / file).read_text().splitlines()
        except OSError:
            return 0
        return next((int(line[len(prefix) :]) for line in lines if line.startswith(prefix)), 0)


def _remove(folder: Path) -> None:
    for _ in range(_REMOVE_TRIES):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)  # the last process is still on its way out
        else:
            return


class Hierarchies:
    """Where groups can be made: one unified tree, or one for each controller, or nowhere."""

    def __init__(self, folders: dict[str, Path], *, unified: bool) -> None:
        self.folders, self.unified = folders, unified
        """By controller: memory, pids."""

    @classmethod
    def find(cls, name: str) -> Hierarchies:
        """Make a folder called ``name`` wherever we may. Not for the event loop."""
        mounts = _mounts()
        own = _own_groups()
        unified = _unified(mounts.get("", []), own.get("", "/"), name)
        if unified is not None:
            return cls(dict.fromkeys(("memory", "pids"), unified), unified=True)
        folders = {}
        for controller in ("memory", "pids"):
            for mount in mounts.get(controller, []):
                nested = mount / own.get(controller, "/").lstrip("/")
                folder = (nested if nested.is_dir() else mount) / name
                if controller not in folders and _make(folder):
                    folders[controller] = folder
        return cls(folders, unified=False)

    def __bool__(self) -> bool:
        return bool(self.folders)

    def make(self, name: str) -> Group:
        """Groups for one cell."""
        made = {controller: folder / name for controller, folder in self.folders.items()}
        for folder in set(made.values()):
            folder.mkdir(exist_ok=True)
        if "pids" in made:
            (made["pids"] / "pids.max").write_text(str(PROCESSES_MAX))
        return Group(self, made)

    def remove(self) -> None:
        for folder in set(self.folders.values()):
            _remove(folder)


def _make(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return False
    return True


def _mounts() -> dict[str, list[Path]]:
    """Mounted hierarchies by controller; version 2 under ''."""
    found: dict[str, list[Path]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        where = Path(before.split(" ")[4])
        if kind == "cgroup2":
            found.setdefault("", []).append(where)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, []).append(where)
    return found


def _own_groups() -> dict[str, str]:
    found = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _unified(mounts: list[Path], own: str, name: str) -> Path | None:
    """A folder in the unified tree whose children can be given memory and processes."""
    for mount in mounts:
        for parent in (mount / own.lstrip("/"), mount):
            folder = parent / name
            if not parent.is_dir() or not _make(folder):
                continue
            try:
                for at in (parent, folder):
                    (at / "cgroup.subtree_control").write_text("+memory +pids")
            except OSError:
                _remove(folder)
                continue
            return folder
    return None
