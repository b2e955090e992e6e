"""Erasure: after it, no byte of a removed vector is in any file of the gallery."""

from pathlib import Path

import numpy as np

from engine.catalogue import NAME, put, read_catalogue, writing
from engine.errors import GalleryBusy, GalleryError
from engine.segments import segment_files
from engine.writer import HOLDER, LOCK
from indexes.files import open_vectors

_PART = 1 << 16


def erase(folder: Path, removed: np.ndarray) -> None:
    """Once segments hold no removed template any more: clear the catalogue's free pages and write-ahead log, and verify it all.

    Args:
        folder: the gallery.
        removed: vectors (m, d) that were removed and are looked for.

    Raises:
        GalleryBusy: somebody reads the catalogue just now, so that its log must stay.
        GalleryError: something is left; names the file.
    """
    with writing(folder) as database:
        put(database, "erasable", "0")
        database.execute("VACUUM")
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise GalleryBusy(f"{folder} is being read just now, so its log cannot be cleared; say onek compact again")
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        if free:
            raise GalleryError(f"{folder / NAME} still has {free} free pages; say onek compact again")
    _verify(folder, np.ascontiguousarray(removed, "<f4"))


def _verify(folder: Path, removed: np.ndarray) -> None:
    (segment,) = read_catalogue(folder).segments
    ours = {file.name for file in segment_files(folder, segment.name)}
    for file in sorted(folder.iterdir()):
        if file.name not in {*ours, NAME, f"{NAME}-wal", f"{NAME}-shm", LOCK, HOLDER}:
            raise GalleryError(f"{file} is no file of the gallery's and may hold what was removed; take it away")
    gone = {row.tobytes() for row in removed}
    vectors = open_vectors(segment_files(folder, segment.name)[1])
    alive = {row.tobytes() for start in range(0, len(vectors), _PART) for row in vectors[start : start + _PART]} & gone
    for suffix in ("", "-wal", "-shm"):
        path = folder / f"{NAME}{suffix}"
        held = path.read_bytes() if path.exists() else b""
        if any(vector in held for vector in gone - alive):
            raise GalleryError(f"{path} still holds a removed vector; say onek compact again")
