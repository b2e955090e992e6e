"""Pictures that are kept because `--keep` says so: for so many days, and no longer than whoever is on them is enrolled."""

import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
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
# Seconds that an answer is held for others who read or write the index, and that whoever asks for more waits.
_MOMENT, _WAIT = 0.1, 5.0
# Bytes of pictures that wait until the index can be written.
_MOST_LATE = 64 << 20
_DAY = 86_400.0
_log = logging.getLogger("onek.service")


@dataclass(frozen=True)
class _Picture:
    file: str
    gallery: str
    request_id: str
    names: Collection[str]
    at: float
    data: bytes


class KeptPictures:
    """Pictures in a folder that has nothing else in it, and an index of whom they show. Nothing is deleted but what is in it.

    While somebody else reads the index, pictures wait in memory for `write_late`. No answer waits for more than a moment.
    """

    def __init__(self, folder: Path, days: int, told_lost: Callable[[str], None] = lambda _: None) -> None:
        """Make the folder, for its owner alone, or take one that is empty or that an earlier service kept pictures in.

        `told_lost` is told the gallery of each picture that could not be kept.

        Raises:
            OutputError: it has other things in it, or cannot be written.
        """
        self.folder, self.days = folder, days
        self._index = folder / INDEX
        self._told_lost = told_lost
        self._lock = threading.Lock()
        self._late: list[_Picture] = []
        try:
            own_folder(folder)
            # Another process may be making the index just now: it is looked for last.
            foreign = next((each.name for each in sorted(folder.iterdir())), None)
            if foreign is not None and not self._index.is_file():
                raise OutputError(
                    f"found {foreign} there, which is not of a service that keeps pictures; name an empty folder, or one that is "
                    "not there yet"
                )
            with changing(self._index, _TABLES, _WAIT):
                pass
        except (OutputError, OSError, sqlite3.Error) as error:
            raise OutputError(f"--keep {folder}: {_why(error)}") from error

    def keep(self, gallery: str, request_id: str, pictures: Sequence[tuple[bytes, Collection[str]]]) -> None:
        """Keep pictures, each under everybody who was recognised in it."""
        at = time.time()
        new = [_Picture(f"{token_hex(16)}.picture", gallery, request_id, names, at, data) for data, names in pictures]
        with self._lock:
            if self._late or not self._written(new):
                size = sum(len(each.data) for each in self._late)
                for picture in new:
                    size += len(picture.data)
                    if size <= _MOST_LATE:
                        self._late.append(picture)
                    else:
                        self._lost(picture, "too many wait already")

    def write_late(self) -> list[str]:
        """Write what waits, if that is possible now; of which galleries that was."""
        with self._lock:
            if not self._late or not self._written(self._late):
                return []
            written, self._late = self._late, []
        _log.warning("%s: pictures that waited are written: %d", self.folder, len(written))
        return sorted({each.gallery for each in written})

    def _written(self, pictures: list["_Picture"]) -> bool:
        """Write pictures, but for those for which the disk has no room; False where they have to wait for the index."""
        rows = [
            (each.file, each.gallery, each.request_id, name, each.at) for each in pictures for name in (*each.names,) or (None,)
        ]
        try:
            # First the index, so that no picture lies there of which it does not know.
            with changing(self._index, _TABLES, _MOMENT) as database:
                database.executemany("INSERT INTO picture VALUES (?, ?, ?, ?, ?)", rows)
            for picture in pictures:
                try:
                    with os.fdopen(new_file(self.folder / picture.file), "wb") as stream:
                        stream.write(picture.data)
                except OSError as error:
                    (self.folder / picture.file).unlink(missing_ok=True)
                    self._lost(picture, _why(error))
            # Whoever is on it may have been erased meanwhile.
            with reading(self._index, _TABLES, _MOMENT) as database:
                for picture in pictures:
                    if not database.execute("SELECT 1 FROM picture WHERE file = ?", (picture.file,)).fetchone():
                        (self.folder / picture.file).unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            for picture in pictures:
                (self.folder / picture.file).unlink(missing_ok=True)
            if not self._late:
                _log.warning("%s: pictures wait, since the index cannot be written: %s", self.folder, _why(error))
            return False
        return True

    def _lost(self, picture: "_Picture", why: str) -> None:
        _log.warning("%s: a picture of %s cannot be kept: %s", self.folder, picture.gallery, why)
        self._told_lost(picture.gallery)

    def names(self, gallery: str) -> list[str]:
        """Everybody in a gallery who is on a picture. Raises `sqlite3.Error` or `OSError`, as do those below."""
        with reading(self._index, _TABLES, _WAIT) as database:
            asked = "SELECT DISTINCT identity FROM picture WHERE gallery = ? AND identity IS NOT NULL"
            return [row[0] for row in database.execute(asked, (gallery,))]

    def erase(self, gallery: str, names: Collection[str], request_id: str | None = None) -> int:
        """Delete all pictures that somebody in a gallery was recognised in, or those of one request, whoever else was in them;
        how many there were.

        Raises:
            OutputError: some are left, since more were written meanwhile.
        """
        with self._lock:
            those = [each for each in self._late if each.gallery == gallery and request_id in (None, each.request_id)]
            gone = {each.file for each in those if set(each.names) & set(names)}
            self._late = [each for each in self._late if each.file not in gone]
        wanted = [(gallery, name, request_id) for name in names]
        them = "gallery = ?1 AND identity = ?2 AND request_id = COALESCE(?3, request_id)"
        files_of = f"SELECT DISTINCT file FROM picture WHERE {them}"  # noqa: S608
        with changing(self._index, _TABLES, _WAIT) as database:
            count = len(gone) + self._delete(database, {row[0] for each in wanted for row in database.execute(files_of, each)})
        with reading(self._index, _TABLES, _WAIT) as database:
            left = sum(len(database.execute(files_of, each).fetchall()) for each in wanted)
        if left:
            raise OutputError(f"{left} were written meanwhile")
        return count

    def rename(self, gallery: str, old: str, new: str) -> None:
        """Give somebody a new name."""
        with self._lock:
            self._late = [
                replace(each, names={new if name == old else name for name in each.names}) if each.gallery == gallery else each
                for each in self._late
            ]
        with changing(self._index, _TABLES, _WAIT) as database:
            asked = "UPDATE picture SET identity = ? WHERE gallery = ? AND identity = ?"
            database.execute(asked, (new, gallery, old))

    def expire(self) -> int:
        """Delete pictures that have lain there for `days` times 24 hours, of galleries too that are not served any more."""
        with changing(self._index, _TABLES, _WAIT) as database:
            old = database.execute("SELECT DISTINCT file FROM picture WHERE at < ?", (time.time() - self.days * _DAY,))
            return self._delete(database, {row[0] for row in old})

    def close(self) -> None:
        """Write what waits."""
        self.write_late()
        for picture in self._late:
            self._lost(picture, "the service ends")

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
