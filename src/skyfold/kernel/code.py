"""Function code on disk: zip files from the blobs, unpacked once, shared by all that run them."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import zipfile
from pathlib import Path

from skyfold.store.blobs import Blobs

UNPACKED_BYTES_MAX = 250 * 1024**2
ENTRIES_MAX = 100_000


class BadArchive(Exception):
    """It is no zip file, or holds what must not be unpacked. The text says what."""


class UnpackedTooLarge(BadArchive):
    """More than AWS unpacks."""


class CodeStore:
    """Folders named by blob, beside the blobs; made when first needed and swept with them."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.root = blobs.folder.parent / "code"
        self._unpacking: dict[str, asyncio.Future[Path]] = {}

    async def folder(self, blob_id: str) -> Path:
        """The unpacked code of a zip blob. Raises BadArchive."""
        target = self.root / blob_id
        if target.is_dir():
            return target
        if blob_id not in self._unpacking:
            unpack = asyncio.to_thread(unpacked, self._blobs.path(blob_id), target)
            task = asyncio.ensure_future(unpack)
            self._unpacking[blob_id] = task
            task.add_done_callback(lambda _: self._unpacking.pop(blob_id, None))
        return await asyncio.shield(self._unpacking[blob_id])

    async def forget(self, blob_id: str) -> None:
        """Remove the folder; running sandboxes keep what they have mounted."""
        await asyncio.to_thread(shutil.rmtree, self.root / blob_id, True)


def unpacked(archive: Path, target: Path) -> Path:
    """Unpack ``archive`` into ``target``, all of it or nothing, readable by every sandbox."""
    partial = target.with_name(target.name + f".{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            checked(opened)
            for entry in opened.infolist():
                _unpack_entry(opened, entry, partial)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as bad:
        shutil.rmtree(partial, ignore_errors=True)
        raise BadArchive("Could not unzip uploaded file. Please check your file, then try to "
                         "upload again.") from bad  # fmt: skip
    except BadArchive:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for folder in (partial, *(Path(f) for f, _, _ in os.walk(partial))):
        folder.chmod(0o755)
    try:
        partial.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(partial, ignore_errors=True)
    return target


def checked(archive: zipfile.ZipFile) -> int:
    """The unpacked size; refuses what would leave the folder or fill the disk."""
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if size > UNPACKED_BYTES_MAX or len(entries) > ENTRIES_MAX:
        raise UnpackedTooLarge(f"Unzipped size must be smaller than {UNPACKED_BYTES_MAX} bytes")
    for entry in entries:
        name = entry.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise BadArchive(f"The archive names a path outside of it: {name}")
    return size


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    path = folder / entry.filename
    mode = entry.external_attr >> 16
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        target = archive.read(entry).decode()
        inside = os.path.normpath(os.path.join(os.path.dirname(entry.filename), target))
        if os.path.isabs(target) or inside.startswith(".."):
            raise BadArchive(f"The archive links outside of it: {entry.filename}")
        path.symlink_to(target)
        return
    with archive.open(entry) as source, path.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    path.chmod(0o755 if mode & 0o111 else 0o644)
