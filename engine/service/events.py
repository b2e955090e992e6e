"""What happened at the door: who was let in, when, with what score. A file beside each gallery, erased with the person."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.errors import OutputError

_TABLE = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT, decision TEXT, score REAL, threshold REAL,
    expected_false_alarms REAL, token TEXT, request_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_of ON event (identity);
CREATE INDEX IF NOT EXISTS event_at ON event (at);
"""
_COLUMNS = "at, kind, identity, decision, score, threshold, expected_false_alarms, token, request_id"
AGAIN = 10.0
"""Seconds in which the same answer to the same token is one event: a camera asks several times a second."""
_MOST_LATELY = 1000
_log = logging.getLogger("onek.service")


@dataclass(frozen=True)
class Event:
    """What happened: `kind` is identify, verify, enroll, remove or rename. `identity` is None where nobody was recognised, and of
    somebody who was removed. `token`: the id of the token that asked.
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
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Events:
    """The events of one gallery, in SQLite, for any number of threads and processes. What is deleted is overwritten."""

    def __init__(self, path: Path, days: int) -> None:
        """Open the file, or make it, for its owner alone.

        Raises:
            OutputError: it cannot be written.
        """
        self.path, self.days = path, days
        self._lock = threading.Lock()
        self._lately: dict[tuple[str | None, ...], float] = {}
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._database = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA secure_delete = ON")
            self._database.execute("PRAGMA journal_mode = TRUNCATE")
            self._database.executescript(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: events cannot be kept there: {error}") from error

    def add(self, events: Iterable[Event]) -> None:
        """Keep events; where a camera sees the same again and again, the first. Raises `sqlite3.Error` where that fails."""
        events = [event for event in events if event.kind != "identify" or self._is_new(event)]
        if not events:
            return
        rows = [
            (e.at, e.kind, e.identity, e.decision, e.score, e.threshold, e.expected_false_alarms, e.token, e.request_id)
            for e in events
        ]
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(f"INSERT INTO event ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", rows)  # noqa: S608
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _is_new(self, event: Event) -> bool:
        """Whether the same answer was not given to the same token within the last `AGAIN` seconds."""
        what, at = (event.token, event.identity, event.decision), time.monotonic()
        with self._lock:
            if len(self._lately) > _MOST_LATELY:
                self._lately = {each: seen for each, seen in self._lately.items() if at - seen < AGAIN}
            new = at - self._lately.get(what, -AGAIN) >= AGAIN
            self._lately[what] = at
        return new

    def recent(self, limit: int, before: int | None = None) -> tuple[list[Event], int | None]:
        """The newest events, and the `before` of the next call; None when there are no older ones."""
        with self._lock:
            found = self._database.execute(
                f"SELECT number, {_COLUMNS} FROM event WHERE number < ? ORDER BY number DESC LIMIT ?",  # noqa: S608
                (before if before is not None else 1 << 62, limit),
            ).fetchall()
        return [Event(*row[1:]) for row in found], found[-1][0] if len(found) == limit else None

    def names(self) -> list[str]:
        """The names of everybody who is in an event."""
        with self._lock:
            rows: list[tuple[Any, ...]] = self._database.execute(
                "SELECT DISTINCT identity FROM event WHERE identity IS NOT NULL"
            ).fetchall()
        return [row[0] for row in rows]

    def erase(self, names: Collection[str]) -> int:
        """Delete all events of some people, and return how many there were. Raises `sqlite3.Error` where that fails."""
        with self._lock:
            cursor = self._database.executemany("DELETE FROM event WHERE identity = ?", [(name,) for name in names])
            return max(cursor.rowcount, 0)

    def rename(self, old: str, new: str) -> None:
        """Give somebody a new name in every event."""
        with self._lock:
            self._database.execute("UPDATE event SET identity = ? WHERE identity = ?", (new, old))

    def expire(self) -> int:
        """Delete events that are older than `days`, and return how many there were."""
        oldest = (datetime.now(UTC) - timedelta(days=self.days)).isoformat(timespec="milliseconds")
        with self._lock:
            return self._database.execute("DELETE FROM event WHERE at < ?", (oldest,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()
