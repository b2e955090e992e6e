"""What a service keeps goes when its days are over; what takes too long is given up; every error of ours has a status."""

import inspect
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from engine import errors
from engine.service.api.errors import as_refused
from engine.service.records.events import Event, Events, now
from engine.service.records.kept import INDEX, KeptPictures
from engine.service.settings import Settings
from tests.support.services import soon

EVENT = Event(now(), "identify", "ada", "identified", 0.4, 0.6, 0.01, None, "r")


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def left_in(folder: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in folder.iterdir() if not file.name.startswith(INDEX))


def test_events_go_when_their_days_are_over(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.sqlite", 7)
    events.add([replace(EVENT, kind="verify", at=days_ago(days), identity=f"seen{days}") for days in (8, 6, 0)])
    assert events.expire() == 1
    assert events.names() == ["seen0", "seen6"]
    events.close()
    assert b"seen8" not in (tmp_path / "events.sqlite").read_bytes()


def test_a_service_that_starts_takes_away_what_is_too_old_or_of_nobody_enrolled(
    house: Path, serve: Callable[[Settings], str]
) -> None:
    path = house.with_name("house.events.sqlite")
    before = Events(path, 7)
    before.add([replace(EVENT, kind="verify", at=days_ago(9), identity="person1")])
    before.add([replace(EVENT, kind="verify", identity=name) for name in ("person2", "somebody who left")])
    before.close()
    serve(Settings(str(house), events_days=7, rate=0, runtime="opencv"))

    def left() -> list[str]:
        with sqlite3.connect(path, timeout=10) as database:
            return [row[0] for row in database.execute("SELECT identity FROM event")]

    assert soon(lambda: left() == ["person2"])
    assert path.stat().st_mode & 0o077 == 0


def test_pictures_go_when_their_days_are_over_to_the_hour_and_with_the_person(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept", 3)
    for hours in (73, 71):
        kept.keep("house", "request", [(b"of ada %d" % hours, ["ada"]), (b"of nobody %d" % hours, [])])
        with sqlite3.connect(tmp_path / "kept" / INDEX) as database:
            database.execute("UPDATE picture SET at = ? WHERE at > ?", (time.time() - 3600 * hours, time.time() - 3600))
    assert kept.expire() == 2
    assert left_in(tmp_path / "kept") == [b"of ada 71", b"of nobody 71"]
    assert kept.erase("house", ["ada"]) == 1
    assert left_in(tmp_path / "kept") == [b"of nobody 71"]
    assert b"ada" not in (tmp_path / "kept" / INDEX).read_bytes()


def test_what_takes_too_long_is_given_up_and_the_service_goes_on(
    house: Path, serve: Callable[[Settings], str], pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(Settings(str(house), seconds=1, rate=0, runtime="opencv"))

    def late_embedding(_: object, photographs: Sequence[object]) -> list[Exception]:
        time.sleep(3)
        return [ValueError() for _ in photographs]

    with monkeypatch.context() as slow, httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        slow.setattr(
            "engine.embedding.embedder.Embedder.embed_batch",
            lambda self, photographs: time.sleep(3) or [ValueError() for _ in photographs],
        )
        late = http.post("/v1/galleries/house/identify", content=pictures[0])
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        assert http.get("/healthz").status_code == 200


def test_every_error_of_ours_has_a_status_and_none_is_a_defect() -> None:
    ours = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.OnekError)]
    assert len(ours) > 10
    for kind in ours:
        refused = as_refused(kind.__new__(kind))
        assert 400 <= refused.status < 600
        assert refused.status != 500
        assert refused.code.replace("_", "") == kind.__name__.lower()
