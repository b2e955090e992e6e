"""Events and kept pictures: nothing foreign is deleted, nobody waits for them, and they go with whoever goes, all of them."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from engine import Client, Gallery
from engine.errors import OutputError, ServiceError
from engine.service.galleries import LOOK
from engine.service.records.database import reading
from engine.service.records.events import Event, Events, now
from engine.service.records.kept import INDEX, KeptPictures
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.engine.service.conftest import coded
from tests.support.services import soon

EVENT = Event(now(), "verify", "ada", "same", 0.4, 0.6, None, None, "request")
Serve = Callable[[Settings], str]


@contextmanager
def read_slowly(path: Path, table: str = "event") -> Iterator[None]:
    """Somebody else reads the file, and takes their time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608
        yield


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for others gives up soon."""
    monkeypatch.setattr("engine.service.records.events._WAIT", 0.2)


@pytest.fixture
def keeper(house: Path, serve: Serve) -> str:
    """The address of a service that keeps pictures, and no events."""
    return serve(Settings(str(house), keep=str(house.with_name("kept")), keep_days=3, rate=0, runtime="opencv"))


@pytest.fixture
def keeping(keeper: str) -> Iterator[Client]:
    with Client(keeper) as client:
        yield client


def pictures_in(folder: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in folder.iterdir() if not file.name.startswith(INDEX))


# What is deleted


def test_a_folder_with_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    holiday = tmp_path / "pictures" / "2020-05-01" / "holiday"
    holiday.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"found 2020-05-01 there.* name an empty folder"):
        KeptPictures(tmp_path / "pictures", 1)
    assert [each.name for each in holiday.parents[1].iterdir()] == ["2020-05-01"]
    assert holiday.is_dir()
    (tmp_path / "file").write_bytes(b"theirs")
    with pytest.raises(OutputError, match=r"--keep .*file: .*it is no folder"):
        KeptPictures(tmp_path / "file", 1)


def test_an_empty_folder_and_one_of_ours_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(0o700)
    KeptPictures(tmp_path / "empty", 1).keep("house", "request", [(b"picture", ["ada"])])
    assert KeptPictures(tmp_path / "empty", 1).names("house") == ["ada"]


def test_what_others_put_beside_kept_pictures_stays(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept", 1)
    kept.keep("house", "request", [(b"ours", ["ada"])])
    (tmp_path / "kept" / "1999-01-01").mkdir()
    (tmp_path / "kept" / "theirs.picture").write_bytes(b"theirs")
    (tmp_path / "theirs").write_bytes(b"theirs")
    with sqlite3.connect(tmp_path / "kept" / INDEX) as database:
        database.execute("UPDATE picture SET at = 0")
        # An index that somebody handed over names what is not ours.
        database.execute(
            "INSERT INTO picture VALUES ('../theirs', 'house', '', 'ada', 0), ('theirs.picture', 'house', '', 'ada', 0)"
        )
    assert kept.expire() == 1
    assert (tmp_path / "kept" / "1999-01-01").is_dir()
    assert (tmp_path / "kept" / "theirs.picture").read_bytes() == b"theirs"
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


# A file that somebody else reads


def test_a_slow_reader_delays_events_and_loses_none(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.sqlite", 7)
    events.add([EVENT])
    with read_slowly(events.path):
        assert [events.add([replace(EVENT, identity=name)]) for name in ("bob", "cyd")] == [0, 0]
        events.write_late()
    assert events.add([replace(EVENT, identity="dan")]) == 0
    events.write_late()
    with closing(sqlite3.connect(events.path, timeout=0)) as other:  # nothing is locked
        other.execute("DELETE FROM event WHERE identity = 'ada'")
        other.commit()
    assert events.names() == ["bob", "cyd", "dan"]
    assert events.close() == 0


def test_while_events_wait_no_answer_tries_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, tried = Events(tmp_path / "events.sqlite", 7), []
    written = Events._written
    monkeypatch.setattr(Events, "_written", lambda self, *arguments: tried.append(1) or written(self, *arguments))
    with read_slowly(events.path):
        for name in ("ada", "bob", "cyd"):
            events.add([replace(EVENT, identity=name)])
    assert len(tried) == 1
    assert events.write_late() == 3


def test_events_for_which_there_is_no_room_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.service.records.events._MOST_LATE", 3)
    events = Events(tmp_path / "events.sqlite", 7)
    with read_slowly(events.path):
        assert events.add([EVENT] * 2) == 0
        assert events.add([EVENT] * 2) == 1
        assert events.close() == 3


def test_what_one_request_left_is_taken_away_alone(tmp_path: Path) -> None:
    events, kept = Events(tmp_path / "events.sqlite", 7), KeptPictures(tmp_path / "kept", 3)
    for request in ("one", "two"):
        events.add([replace(EVENT, request_id=request)])
        kept.keep("house", request, [(request.encode(), ["ada"])])
    assert events.erase(["ada"], "one") == 1
    assert kept.erase("house", ["ada"], "one") == 1
    assert [event.request_id for event in events.recent(10)[0]] == ["two"]
    assert pictures_in(tmp_path / "kept") == [b"two"]


def test_events_that_wait_are_erased_and_renamed_too(tmp_path: Path, short: None) -> None:
    events = Events(tmp_path / "events.sqlite", 7)
    with read_slowly(events.path):
        events.add([EVENT, replace(EVENT, identity="bob")])
        for change in (lambda: events.erase(["ada"]), lambda: events.rename("bob", "bea")):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                change()
    events.write_late()
    assert events.names() == ["bea"]


def test_an_erasure_that_cannot_be_whole_says_so_and_is_made_good(
    house: Path,
    serve: Serve,
    pictures: list[bytes],
    short: None,
) -> None:
    url = serve(Settings(str(house), events_days=7, rate=0, runtime="opencv"))
    path = house.with_name("house.events.sqlite")
    with Client(url) as client:
        for number in (3, 4):
            assert client.identify(pictures[number], faces="largest")[0].identity == f"person{number}"
        with read_slowly(path):
            said = httpx.post(f"{url}/v1/galleries/house/identities/person3/erase", trust_env=False, timeout=30)
            assert said.status_code == 409
            assert said.json()["error"]["code"] == "not_erased"
            assert (
                "person3 is removed, but events of person3 are still there: database is locked" in said.json()["error"]["message"]
            )
            assert str(house.parent) not in said.text
            assert b"person3" in path.read_bytes()
            with pytest.raises(ServiceError, match="person4 is removed, but events of person4"):
                client.remove("person4")
            assert client.identify(pictures[5], faces="largest")[0].identity == "person5"
        assert httpx.post(f"{url}/v1/galleries/house/compact", trust_env=False, timeout=30).status_code == 200
        left = path.read_bytes()
        assert b"person3" not in left
        assert b"person4" not in left
        assert soon(lambda: "person5" in {event["identity"] for event in client.events()})


def test_the_same_answer_to_the_same_token_is_one_event_of_all_processes(tmp_path: Path) -> None:
    processes = [Events(tmp_path / "events.sqlite", 7) for _ in range(2)]
    seen = replace(EVENT, kind="identify", decision="identified")
    for events in processes:
        events.add([seen, replace(seen, token="other"), replace(seen, decision="unknown", identity=None)])  # noqa: S106
    found, _ = processes[0].recent(10)
    assert len(found) == 3
    later = "2999-01-01T00:00:00.000+00:00"
    Events(tmp_path / "events.sqlite", 7).add([replace(seen, at=later)])
    assert len(processes[0].recent(10)[0]) == 4


# Whoever goes


def test_pictures_follow_a_new_name_and_go_with_it(keeping: Client, house: Path, pictures: list[bytes]) -> None:
    keeping.identify(pictures[1], faces="largest")
    keeping.rename("person1", "one")
    assert keeping.erase("one").pictures == 1
    assert pictures_in(house.with_name("kept")) == []


def test_a_picture_of_two_goes_with_either(keeping: Client, house: Path, drawn: list[np.ndarray], pictures: list[bytes]) -> None:
    both = coded(np.concatenate([drawn[1], drawn[2]], axis=1), ".png")
    assert {answer.identity for answer in keeping.identify(both)} == {"person1", "person2"}
    keeping.identify(pictures[10], faces="largest")
    assert keeping.erase("person2").pictures == 1
    assert pictures_in(house.with_name("kept")) == [pictures[10]]
    assert b"person1" not in (house.with_name("kept") / INDEX).read_bytes()


def test_pictures_of_whoever_is_removed_beside_the_service_go_without_events_too(
    keeping: Client, house: Path, pictures: list[bytes]
) -> None:
    keeping.identify(pictures[1], faces="largest")
    assert len(pictures_in(house.with_name("kept"))) == 1
    Gallery.open(house).remove("person1")
    assert soon(lambda: pictures_in(house.with_name("kept")) == [])


def test_galleries_with_people_of_one_name_keep_their_pictures_apart(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept", 3)
    for gallery in ("one", "two"):
        kept.keep(gallery, "same-request", [(gallery.encode(), ["kian"])])
    assert kept.erase("one", ["kian"]) == 1
    assert pictures_in(tmp_path / "kept") == [b"two"]
    assert (kept.names("one"), kept.names("two")) == ([], ["kian"])


def test_a_picture_of_somebody_whom_a_challenge_refused_goes_with_them(house: Path, serve: Serve, pictures: list[bytes]) -> None:
    kept = house.with_name("kept")
    settings = Settings(str(house), keep=str(kept), keep_days=3, challenge="turn", rate=0, runtime="opencv")
    with Client(serve(settings)) as client:
        assert client.identify(pictures[1], faces="largest")[0].decision == "refused"
        assert client.erase("person1").pictures == 1
    assert pictures_in(kept) == []


def test_who_is_erased_while_their_picture_is_being_written_is_on_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptPictures(tmp_path / "kept", 3)
    import engine.service.records.kept as module

    def erased_before(path: Path) -> int:
        monkeypatch.undo()
        assert KeptPictures(tmp_path / "kept", 3).erase("house", ["ada"]) == 0
        return os.open(path, os.O_WRONLY | os.O_CREAT)

    monkeypatch.setattr(module, "new_file", erased_before)
    kept.keep("house", "request", [(b"ada", ["ada"])])
    assert pictures_in(tmp_path / "kept") == []


def test_with_the_last_template_somebody_is_removed(
    house: Path, serve: Serve, pictures: list[bytes], pictures_again: list[bytes]
) -> None:
    kept = house.with_name("kept")
    url = serve(Settings(str(house), events_days=7, keep=str(kept), keep_days=3, rate=0, runtime="opencv"))
    with Client(url) as client, httpx.Client(base_url=f"{url}/v1/galleries/house", trust_env=False, timeout=30) as http:
        client.enroll(pictures_again[1], "person1", template_id="n1")
        client.identify(pictures[1], faces="largest")
        (first,) = set(client.template_ids("person1")) - {"n1"}
        assert http.delete("/identities/person1/templates/n1").status_code == 200
        (newest, *_) = client.events()
        assert (newest["kind"], newest["identity"]) == ("remove", "person1")
        assert len(pictures_in(kept)) == 1
        assert http.delete(f"/identities/person1/templates/{quote(first)}").status_code == 200
        (newest, *_) = events = list(client.events())
        assert (newest["kind"], newest["identity"]) == ("remove", None)
        assert "person1" not in {event["identity"] for event in events}
        assert pictures_in(kept) == []


def test_an_erasure_is_an_event_without_a_name(client: Client) -> None:
    client.erase("person1")
    (newest, *_) = client.events()
    assert (newest["kind"], newest["identity"]) == ("erase", None)


def test_who_is_renamed_beside_the_service_keeps_events_and_pictures(
    house: Path, serve: Serve, pictures: list[bytes], people: Templates
) -> None:
    kept = house.with_name("kept")
    with Client(serve(Settings(str(house), events_days=7, keep=str(kept), keep_days=3, rate=0, runtime="opencv"))) as client:
        for number in (1, 2, 3):
            client.identify(pictures[number], faces="largest")
        with closing(Gallery.open(house)) as beside:
            beside.rename("person1", "one")
            beside.rename("person2", "person5", merge=True)
            # Another person takes the id of a template of somebody who leaves: that is no new name.
            ids, _ = beside.snapshot().templates_of("person3")
            beside.remove("person3")
            other = people.table.slice(4, 1)
            for name, value in (("template_id", ids[0]), ("identity", "person4")):
                at = other.schema.get_field_index(name)
                other = other.set_column(at, other.schema.field(at), [[value]])
            beside.enroll(Templates(other, people.provenance), on_match="ignore")
        assert soon(lambda: {event["identity"] for event in client.events()} == {"one", "person5"})
        assert soon(lambda: len(pictures_in(kept)) == 2)
        assert (client.erase("one").pictures, client.erase("person5").pictures) == (1, 1)


# A disk that is full


def test_a_picture_that_cannot_be_kept_stops_no_answer_and_is_counted(
    keeper: str,
    keeping: Client,
    house: Path,
    pictures: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_: Path) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.service.records.kept.new_file", full)
    assert keeping.identify(pictures[1], faces="largest")[0].identity == "person1"
    assert pictures_in(house.with_name("kept")) == []
    assert "a picture of house cannot be kept: No space left on device" in caplog.text
    metrics = httpx.get(f"{keeper}/metrics", trust_env=False).text
    assert 'onek_pictures_lost_total{gallery="house"} 1.0' in metrics


def test_processes_that_begin_together_share_a_folder(tmp_path: Path) -> None:
    failed = []

    def begin() -> None:
        try:
            KeptPictures(tmp_path / "kept", 3)
        except OutputError as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_many_pictures_at_once_are_all_kept(tmp_path: Path) -> None:
    processes = [KeptPictures(tmp_path / "kept", 3) for _ in range(2)]
    threads = [
        threading.Thread(target=processes[number % 2].keep, args=("house", f"request{number}", [(b"%d" % number, ["ada"])]))
        for number in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def all_there() -> bool:
        for kept in processes:  # a slow disk lets some wait
            kept.write_late()
        return len(pictures_in(tmp_path / "kept")) == 24

    assert soon(all_there)
    assert processes[0].erase("house", ["ada"]) == 24


def test_a_slow_reader_delays_pictures_and_erasure_and_renaming_reach_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.records.kept._WAIT", 0.2)
    monkeypatch.setattr("engine.service.records.kept._MOST_LATE", 12)
    lost: list[str] = []
    kept = KeptPictures(tmp_path / "kept", 3, lost.append)
    kept.keep("house", "request", [(b"ada", ["ada"])])
    with read_slowly(tmp_path / "kept" / INDEX, "picture"):
        kept.keep("house", "request", [(b"ada", ["ada"]), (b"ab", ["ada", "bob"]), (b"bob", ["bob"]), (b"no", []), (b"much", [])])
        assert lost == ["house"]
        for change in (lambda: kept.erase("house", ["ada"]), lambda: kept.rename("house", "bob", "bea")):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                change()
        assert kept.write_late() == []
    assert kept.write_late() == ["house"]
    assert pictures_in(tmp_path / "kept") == [b"bob", b"no"]
    assert sorted(kept.names("house")) == ["ada", "bea"]
    assert kept.erase("house", ["ada"]) == 0
    kept.close()
    assert lost == ["house"]


def test_what_an_answer_under_way_leaves_of_somebody_who_was_erased_goes(
    house: Path, serve: Serve, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = house.with_name("kept")
    settings = Settings(str(house), events_days=7, keep=str(kept), keep_days=3, rate=0, runtime="opencv")
    with Client(serve(settings)) as client:
        written, erased = threading.Event(), threading.Event()
        keep = KeptPictures.keep

        def late(self: KeptPictures, *arguments: Any) -> None:
            written.set()
            assert erased.wait(30)
            keep(self, *arguments)

        monkeypatch.setattr(KeptPictures, "keep", late)
        asking = threading.Thread(target=client.identify, args=(pictures[1],), kwargs={"faces": "largest"})
        asking.start()
        assert written.wait(30)
        assert client.erase("person1").verified
        time.sleep(3 * LOOK)  # whoever looks for changes has seen this one
        erased.set()
        asking.join()
        assert soon(lambda: {event["kind"] for event in client.events()} == {"erase"}, 5)
        assert soon(lambda: pictures_in(kept) == [], 5)


def test_an_erasure_looks_whether_something_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events(tmp_path / "events.sqlite", 7)
    events.add([EVENT])

    def written_meanwhile(path: Path, tables: Sequence[str], wait: float) -> AbstractContextManager[sqlite3.Connection]:
        Events(path, 7).add([EVENT])
        return reading(path, tables, wait)

    monkeypatch.setattr("engine.service.records.events.reading", written_meanwhile)
    with pytest.raises(OutputError, match="1 were written meanwhile"):
        events.erase(["ada"])
