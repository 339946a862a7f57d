"""What a process gives up before it may run a function's code."""

from __future__ import annotations

import os
import resource
from typing import Any

from . import landlock, system
from .seccomp import Filter

FILES_MAX = 1024
PROCESSES_MAX = 1024


def drop_rights(uid: int | None, filter_: Filter | None, *, hidden: bool = False) -> None:
    """Become ``uid`` (None: stay who we are), without capabilities, behind the filter, for good.

    ``hidden`` closes /proc/<pid>/mem and the like of this process to others of its uid.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_MAX, PROCESSES_MAX))
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    system.drop_capabilities()
    system.forbid_new_privileges()
    if hidden:
        system.hide_from_same_user()
    elif uid is not None:
        system.show_to_same_user()
    system.die_with_parent()
    if filter_ is not None:
        filter_.apply()


def confine(assignment: dict[str, Any]) -> None:
    """On assignment, where there is no world of its own: only these files from here on."""
    files = assignment.get("files")
    if files:
        landlock.restrict(files["readable"], files["writable"])
