"""What the client sends again, and what it does not; and that nobody pays for a service who has none."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from engine import Client
from engine.errors import GalleryBusy, GalleryError, OutputError, PhotographsError, ServiceError

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
    monkeypatch.setattr("engine.client.time.sleep", lambda seconds: None)

    def make(*answers: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
        left, asked = list(answers), list[httpx.Request]()

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            said = left.pop(0)
            if isinstance(said, Exception):
                raise said
            return said

        client = Client("http://127.0.0.1:1", "onek_token", gallery="g")
        client._http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
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


def test_who_has_no_service_loads_none() -> None:
    code = (
        "import sys, engine; engine.Gallery; from engine.cli.app import app;"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'httpx', 'prometheus_client', 'pydantic'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert said.stdout.strip() == "[]"
