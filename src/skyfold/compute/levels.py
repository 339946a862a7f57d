"""How far sandboxes can be isolated on this machine, found out by trying."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from skyfold.compute.api import IsolationRefused
from skyfold.compute.cgroups import Hierarchies
from skyfold.compute.runtimes import own_interpreter

_INSIDE = Path(__file__).parent
_BEGIN = "import sys;sys.path.insert(0,sys.argv.pop(1));from inside.probe import main;main()"

_ENFORCED = {
    3: (
        "own process, mount, network, IPC, host name and cgroup namespaces; a user id per sandbox",
        "sealed read-only root; no capabilities, no new privileges, system calls by allow-list",
        "no network but the platform's own endpoint; /tmp of its own, of limited size",
    ),
    2: (
        "own user, process, mount, network, IPC, host name and cgroup namespaces",
        "sealed read-only root; no capabilities, no new privileges, system calls by allow-list",
        "no network but the platform's own endpoint; /tmp of its own, of limited size",
    ),
    1: (
        "files by Landlock: its own code and /tmp folder, system libraries read-only",
        "no capabilities, no new privileges, system calls by allow-list",
    ),
    0: ("a process of its own, with its own environment variables",),
}
_MISSING = {
    3: ("the kernel is shared: container-grade isolation, not that of a virtual machine",),
    2: (
        "the kernel is shared: container-grade isolation, not that of a virtual machine",
        "all sandboxes have the platform's user id (they cannot see one another)",
    ),
    1: (
        "the network of this machine can be reached, and its processes be listed",
        "processes are not limited in number where they run as root without control groups",
        "/tmp is not limited in size; /var/task and /opt are paths, not mounts",
    ),
    0: ("everything else: functions can read and do what the platform can",),
}


@dataclass(frozen=True)
class Isolation:
    """The level that sandboxes get, and why not a better one."""

    level: int
    reason: str = ""
    cgroups: str = ""

    def with_groups(self, groups: Hierarchies) -> Isolation:
        names = ", ".join(sorted(groups.folders))
        version = 2 if groups.unified else 1
        return replace(self, cgroups=names and f"{names}, by control groups version {version}")

    def describe(self) -> list[str]:
        lines = [f"Sandboxes: level {self.level} of 3"]
        lines += [f"  enforced: {one}" for one in _ENFORCED[self.level]]
        if self.cgroups:
            lines.append(f"  enforced: {self.cgroups}")
        else:
            lines.append("  enforced: memory, by looking ten times a second (no control groups)")
        lines += [f"  missing: {one}" for one in _MISSING[self.level]]
        if self.reason:
            lines.append(f"  why not better: {self.reason}")
        return lines


def _remedy(reason: str) -> str:
    if os.geteuid() == 0:
        return (
            f"namespaces are refused here ({reason}). In a container, start it with --cap-add "
            "SYS_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined"
        )
    apparmor = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if apparmor.exists() and apparmor.read_text().strip() == "1":
        return (
            f"user namespaces are restricted by AppArmor here ({reason}). Allow them with: "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return (
        f"user namespaces are refused here ({reason}). Allow them with: "
        "sudo sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1"
    )


async def find(folder: Path, isolation: str, most: int = 3) -> Isolation:
    """The best level there is, up to ``most``. ``isolation`` is as in the settings."""
    required = re.fullmatch(r"require:([0-3])", isolation)
    if isolation not in ("", "none") and not required:
        raise IsolationRefused(f"isolation is '{isolation}'; it can be 'none' or 'require:N'.")
    if sys.platform != "linux":
        raise IsolationRefused(
            "Functions run on Linux only so far: processes are isolated with the means of its "
            "kernel. Start Skyfold in a Linux virtual machine or container."
        )
    found = await _try(folder, most)
    if required and found.level < int(required[1]):
        raise IsolationRefused(
            f"Isolation level {required[1]} is required, and only level {found.level} can be had: "
            f"{found.reason}."
        )
    if found.level == 0 and isolation != "none" and not required:
        raise IsolationRefused(
            f"Functions cannot be isolated on this machine: {found.reason}. To run them without "
            "any isolation, with all that the platform's user may do, set SKYFOLD_ISOLATION=none."
        )
    return found


async def _try(folder: Path, most: int) -> Isolation:
    mountpoint = folder / "root"
    mountpoint.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        str(own_interpreter().program),
        *("-I", "-S", "-c", _BEGIN, str(_INSIDE), str(mountpoint)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    out, complaint = await process.communicate()
    try:
        found = json.loads(out)
    except ValueError:
        said = complaint.decode(errors="replace").strip().splitlines()
        return Isolation(0, f"the self-test failed: {said[-1] if said else 'no output'}")
    if most < 2:
        found["namespaces"] = found["namespaces"] or "not wanted"
    if not found["namespaces"] and not found["seccomp"]:
        return Isolation(3 if os.geteuid() == 0 else 2)
    reason = _remedy(found["namespaces"] or found["seccomp"])
    if (
        most >= 1
        and not found["seccomp"]
        and found["landlock"] >= 1
        and not found["landlock_error"]
    ):
        return Isolation(1, reason)
    return Isolation(0, reason)
