"""A flat picture does not pass the challenge, and what a user's own detector refuses stays out."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from engine import Client
from engine.errors import GalleryError, MetricsError, ServiceError
from engine.metrics import apcer, bpcer
from engine.service.liveness.pad import load_detector
from engine.service.liveness.turn import LEFT, RIGHT, TURNED, failed, turn_of
from engine.service.settings import Settings
from tests.engine.service.conftest import coded

FRONT = np.array([-30 + 0j, 30 + 0j, 0 + 35j, -25 + 70j, 25 + 70j])


def turned(degrees: float) -> np.ndarray:
    """Landmarks of a head that looks so far to its left: the nose stands out by half the distance of the eyes."""
    depth = np.array([0, 0, 30, 10, 10])
    angle = np.radians(degrees)
    return FRONT.real * np.cos(angle) + depth * np.sin(angle) + 1j * FRONT.imag


def test_a_turn_is_seen_whatever_the_size_and_the_tilt() -> None:
    for tilt in (0, 20, -35):
        for size in (0.3, 4):
            moved = size * np.exp(1j * np.radians(tilt))
            assert abs(turn_of(moved * FRONT + 100)) < 1e-9
            assert turn_of(moved * turned(35)) > TURNED
            assert turn_of(moved * turned(-35)) < -TURNED


def test_a_flat_picture_that_is_turned_is_not() -> None:
    for degrees in (20, 50, 75):
        narrowed = FRONT.real * np.cos(np.radians(degrees)) + 1j * FRONT.imag
        assert abs(turn_of(narrowed)) < TURNED


def test_the_order_counts() -> None:
    left, right = turn_of(turned(35)), turn_of(turned(-35))
    assert failed([0, 0.05, left, left, 0.1, right, right], [LEFT, RIGHT]) is None
    assert failed([0, right, left], [RIGHT, LEFT]) is None
    assert failed([0, right, left], [LEFT, RIGHT]) is not None
    assert failed([0, left, right, left], [LEFT, RIGHT]) is not None
    assert failed([0, left, left], [LEFT, RIGHT]) is not None
    assert failed([0, 0, 0, 0], [LEFT, RIGHT]) == "the head was not turned"
    assert failed([0, left], [LEFT, RIGHT]) is not None
    assert failed([0.5, 0.7, 0.3], [LEFT, RIGHT]) is not None


@pytest.fixture
def guarded(house: Path, serve: Callable[[Settings], str]) -> str:
    return serve(Settings(str(house), challenge="turn", events_days=1, rate=0, runtime="opencv"))


def answered(http: httpx.Client, asked: dict[str, Any], frames: list[bytes]) -> httpx.Response:
    path = "/v1/galleries/house/challenges/answer"
    return http.post(path, params={"challenge": asked["challenge"]}, files=[("picture", frame) for frame in frames])


def test_with_a_challenge_a_picture_alone_opens_nothing(guarded: str, pictures: list[bytes]) -> None:
    with Client(guarded) as client:
        (row,) = client.identify(pictures[0], faces="largest")
        assert (row.decision, row.identity, row.refused_by) == ("refused", None, "challenge")
        verified = client.verify(pictures[0], "person0")
        assert (verified.same, verified.refused_by) == (False, "challenge")
        assert "challenges/answer" in str(verified.reasons)
        other = client.verify(pictures[0], "person1", threshold=0.3)
        assert (other.same, other.refused_by, other.reasons) == (False, None, None)
        assert client.identify(pictures[0], look=True, faces="largest")[0].identity == "person0"
        assert client.identify(pictures[11], faces="largest")[0].decision == "unknown"
        assert [event["decision"] for event in client.events()] == ["unknown", "different", "refused", "refused"]
        with pytest.raises(Exception, match="vectors say nothing"):
            client.identify(np.ones((1, 128)))


def test_a_flat_picture_does_not_pass_however_it_is_turned(guarded: str, drawn: list[np.ndarray], pictures: list[bytes]) -> None:
    high, wide = drawn[0].shape[:2]
    frames = [pictures[0]]
    for share in (0.12, -0.12, 0.2, -0.2):  # turned before the camera: one side is farther away
        corners = np.float32([[0, 0], [wide, 0], [wide, high], [0, high]])
        far = abs(share) * high
        moved = np.float32([[30, far * (share > 0)], [wide - 30, far * (share < 0)], [wide - 30, high - far * (share < 0)],
                            [30, high - far * (share > 0)]])  # fmt: skip
        frames.append(coded(cv2.warpPerspective(drawn[0], cv2.getPerspectiveTransform(corners, moved), (wide, high)), ".png"))
    with httpx.Client(base_url=guarded, trust_env=False) as http:
        for sent in ([pictures[0]] * 5, frames):
            asked = http.post("/v1/galleries/house/challenges").json()
            assert sorted(asked["turns"]) == [LEFT, RIGHT]
            assert "a film of it" in asked["warning"]
            (row,) = answered(http, asked, sent).json()["results"]
            assert (row["decision"], row["refused_by"]) == ("refused", "challenge")


def test_who_turns_as_asked_gets_in_and_only_once(guarded: str, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {LEFT: turned(35), RIGHT: turned(-35)}
    with httpx.Client(base_url=guarded, trust_env=False, timeout=20) as http:
        asked = http.post("/v1/galleries/house/challenges").json()
        landmarks = iter([FRONT, FRONT, seen[asked["turns"][0]], FRONT, seen[asked["turns"][1]]])
        # Drawn people do not turn their heads far enough; the templates and the person are real.
        monkeypatch.setattr("engine.service.api.liveness.largest_landmarks", lambda picture: next(landmarks))
        (row,) = answered(http, asked, [pictures[0]] * 5).json()["results"]
        assert (row["decision"], row["identity"]) == ("identified", "person0")
        again = answered(http, asked, [pictures[0]] * 5)
        assert again.status_code == 400
        assert "answered already" in again.json()["error"]["message"]


def test_a_challenge_is_answered_for_one_who_says_who_they_are(
    guarded: str, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {LEFT: turned(35), RIGHT: turned(-35)}
    with Client(guarded) as client:

        def answered(identity: str | None, turns: bool, **more: Any) -> Any:
            asked = client.challenge()
            assert asked.seconds > 0
            heads = iter([FRONT, *(seen[turn] if turns else FRONT for turn in asked.turns)])
            monkeypatch.setattr("engine.service.api.liveness.largest_landmarks", lambda picture: next(heads))
            if identity is None:
                return client.answer(asked, [pictures[0]] * 3)
            return client.answer(asked, [pictures[0]] * 3, identity=identity, **more)

        same = answered("person0", True)
        assert (same.same, same.refused_by, same.identity, same.probe) == (True, None, "person0", "picture:0")
        flat = answered("person0", False)
        assert (flat.same, flat.refused_by, flat.reasons) == (False, "challenge", "the head was not turned")
        other = answered("person1", True, fmr=0.001)
        alone = client.verify(pictures[0], "person1", fmr=0.001)
        assert (other.distance, other.threshold) == (alone.distance, alone.threshold), "the claim is what is compared"
        assert answered(None, True).identity == "person0"
        assert answered(None, False).refused_by == "challenge"
        with pytest.raises(ServiceError) as nobody:
            answered("nobody", True)
        assert nobody.value.code == "identity_not_found"
        asked = client.challenge()
        for wrong in ({"identity": "person0", "fpir": 0.01}, {"identity": "person0", "top": 3}, {"fmr": 0.1}):
            with pytest.raises(ServiceError, match="goes with"):
                client.answer(asked, [pictures[0]] * 3, **wrong)  # type: ignore[call-overload]
        kinds = [(event["kind"], event["decision"], event["identity"]) for event in client.events()]
        assert kinds[-2:] == [("verify", "refused", "person0"), ("verify", "same", "person0")]


def test_a_challenge_that_a_busy_service_did_not_look_at_can_be_answered_again(
    guarded: str, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.service.batching import Full
    from engine.service.recognition import Recognition

    looked = Recognition.embedded
    busy = iter([True, False])

    async def embedded(self: Recognition, *given: Any) -> Any:
        if next(busy):
            raise Full
        return await looked(self, *given)

    monkeypatch.setattr(Recognition, "embedded", embedded)
    monkeypatch.setattr("engine.service.api.liveness.largest_landmarks", lambda picture: FRONT)
    with Client(guarded) as client:
        assert client.answer(client.challenge(), [pictures[0]] * 3).reasons == "the head was not turned"


def test_another_person_on_a_later_picture_is_noticed(
    guarded: str, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.calibration.thresholds import MatchThreshold

    monkeypatch.setattr("engine.gallery.gallery.Gallery.match_threshold", lambda self: MatchThreshold(0.3, None, "given", None))
    with httpx.Client(base_url=guarded, trust_env=False, timeout=20) as http:
        asked = http.post("/v1/galleries/house/challenges").json()
        (row,) = answered(http, asked, [pictures[0], pictures[1], pictures[0]]).json()["results"]
        assert row["reasons"] == "the pictures do not show one person throughout"
        assert answered(http, {"challenge": "forged"}, [pictures[0]] * 3).status_code == 400


def test_a_service_without_a_challenge_says_so(asked: Client) -> None:
    with pytest.raises(ServiceError, match="--challenge turn"):
        asked.challenge()


def test_the_warning_is_of_what_the_service_does() -> None:
    assert "does not test" in Settings("g").warning
    assert "challenge" not in Settings("g").warning
    assert Settings("g", challenge="turn").warning.startswith("The challenge")
    assert "unless the detector" in Settings("g", pad="a:b").warning


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("somebodys_detector")
    monkeypatch.setitem(sys.modules, "somebodys_detector", module)
    return module


def test_a_detector_of_the_users_own_may_refuse(
    house: Path, serve: Callable[[Settings], str], pictures: list[bytes], detector: ModuleType
) -> None:
    shown = []

    def lives(picture: np.ndarray, box: tuple[float, float, float, float]) -> bool:
        shown.append((picture.shape, picture.dtype, len(box)))
        return box[2] > 90

    detector.lives = lives  # type: ignore[attr-defined]
    url = serve(Settings(str(house), pad="somebodys_detector:lives", rate=0, runtime="opencv"))
    with Client(url) as client:
        rows = {number: client.identify(pictures[number], faces="largest")[0] for number in range(10)}
        for row in rows.values():
            assert row.box is not None
            expected = ("identified", None) if row.box[2] > 90 else ("refused", "pad")
            assert (row.decision, row.refused_by) == expected
        assert shown[0] == ((250, 250, 3), np.uint8, 4)
        detector.lives = None  # type: ignore[attr-defined]


def test_a_detector_that_fails_lets_nobody_in(
    house: Path,
    serve: Callable[[Settings], str],
    pictures: list[bytes],
    detector: ModuleType,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[Any] = [1, None, "yes"]
    detector.lives = lambda picture, box: 1 / 0 if said[-1] == "yes" else said[-1]  # type: ignore[attr-defined]
    url = serve(Settings(str(house), pad="somebodys_detector:lives", rate=0, runtime="opencv"))
    with Client(url) as client:
        for logged in (
            "ZeroDivisionError: division by zero",
            "it said None (NoneType); expected True or False",
            "it said 1 (int)",
        ):
            with pytest.raises(ServiceError, match="nobody is let in; the log says why") as refused:
                client.identify(pictures[0], faces="largest")
            assert (refused.value.status, refused.value.code) == (500, "pad_failed")
            assert logged in caplog.text
            assert refused.value.request_id in caplog.text
            said.pop()


@pytest.mark.parametrize("text", ["def lives(:", "1 / 0", "raise SystemExit(0)", "import nowhere.at_all"])
def test_a_module_that_cannot_be_loaded_is_one_line(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GalleryError, match="^--pad somebodys_module:lives: .+") as refused:
        load_detector("somebodys_module:lives")
    assert "\n" not in str(refused.value)


def test_what_is_no_detector_is_refused() -> None:
    for named in ("nothing", "no.such:thing", "math:pi", "math:no", "a:b:c"):
        with pytest.raises(GalleryError, match="--pad"):
            load_detector(named)


def test_rates_of_detectors() -> None:
    attacks = {"print": np.array([0.1, 0.9, 0.2, 0.3]), "screen": np.array([0.8, 0.7])}
    assert apcer(attacks, 0.5) == {"print": 0.25, "screen": 1.0}
    assert bpcer(np.array([0.9, 0.6, 0.4, 0.8]), 0.5) == 0.25
    assert apcer({"print": np.array([0.5])}, 0.5) == {"print": 1.0}
    with pytest.raises(MetricsError):
        apcer({}, 0.5)
    with pytest.raises(MetricsError):
        bpcer(np.array([]), 0.5)
