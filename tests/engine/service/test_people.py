"""People join, are shown, renamed, removed and erased by way of a service."""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import Client, Gallery
from engine.errors import GalleryError, ImageProblem, NameRefused, OutputError, ServiceError, TemplatesError
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.engine.service.conftest import coded
from tests.support.services import soon


def test_an_enrolment_is_durable_and_seen_at_once(client: Client, house: Path, pictures: list[bytes]) -> None:
    done = client.enroll(pictures[10], "ada", template_id="first")
    assert (done.created, done.replaced, done.templates) == (True, False, 11)
    assert done.quality is not None
    assert client.identify(pictures[10], faces="largest")[0].identity == "ada"
    assert dict(Gallery.open(house).templates_by_identity())["ada"] == 1


def test_the_same_request_twice_is_one_enrolment(client: Client, house: Path, pictures: list[bytes]) -> None:
    one, two = (client.enroll(pictures[10], "ada", template_id="first") for _ in range(2))
    assert one.created
    assert not two.created
    assert not two.replaced
    assert len(Gallery.open(house)) == 11
    assert Gallery.open(house).info().awaiting_erasure == 0
    other = client.enroll(pictures[11], "ada", template_id="first")
    assert other.replaced
    assert len(Gallery.open(house)) == 11
    with pytest.raises(TemplatesError, match="enrolled already as ada's"):
        client.enroll(pictures[11], "bob", template_id="first")


def test_many_at_once_under_one_id_are_one_enrolment(served: str, house: Path, pictures: list[bytes]) -> None:
    made = []

    def enroll() -> None:
        with Client(served) as each:
            made.append(each.enroll(pictures[10], "ada", template_id="first"))

    threads = [threading.Thread(target=enroll) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(Gallery.open(house)) == 11


def test_whom_the_gallery_takes_them_for_is_said(client: Client, pictures_again: list[bytes]) -> None:
    (looked,) = client.identify(pictures_again[2], look=True, faces="largest")
    assert looked.identity == "person2"
    done = client.enroll(pictures_again[2], "somebody else")
    assert [name for name, _ in done.matches] == ["person2"]
    with pytest.raises(TemplatesError, match="looks like"):
        client.enroll(pictures_again[3], "another", on_match="refuse")


def test_what_cannot_be_enrolled_is_refused(client: Client, drawn: list[np.ndarray], pictures: list[bytes]) -> None:
    two = coded(np.concatenate([drawn[10], drawn[11]], axis=1), ".png")
    with pytest.raises(ImageProblem, match="faces about as large"):
        client.enroll(two, "both")
    with pytest.raises(ImageProblem, match="no face found"):
        client.enroll(coded(np.zeros((99, 99, 3), np.uint8)), "nobody")
    with pytest.raises(NameRefused):
        client.enroll(pictures[10], "a\tb")


def test_names_are_whatever_people_are_called(client: Client, pictures: list[bytes]) -> None:
    for name in ("Zoë Ångström", "a/b c", "李小龍", "50% ?#&"):
        assert client.enroll(pictures[10], name, on_match="ignore").identity == name
        assert len(client.template_ids(name)) == 1
        assert client.verify(pictures[10], name).same
        assert client.remove(name) == 1


def test_people_are_listed_by_pages(http: httpx.Client, client: Client) -> None:
    names: list[str] = []
    cursor = None
    while True:
        page = http.get("/v1/galleries/house/identities", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        names += [each["identity"] for each in page["identities"]]
        assert len(page["identities"]) <= 3
        cursor = page["next"]
        if cursor is None:
            break
    assert names == sorted(f"person{number}" for number in range(10))
    assert [name for name, _ in client.identities("SON7")] == ["person7"]
    first = http.get("/v1/galleries/house/identities", params={"limit": 3}).json()["next"]
    assert http.get("/v1/galleries/house/identities", params={"limit": 3, "cursor": first, "search": "x"}).status_code == 400


def test_rename_and_merge(client: Client, pictures: list[bytes]) -> None:
    assert client.rename("person0", "zero") == 1
    assert client.identify(pictures[0], faces="largest")[0].identity == "zero"
    with pytest.raises(GalleryError, match="merge"):
        client.rename("zero", "person1")
    assert client.rename("zero", "person1", merge=True) == 1
    assert len(client.template_ids("person1")) == 2
    assert "person0" not in {event["identity"] for event in client.events()}


def test_removed_people_are_found_no_more(client: Client, pictures: list[bytes]) -> None:
    assert client.remove("person4") == 1
    assert client.identify(pictures[4], faces="largest")[0].identity is None
    assert client.info()["awaiting_erasure"] == 1
    with pytest.raises(ServiceError, match="nobody of that name"):
        client.remove("person4")


def bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_erased_people_leave_no_byte(client: Client, house: Path, pictures: list[bytes], people: Templates) -> None:
    client.enroll(pictures[10], "ada lovelace", template_id="hers")
    assert client.identify(pictures[10], faces="largest")[0].identity == "ada lovelace"
    vectors = [Gallery.open(house).snapshot().templates_of("ada lovelace")[1], people.vectors[4:5]]
    there = bytes_below(house.parent)
    assert b"ada lovelace" in there
    for name in ("ada lovelace", "person4"):
        receipt = client.erase(name)
        assert receipt.verified
        assert receipt.templates == 1
    assert receipt.template_ids
    left = bytes_below(house.parent)
    assert b"ada lovelace" not in left
    for vector in vectors:
        assert np.ascontiguousarray(vector, "<f4").tobytes() not in left
    assert client.identify(pictures[10], faces="largest")[0].identity != "ada lovelace"
    assert all(event["identity"] != "ada lovelace" for event in client.events())


def test_the_last_one_stays(client: Client) -> None:
    for number in range(9):
        client.remove(f"person{number}")
    with pytest.raises(GalleryError, match="nobody would be left in house;"):
        client.remove("person9")
    assert [name for name, _ in client.identities()] == ["person9"]


def test_changes_of_other_processes_are_seen_soon(client: Client, house: Path, pictures: list[bytes]) -> None:
    beside = Gallery.open(house)
    client.identify(pictures[5], faces="largest")
    beside.rename("person5", "five")
    assert soon(lambda: client.identify(pictures[5], faces="largest")[0].identity == "five")
    assert soon(lambda: all(event["identity"] != "person5" for event in client.events()))


def test_a_gallery_that_is_replaced_beside_it_is_asked_anew(client: Client, house: Path, people: Templates) -> None:
    Gallery.build(Templates(people.table.slice(0, 5), people.provenance), house, overwrite=True)
    assert soon(lambda: client.info()["identities"] == 5)
    assert [answer.identity for answer in client.identify(people.vectors[3:7])][:1] == ["person3"]


def test_a_second_writer_is_waited_for_or_named(
    serve: Callable[[Settings], str], house: Path, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.api.people._WAIT", 0.1)
    monkeypatch.setattr("engine.client.connection._TRIES", 1)
    from engine.storage.writer_lock import locked

    url = serve(Settings(str(house), rate=0, runtime="opencv"))
    with Client(url) as client:
        with locked(house), pytest.raises(GalleryError, match="being written to"):
            client.enroll(pictures[10], "ada")
        assert client.identify(pictures[0], faces="largest")[0].identity == "person0"
        assert client.enroll(pictures[10], "ada").created


def test_a_full_disk_is_one_line_and_the_service_goes_on(
    client: Client, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("cannot write the gallery: database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("engine.storage.changes.insert", full)
        with pytest.raises(OutputError, match="disk is full"):
            client.enroll(pictures[10], "ada", template_id="first")
    assert client.identify(pictures[10], faces="largest")[0].identity is None
    assert client.enroll(pictures[10], "ada", template_id="first").created
