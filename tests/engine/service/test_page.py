"""The page, in a real browser: what it says when something is missing, who can use it, and that it fetches nothing elsewhere."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.service.door import film
from engine import Client, Gallery
from engine.service.access.tokens import add_token
from engine.service.settings import Settings
from tests.engine.service.conftest import coded
from tests.support.browser import browser, visit
from tests.support.services import running

_SOON = 20_000


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


def state(page: Any, wanted: str) -> str:
    page.wait_for_selector(f'#state[data-state="{wanted}"]', timeout=_SOON)
    return str(page.inner_text("#state-text") + " " + page.inner_text("#state-more"))


def test_a_photograph_before_the_camera_is_warned_of(opened: Any, url: str) -> None:
    page = opened.new_context().new_page()
    page.goto(url)
    page.wait_for_selector("#warning[open]")
    assert "held up to the camera" in page.inner_text("#warning")
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
        page.click("#camera")
        state(page, "identified")
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
    page.goto(url)
    found = []
    page.wait_for_selector("#warning[open]")
    found += axe.run(page).response["violations"]
    page.click("#warning button")
    page.click("#camera")
    state(page, "identified")
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
