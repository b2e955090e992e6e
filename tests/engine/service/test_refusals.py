"""What is refused, with which status, and in words that say what was found, what is expected and what to do."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import Client, Gallery
from engine.errors import GalleryBusy, OutputError
from engine.service.api.errors import as_refused, as_requests_say_it
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.support.services import running

BASE = "/v1/galleries/house"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, people: Templates) -> Iterator[httpx.Client]:
    """A service of the ten people, for requests that change nothing."""
    house = tmp_path_factory.mktemp("plain") / "house"
    Gallery.build(people, house)
    with running(Settings(str(house), rate=0, runtime="opencv")) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield http


def said(answer: httpx.Response, status: int = 422) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "-1"])
def test_a_threshold_that_is_none_is_refused_and_not_left_out(plain: httpx.Client, people: Templates, number: str) -> None:
    vectors = {"vectors": people.vectors[:1].tolist()}
    assert plain.post(f"{BASE}/identify", json=vectors, params={"threshold": 0.5}).status_code == 200
    for path, name in (
        ("identify", "threshold"),
        ("identify", "fpir"),
        ("verify/person0", "threshold"),
        ("verify/person0", "fmr"),
    ):
        message = said(plain.post(f"{BASE}/{path}", json=vectors, params={name: number}))
        assert message.startswith(f"query.{name}: found '{number}'; expected "), message
    assert "query.fpir" in said(plain.get(f"{BASE}/thresholds", params={"fpir": ["0.1", number]}))


def test_a_parameter_that_nobody_knows_is_refused_with_those_that_are_known(plain: httpx.Client, people: Templates) -> None:
    vectors = {"vectors": people.vectors[:1].tolist()}
    message = said(plain.post(f"{BASE}/identify", json=vectors, params={"fpr": 0.001}))
    assert message == "query.fpr: there is no such parameter; expected fpir, threshold, top, faces, look"
    assert "none is expected here" in said(plain.get("/v1/galleries", params={"verbose": 1}))
    assert "given 2 times; expected once" in said(plain.post(f"{BASE}/identify", json=vectors, params={"fpir": [0.1, 0.01]}))
    assert plain.get(f"{BASE}/thresholds", params={"fpir": [0.1, 0.01]}).status_code == 200


def test_a_field_that_nobody_knows_is_refused_with_those_that_are_known(plain: httpx.Client, people: Templates) -> None:
    path = f"{BASE}/identities/person0"
    message = said(plain.patch(path, json={"identity": "person1", "merg": True}))
    assert message == "body.merg: there is no such field; expected identity, merge"
    assert "body.identity: not found" in said(plain.patch(path, json={}))
    assert "no JSON" in said(plain.patch(path, content=b"{", headers={"content-type": "application/json"}))
    vectors = people.vectors[:1].tolist()
    assert said(plain.post(f"{BASE}/identify", json={"vectors": vectors, "fpir": 0.1})).startswith("body.fpir: there is no such")
    form = plain.post(f"{BASE}/identify", files=[("photo", b"x")])
    assert said(form) == "form.photo: there is no such field; expected files, each called `picture`"
    text = plain.post(f"{BASE}/identify", data={"picture": "a.jpg"}, files=[("picture", b"x")])
    assert said(text) == "form.picture: found the text 'a.jpg'; expected a file"
    assert "Too many fields" in said(
        plain.post(f"{BASE}/identify", data={f"f{n}": "" for n in range(9)}, files=[("p", b"")]), 400
    )
    assert plain.get(path).json()["templates"] == 1


def test_what_is_no_vector_is_shown(plain: httpx.Client) -> None:
    for rows, message in (
        ([1.0, 2.0], "body.vectors: found something else than lists in it; expected [[number, ...], ...]"),
        ([[1.0], [1.0, 2.0]], "body.vectors: found vectors of 1 to 2 numbers; expected one length, up to 65,536"),
        ([[]], "body.vectors: found vectors of 0 numbers; expected one length, up to 65,536"),
        ([[1.0], ["x"]], "body.vectors[1]: found 'x'; expected numbers"),
        ([[None]], "body.vectors[0]: found None; expected numbers"),
    ):
        assert said(plain.post(f"{BASE}/identify", json={"vectors": rows})) == message


def test_a_body_where_none_is_taken_is_refused(http: httpx.Client) -> None:
    for method, path in (("POST", f"{BASE}/identities/person0/erase"), ("DELETE", f"{BASE}/identities/person0")):
        assert "none is expected here" in said(http.request(method, path, json={"dry_run": True}))
        assert "none is expected here" in said(http.request(method, path, content=iter([b"{}"])))
    assert http.get(f"{BASE}/identities/person0").json()["templates"] == 1


def test_a_rate_and_a_threshold_together_are_refused(plain: httpx.Client, people: Templates) -> None:
    asked = {"threshold": 0.5, "fpir": 0.01}
    message = said(plain.post(f"{BASE}/identify", json={"vectors": people.vectors[:1].tolist()}, params=asked))
    assert message == "query: fpir=0.01 and threshold=0.5 were both given; expected one of them"
    assert "both given" in said(plain.post(f"{BASE}/verify/person0", content=b"x", params={"threshold": 0.5, "fmr": 0.01}))


def test_messages_say_what_was_found_and_what_is_expected(plain: httpx.Client) -> None:
    assert said(plain.post(f"{BASE}/identify", params={"fpir": 2})) == "query.fpir: found '2'; expected less than 1"
    assert said(plain.post(f"{BASE}/identify", params={"top": "x"})) == "query.top: found 'x'; expected a valid integer"
    assert "'all', 'largest' or 'none'" in said(plain.post(f"{BASE}/identify", params={"faces": "some"}))
    assert "text/plain" in said(plain.post(f"{BASE}/identify", content=b"a", headers={"content-type": "text/plain"}), 415)
    assert "/v1/openapi.json" in said(plain.get("/v1/nowhere"), 404)
    refused = plain.put(f"{BASE}/identities/person0")
    assert said(refused, 405) == "this path does not take PUT; expected DELETE, GET, PATCH"
    assert refused.headers["allow"] == "DELETE, GET, PATCH"


def test_advice_is_of_what_a_request_can_say(client: Client, http: httpx.Client, people: Templates) -> None:
    vectors = np.eye(2, 128, dtype=np.float32)
    client.enroll(vectors[0], "ada", template_id="t9")
    with pytest.raises(Exception, match="is enrolled already as ada's.*choose another id, or remove it"):
        client.enroll(vectors[1], "kian", template_id="t9")
    assert 'send "merge": true' in said(http.patch(f"{BASE}/identities/ada", json={"identity": "person0"}), 409)
    least = said(http.post(f"{BASE}/identify", params={"fpir": 1e-9}, json={"vectors": people.vectors[:1].tolist()}), 409)
    assert "say threshold=NUMBER" in least


def test_advice_of_a_busy_gallery_and_of_a_full_disk(house: Path) -> None:
    from engine.storage.writer_lock import locked

    with locked(house), pytest.raises(GalleryBusy) as busy, locked(house, wait=0):
        raise AssertionError
    refused = as_refused(busy.value)
    assert refused.status == 503
    message = as_requests_say_it(refused.message)
    assert message.endswith("; ask again in a moment")
    assert "wait" not in message
    mine = "it was made with my.onnx. Nothing that a gallery names is loaded unasked: "
    advice = "if you trust these files, pass --encoder my.onnx (in Python: encoder='my.onnx')"
    assert as_requests_say_it(mine + advice) == f"{mine}whoever trusts these files starts it with --encoder my.onnx"
    assert "make room" in as_refused(OutputError("cannot write house/catalogue.sqlite: disk I/O error")).message


def test_no_room_to_compact_is_said_as_a_full_disk(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert http.delete(f"{BASE}/identities/person0").status_code == 200
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    assert "make room" in said(http.post(f"{BASE}/compact"), 507)


def test_a_gallery_that_is_away_for_a_moment_may_be_asked_again(http: httpx.Client, house: Path) -> None:
    away, body = house.with_name("away"), json.dumps({"vectors": np.eye(1, 128).tolist()})
    put = {"url": f"{BASE}/identities/ada/templates/a", "content": body, "headers": {"content-type": "application/json"}}
    house.rename(away)
    answer = http.put(**put)  # type: ignore[arg-type]
    assert "not there just now; ask again" in said(answer, 503)
    assert answer.headers["retry-after"]
    away.rename(house)
    assert http.put(**put).status_code == 200  # type: ignore[arg-type]
