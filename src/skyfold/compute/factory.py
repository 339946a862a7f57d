"""Makes cells: pools for each runtime, user ids, control groups, and their assignment."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from skyfold.base.clock import stopwatch
from skyfold.compute import assignments, environment, layers, packages
from skyfold.compute.api import ComputeError, FunctionSpec, OnGateway
from skyfold.compute.assignments import Place
from skyfold.compute.cells import Cell
from skyfold.compute.cgroups import Hierarchies
from skyfold.compute.pool import Pool
from skyfold.compute.runtime_api import RuntimeApi
from skyfold.compute.runtimes import Interpreter, Runtimes, family
from skyfold.compute.spawners import INSIDE, INSIDE_THERE, Spawner, program_there

API_PORT = 9001
PARKED_S = 600.0
_UIDS_PER_PLATFORM = 60_000

BOTO = "boto3"
"""The way of starting Python with boto3 imported already."""
LATER = "later"
"""The way of starting a program only when its environment is known."""


class Factory:
    """Turns a FunctionSpec into a cell whose runtime is loading the code."""

    def __init__(
        self,
        folder: Path,
        roots: tuple[Path, ...],
        runtimes: Runtimes,
        level: int,
        groups: Hierarchies,
        *,
        gateway_port: int,
        on_gateway: OnGateway | None,
    ) -> None:
        self._folder, self._runtimes, self._level = folder, runtimes, level
        self._groups = groups
        self._port, self._on_gateway = gateway_port, on_gateway
        (folder / "layers").mkdir(exist_ok=True)
        self._roots = tuple(Path(os.path.realpath(one)) for one in (folder / "layers", *roots))
        self._pools: dict[tuple[str, str], Pool] = {}
        self._uids: set[int] = set()
        self._uid_base = 200_000 + secrets.randbelow(20_000) * _UIDS_PER_PLATFORM
        self._made = 0
        self._boto: dict[Path, bool] = {}
        self._chores: set[asyncio.Future[Any]] = set()
        self.living: set[Cell] = set()

    async def prepare(self, runtime: str, spec: FunctionSpec | None) -> None:
        """Have cells of ``runtime`` parked soon."""
        _, interpreter = self._runtimes.find(runtime)
        way = self._way(runtime)
        if spec is not None:
            await self._mounts(spec, interpreter)
            way = await self._way_of(spec)
        await self._pool(runtime, interpreter, way).prepare(self._roots)

    async def make(self, spec: FunctionSpec, on_made: Callable[[Cell], None]) -> Cell:
        """A cell that has been assigned to ``spec``; its runtime answers READY in time."""
        _, interpreter = self._runtimes.find(spec.runtime)
        place, mounts = await self._mounts(spec, interpreter)
        way = await self._way_of(spec)
        pool = self._pool(spec.runtime, interpreter, way)
        if spec.credentials is None:
            cell, credentials = await pool.take(self._roots), None
        else:
            cell, credentials = await asyncio.gather(pool.take(self._roots), spec.credentials())
        cell.expires_ms = credentials.expires_ms if credentials else None
        on_made(cell)
        variables = environment.assemble(
            spec, credentials, endpoint=self._endpoint(cell), task=place.task
        )
        if self._level < 2:
            variables["TMPDIR"] = str(self._temporary(cell))
        limited = cell.group is not None and cell.group.limits_memory
        data = assignments.data_bytes(spec, limited=limited)
        mounts["data_bytes"] = data
        serves_http = family(spec.runtime) == "provided"
        if serves_http:
            variables["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{cell.ports[-1]}"
            api = RuntimeApi()
            cell.speak_http(api)
            self._chore(api.serve(cell.listeners[-1]))
        kind = assignments.for_program if way == LATER else assignments.for_runtime
        runtime = kind(spec, interpreter, variables, place, data)
        if self._level == 1:
            runtime["files"] = self._files(interpreter, place, variables["TMPDIR"])
        cell.assign(spec, mounts, runtime)
        self._open_gateway(cell, spec)
        return cell

    def sweep(self) -> None:
        """Let go what nobody has used for a while."""
        for pool in self._pools.values():
            for spawner in pool.let_go():
                self._chore(spawner.ended())
            if not pool.idle and stopwatch() - pool.last_used >= PARKED_S:
                pool.rest()

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        while self.living:
            cells = list(self.living)
            for cell in cells:
                cell.kill()
            await asyncio.gather(*(cell.gone() for cell in cells))
        await asyncio.gather(*(pool.end_spawners() for pool in self._pools.values()))
        self._pools.clear()
        while self._chores:
            await asyncio.gather(*self._chores, return_exceptions=True)
        await asyncio.to_thread(self._groups.remove)

    # -------------------------------------------------------------------------------- pools

    def _way(self, runtime: str) -> str:
        """How a runtime starts when no function says otherwise."""
        if family(runtime) == "provided":
            return LATER
        # A program cannot be confined to files that are not known yet.
        return LATER if family(runtime) == "node" and self._level < 2 else ""

    async def _way_of(self, spec: FunctionSpec) -> str:
        if environment.needs_fresh_program(spec.environment):
            return LATER
        way = self._way(spec.runtime)
        if way or family(spec.runtime) != "python":
            return way
        uses = self._boto.get(spec.code)
        if uses is None:
            uses = await asyncio.to_thread(packages.uses_our_boto, spec.code, spec.layers)
            self._boto[spec.code] = uses
        return BOTO if uses else ""

    def _pool(self, runtime: str, interpreter: Interpreter, way: str) -> Pool:
        pool = self._pools.get((runtime, way))
        if pool is None:
            ports = [self._port] if self._port and self._level >= 2 else []
            if family(runtime) == "provided":
                ports.append(API_PORT if self._level >= 2 else 0)
            mode = {"python": "python", "node": "program"}.get(family(runtime) or "", LATER)
            pool = self._pools[runtime, way] = Pool(
                runtime,
                interpreter,
                level=self._level,
                folder=self._folder,
                new_cell=self._new_cell,
                ports=ports,
                preload=BOTO if way == BOTO else "",
                mode=LATER if way == LATER else mode,
            )
        return pool

    async def _new_cell(self, spawner: Spawner) -> Cell:
        """A cell with an identity of its own; it does not live yet."""
        self._made += 1
        number, uid = self._made, self._free_uid(spawner)
        group = None
        if self._groups:
            group = await asyncio.to_thread(self._groups.make, f"cell-{number}")
        cell = Cell(spawner, uid, number, group)
        self.living.add(cell)
        cell.on_end.append(partial(self._forget, cell))
        return cell

    def _forget(self, cell: Cell) -> None:
        self.living.discard(cell)
        if cell.uid is not None:
            self._uids.discard(cell.uid)
        if cell.group is not None:
            self._chore(asyncio.to_thread(cell.group.remove))
        if self._level < 2:
            temporary = self._folder / f"tmp-{cell.number}"
            self._chore(asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True))

    def _free_uid(self, spawner: Spawner) -> int | None:
        """A user id that no living cell has; None where cells run as the platform's user.

        Without mounts, another user must be able to walk to every file that a cell needs.
        """
        if os.geteuid() != 0:
            return None
        if self._level < 2 and not spawner.open_to_all:
            return None
        for offset in range(_UIDS_PER_PLATFORM):
            uid = self._uid_base + (self._made + offset) % _UIDS_PER_PLATFORM
            if uid not in self._uids:
                self._uids.add(uid)
                return uid
        raise ComputeError("No user id is left for another sandbox.")

    def _chore(self, work: Any) -> None:
        """Something to be done soon that nobody waits for."""
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    # -------------------------------------------------------------------------------- assignment

    def _endpoint(self, cell: Cell) -> str:
        return f"http://127.0.0.1:{self._port}" if self._port else ""

    def _open_gateway(self, cell: Cell, spec: FunctionSpec) -> None:
        if self._on_gateway is not None and self._port and self._level >= 2:
            listener = cell.listeners[0]
            listener.setblocking(False)
            cell.on_end.append(self._on_gateway(listener, spec))

    async def _mounts(
        self, spec: FunctionSpec, interpreter: Interpreter
    ) -> tuple[Place, dict[str, Any]]:
        """Where the function finds its files, and what process 1 has to do for that."""
        code, opt = await asyncio.to_thread(self._resolve, spec)
        mounts: dict[str, Any] = {
            "code": self._stored(code),
            "opt": self._stored(opt) if opt else "",
            "ephemeral_mb": spec.ephemeral_mb,
        }
        program = program_there(interpreter, self._level)
        if self._level >= 2:
            return Place("/var/task", "/opt", INSIDE_THERE, program), mounts
        return Place(str(code), str(opt or "/opt"), str(INSIDE), program), mounts

    def _resolve(self, spec: FunctionSpec) -> tuple[Path, Path | None]:
        real = tuple(Path(os.path.realpath(layer)) for layer in spec.layers)
        merged = layers.merged(real, self._folder / "layers")
        return Path(os.path.realpath(spec.code)), merged

    def _stored(self, path: Path) -> str:
        """``path`` as spawners see it; another root is added where none holds it."""
        for at, root in enumerate(self._roots):
            if path.is_relative_to(root):
                return str(Path(f"/run/store/{at}") / path.relative_to(root))
        self._roots = (*self._roots, path)
        return f"/run/store/{len(self._roots) - 1}"

    def _temporary(self, cell: Cell) -> Path:
        folder = self._folder / f"tmp-{cell.number}"
        folder.mkdir(mode=0o700)
        if cell.uid is not None:
            os.chown(folder, cell.uid, cell.uid)
        return folder

    def _files(self, interpreter: Interpreter, place: Place, temporary: str) -> dict[str, Any]:
        readable = [
            *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/proc", "/etc/ssl"),
            *("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/hosts"),
            *("/etc/resolv.conf", "/etc/nsswitch.conf", "/dev/urandom", "/dev/random"),
            *(str(INSIDE), str(interpreter.prefix)),
            *(place.task, place.opt),
            *(path for path, _ in packages.runtime_packages(interpreter)),
            str(self._folder / f"packages-{interpreter.text}"),
        ]
        return {"readable": readable, "writable": [temporary, "/dev/null", "/dev/zero"]}
