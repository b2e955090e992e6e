"""Erasure: after it, no byte of a removed vector is in any file of the gallery."""

from pathlib import Path

import numpy as np

from engine.errors import GalleryBusy, GalleryError
from engine.storage.catalogue import NAME, put, read_catalogue
from engine.storage.catalogue.digest import DIGEST
from engine.storage.segments import segment_files
from engine.storage.writer_lock import HOLDER, LOCK, Writer


def erase(writer: Writer, removed: np.ndarray) -> None:
    """Once segments hold no removed template any more: clear the catalogue's free pages and write-ahead log, and verify it all.

    Args:
        writer: of the gallery, which holds the lock.
        removed: vectors (m, d) that were removed and are looked for.

    Raises:
        GalleryBusy: somebody reads the catalogue just now, so that its log must stay.
        GalleryError: something is left; names the file.
    """
    folder = writer.folder
    with writer.connection() as database:
        database.execute("VACUUM")
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise GalleryBusy(f"{folder} is being read just now, so its log cannot be cleared; say onek compact again")
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        if free:
            raise GalleryError(f"{folder / NAME} still has {free} free pages; say onek compact again")
        put(database, "erasable", "0")  # not before: where the log stays, info goes on to say that something waits
        pages = database.serialize()  # never through a file handle: see engine.storage.catalogue.digest
    _verify(folder, pages, np.ascontiguousarray(removed, "<f4"))


def _verify(folder: Path, pages: bytes, removed: np.ndarray) -> None:
    ours = {file.name for segment in read_catalogue(folder).segments for file in segment_files(folder, segment.name)}
    for file in sorted(folder.iterdir()):
        if file.name not in {*ours, NAME, f"{NAME}-wal", f"{NAME}-shm", DIGEST, LOCK, HOLDER}:
            raise GalleryError(f"{file} is no file of the gallery's and may hold what was removed; take it away")
    # Nor may templates of people who stay be there: they are all in the segment now.
    if any(row.tobytes() in pages for row in removed):
        raise GalleryError(f"{folder / NAME} still holds a removed vector; say onek compact again")
