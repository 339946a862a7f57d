"""The platform's side of a spawner: starts it, orders cells from it, notices when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import os
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skyfold.compute import environment
from skyfold.compute.api import ComputeError
from skyfold.compute.packages import runtime_packages
from skyfold.compute.runtimes import Interpreter, family, own_interpreter

INSIDE = Path(__file__).parent / "inside"
INSIDE_THERE = "/var/runtime/skyfold/inside"
_BEGIN = (
    "import os,sys;sys.path.insert(0,os.environ['SKYFOLD_INSIDE']);"
    "from inside.{program} import main;main()"
)


def program_there(interpreter: Interpreter, level: int) -> str:
    """The path of an interpreter as cells see it."""
    program = interpreter.program
    if level < 2:
        return str(program)
    if program.name == "node":
        return "/var/lang/bin/node"
    if interpreter.prefix.is_relative_to("/usr"):
        return str(program)
    return f"/var/lang/bin/{program.name}"


@dataclass(frozen=True)
class SpawnerPlan:
    """What a spawner is for."""

    runtime: str
    interpreter: Interpreter
    level: int
    folder: Path
    roots: tuple[Path, ...]
    """Code and layers lie below these; they are all of the host's data that a spawner can see."""
    preload: str = ""
    mode: str = ""


@dataclass
class _Layout:
    """Which program runs where in the sealed root."""

    argv: list[str]
    binds: list[list[str]] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    library_path: str = environment.LIBRARY_PATH
    python_path: list[str] = field(default_factory=list)


def _open_layout(plan: SpawnerPlan) -> _Layout:
    """The same without a sealed root: programs and packages where they are."""
    python = plan.interpreter if family(plan.runtime) == "python" else own_interpreter()
    layout = _Layout([str(python.program)])
    if family(plan.runtime) == "python":
        folder = plan.folder / f"packages-{python.text}"
        folder.mkdir(exist_ok=True)
        for path, name in runtime_packages(python):
            link = folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        layout.python_path = [str(folder)]
    return layout


def _layout(plan: SpawnerPlan) -> _Layout:
    own = own_interpreter()
    python = plan.interpreter if family(plan.runtime) == "python" else own
    name = f"python3.{python.version[1]}"
    there = "/var/lang" if python is plan.interpreter else "/run/python"
    binds = [[str(INSIDE), INSIDE_THERE]]
    if python.prefix == Path("/usr"):
        argv0, prefix = f"/usr/bin/{name}", "/usr"
    elif python.prefix.is_relative_to("/usr"):
        argv0, prefix = str(python.program), str(python.prefix)
    else:
        argv0, prefix = f"{there}/bin/{name}", there
        binds.append([str(python.prefix), there])
    layout = _Layout([argv0], binds, library_path=f"{prefix}/lib:{environment.LIBRARY_PATH}")
    layout.covered = [
        f"{prefix}/lib/{name}/site-packages",
        f"{prefix}/lib/{name}/dist-packages",
        f"{prefix}/local/lib/{name}/dist-packages",
        "/usr/lib/python3/dist-packages",
    ]
    if family(plan.runtime) == "python":
        layout.python_path = [f"{prefix}/lib/{name}/site-packages", "/var/runtime"]
        binds += [[path, "/var/runtime/" + at] for path, at in runtime_packages(python)]
    if family(plan.runtime) == "node":
        binds.append([str(plan.interpreter.program), "/var/lang/bin/node"])
    binds += [[str(root), f"/run/store/{at}"] for at, root in enumerate(plan.roots)]
    return layout


class Spawner:
    """One running spawner."""

    def __init__(self, plan: SpawnerPlan) -> None:
        self.plan = plan
        self.spawned = 0
        self.cells = 0
        """How many of its cells live: it may not end before them."""
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def inside(self) -> str:
        """Where its cells find the programs of inside/."""
        return INSIDE_THERE if self.plan.level >= 2 else str(INSIDE)

    @functools.cached_property
    def open_to_all(self) -> bool:
        """Whether any user can walk to what its cells need; asked where nothing is mounted."""
        needed = [INSIDE, self.plan.interpreter.prefix, self.plan.folder, *self.plan.roots]
        needed += [Path(path) for path, _ in runtime_packages(self.plan.interpreter)]
        if family(self.plan.runtime) != "python":
            needed.append(own_interpreter().prefix)
        folders = {folder for path in needed for folder in (path, *path.parents) if folder.exists()}
        return all(folder.stat().st_mode & 0o001 for folder in folders if folder.is_dir())

    @property
    def alive(self) -> bool:
        return self._control is not None

    async def start(self) -> None:
        """Return when it can spawn; ComputeError says why it cannot."""
        layout = _layout(self.plan) if self.plan.level >= 2 else _open_layout(self.plan)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = await asyncio.to_thread(self._launch, theirs, layout)
        ours.setblocking(False)
        self._control = ours
        try:
            await self._configure(ours, layout)
        except BaseException:
            self.close()
            raise
        asyncio.get_running_loop().add_reader(ours, self._on_reply)

    def _launch(self, control: socket.socket, layout: _Layout) -> subprocess.Popen[bytes]:
        inside = str(INSIDE.parent)
        sealed = self.plan.level >= 2
        python = str(own_interpreter().program) if sealed else layout.argv[0]
        program = "seal" if sealed else "spawner"
        with open(self.plan.folder / "spawner.log", "ab") as log:
            return subprocess.Popen(
                _reopened(control, python, program),
                env={"SKYFOLD_INSIDE": inside, "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[control.fileno()],
                start_new_session=True,
            )

    async def _configure(self, control: socket.socket, layout: _Layout) -> None:
        loop = asyncio.get_running_loop()
        runtime = self.plan.runtime
        if self.plan.level >= 2:
            mountpoint = self.plan.folder / "root"
            mountpoint.mkdir(exist_ok=True)
            seal = {
                "level": self.plan.level,
                "mountpoint": str(mountpoint),
                "binds": layout.binds,
                "covered": layout.covered,
                "argv": [*layout.argv, "-I", "-S", "-c", _BEGIN.format(program="spawner")],
                "environment": {
                    "SKYFOLD_INSIDE": os.path.dirname(INSIDE_THERE),
                    "LD_LIBRARY_PATH": layout.library_path,
                    "LANG": "C.UTF-8",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            }
            await loop.sock_sendall(control, json.dumps(seal).encode())
        is_python = self.plan.mode == "python"
        config = {
            "level": self.plan.level,
            "path": layout.python_path,
            "execution_environment": environment.execution_environment(runtime) * is_python,
            "preload": self.plan.preload,
        }
        await loop.sock_sendall(control, json.dumps(config).encode())
        raw = await loop.sock_recv(control, 1 << 16)
        reply: dict[str, Any] = json.loads(raw) if raw else {"error": "it ended while starting"}
        if "error" in reply:
            raise ComputeError(f"The spawner of {runtime} cannot start: {reply['error']}")

    async def spawn(self, order: dict[str, Any], fds: list[int]) -> tuple[int, int]:
        """Have it fork a cell: (pid, pidfd). ``order`` and ``fds`` are as inside/init.py says."""
        if self._control is None:
            raise ComputeError(f"The spawner of {self.plan.runtime} has ended.")
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[tuple[int, int]] = loop.create_future()
        self._waiting[number] = waiting
        message = json.dumps({**order, "cell": number, "level": self.plan.level}).encode()
        while True:
            try:
                socket.send_fds(self._control, [message], fds)
                break
            except BlockingIOError:
                await asyncio.sleep(0.001)
        self.spawned += 1
        return await waiting

    def _on_reply(self) -> None:
        assert self._control is not None
        try:
            raw, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except BlockingIOError:
            return
        except OSError:
            raw, fds = b"", []
        if not raw:
            self.close()
            return
        reply = json.loads(raw)
        waiting = self._waiting.pop(reply["cell"])
        if waiting.done():  # whoever ordered it has gone
            for fd in fds:
                os.close(fd)
        elif "error" in reply:
            waiting.set_exception(ComputeError(f"No sandbox can be made: {reply['error']}"))
        else:
            waiting.set_result((reply["pid"], fds[0]))

    def close(self) -> None:
        """Let it end, and with it all of its cells."""
        if self._control is None:
            return
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._control = None
        for waiting in self._waiting.values():
            if not waiting.done():
                gone = ComputeError(f"The spawner of {self.plan.runtime} has ended.")
                waiting.set_exception(gone)
        self._waiting.clear()

    async def ended(self) -> None:
        """Close it and wait until its process is gone."""
        self.close()
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(_wait_or_kill, process)


def _reopened(control: socket.socket, python: str, program: str) -> list[str]:
    """The command line that finds the control socket at file descriptor 3."""
    fd = control.fileno()
    begin = f"import os;os.dup2({fd},3);os.close({fd});" if fd != 3 else ""
    return [python, "-I", "-S", "-c", begin + _BEGIN.format(program=program)]


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
