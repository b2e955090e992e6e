"""What the client sends again, and what it does not; and that nobody pays for a service who has none."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from engine import Client, Gallery
from engine.errors import (
    GalleryBusy,
    GalleryError,
    NameRefused,
    OnekError,
    OutputError,
    PhotographsError,
    ServiceError,
    TemplatesError,
    WrongType,
)
from engine.service.settings import Settings
from engine.templates.model import Templates

RECEIPT = {"gallery": "g", "identity": "a", "templates": 1, "template_ids": ["t"], "events": 0, "pictures": 0}
ENROLLED = {
    "identity": "a",
    "template_id": "t",
    "created": True,
    "replaced": False,
    "quality": 0.9,
    "matches": [],
    "templates": 1,
}


def error(status: int, code: str, message: str = "said") -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message, "request_id": "r"}})


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Client, list[httpx.Request]]]:
    """A client to which a service says these things, one after another, and what it was asked."""
    monkeypatch.setattr("engine.client.connection.time.sleep", lambda seconds: None)

    def make(*answers: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
        left, asked = list(answers), list[httpx.Request]()

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            said = left.pop(0)
            if isinstance(said, Exception):
                raise said
            return said

        client = Client("http://127.0.0.1:1", "onek_token", gallery="g")
        client._connection._http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
        return client, asked

    return make


def test_an_enrolment_is_sent_again_under_its_id(talking: Callable[..., tuple[Client, list[httpx.Request]]]) -> None:
    cut = httpx.ReadError("cut")
    client, asked = talking(cut, error(503, "busy"), httpx.ConnectError("down"), httpx.Response(200, json=ENROLLED))
    assert client.enroll(b"picture", "a").created
    assert len({request.url.path for request in asked}) == 1
    assert len(asked) == 4
    assert all(request.content == b"picture" for request in asked)


def test_what_may_not_be_said_twice_is_not(talking: Callable[..., tuple[Client, list[httpx.Request]]]) -> None:
    for change in (lambda c: c.remove("a"), lambda c: c.rename("a", "b"), lambda c: c.erase("a")):
        client, asked = talking(httpx.ReadError("cut"))
        with pytest.raises(ServiceError, match="does not answer"):
            change(client)
        assert len(asked) == 1
    client, asked = talking(httpx.ConnectError("down"), error(503, "gallery_busy"), httpx.Response(200, json={"templates": 2}))
    assert client.remove("a") == 2
    client, asked = talking(error(504, "timeout"))
    with pytest.raises(ServiceError) as late:
        client.remove("a")
    assert late.value.status == 504


def test_errors_are_the_librarys_own_where_the_service_names_one(
    talking: Callable[..., tuple[Client, list[httpx.Request]]],
) -> None:
    for answer, kind in (
        (error(409, "gallery_error"), GalleryError),
        (error(507, "output_error"), OutputError),
        (error(404, "identity_not_found"), ServiceError),
        (error(418, "__class__"), ServiceError),
        (error(418, "list_guess"), ServiceError),
        (httpx.Response(502, text="<html>a proxy's own page"), ServiceError),
        (httpx.Response(400, json={"error": 3}), ServiceError),
    ):
        client, _ = talking(answer)
        with pytest.raises(kind):
            client.remove("a")
    client, asked = talking(*[error(503, "gallery_busy")] * 9)
    with pytest.raises(GalleryBusy):
        client.info()
    assert len(asked) == 5


def test_what_is_no_picture_is_not_sent(tmp_path: Path, talking: Callable[..., tuple[Client, list[httpx.Request]]]) -> None:
    client, asked = talking()
    with pytest.raises(PhotographsError):
        client.identify(tmp_path / "missing.jpg")
    with pytest.raises(PhotographsError):
        client.identify([])
    assert asked == []


@pytest.fixture
def limited() -> tuple[Client, list[int]]:
    """A client of a service that takes 100,000 bytes of a request and knows nobody, and how many probes each request had."""
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/settings":
            return httpx.Response(200, json={"body": 100_000})
        assert len(request.content) <= 100_000
        if request.headers["content-type"] == "application/json":
            kind, count = "vectors", len(json.loads(request.content)["vectors"])
        else:
            kind, count = "picture", request.content.count(b'name="picture"') or 1
        sizes.append(count)
        numbers = {"face": None, "box": None, "detection": None, "quality": None, "reasons": None, "expected_false_alarms": None}
        said = {**numbers, "decision": "unknown", "identity": None, "distance": 1.0, "score": 1.0, "threshold": 0.5}
        rows = [{**said, "probe": f"{kind}:{n}", "candidates": [], "refused_by": None} for n in range(count)]
        return httpx.Response(200, json={"results": rows})

    client = Client("http://127.0.0.1:1", gallery="g")
    client._connection._http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    return client, sizes


def test_probes_are_sent_in_requests_that_the_service_takes(limited: tuple[Client, list[int]], tmp_path: Path) -> None:
    client, sizes = limited
    small = [bytes([number]) for number in range(40)]
    assert [each.probe for each in client.identify(small)] == [f"picture:{number}" for number in range(40)]
    assert sizes == [16, 16, 8]
    sizes.clear()
    files = []
    for number in range(7):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(b"x" * 30_000)
    assert [each.probe for each in client.identify(files)] == [str(file) for file in files]
    assert sizes == [3, 3, 1], "of 100,000 bytes"
    sizes.clear()
    vectors = np.random.default_rng(0).normal(size=(2000, 2))
    assert [each.probe for each in client.identify(vectors)] == [f"vectors:{number}" for number in range(2000)]
    assert sizes == [1024, 976]
    sizes.clear()
    wide = np.random.default_rng(0).normal(size=(30, 1000)).astype(np.float32)
    assert len(client.identify(wide)) == 30
    assert max(sizes) <= 4
    sizes.clear()
    named = Templates.from_vectors(wide[:2], template_ids=["a", "b"])
    assert [each.probe for each in client.identify(named)] == ["a", "b"]
    assert [each.probe for each in client.identify(wide[0])] == ["vectors:0"]


def test_answers_are_called_as_the_librarys_and_arrays_are_pictures(
    asked: Client, house: Path, drawn: list[np.ndarray], tmp_path: Path
) -> None:
    files = [tmp_path / "b.png", tmp_path / "a.png"]
    for number, file in enumerate(files):
        cv2.imwrite(str(file), drawn[number][..., ::-1])
    gallery = Gallery.open(house)
    for probes in (files, drawn[2:4], drawn[4], str(files[0])):
        said, own = asked.identify(probes, faces="largest"), gallery.identify(probes)
        assert [(each.probe, each.identity, each.distance) for each in said] == [
            (each.probe, each.identity, pytest.approx(each.distance, abs=1e-5)) for each in own
        ]
    assert asked.verify(drawn[3], "person3").same
    assert asked.verify(files[1], "person1").probe == str(files[1])


def test_what_can_be_nothing_is_refused_in_words_before_it_is_sent(
    talking: Callable[..., tuple[Client, list[httpx.Request]]], tmp_path: Path
) -> None:
    client, asked = talking()
    wrong: list[tuple[type[OnekError], Callable[[], object]]] = [
        (TemplatesError, lambda: client.identify(np.array([[1, np.nan]]))),
        (TemplatesError, lambda: client.enroll(np.array([np.inf, 1.0]), "a")),
        (PhotographsError, lambda: client.identify(np.zeros((4, 4), np.uint8))),
        (PhotographsError, lambda: client.verify(np.zeros((4, 4, 4)), "a")),
        (PhotographsError, lambda: client.identify([b"one", tmp_path / "missing.jpg"])),
        (PhotographsError, lambda: client.identify(tmp_path)),
        (WrongType, lambda: client.identify(3)),  # type: ignore[arg-type]
        (WrongType, lambda: client.identify([3])),  # type: ignore[list-item]
        (WrongType, lambda: client.remove(3)),  # type: ignore[arg-type]
        (ServiceError, lambda: Client("http://127.0.0.1:1", "tökén")),
        (ServiceError, lambda: Client("http://127.0.0.1:1", "a\nb")),
        (ServiceError, lambda: Client("127.0.0.1:8000")),
        (ServiceError, lambda: Client("http://[::1")),
    ]
    for name in ("", ".", ".."):
        wrong += [
            (NameRefused, lambda name=name: client.enroll(b"picture", name)),
            (NameRefused, lambda name=name: client.enroll(b"picture", "a", template_id=name)),
            (NameRefused, lambda name=name: client.verify(b"picture", name)),
            (NameRefused, lambda name=name: client.remove("a", template_ids=name)),
        ]
    for kind, call in wrong:
        with pytest.raises(kind):
            call()
    (tmp_path / "none.pem").write_text("no certificate")
    for file in ("nope.pem", "none.pem", ""):
        with pytest.raises(ServiceError, match=rf"{file}.*certificates \(PEM\)"):
            Client("https://127.0.0.1:1", verify=tmp_path / file)
    assert asked == []


def test_a_page_that_is_no_service_is_an_error_too(talking: Callable[..., tuple[Client, list[httpx.Request]]]) -> None:
    client, _ = talking(httpx.Response(200, text="<html>welcome"))
    with pytest.raises(ServiceError, match="expected the address of onek serve"):
        client.info()


def test_names_with_slashes_are_one_part_of_the_address(talking: Callable[..., tuple[Client, list[httpx.Request]]]) -> None:
    client, asked = talking(httpx.Response(200, json=ENROLLED), httpx.Response(200, json={"templates": 1}))
    client.enroll(b"picture", "a/b c", template_id="x/y")
    client.remove("a/b c", template_ids=["x/y"])
    wanted = b"/v1/galleries/g/identities/a%2Fb%20c/templates/x%2Fy"
    assert [request.url.raw_path.partition(b"?")[0] for request in asked] == [wanted, wanted]


def test_templates_are_removed_and_erased_as_by_the_library(client: Client, pictures: list[bytes]) -> None:
    for number in (1, 2):
        client.enroll(pictures[10], "ada", template_id=f"t{number}")
    client.enroll(pictures[11], "eva", template_id="t3")
    assert client.remove("ada", template_ids="t1") == 1
    assert client.template_ids("ada") == ["t2"]
    assert client.remove("eva") == 1
    assert client.compact() == 2
    assert client.info()["templates"] == 11


def test_the_client_keeps_to_the_services_own_limits() -> None:
    from engine.client.sent import MOST_PICTURES, MOST_VECTORS

    assert (Settings("g").pictures, Settings("g").vectors) == (MOST_PICTURES, MOST_VECTORS)


def test_who_has_no_service_loads_none() -> None:
    code = (
        "import sys, engine; engine.Gallery; from engine.cli.app import app;"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'httpx', 'prometheus_client', 'pydantic'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert said.stdout.strip() == "[]"
