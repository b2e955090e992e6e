"""What happened at the door: who was let in, when, with what score. A file beside each gallery, erased with the person."""

import logging
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.errors import GalleryBusy, OutputError
from engine.service.records.database import changing, reading

_TABLES = (
    "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT, "
    "decision TEXT, score REAL, threshold REAL, expected_false_alarms REAL, token TEXT, request_id TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS event_of ON event (identity)",
    "CREATE INDEX IF NOT EXISTS event_at ON event (at)",
)
_COLUMNS = "at, kind, identity, decision, score, threshold, expected_false_alarms, token, request_id"
_INSERT = f"INSERT INTO event ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_SAME = "SELECT 1 FROM event WHERE at BETWEEN ? AND ? AND kind = 'identify' AND token IS ? AND identity IS ? AND decision IS ?"
AGAIN = 10.0
"""Seconds in which the same answer to the same token is one event: a camera asks several times a second."""
# Seconds that an answer is held for somebody who reads or writes the file beside us, and that whoever asks for more waits.
_MOMENT, _WAIT = 0.1, 5.0
# Events that wait until the file can be written.
_MOST_LATE, _MOST_LATELY = 10_000, 1000
_log = logging.getLogger("onek.service")


@dataclass(frozen=True)
class Event:
    """What happened: `kind` is identify, verify, enroll, remove, erase or rename. `identity` is None where nobody was recognised,
    and of somebody who left. `token`: the id of the token that asked.
    """

    at: str
    kind: str
    identity: str | None
    decision: str | None
    score: float | None
    threshold: float | None
    expected_false_alarms: float | None
    token: str | None
    request_id: str


def now() -> str:
    """This moment, as events say it."""
    return _said(datetime.now(UTC))


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


class Events:
    """The events of one gallery, in SQLite, for any number of threads and processes. What is deleted is overwritten.

    An event that cannot be written at once, since somebody else reads the file or the disk is full, waits in memory for
    `write_late`. No answer waits for more than a moment.
    """

    def __init__(self, path: Path, days: int) -> None:
        """Open the file, or make it, for its owner alone.

        Raises:
            OutputError: it cannot be written.
        """
        self.path, self.days = path, days
        self._lock = threading.Lock()
        self._late: list[Event] = []
        self._lately: dict[tuple[str | None, ...], float] = {}
        try:
            with changing(path, _TABLES, _WAIT):
                pass
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: events cannot be kept there: {error}") from error

    def add(self, events: Iterable[Event]) -> int:
        """Keep events; where a camera sees the same again and again, the first. How many are lost, since too many wait."""
        with self._lock:
            new = [event for event in events if event.kind != "identify" or self._is_new(event)]
            if new and not self._late and self._written(new, _MOMENT):
                return 0
            room = max(0, _MOST_LATE - len(self._late))
            self._late += new[:room]
            return len(new) - min(len(new), room)

    def write_late(self) -> int:
        """Write what waits, if that is possible now; how many events that were."""
        with self._lock:
            if not self._late or not self._written(self._late, _MOMENT):
                return 0
            written, self._late = len(self._late), []
        _log.warning("%s: events that waited are written: %d", self.path, written)
        return written

    def _is_new(self, event: Event) -> bool:
        """Whether this process did not give the same answer to the same token within the last `AGAIN` seconds."""
        what, at = (event.token, event.identity, event.decision), time.monotonic()
        if len(self._lately) > _MOST_LATELY:
            self._lately = {each: seen for each, seen in self._lately.items() if at - seen < AGAIN}
        new = at - self._lately.get(what, -AGAIN) >= AGAIN
        self._lately[what] = at
        return new

    def _written(self, events: list[Event], wait: float) -> bool:
        """Write events, but for those that another process has as well; whether that was possible."""
        try:
            with changing(self.path, _TABLES, wait) as database:
                for e in events:
                    since = _said(datetime.fromisoformat(e.at) - timedelta(seconds=AGAIN))
                    same = (since, e.at, e.token, e.identity, e.decision)
                    if e.kind == "identify" and database.execute(_SAME, same).fetchone():
                        continue
                    numbers = (e.score, e.threshold, e.expected_false_alarms)
                    database.execute(_INSERT, (e.at, e.kind, e.identity, e.decision, *numbers, e.token, e.request_id))
        except (OSError, sqlite3.Error) as error:
            if not self._late:
                _log.warning("%s: events wait, since they cannot be written: %s", self.path, error)
            return False
        return True

    def recent(self, limit: int, before: int | None = None) -> tuple[list[Event], int | None]:
        """The newest events, and the `before` of the next call; None when there are no older ones.

        Raises:
            GalleryBusy: somebody else had the file all the while.
        """
        try:
            with reading(self.path, _TABLES, _WAIT) as database:
                found = database.execute(
                    f"SELECT number, {_COLUMNS} FROM event WHERE number < ? ORDER BY number DESC LIMIT ?",  # noqa: S608
                    (before if before is not None else 1 << 62, limit),
                ).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise GalleryBusy(f"the events cannot be read just now: {error}; ask again") from error
        return [Event(*row[1:]) for row in found], found[-1][0] if len(found) == limit else None

    def names(self) -> list[str]:
        """The names of everybody who is in an event. Raises `sqlite3.Error` where that fails, as do those below."""
        with reading(self.path, _TABLES, _WAIT) as database:
            return [row[0] for row in database.execute("SELECT DISTINCT identity FROM event WHERE identity IS NOT NULL")]

    def erase(self, names: Collection[str], request_id: str | None = None) -> int:
        """Delete all events of some people, or those of one request, look whether any is left, and return how many there were.

        Raises:
            OutputError: some are left, since more were written meanwhile.
        """
        with self._lock:
            stay = [each for each in self._late if each.identity not in names or request_id not in (None, each.request_id)]
            waited = len(self._late) - len(stay)
            self._late = stay
            self._lately = {what: at for what, at in self._lately.items() if what[1] not in names}
        wanted, them = [(name, request_id) for name in names], "WHERE identity = ?1 AND request_id = COALESCE(?2, request_id)"
        with changing(self.path, _TABLES, _WAIT) as database:
            count = waited + max(0, database.executemany(f"DELETE FROM event {them}", wanted).rowcount)  # noqa: S608
        with reading(self.path, _TABLES, _WAIT) as database:
            left = sum(database.execute(f"SELECT COUNT(*) FROM event {them}", each).fetchone()[0] for each in wanted)  # noqa: S608
        if left:
            raise OutputError(f"{left} were written meanwhile")
        return count

    def rename(self, old: str, new: str) -> None:
        """Give somebody a new name in every event."""
        with self._lock:
            self._late = [replace(event, identity=new) if event.identity == old else event for event in self._late]
        with changing(self.path, _TABLES, _WAIT) as database:
            database.execute("UPDATE event SET identity = ? WHERE identity = ?", (new, old))

    def expire(self) -> int:
        """Delete events that are older than `days`, and return how many there were."""
        oldest = _said(datetime.now(UTC) - timedelta(days=self.days))
        with changing(self.path, _TABLES, _WAIT) as database:
            return database.execute("DELETE FROM event WHERE at < ?", (oldest,)).rowcount

    def close(self) -> int:
        """Write what waits; how many events are lost, since that was not possible."""
        self.write_late()
        if self._late:
            _log.warning("%s: events are lost, since they could not be written: %d", self.path, len(self._late))
        return len(self._late)
