"""Several layers as one folder for /opt."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def merged(layers: tuple[Path, ...], folder: Path) -> Path | None:
    """One folder with all that ``layers`` hold, later ones winning; made once, then reused.

    Files are hard links where the file system allows, so that a merge costs no space.
    """
    if not layers:
        return None
    if len(layers) == 1:
        return layers[0]
    name = hashlib.sha256("\0".join(str(layer) for layer in layers).encode()).hexdigest()[:32]
    target = folder / name
    if target.exists():
        return target
    draft = folder / f"{name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o755)
    for layer in layers:
        _lay(layer, draft)
    try:
        draft.rename(target)
    except OSError:  # somebody else was first
        shutil.rmtree(draft)
    return target


def _lay(layer: Path, target: Path) -> None:
    for place, folders, files in os.walk(layer):
        here = target / os.path.relpath(place, layer)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in folders:
            if name not in links:
                _make_folder(here / name)
        for name in (*files, *links):
            _put(Path(place) / name, here / name)


def _make_folder(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.mkdir(mode=0o755, exist_ok=True)


def _put(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def top_names(folders: Iterable[Path]) -> set[str]:
    """The names that a package and its layers bring for ``import`` at their top."""
    found: set[str] = set()
    for folder in folders:
        try:
            found.update(name.partition(".")[0] for name in os.listdir(folder))
        except OSError:
            continue
    return found
