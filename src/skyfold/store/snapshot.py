"""A whole store, its blobs included, in one file: from any engine, into any engine.

The file is a tar: members ``pairs/N`` (msgpack lists of keys and values by turns) and
``blobs/ID``, in the order in which they were met, and at last ``manifest.json``, whose checksum
runs over the names and contents of all members before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from skyfold.store import keys
from skyfold.store.api import Pair, ReadTx, Store, StoreUnavailable, Tx
from skyfold.store.blobs import HELD, PIECE_BYTES, Blobs

FORMAT = 1
LOADING = keys.pack("snapshot.loading")
"""This key exists while a snapshot is loaded: whoever finds it has half a store."""
_MEMBER_BYTES = 4 * 1024 * 1024
_BLOCK = 512
_EVERYTHING = (b"", b"\xff")
_LOAD_PAIRS = 500


class SnapshotDamaged(Exception):
    """The file is no snapshot, or not a whole one, or of a later format. Nothing was touched."""


class Progress(msgspec.Struct):
    """How far a save or load is."""

    pairs: int = 0
    blobs: int = 0
    bytes: int = 0


Report = Callable[[Progress], None]


class _Manifest(msgspec.Struct, kw_only=True):
    format: int
    pairs: int
    blobs: int
    sha256: str


def _silent(progress: Progress) -> None: ...


# --- saving -----------------------------------------------------------------------------------


async def save(store: Store, blobs: Blobs, file: Path, report: Report = _silent) -> Progress:
    """Write a snapshot; ``file`` appears when it is whole and on disk."""
    draft = file.with_name(file.name + ".draft")
    progress = Progress()
    try:
        with draft.open("wb") as target:
            async for piece in stream(store, blobs, lambda now: _note(progress, now, report)):
                await asyncio.to_thread(target.write, piece)
            target.flush()
            await asyncio.to_thread(os.fsync, target.fileno())
        draft.rename(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreUnavailable(f"The snapshot could not be written: {error}") from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return progress


def _note(kept: Progress, now: Progress, report: Report) -> None:
    kept.pairs, kept.blobs, kept.bytes = now.pairs, now.blobs, now.bytes
    report(now)


async def stream(store: Store, blobs: Blobs, report: Report = _silent) -> AsyncIterator[bytes]:
    """The bytes of a snapshot of this moment, while others go on writing."""
    digest = hashlib.sha256()
    progress = Progress()
    held = HELD.prefix()
    last_blob = ""
    with blobs.kept():
        async for pairs in _gathered(store.pairs()):
            data = msgspec.msgpack.encode([part for pair in pairs for part in pair])
            for piece in _member(f"pairs/{progress.pairs}", len(data), digest, [data]):
                yield piece
            progress.pairs += len(pairs)
            progress.bytes += len(data)
            for key, _ in pairs:
                if not key.startswith(held) or (blob := str(keys.unpack(key)[1])) == last_blob:
                    continue
                last_blob = blob
                async for piece in _blob_member(blobs, blob, digest):
                    progress.bytes += len(piece)
                    yield piece
                progress.blobs += 1
                report(progress)
            report(progress)
    manifest = _Manifest(
        format=FORMAT, pairs=progress.pairs, blobs=progress.blobs, sha256=digest.hexdigest()
    )
    data = msgspec.json.encode(manifest)
    for piece in _member("manifest.json", len(data), digest, [data]):
        yield piece
    yield bytes(2 * _BLOCK)  # the end of a tar


async def _gathered(pieces: AsyncIterator[list[Pair]]) -> AsyncIterator[list[Pair]]:
    """Lists of about the size of a member."""
    pairs: list[Pair] = []
    pairs_bytes = 0
    async for piece in pieces:
        for pair in piece:
            pairs.append(pair)
            pairs_bytes += len(pair[0]) + len(pair[1])
            if pairs_bytes >= _MEMBER_BYTES:
                yield pairs
                pairs, pairs_bytes = [], 0
    if pairs:
        yield pairs


def _member(name: str, size: int, digest: Any, pieces: Sequence[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = size
    digest.update(name.encode())
    yield info.tobuf(tarfile.PAX_FORMAT)
    for piece in pieces:
        digest.update(piece)
        yield piece
    yield bytes(-size % _BLOCK)


async def _blob_member(blobs: Blobs, blob: str, digest: Any) -> AsyncIterator[bytes]:
    size = int(blob.split("-")[1], 16)
    header, padding = _member(f"blobs/{blob}", size, digest, ())
    yield header
    async for piece in blobs.read(blob):
        digest.update(piece)
        yield piece
    yield padding


# --- loading ----------------------------------------------------------------------------------


async def load(file: Path, store: Store, blobs: Blobs, report: Report = _silent) -> Progress:
    """Replace everything in the store by a snapshot, which is checked as a whole before.

    Nobody else may use the store meanwhile. If this is interrupted, ``interrupted`` says so, and
    loading again is the way out.
    """
    await asyncio.to_thread(_check, file)
    progress = Progress()
    with blobs.kept(), tarfile.open(file, "r:") as tar:
        await store.write(_clear)
        while (member := await asyncio.to_thread(tar.next)) is not None:
            content = tar.extractfile(member)
            assert content is not None
            kind, _, name = member.name.partition("/")
            if kind == "blobs":
                await blobs.restore(name, _pieces(content))
                progress.blobs += 1
            elif kind == "pairs":
                progress.pairs += await _load_pairs(store, content)
            progress.bytes += member.size
            report(progress)
        await store.write(_finish)
    return progress


async def interrupted(store: Store) -> bool:
    """Whether the last load did not come to its end."""
    return await store.read(_is_loading)


async def _is_loading(tx: ReadTx) -> bool:
    return await tx.get(LOADING) is not None


async def _clear(tx: Tx) -> None:
    tx.delete_range(*_EVERYTHING)
    tx.put(LOADING, b"")


async def _finish(tx: Tx) -> None:
    tx.delete(LOADING)


async def _load_pairs(store: Store, content: IO[bytes]) -> int:
    parts = iter(msgspec.msgpack.decode(content.read(), type=list[bytes]))
    count = 0
    while pairs := list(islice(zip(parts, parts, strict=True), _LOAD_PAIRS)):
        await store.write(_put_all, pairs)
        count += len(pairs)
    return count


async def _put_all(tx: Tx, pairs: Sequence[Pair]) -> None:
    for key, value in pairs:
        tx.put(key, value)


async def _pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(content.read, PIECE_BYTES):
        yield piece


def _check(file: Path) -> None:
    """Raise SnapshotDamaged unless the file is a whole snapshot."""
    digest = hashlib.sha256()
    pairs = blobs = 0
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    raise SnapshotDamaged(f"{file} is no snapshot: {member.name} is no file.")
                if member.name == "manifest.json":
                    _compare(file, content.read(), pairs, blobs, digest.hexdigest())
                    return
                digest.update(member.name.encode())
                if member.name.startswith("pairs/"):
                    data = content.read()
                    digest.update(data)
                    pairs += len(msgspec.msgpack.decode(data, type=list[bytes])) // 2
                    continue
                blobs += 1
                while piece := content.read(PIECE_BYTES):
                    digest.update(piece)
    except (tarfile.TarError, OSError, EOFError, msgspec.DecodeError) as error:
        raise SnapshotDamaged(f"{file} is no whole snapshot: {error}") from error
    raise SnapshotDamaged(f"{file} is cut off.")


def _compare(file: Path, manifest: bytes, pairs: int, blobs: int, sha256: str) -> None:
    found = msgspec.json.decode(manifest, type=_Manifest)
    if found.format != FORMAT:
        raise SnapshotDamaged(f"{file} has format {found.format}; this is made for {FORMAT}.")
    if (found.pairs, found.blobs, found.sha256) != (pairs, blobs, sha256):
        raise SnapshotDamaged(f"{file} is damaged: its checksum does not match.")
