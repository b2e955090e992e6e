"""Pictures that are kept because `--keep` says so: for so many days, and no longer than whoever is on them is enrolled."""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from secrets import token_hex

from engine.errors import OutputError
from engine.files.atomic_files import new_file, own_folder
from engine.service.records.database import changing, reading

INDEX = "onek-kept.sqlite"
"""Of each picture the gallery, the request, whom it shows, and since when it lies there; a folder that has it is one of ours."""
# A row for each identity that was recognised in a picture, or one without.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS picture (file TEXT NOT NULL, gallery TEXT NOT NULL, request_id TEXT NOT NULL, "
    "identity TEXT, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS picture_of ON picture (gallery, identity)",
    "CREATE INDEX IF NOT EXISTS picture_at ON picture (at)",
    "CREATE INDEX IF NOT EXISTS picture_file ON picture (file)",
)
# What our files are called; nothing of it is what a client sent.
_OURS = re.compile(r"[0-9a-f]{32}\.picture")
# Seconds that an answer is held for other processes that write the index, and that whoever asks for more waits.
_MOMENT, _WAIT = 0.5, 10.0
_DAY = 86_400.0


class KeptPictures:
    """Pictures in a folder that has nothing else in it, and an index of whom they show. Nothing is deleted but what is in it."""

    def __init__(self, folder: Path, days: int) -> None:
        """Make the folder, for its owner alone, or take one that is empty or that an earlier service kept pictures in.

        Raises:
            OutputError: it has other things in it, or cannot be written.
        """
        self.folder, self.days = folder, days
        self._index = folder / INDEX
        # Threads that keep pictures queue here: SQLite's own waiting is unfair, and ends.
        self._lock = threading.Lock()
        own_folder(folder)
        try:
            # Another process may be making the index just now: it is looked for last.
            foreign = next((each.name for each in sorted(folder.iterdir())), None)
            if foreign is not None and not self._index.is_file():
                raise OutputError(
                    f"--keep {folder}: found {foreign} there, which is not of a service that keeps pictures; name an "
                    "empty folder, or one that is not there yet"
                )
            with changing(self._index, _TABLES, _WAIT):
                pass
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"--keep {folder}: pictures cannot be kept there: {_why(error)}") from error

    def keep(self, gallery: str, request_id: str, pictures: Sequence[tuple[bytes, Collection[str]]]) -> None:
        """Keep pictures, each under everybody who was recognised in it.

        Raises:
            OutputError: one cannot be written.
        """
        at = time.time()
        files = {f"{token_hex(16)}.picture": data for data, _ in pictures}
        rows = [
            (file, gallery, request_id, name, at)
            for file, (_, names) in zip(files, pictures, strict=True)
            for name in (*names,) or (None,)
        ]
        try:
            # First the index, so that no picture lies there of which it does not know.
            with self._lock, changing(self._index, _TABLES, _MOMENT) as database:
                database.executemany("INSERT INTO picture VALUES (?, ?, ?, ?, ?)", rows)
            for file, data in files.items():
                with os.fdopen(new_file(self.folder / file), "wb") as stream:
                    stream.write(data)
            # Whoever is on it may have been erased meanwhile.
            with self._lock, reading(self._index, _TABLES, _MOMENT) as database:
                for file in files:
                    if not database.execute("SELECT 1 FROM picture WHERE file = ?", (file,)).fetchone():
                        (self.folder / file).unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            for file in files:
                (self.folder / file).unlink(missing_ok=True)
            raise OutputError(f"{self.folder}: pictures cannot be kept: {_why(error)}") from error

    def names(self, gallery: str) -> list[str]:
        """Everybody in a gallery who is on a picture. Raises `sqlite3.Error` or `OSError`, as do those below."""
        with reading(self._index, _TABLES, _WAIT) as database:
            asked = "SELECT DISTINCT identity FROM picture WHERE gallery = ? AND identity IS NOT NULL"
            return [row[0] for row in database.execute(asked, (gallery,))]

    def erase(self, gallery: str, names: Collection[str]) -> int:
        """Delete all pictures that somebody in a gallery was recognised in, whoever else was; how many there were.

        Raises:
            OutputError: some are left, since more were written meanwhile.
        """
        wanted = [(gallery, name) for name in names]
        files_of = "SELECT DISTINCT file FROM picture WHERE gallery = ? AND identity = ?"
        with changing(self._index, _TABLES, _WAIT) as database:
            count = self._delete(database, {row[0] for each in wanted for row in database.execute(files_of, each)})
        with reading(self._index, _TABLES, _WAIT) as database:
            left = sum(len(database.execute(files_of, each).fetchall()) for each in wanted)
        if left:
            raise OutputError(f"{left} were written meanwhile")
        return count

    def rename(self, gallery: str, old: str, new: str) -> None:
        """Give somebody a new name."""
        with changing(self._index, _TABLES, _WAIT) as database:
            asked = "UPDATE picture SET identity = ? WHERE gallery = ? AND identity = ?"
            database.execute(asked, (new, gallery, old))

    def expire(self) -> int:
        """Delete pictures that have lain there for `days` times 24 hours, of galleries too that are not served any more."""
        with changing(self._index, _TABLES, _WAIT) as database:
            old = database.execute("SELECT DISTINCT file FROM picture WHERE at < ?", (time.time() - self.days * _DAY,))
            return self._delete(database, {row[0] for row in old})

    def _delete(self, database: sqlite3.Connection, files: Iterable[str]) -> int:
        """Delete files, and what the index says of them; how many files there were."""
        count = 0
        for file in files:
            path = self.folder / file
            if _OURS.fullmatch(file) and os.path.lexists(path):
                path.unlink()
                count += 1
            database.execute("DELETE FROM picture WHERE file = ?", (file,))
        return count


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
