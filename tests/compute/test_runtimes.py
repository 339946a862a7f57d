"""Which interpreter a runtime's name gets: the exact one, or a later one that says so, or none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from skyfold.compute.api import RuntimeMissing
from skyfold.compute.runtimes import Interpreter, Runtimes, discover, family


def pythons(*minors: int) -> dict[int, Interpreter]:
    return {
        minor: Interpreter(Path(f"/p/bin/python3.{minor}"), Path("/p"), (3, minor))
        for minor in minors
    }


def nodes(*majors: int) -> dict[int, Interpreter]:
    return {
        major: Interpreter(Path(f"/n{major}/bin/node"), Path(f"/n{major}"), (major, 1, 2))
        for major in majors
    }


@pytest.mark.parametrize(
    ("runtime", "version", "noted"),
    [
        ("python3.11", "3.11", False),
        ("python3.13", "3.13", False),
        ("python3.8", "3.11", True),
        ("python3.6", "3.11", True),
        ("nodejs20.x", "20.1.2", False),
        ("nodejs24.x", "24.1.2", False),
        ("nodejs22.x", "24.1.2", True),
        ("nodejs16.x", "20.1.2", True),
    ],
)
def test_the_exact_version_or_the_nearest_later_one_with_a_note(
    runtime: str, version: str, noted: bool
) -> None:
    choice = Runtimes(pythons(11, 13), nodes(24, 20)).choose(runtime)

    assert choice.version == version
    assert bool(choice.note) == noted
    if noted:
        assert runtime in choice.note
        assert version in choice.note


@pytest.mark.parametrize(
    ("runtime", "remedy"),
    [
        ("python3.12", "uv python install 3.12"),
        ("python3.14", "uv python install 3.14"),
        ("nodejs26.x", "nvm install 26"),
        ("java21", "java21 cannot run on this machine"),
        ("python2.7", "python2.7 cannot run on this machine"),
        ("dotnet8", "dotnet8 cannot run on this machine"),
        ("nonsense", "nonsense cannot run on this machine"),
    ],
)
def test_a_supported_minor_of_python_is_never_replaced_and_no_version_by_an_older_one(
    runtime: str, remedy: str
) -> None:
    with pytest.raises(RuntimeMissing, match=remedy):
        Runtimes(pythons(11, 13), nodes(24, 20)).choose(runtime)


def test_without_any_interpreter_only_provided_runtimes_are_available() -> None:
    assert set(Runtimes({}, {}).available()) == {"provided", "provided.al2", "provided.al2023"}


def test_families() -> None:
    assert family("python3.11") == "python"
    assert family("nodejs22.x") == "node"
    assert family("provided.al2") == "provided"
    assert family("ruby3.4") is None


def test_the_interpreter_that_runs_this_is_found() -> None:
    name = f"python3.{sys.version_info[1]}"

    choice, interpreter = discover().find(name)

    assert choice.version == f"3.{sys.version_info[1]}"
    assert interpreter.program == Path(os.path.realpath(sys.executable))
