"""What is asked of a service is answered as the library answers it."""

import json
from codecs import BOM_UTF8
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import Client, Gallery
from engine.errors import EncoderMismatch, GalleryError, ServiceError, TemplatesError
from engine.templates.model import Templates
from tests.engine.service.conftest import coded
from tests.support.services import soon


def test_answers_are_those_of_the_library(asked: Client, house: Path, pictures_again: list[bytes], tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures_again))]
    for path, data in zip(paths, pictures_again, strict=True):
        path.write_bytes(data)
    gallery = Gallery.open(house)
    for faces in ("largest", "all"):
        ours = [answer for picture in pictures_again for answer in asked.identify(picture, faces=faces, top=3)]
        theirs = list(gallery.identify(paths, faces=faces, top=3))
        assert len(ours) == len(theirs) >= 12
        for one, other in zip(ours, theirs, strict=True):
            for name in (
                "face",
                "decision",
                "identity",
                "score",
                "threshold",
                "expected_false_alarms",
                "quality",
                "reasons",
                "candidates",
            ):
                assert getattr(one, name) == getattr(other, name), name


def test_pictures_of_one_request_are_answered_in_order(asked: Client, pictures: list[bytes]) -> None:
    blank = coded(np.full((80, 90, 3), 128, np.uint8))
    answers = asked.identify([pictures[3], blank, b"no picture", pictures[11], pictures[0]], faces="largest")
    assert [answer.probe for answer in answers] == [f"picture:{number}" for number in range(5)]
    assert [answer.decision for answer in answers] == ["identified", "failed", "failed", "unknown", "identified"]
    assert [answer.identity for answer in answers] == ["person3", None, None, None, "person0"]
    assert answers[1].reasons == "no face found"
    assert answers[2].reasons is not None
    assert answers[2].candidates == ()
    assert answers[0].box is not None
    assert answers[0].detection is not None
    assert answers[0].detection > 0.7
    assert answers[0].quality is not None
    assert 0 < answers[0].quality < 1


def test_a_picture_with_two_people_has_two_rows(asked: Client, drawn: list[np.ndarray]) -> None:
    answers = asked.identify(coded(np.concatenate([drawn[1], drawn[2]], axis=1), ".png"))
    assert {answer.identity for answer in answers} == {"person1", "person2"}
    by_name = {answer.identity: answer for answer in answers}
    left, right = by_name["person1"].box, by_name["person2"].box
    assert left is not None
    assert right is not None
    assert left[0] < 250 <= right[0]


def test_vectors_are_taken(asked: Client, people: Templates) -> None:
    answers = asked.identify(people.vectors)
    assert [answer.identity for answer in answers] == [f"person{number}" for number in range(10)]
    with pytest.raises(TemplatesError, match="zero"):
        asked.identify(np.zeros((1, 128)))
    with pytest.raises(EncoderMismatch):
        asked.identify(np.ones((1, 12)))


def test_json_of_any_kind_is_read_or_refused(http: httpx.Client, people: Templates) -> None:
    whole = json.dumps({"vectors": people.vectors[:1].tolist()}).encode()
    for body, status in (
        (whole, 200),
        (BOM_UTF8 + whole, 200),
        (b"[" * 100_000, 422),
        (b'{"vectors": [[' + b"9" * 5000 + b"]]}", 422),
        (b'{"vectors": [["1"]]}', 422),
        (b'{"vectors": [[true]]}', 422),
        (whole.replace(b"[[", b"[[NaN, ").rsplit(b",", 1)[0] + b"]]}", 422),
        (whole.decode().encode("utf-16"), 422),
    ):
        answer = http.post("/v1/galleries/house/identify", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text


def test_verify_says_the_same_or_not(asked: Client, pictures_again: list[bytes]) -> None:
    assert asked.verify(pictures_again[4], "person4").same
    other = asked.verify(pictures_again[4], "person5", threshold=0.5)
    assert not other.same
    assert other.distance > other.threshold == 0.5
    with pytest.raises(ServiceError, match="nobody of that name") as refused:
        asked.verify(pictures_again[4], "person55")
    assert refused.value.status == 404
    assert "person5 " not in str(refused.value)


def test_the_rate_decides_as_asked(asked: Client, house: Path, pictures_again: list[bytes]) -> None:
    (strict,) = asked.identify(pictures_again[0], fpir=0.001, faces="largest")
    (lax,) = asked.identify(pictures_again[0], fpir=0.1, faces="largest")
    assert strict.threshold < lax.threshold
    assert asked.threshold(0.1) == pytest.approx(Gallery.open(house).threshold(fpir=0.1))
    with pytest.raises(GalleryError, match="support"):
        asked.threshold(1e-8)


def test_what_is_wrong_has_one_envelope(http: httpx.Client, pictures: list[bytes]) -> None:
    identify = "/v1/galleries/house/identify"
    for answer, status, code in (
        (http.get("/nowhere"), 404, "not_found"),
        (http.get(identify), 405, "method_not_allowed"),
        (http.post("/v1/galleries/elsewhere/identify", content=b"x"), 404, "gallery_not_found"),
        (http.post(identify, content=b""), 422, "no_picture"),
        (http.post(identify, content=b"{", headers={"content-type": "application/json"}), 422, "json"),
        (http.post(identify, content=b"a", headers={"content-type": "text/plain"}), 415, "media_type"),
        (http.post(identify, params={"fpir": 2}, content=pictures[0]), 422, "invalid"),
        (http.post(identify, params={"fpir": 1e-9}, content=pictures[0]), 409, "gallery_error"),
        (http.post(identify, files=[("picture", pictures[0])] * 17), 413, "too_many"),
        (http.post(identify, files=[("photo", pictures[0])]), 422, "form"),
        (http.get("/v1/galleries/house/identities", params={"cursor": "forged"}), 400, "cursor"),
        (http.delete("/v1/galleries/house/identities/nobody"), 404, "identity_not_found"),
    ):
        assert answer.status_code == status, answer.text
        said = answer.json()
        assert set(said) == {"error"}
        assert set(said["error"]) == {"code", "message", "request_id"}
        assert said["error"]["code"] == code
        assert said["error"]["request_id"] == answer.headers["x-request-id"]


def test_an_id_of_the_clients_is_the_requests(http: httpx.Client) -> None:
    answer = http.get("/healthz", headers={"X-Request-ID": "of-the-client-1"})
    assert answer.headers["x-request-id"] == "of-the-client-1"
    assert http.get("/healthz", headers={"X-Request-ID": "<script>, no id"}).headers["x-request-id"] != "<script>, no id"


def test_numbers_and_health(http: httpx.Client, pictures: list[bytes]) -> None:
    assert http.get("/readyz").json()["galleries"] == 1
    http.post("/v1/galleries/house/identify", params={"faces": "largest", "fpir": 0.1}, content=pictures[0])
    text = http.get("/metrics").text
    assert 'onek_decisions_total{decision="identified",gallery="house"} 1.0' in text
    assert 'onek_expected_false_alarms_total{gallery="house"} 0.1' in text
    assert 'onek_identities{gallery="house"} 10.0' in text
    assert 'route="/v1/galleries/{gallery}/identify"' in text
    assert 'onek_batch_size_count{stage="pictures"} 1.0' in text


def test_the_description_is_of_openapi_3_1_and_complete(http: httpx.Client) -> None:
    described = http.get("/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "held up to the camera" in described["info"]["description"]
    identify = described["paths"]["/v1/galleries/{gallery}/identify"]["post"]
    assert set(identify["requestBody"]["content"]) >= {"image/*", "multipart/form-data", "application/json"}
    assert identify["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorEnvelope")
    assert "security" in identify


def test_what_a_gallery_holds(client: Client, http: httpx.Client, house: Path) -> None:
    assert client.info()["identities"] == 10
    assert client.check() == []
    found = http.get("/v1/galleries/house/thresholds").json()
    assert [rate["fpir"] for rate in found["rates"]] == [0.001, 0.003, 0.01, 0.03, 0.1]
    curve = found["curve"]
    assert len(curve) > 10
    assert all(one["expected_false_alarms"] <= two["expected_false_alarms"] for one, two in pairwise(curve))
    assert str(house) not in http.get("/v1/galleries/house").text


def test_a_defect_of_ours_is_in_the_envelope_too_and_says_nothing_more(
    asked: Client, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.service.api.identify.rows_of", lambda *_: 1 / 0)
    with pytest.raises(ServiceError) as said:
        asked.identify(pictures[0])
    assert (said.value.status, said.value.code) == (500, "internal")
    assert "ZeroDivisionError" not in str(said.value)
    # The answer may be here before the line of the log is.
    assert soon(lambda: said.value.request_id in caplog.text and "ZeroDivisionError" in caplog.text)
    monkeypatch.undo()
    assert asked.identify(pictures[0], faces="largest")[0].identity == "person0"
