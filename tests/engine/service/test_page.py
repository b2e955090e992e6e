"""The page, in a real browser: what it says when something is missing, who can use it, and that it fetches nothing elsewhere."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine.service.page
from benchmarks.service.door import CAMERA, film
from engine import Client, Gallery
from engine.service.access.tokens import add_token
from engine.service.settings import Settings
from tests.engine.service.conftest import coded
from tests.support.browser import browser, visit
from tests.support.services import running, soon

_SOON = 20_000
PAGE = Path(engine.service.page.__file__).parent


@pytest.fixture(scope="module")
def url(_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    house = shutil.copytree(_built, tmp_path_factory.mktemp("page") / "house")
    with running(Settings(str(house), events_days=7, rate=0, runtime="opencv")) as address:
        yield address


@pytest.fixture(scope="module")
def opened(drawn_again: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser before whose camera person3 stands."""
    with browser(film(drawn_again[3], tmp_path_factory.mktemp("film") / "camera.y4m")) as found:
        yield found


@pytest.fixture(scope="module")
def cameras() -> Iterator[Any]:
    """A browser with two cameras of 1280 pixels, before which nobody stands."""
    with browser(None, f"{CAMERA}=device-count=2") as found:
        yield found


def state(page: Any, wanted: str) -> str:
    page.wait_for_selector(f'#state[data-state="{wanted}"]', timeout=_SOON)
    return str(page.inner_text("#state-text") + " " + page.inner_text("#state-more"))


# A film has one camera; here is another, so that there is a choice.
ANOTHER = """
const all = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
const other = { kind: "videoinput", deviceId: "another", label: "A camera with a name of some length (1234:abcd)" };
navigator.mediaDevices.enumerateDevices = async () => [...await all(), other];
"""


# A page whose limits go by a clock that a test moves on.
LIMITED = """
AbortSignal.timeout = (limit) => {
  const given = new AbortController();
  setTimeout(() => given.abort(new DOMException("", "TimeoutError")), limit);
  return given.signal;
};
"""


def timed(opened: Any, url: str) -> Any:
    """As `visit`, with a clock that a test moves on."""
    page = opened.new_context().new_page()
    page.clock.install()
    page.add_init_script(LIMITED)
    page.goto(url)
    page.click("#warning button")
    return page


def row(decision: str, identity: str | None = None, refused_by: str | None = None) -> dict[str, Any]:
    """What a service says of a face."""
    near = {"identity": identity or "eva", "template_id": "t", "distance": 0.5, "score": 0.5, "quality": None}
    box = {"x": 10, "y": 10, "width": 100, "height": 100}
    said = {"probe": "picture:0", "face": 0, "box": box, "detection": 1.0, "quality": 0.9, "decision": decision}
    numbers = {"distance": 0.5, "score": 0.5, "threshold": 1.0, "expected_false_alarms": 0.001}
    return {**said, **numbers, "identity": identity, "candidates": [near], "reasons": None, "refused_by": refused_by}


def says(page: Any, where: str, said: dict[str, Any], status: int = 200) -> None:
    """Let the page be answered so, whatever the service would say."""
    page.route(where, lambda route: route.fulfill(status=status, json=said))


def identified(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"gallery": "house", "threshold": {"score": 1.0, "fpir": 0.01, "says": "1"}, "results": rows}


def test_a_photograph_before_the_camera_is_warned_of(opened: Any, url: str) -> None:
    page = opened.new_context().new_page()
    page.goto(url)
    page.wait_for_selector("#warning[open]")
    assert "held up to the camera" in page.inner_text("#warning")
    assert "challenge" not in page.inner_text("#warning"), "this service asks for none"
    page.keyboard.press("Enter")
    page.reload()
    page.wait_for_selector("#camera")
    page.wait_for_timeout(300)
    assert not page.is_visible("#warning")


@pytest.mark.parametrize(("camera", "said"), [("deny", "Allow it for this page"), (None, "Connect one")])
def test_without_a_camera_it_says_what_to_do(url: str, camera: str | None, said: str, pictures: list[bytes]) -> None:
    with browser(camera) as found:
        page = visit(found, url)
        page.click("#camera")
        assert said in state(page, "lost")
        page.set_input_files("#door-file", {"name": "p.png", "mimeType": "image/png", "buffer": pictures[1]})
        assert "person1" in state(page, "identified")


def test_over_plain_http_on_another_name_it_says_what_to_do(house: Path, serve: Callable[[Settings], str]) -> None:
    port = serve(Settings(str(house), allowed_hosts="door.test", rate=0, runtime="opencv")).rpartition(":")[2]
    with browser(None, "--host-resolver-rules=MAP door.test 127.0.0.1") as found:
        page = visit(found, f"http://door.test:{port}")
        page.click("#camera")
        said = state(page, "lost")
        assert "plain http" in said
        assert "--tls-cert" in said


def test_no_face_several_faces_and_a_broken_file(opened: Any, url: str, drawn: list[np.ndarray]) -> None:
    page = visit(opened, url)

    def choose(data: bytes) -> None:
        page.set_input_files("#door-file", {"name": "p.png", "mimeType": "image/png", "buffer": data})

    choose(coded(np.full((90, 90, 3), 99, np.uint8)))
    assert "Come nearer" in state(page, "failed")
    choose(coded(np.concatenate([drawn[1], drawn[2]], axis=1), ".png"))
    both = state(page, "identified")
    assert "person1" in both
    assert "person2" in both
    choose(b"no picture at all")
    page.wait_for_selector('#state-text:has-text("No picture")', timeout=_SOON)
    assert not page.is_visible("#dropped"), "no sign of a broken picture"


def test_a_lost_connection_is_said_and_mended(opened: Any, url: str) -> None:
    page = visit(opened, url)
    page.click("#camera")
    assert "person3" in state(page, "identified")
    page.context.set_offline(True)
    assert "tries again" in state(page, "lost")
    page.context.set_offline(False)
    assert "person3" in state(page, "identified")


def test_a_service_that_hangs_leaves_nobody_welcome(opened: Any, url: str) -> None:
    page = timed(opened, url)
    page.click("#camera")
    assert "person3" in state(page, "identified")
    with page.expect_request("**/identify"):
        page.route("**/identify", lambda route: None)
    page.clock.fast_forward(4_000)
    assert "Looking" in state(page, "wait")
    page.clock.fast_forward(6_000)
    assert "tries again" in state(page, "lost")
    page.unroute("**/identify")
    assert "person3" in state(page, "identified")


def test_the_desk_does_not_wait_for_ever_either(opened: Any, url: str) -> None:
    page = timed(opened, f"{url}/#desk")
    page.wait_for_selector("#people tr")
    page.route("**/identities/**", lambda route: None)
    page.click('#people button[aria-label="Erase person0"]')
    with page.expect_request("**/erase"):
        page.click("#sure-yes")
    page.clock.fast_forward(20 * 60_000)
    page.wait_for_timeout(200)
    assert not page.is_visible("#trouble"), "an erasure takes time"
    page.clock.fast_forward(60_000)
    page.wait_for_selector('#trouble:has-text("did not answer in time")')


def test_a_page_that_comes_before_the_service_says_so_and_begins_when_it_is_there(opened: Any, url: str) -> None:
    page = opened.new_context().new_page()
    for part in ("**/texts.json", "**/v1/settings"):
        page.route(part, lambda route: route.abort())
        page.goto(url)
        page.wait_for_selector('#trouble:has-text("tries again")')
        page.unroute(part)
        page.wait_for_selector("#warning[open]", timeout=_SOON)
        assert not page.is_visible("#trouble")


def test_after_a_challenge_the_box_is_where_the_face_is_and_goes(
    cameras: Any, house: Path, serve: Callable[[Settings], str]
) -> None:
    page = timed(cameras, serve(Settings(str(house), challenge="turn", rate=0, runtime="opencv")))
    says(page, "**/challenges/answer*", identified(row("identified", "ada")))
    page.click("#challenge")
    page.wait_for_selector('#state-text:has-text("Look at the camera")', timeout=_SOON)

    def answered() -> bool:
        page.clock.fast_forward(1_000)
        return "Welcome, ada" in page.inner_text("#state-text")

    assert soon(answered)
    assert page.evaluate("document.getElementById('video').videoWidth") == 1280
    assert page.evaluate("[boxes.width, boxes.height]") == [640, 360], "as large as the frame that was sent"
    page.clock.fast_forward(11_000)
    assert "Look at the camera" in state(page, "idle")
    assert page.evaluate("boxes.width") == 1


GONE = "const track = page.stream.getVideoTracks()[0]; track.stop(); track.dispatchEvent(new Event('ended'))"
NONE_LEFT = "navigator.mediaDevices.enumerateDevices = async () => []"
CHANGED = "navigator.mediaDevices.dispatchEvent(new Event('devicechange'))"


@pytest.mark.parametrize("happens", [GONE, f"{NONE_LEFT}; {CHANGED}"])
def test_a_camera_that_is_unplugged_is_missed_and_starts_when_it_is_back(cameras: Any, url: str, happens: str) -> None:
    page = visit(cameras, url)
    page.click("#camera")
    state(page, "failed")
    page.evaluate(happens)
    assert "Plug it in again" in state(page, "lost")
    page.wait_for_timeout(300)
    assert "The camera is gone" in state(page, "lost"), "no answer that comes late hides it"
    page.evaluate(f"delete navigator.mediaDevices.enumerateDevices; {CHANGED}")
    state(page, "failed")


def test_at_the_desk_a_camera_that_is_unplugged_is_missed(cameras: Any, url: str) -> None:
    page = visit(cameras, f"{url}/#desk")
    page.click("#desk-camera")
    page.wait_for_selector("#desk-shot")
    page.evaluate(GONE)
    page.wait_for_selector('#enrol-said:has-text("The camera is gone")')
    assert not page.is_visible("#desk-shot")


def test_a_camera_that_sends_nothing_new_lets_nobody_in(opened: Any, url: str) -> None:
    page = visit(opened, url)
    page.click("#camera")
    assert "person3" in state(page, "identified")
    page.evaluate("Object.defineProperty(page.stream.getVideoTracks()[0], 'muted', { value: true, configurable: true })")
    assert "sends no pictures" in state(page, "lost")
    page.evaluate("delete page.stream.getVideoTracks()[0].muted")
    assert "person3" in state(page, "identified")


def test_one_of_several_cameras_is_chosen_and_remembered(cameras: Any, url: str) -> None:
    page = visit(cameras, url)
    used = "page.stream && page.stream.getVideoTracks()[0].label"
    page.click("#camera")
    state(page, "failed")
    first = page.evaluate(used)
    names = page.eval_on_selector_all("#door-cameras option", "all => all.map((each) => each.label)")
    (other,) = set(names) - {first}
    shown = "document.querySelector('#door-cameras').selectedOptions[0].label"
    assert page.evaluate(shown) == first
    page.select_option("#door-cameras", label=other)
    assert soon(lambda: page.evaluate(used) == other)
    page.reload()
    page.click("#camera")
    state(page, "failed")
    assert page.evaluate(used) == page.evaluate(shown) == other
    page.click('nav a[data-view="desk"]')
    page.click("#desk-camera")
    page.wait_for_selector("#desk-shot")
    assert page.evaluate(used) == page.evaluate(shown.replace("door", "desk")) == other


def test_whoever_is_not_let_in_is_told_what_to_do(cameras: Any, url: str) -> None:
    page = visit(cameras, url)
    for rows, kind, wanted in (
        ([row("identified", "ada"), row("unknown")], "identified", "Come one at a time"),
        ([row("refused", refused_by="pad")], "refused", "ask the desk"),
    ):
        says(page, "**/identify", identified(*rows))
        page.set_input_files("#door-file", {"name": "p.png", "mimeType": "image/png", "buffer": b"a picture"})
        assert wanted in state(page, kind)


def test_who_has_no_token_any_more_reads_of_a_token(cameras: Any, url: str) -> None:
    page = visit(cameras, url)
    said = {"error": {"code": "token", "message": "no token, or one that is not known (any more)", "request_id": "r"}}
    says(page, "**/v1/**", said, 401)
    page.click("#camera")
    assert "A token is missing" in state(page, "lost")
    page.wait_for_selector("#token[open]")
    says(page, "**/v1/**", {"error": {"code": "internal", "message": "a defect", "request_id": "r"}}, 500)
    page.wait_for_selector('#state-text:has-text("Not answered")', timeout=_SOON)
    assert "a defect" in state(page, "lost")


def test_what_it_thinks_is_told_on_demand(opened: Any, url: str) -> None:
    page = visit(opened, url)
    page.click("#camera")
    state(page, "identified")
    page.click("#thinks summary")
    assert "strangers 1 % at K=10" in page.inner_text("#threshold")
    assert "person3" in page.inner_text("#thoughts")
    assert "Face 1 is taken for person3: its score of" in page.inner_text("#words")


def test_at_the_door_everything_that_is_pressed_is_on_the_first_screen(opened: Any, url: str) -> None:
    for width, height in ((360, 740), (1280, 720), (3840, 2160)):
        page = visit(opened, url, viewport={"width": width, "height": height})
        page.evaluate(ANOTHER)
        page.click("#camera")
        state(page, "identified")
        assert page.is_visible("#door-cameras")
        assert page.evaluate("scrollY") == 0
        box = page.locator("#door-file").bounding_box()
        assert box["y"] + box["height"] <= height
        page.context.close()


def test_a_name_is_text_and_nothing_else(opened: Any, url: str, pictures: list[bytes]) -> None:
    name = "<img src=x onerror=alert(1)>"
    with Client(url) as client:
        client.enroll(pictures[10], name)
        page = visit(opened, f"{url}/#desk")
        page.wait_for_selector(f'#people button[aria-label="Erase {name}"]')
        assert name in page.inner_text("#people")
        assert page.query_selector("#people img") is None
        client.remove(name)


def test_nothing_is_fetched_from_elsewhere(opened: Any, url: str) -> None:
    page = opened.new_context().new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.click("#warning button")
    for view in ("desk", "gallery", "door"):
        page.click(f'nav a[data-view="{view}"]')
        page.wait_for_timeout(200)
    page.goto(f"{url}/api")
    page.wait_for_selector("#operations h2")
    assert len(asked) > 8
    assert all(each.startswith((url, "blob:", "data:")) for each in asked)
    assert errors == []


def test_pictures_that_are_left_out_are_counted(opened: Any, url: str) -> None:
    page = visit(opened, f"{url}/#desk")
    says(page, "**/identify*", identified(row("unknown")))
    picture = coded(np.full((9, 9, 3), 99, np.uint8))
    page.set_input_files("#enrol-files", [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": picture} for n in range(15)])
    page.wait_for_selector('#enrol-said:has-text("12 of 12")', timeout=_SOON)
    assert "3 more were left out" in page.inner_text("#enrol-said")


def test_the_desk_sees_what_happens_without_being_asked(opened: Any, url: str, pictures: list[bytes]) -> None:
    page = timed(opened, f"{url}/#desk")
    page.wait_for_selector("#people tr")
    page.wait_for_selector("#events-said:not(:empty)")
    with Client(url) as client:
        client.verify(pictures[7], "person7")
        page.clock.fast_forward(5_000)
        page.wait_for_selector('#events tr:has-text("compared"):has-text("person7")', timeout=_SOON)


def test_a_name_that_somebody_has_makes_one_of_two_only_when_asked(
    opened: Any, house: Path, serve: Callable[[Settings], str]
) -> None:
    page = visit(opened, serve(Settings(str(house), rate=0, runtime="opencv")) + "/#desk")

    def rename(called: str) -> None:
        page.click('#people button[aria-label="Rename person1"]')
        page.fill("#sure-input", called)
        page.click("#sure-yes")

    rename("person2")
    page.wait_for_selector('#sure-heading:has-text("person2 is enrolled already")')
    page.click('#sure button[value="no"]')
    assert Gallery.open(house).identity_count == 10
    rename("person2")
    page.wait_for_selector('#sure-heading:has-text("person2 is enrolled already")')
    page.click("#sure-yes")
    page.wait_for_selector('#people-said:has-text("person1 is person2 now")', timeout=_SOON)
    assert Gallery.open(house).identity_count == 9
    page.click('#people button[aria-label="Rename person3"]')
    page.fill("#sure-input", "..")
    page.click("#sure-yes")
    page.wait_for_selector('#trouble:has-text("choose another")')


def test_every_text_is_in_the_file_of_texts_and_counts_one() -> None:
    texts = json.loads((PAGE / "texts.json").read_text(encoding="utf-8"))
    for name in ("index.html", "api.html"):
        written = (PAGE / name).read_text(encoding="utf-8")
        assert set(re.findall(r'data-(?:text|label)="(\w+)"', written)) <= set(texts)
        (without,) = re.findall(r'<noscript data-text="(\w+)">([^<]*)<', written)
        assert texts[without[0]] == without[1]
    for name in ("script.js", "api.js"):
        written = (PAGE / name).read_text(encoding="utf-8")
        assert set(re.findall(r'say\("(\w+)"', written)) <= set(texts)
        assert '"required"' not in written
    lost = re.findall(r'id="trouble"[^>]*>([^<]+)<', (PAGE / "index.html").read_text(encoding="utf-8"))
    assert lost == [f"{texts['state_lost']}. {texts['state_lost_more']}"]
    counted = {key: text for key, text in texts.items() if "{count}" in str(text)}
    assert {key for key, text in counted.items() if isinstance(text, str)} == {"shot_several", "people_found"}
    forms = [text for text in counted.values() if isinstance(text, dict)]
    assert all(set(text) == {"one", "other"} and "{count}" not in text["one"] for text in forms)


@pytest.fixture
def without_events(_built: Path, tmp_path: Path) -> Iterator[str]:
    house = shutil.copytree(_built, tmp_path / "house")
    with running(Settings(str(house), rate=0, runtime="opencv")) as address:
        yield address


def test_where_no_events_are_kept_the_desk_asks_for_none(opened: Any, without_events: str) -> None:
    page = opened.new_context().new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{without_events}/#desk")
    page.wait_for_selector("#people tr", state="attached")
    page.wait_for_selector('#events-said:has-text("--events")', state="attached")
    assert said == []


@pytest.mark.parametrize(
    ("scheme", "width", "height"),
    [("light", 360, 740), ("dark", 1280, 800), pytest.param("light", 3840, 2160, marks=pytest.mark.slow)],
)
def test_axe_finds_nothing(opened: Any, url: str, scheme: str, width: int, height: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": height}).new_page()
    page.add_init_script(ANOTHER)
    page.goto(url)
    found = []
    page.wait_for_selector("#warning[open]")
    found += axe.run(page).response["violations"]
    page.click("#warning button")
    page.click("#camera")
    state(page, "identified")
    assert page.is_visible("#door-cameras")
    page.click("#thinks summary")
    found += axe.run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
    for view, ready in (("desk", "#people tr"), ("gallery", "#rates tr")):
        page.click(f'nav a[data-view="{view}"]')
        page.wait_for_selector(ready)
        found += axe.run(page).response["violations"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(f"{url}/api")
    page.wait_for_selector("#operations h2")
    found += axe.run(page).response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in found] == []


def test_a_keyboard_alone_enrols_and_removes(opened: Any, url: str, pictures: list[bytes]) -> None:
    page = visit(opened, f"{url}/#desk")
    page.wait_for_selector("#people tr")
    page.set_input_files("#enrol-files", {"name": "p.png", "mimeType": "image/png", "buffer": pictures[11]})
    page.wait_for_selector("#enrol-now:enabled", timeout=_SOON)
    page.focus("#enrol-name")
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    page.wait_for_selector('#people button[aria-label="Remove ada"]', timeout=_SOON)
    assert page.inner_text("#enrol-said") == "ada is enrolled with 1 picture."
    page.focus('#people button[aria-label="Remove ada"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("#sure[open]")
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    assert page.query_selector('#people button[aria-label="Remove ada"]') is not None, "Escape changes nothing"
    page.focus('#people button[aria-label="Remove ada"]')
    page.keyboard.press("Enter")
    page.focus("#sure-yes")
    page.keyboard.press("Enter")
    page.wait_for_selector('#people-said:has-text("ada is removed")', timeout=_SOON)


def test_a_picture_of_somebody_enrolled_is_enrolled_under_another_name_only_when_asked_again(
    opened: Any, house: Path, serve: Callable[[Settings], str], pictures: list[bytes]
) -> None:
    page = visit(opened, serve(Settings(str(house), rate=0, runtime="opencv")) + "/#desk")
    page.set_input_files("#enrol-files", {"name": "p.png", "mimeType": "image/png", "buffer": pictures[4]})
    page.wait_for_selector("#enrol-now:enabled", timeout=_SOON)
    page.fill("#enrol-name", "ada")
    for choice, templates in (("no", 10), ("yes", 11)):
        page.click("#enrol-now")
        page.wait_for_selector("#sure[open]")
        assert "look like person4" in page.inner_text("#sure-text")
        page.click(f'#sure button[value="{choice}"]')
        if choice == "yes":
            page.wait_for_selector('#people button[aria-label="Show ada"]', timeout=_SOON)
        assert len(Gallery.open(house)) == templates


def test_a_token_is_asked_for_and_says_what_may_be_done(
    opened: Any, house: Path, serve: Callable[[Settings], str], tmp_path: Path
) -> None:
    door = add_token(tmp_path / "tokens.toml", "door")
    url = serve(Settings(str(house), tokens=str(tmp_path / "tokens.toml"), rate=0, runtime="opencv"))
    page = opened.new_context().new_page()
    page.goto(url)
    page.wait_for_selector("#token[open]")
    page.fill("#token-input", "onek_wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector('#token-said:has-text("not known")', timeout=_SOON)
    page.fill("#token-input", door)
    page.keyboard.press("Enter")
    page.wait_for_selector("#warning[open]", timeout=_SOON)
    page.click("#warning button")
    assert not page.is_visible('nav a[data-view="desk"]')
    page.click("#camera")
    assert "person3" in state(page, "identified")
    assert page.context.cookies() == []


def test_a_still_picture_before_a_door_with_a_challenge_stays_out(
    opened: Any, house: Path, serve: Callable[[Settings], str]
) -> None:
    page = visit(opened, serve(Settings(str(house), challenge="turn", rate=0, runtime="opencv")))
    page.click("#camera")
    page.wait_for_selector('#state-text:has-text("Look at the camera")', timeout=_SOON)
    page.click("#challenge")
    page.wait_for_selector('#state-text:has-text("Look to your")', timeout=_SOON)
    assert "the head was not turned" in state(page, "refused")
