"""Large bodies as files beside the store: written and fsynced first, then named by a commit.

A blob is never changed. A row of ``HELD`` for each owner names it; a file that no row has named
for a while is garbage, whoever wrote it and whyever it was given up. An id carries the size and a
checksum, so that a damaged or missing file is an error and never wrong bytes:

    3f0 a81b27c4d5e6f7081920 -1c2000 -9ab01f4e
    |   |                     |       crc32 of the body, or of the file of piece checksums
    |   random                size, hexadecimal
    the folder
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import zlib
from array import array
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from skyfold.base.ids import Ids
from skyfold.store.api import ReadTx, Store, StoreUnavailable, Tx
from skyfold.store.tables import Index

T = TypeVar("T")
PIECE_BYTES = 256 * 1024
"""What is read, checked and handed on at a time."""
HELD = Index("blobs.held", "blob", "owner")
_FILES_PER_FOLDER = 512
_FOLDER_DIGITS = 3
_DRAFT, _SUMS = ".draft", ".sums"
_UNAVAILABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LOOK_UP = 200
"""How many files' rows are looked up in one transaction when collecting."""


class Blob(NamedTuple):
    id: str
    size: int


class BlobDamaged(Exception):
    """The file of a blob is missing, cut short, or has other bytes than were written."""


class Digest(Protocol):
    """What of hashlib's objects is needed."""

    def update(self, data: bytes, /) -> object: ...


class Blobs:
    """The blobs of one folder, which several nodes may share."""

    def __init__(self, folder: Path, *, ids: Ids | None = None) -> None:
        self.folder = folder
        self._ids = ids or Ids()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="skyfold-blobs")
        self._fanout = ""
        self._files_left = 0
        self._keeping = 0
        self._unnamed: dict[_File, int] = {}
        """Files that no row names, and since when this is known."""

    async def _run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)

    # --- writing ------------------------------------------------------------------------------

    async def write(
        self, pieces: AsyncIterable[bytes] | bytes, *, digests: Sequence[Digest] = ()
    ) -> Blob:
        """Keep a body, on disk when this returns; ``digests`` see all of it on the way.

        Until a commit holds it, it is garbage that ``collect`` takes away after a while.
        """
        return await self._write(pieces, _Draft(self._next_folder(), self._ids.hex(20), digests))

    async def restore(self, blob_id: str, pieces: AsyncIterable[bytes]) -> None:
        """Keep a body again under the id that it once got; BlobDamaged where it is not the same."""
        if await self._run(partial(_whole_or_gone, self.path(blob_id))):
            return
        folder, random = blob_id[:_FOLDER_DIGITS], blob_id[_FOLDER_DIGITS:].partition("-")[0]
        draft = _Draft(self.folder / folder, random, ())
        if (await self._write(pieces, draft)).id != blob_id:
            await self._run(draft.discard)
            raise BlobDamaged(f"The bytes are not those of {blob_id}.")

    async def _write(self, pieces: AsyncIterable[bytes] | bytes, draft: _Draft) -> Blob:
        try:
            if isinstance(pieces, bytes | bytearray | memoryview):
                return await self._run(partial(draft.finish, [pieces]))
            return await self._run(partial(draft.finish, await self._stream(draft, pieces)))
        except BaseException as error:
            await self._run(draft.discard)
            if isinstance(error, OSError) and error.errno in _UNAVAILABLE:
                raise StoreUnavailable(f"The body could not be written: {error}") from error
            raise

    async def _stream(self, draft: _Draft, pieces: AsyncIterable[bytes]) -> list[bytes]:
        """Write all but the last pieces, which are returned."""
        gathered: list[bytes] = []
        gathered_bytes = 0
        async for piece in pieces:
            gathered.append(piece)
            gathered_bytes += len(piece)
            if gathered_bytes >= PIECE_BYTES:
                await self._run(partial(draft.append, gathered))
                gathered, gathered_bytes = [], 0
        return gathered

    def _next_folder(self) -> Path:
        """Blobs made one after another share a folder, so that its fsyncs come together."""
        if not self._files_left:
            self._fanout = self._ids.hex(_FOLDER_DIGITS)
            self._files_left = _FILES_PER_FOLDER
        self._files_left -= 1
        return self.folder / self._fanout

    def hold(self, tx: Tx, blob_id: str, owner: str) -> None:
        """Name the blob in this transaction: it stays until every owner has released it."""
        HELD.put(tx, blob_id, owner)

    def release(self, tx: Tx, blob_id: str, owner: str) -> None:
        HELD.delete(tx, blob_id, owner)

    # --- reading ------------------------------------------------------------------------------

    def path(self, blob_id: str) -> Path:
        """The file, which holds the body and nothing else. Not checked, and not to be changed."""
        return self.folder / blob_id[:_FOLDER_DIGITS] / blob_id

    async def read(
        self, blob_id: str, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces, each of them checked first.

        The file is opened before the first piece, and is then read to its end even if the blob
        is released and collected meanwhile.
        """
        reader, piece = await self._run(partial(_begin, self.path(blob_id), start, stop))
        try:
            stop = reader.size if stop is None else min(stop, reader.size)
            while piece:
                yield piece
                start += len(piece)
                piece = await self._run(partial(reader.piece, start, stop)) if start < stop else b""
        finally:
            reader.close()

    async def read_bytes(self, blob_id: str) -> bytes:
        """All of a blob that is known to be small."""
        return await self._run(partial(_read_all, self.path(blob_id)))

    async def read_parts(
        self, parts: Sequence[Blob], start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """As ``read``, from the blobs that follow one another as ``parts`` of one body."""
        stop = sum(part.size for part in parts) if stop is None else stop
        at = 0
        for part in parts:
            low, high = max(start - at, 0), min(stop - at, part.size)
            if low < high:
                async for piece in self.read(part.id, low, high):
                    yield piece
            at += part.size

    # --- collecting ---------------------------------------------------------------------------

    async def collect(self, store: Store, now_ms: int, older_than_ms: int = 3_600_000) -> int:
        """Delete the files that have been unreferenced for so long, and say how many.

        Call it now and then: each call remembers what it found unreferenced, and deletes what
        was so in all calls since ``older_than_ms`` ago. A body that is still being written, or
        waits for its commit, or is still being read after its release, has that long.
        """
        if self._keeping:
            return 0
        still: dict[_File, int] = {}
        deleted = 0
        for folder in await self._run(partial(_folders, self.folder)):
            files = await self._run(partial(_files, folder))
            for at in range(0, len(files), _LOOK_UP):
                unnamed = await store.read(_unnamed, files[at : at + _LOOK_UP])
                since = {file: self._unnamed.get(file, now_ms) for file in unnamed}
                old = [file.path for file in unnamed if since[file] <= now_ms - older_than_ms]
                await self._run(partial(_unlink, old))
                deleted += sum(path.suffix != _SUMS for path in old)
                still.update(since)
        self._unnamed = still
        return deleted

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Nothing is collected meanwhile (by this process)."""
        self._keeping += 1
        try:
            yield
        finally:
            self._keeping -= 1

    def close(self) -> None:
        self._threads.shutdown()


class _File(NamedTuple):
    path: Path
    written_ns: int
    """When a draft last grew: one that another node is still writing is no garbage."""


async def _unnamed(tx: ReadTx, files: Sequence[_File]) -> list[_File]:
    return [file for file in files if not await HELD.scan(tx, file.path.stem, limit=1)]


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.exists() else []


def _files(folder: Path) -> list[_File]:
    files = []
    for path in sorted(folder.iterdir()):
        with suppress(FileNotFoundError):  # a draft that was finished or discarded
            growing = path.suffix == _DRAFT
            files.append(_File(path, path.stat().st_mtime_ns if growing else 0))
    return files


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


class _Draft:
    """A blob being written, first under a name that no row could mention. Runs in threads."""

    def __init__(self, folder: Path, random: str, digests: Sequence[Digest]) -> None:
        self._folder = folder
        self._random = random
        self._digests = digests
        self._file: BinaryIO | None = None
        self._size = 0
        self._sums = _Sums()
        self._made: list[Path] = []
        self._discarded = False
        self._lock = threading.Lock()

    def append(self, pieces: Sequence[bytes]) -> None:
        with self._lock:
            self._append(pieces)

    def _append(self, pieces: Sequence[bytes]) -> None:
        if self._discarded:
            return
        file = self._file = self._file or self._open()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        for digest in self._digests:
            digest.update(data)
        self._sums.update(data)
        self._size += len(data)
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]

    def _open(self) -> BinaryIO:
        path = self._folder / f"{self._random}{_DRAFT}"
        self._made.append(path)
        try:
            return path.open("xb", buffering=0)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            _sync(self._folder.parent)
            return path.open("xb", buffering=0)

    def finish(self, pieces: Sequence[bytes]) -> Blob:
        """Append the last pieces, and name the file by what it holds."""
        with self._lock:
            self._append(pieces)
            return self._finish()

    def _finish(self) -> Blob:
        assert self._file is not None, "discarded"
        sums = self._sums.of_pieces()
        crc = self._sums.whole if self._size <= PIECE_BYTES else zlib.crc32(sums)
        name = f"{self._folder.name}{self._random}-{self._size:x}-{crc:08x}"
        path = self._folder / name
        if self._size > PIECE_BYTES:
            self._write_sums(path.with_suffix(_SUMS), sums)
        # Renamed before the fsync: one commit of the file system's journal then covers both, and
        # a file that a crash leaves half-way is garbage like any that no row names.
        self._made[0].rename(path)
        self._made[0] = path
        os.fsync(self._file.fileno())
        self._file.close()
        _sync(self._folder)
        return Blob(name, self._size)

    def _write_sums(self, path: Path, sums: bytes) -> None:
        self._made.append(path)
        with path.open("xb", buffering=0) as file:
            file.write(sums)
            os.fsync(file.fileno())

    def discard(self) -> None:
        """Leave nothing behind; whatever was still under way comes to nothing."""
        with self._lock:
            self._discarded = True
            if self._file is not None:
                self._file.close()
                self._file = None
            for path in self._made:
                path.unlink(missing_ok=True)


class _Sums:
    """The crc32 of every piece of a body, as it goes by."""

    def __init__(self) -> None:
        self._sums = array("I")
        self._open = 0
        self._open_bytes = 0

    def update(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            part = left[: PIECE_BYTES - self._open_bytes]
            self._open = zlib.crc32(part, self._open)
            self._open_bytes += len(part)
            left = left[len(part) :]
            if self._open_bytes == PIECE_BYTES:
                self._sums.append(self._open)
                self._open = self._open_bytes = 0

    @property
    def whole(self) -> int:
        """The checksum of a body of one piece at the most."""
        return self._sums[0] if self._sums else self._open

    def of_pieces(self) -> bytes:
        sums = array("I", self._sums)
        if self._open_bytes:
            sums.append(self._open)
        return sums.tobytes()


class _Reader:
    """An open blob. Runs in threads."""

    def __init__(self, path: Path) -> None:
        _, size, crc = path.name.split("-")
        self.size = int(size, 16)
        self._path = path
        try:
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise BlobDamaged(f"{path} is missing.") from None
        try:
            self._sums = array("I", [int(crc, 16)])
            found_bytes = os.fstat(self._file.fileno()).st_size
            if found_bytes != self.size:
                raise BlobDamaged(f"{path} has {found_bytes} bytes, not {self.size}.")
            if self.size > PIECE_BYTES:
                self._sums = self._read_sums(int(crc, 16))
        except BaseException:
            self._file.close()
            raise

    def _read_sums(self, crc: int) -> array[int]:
        path = self._path.with_suffix(_SUMS)
        sums = path.read_bytes() if path.exists() else b""
        if zlib.crc32(sums) != crc:
            raise BlobDamaged(f"{path} is missing or damaged.")
        return array("I", sums)

    def piece(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` or to the end of the piece they begin in."""
        number = start // PIECE_BYTES
        begin = number * PIECE_BYTES
        data = os.pread(self._file.fileno(), min(PIECE_BYTES, self.size - begin), begin)
        if zlib.crc32(data) != self._sums[number]:
            raise BlobDamaged(f"{self._path} is damaged between bytes {begin} and {stop}.")
        return data[start - begin : stop - begin]

    def close(self) -> None:
        self._file.close()


def _begin(path: Path, start: int, stop: int | None) -> tuple[_Reader, bytes]:
    """An open blob and its first piece, for one trip to a thread."""
    reader = _Reader(path)
    try:
        stop = reader.size if stop is None else min(stop, reader.size)
        return reader, reader.piece(start, stop) if start < stop else b""
    except BaseException:
        reader.close()
        raise


def _read_all(path: Path) -> bytes:
    reader = _Reader(path)
    try:
        starts = range(0, reader.size, PIECE_BYTES)
        return b"".join([reader.piece(start, reader.size) for start in starts])
    finally:
        reader.close()


def _whole_or_gone(path: Path) -> bool:
    """Whether the blob is there and sound; what is left of a damaged one is removed."""
    try:
        reader = _Reader(path)
    except BlobDamaged:
        _unlink([path, path.with_suffix(_SUMS)])
        return False
    try:
        for start in range(0, reader.size, PIECE_BYTES):
            reader.piece(start, reader.size)
    except BlobDamaged:
        _unlink([path, path.with_suffix(_SUMS)])
        return False
    finally:
        reader.close()
    return True


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
