"""The Python packages that the Python runtime brings along, as AWS's does."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from skyfold.compute.runtimes import Interpreter

_CLIENT: tuple[str, ...] = ("awslambdaric", "simplejson", "snapshot_restore_py")
_BOTO: tuple[str, ...] = (
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"),
)
_OLDEST_FOR_BOTO = (3, 10)
_SCANNED_FILES = 50
_SCANNED_BYTES = 1 << 18


def runtime_packages(python: Interpreter) -> list[tuple[str, str]]:
    """AWS's client, and boto3 where it still runs: (where it lies, its name in a path folder)."""
    names = _CLIENT
    if python.version >= _OLDEST_FOR_BOTO:
        names += _BOTO
    found = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        path = Path(spec.origin)
        path = path.parent if path.name == "__init__.py" else path
        found.append((str(path), path.name))
    return found


def uses_our_boto(code: Path, layers: tuple[Path, ...]) -> bool:
    """Whether a package imports boto3 early, as far as its top modules say, and brings none.

    Then a cell that has imported it already starts faster. A package that brings any part of it
    must not find ours imported.
    """
    try:
        names = sorted(name for name in os.listdir(code) if name.endswith(".py"))
        if not any(_speaks_of_boto(code / name) for name in names[:_SCANNED_FILES]):
            return False
        brought = set(os.listdir(code))
        for layer in layers:
            for folder in (layer / "python", *(layer / "python").glob("lib/*/site-packages")):
                brought.update(os.listdir(folder) if folder.is_dir() else ())
    except OSError:
        return False
    return brought.isdisjoint((*_BOTO, "six.py"))


def _speaks_of_boto(module: Path) -> bool:
    with module.open("rb") as file:
        return b"boto" in file.read(_SCANNED_BYTES)
