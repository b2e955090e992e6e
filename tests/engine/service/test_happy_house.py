"""The door of the course that this engine grew out of: who is enrolled gets in, who is not does not, whatever card he holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.service.door import at_the_door, film
from engine import Gallery, embed_images
from engine.faces.images import decode
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.engine.service.conftest import coded
from tests.support.browser import browser, executable, visit

_SOON = 90_000


@dataclass(frozen=True)
class House:
    """Whose pictures are enrolled, by name, and what the camera shows: somebody enrolled, a stranger, and `guest`, who holds
    `host`'s card and is enrolled later with the picture `own`. `distance` is what verify accepts; None: the encoder's own.
    """

    people: dict[str, np.ndarray]
    resident: tuple[str, np.ndarray]
    stranger: np.ndarray
    guest: tuple[str, np.ndarray]
    own: np.ndarray
    host: str
    distance: float | None


def happy(data: Path) -> House:
    """The twelve of the course, of whom benoit is enrolled when he has been refused; a stranger out of LFW."""
    folder = data / "happy-house"
    pictures = {path.stem: decode(path) for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")}
    cameras = {name: pictures.pop(name) for name in list(pictures) if name.startswith("camera_")}
    assert len(pictures) == 12
    own, stranger = pictures.pop("benoit"), decode(min((data / "lfw-dev").glob("A*/*.jpg")))
    return House(pictures, ("younes", cameras["camera_0"]), stranger, ("benoit", cameras["camera_2"]), own, "kian", None)


def drawn_house(drawn: list[np.ndarray], drawn_again: list[np.ndarray]) -> House:
    """The same with people who do not exist."""
    people = {f"person{number}": drawn[number] for number in range(10)}
    return House(people, ("person3", drawn_again[3]), drawn_again[10], ("guest", drawn[11]), drawn[11], "person5", 0.5)


@pytest.fixture(params=["drawn", "happy-house"])
def scene(request: pytest.FixtureRequest) -> House:
    if request.param == "drawn":
        return drawn_house(request.getfixturevalue("drawn"), request.getfixturevalue("drawn_again"))
    return happy(request.getfixturevalue("real_data"))


def built(people: dict[str, np.ndarray], path: Path) -> Gallery:
    made = embed_images(list(people.values()))
    assert not made.problems
    table = made.templates.table
    return Gallery.build(Templates(table.set_column(1, table.schema.field(1), [list(people)]), made.templates.provenance), path)


def decided(page: Any, state: str) -> str:
    """What the door says, once it has come to a state."""
    page.wait_for_selector(f'#state[data-state="{state}"]', timeout=_SOON)
    return str(page.inner_text("#state-text"))


def seen_by_camera(url: str, picture: np.ndarray, path: Path, state: str) -> str:
    with browser(film(picture, path)) as opened:
        page = visit(opened, url)
        page.click("#camera")
        return decided(page, state)


def test_the_happy_house(scene: House, serve: Callable[[Settings], str], tmp_path: Path) -> None:
    from engine import Client

    path = tmp_path / "house"
    built(scene.people, path)
    url = serve(Settings(str(path), events_days=7, rate=0, runtime="opencv"))
    name, at_door = scene.guest
    camera = tmp_path / "camera.y4m"

    resident, shown = scene.resident
    assert resident in seen_by_camera(url, shown, camera, "identified")
    assert seen_by_camera(url, scene.stranger, camera, "unknown") == "Unknown"

    with Client(url) as client:
        assert not client.verify(coded(at_door, ".png"), scene.host, threshold=scene.distance).same
        (found,) = client.identify(coded(at_door, ".png"), faces="largest")
        assert (found.decision, found.identity) == ("unknown", None)

    with browser(film(at_door, camera)) as opened:
        page = visit(opened, url)
        page.click("#camera")
        assert decided(page, "unknown") == "Unknown"

        page.click('nav a[data-view="desk"]')
        page.fill("#enrol-name", name)
        page.set_input_files("#enrol-files", {"name": "own.png", "mimeType": "image/png", "buffer": coded(scene.own, ".png")})
        page.wait_for_selector("#enrol-now:enabled", timeout=_SOON)
        assert "looks like nobody who is enrolled" in page.inner_text("#shots")
        assert len(Gallery.open(path)) == len(scene.people), "nothing is stored before somebody says so"
        page.click("#enrol-now")
        page.wait_for_selector(f'#people button[aria-label="Erase {name}"]', timeout=_SOON)
        vectors = Gallery.open(path).snapshot().templates_of(name)[1]

        page.click('nav a[data-view="door"]')
        page.click("#camera")
        assert name in decided(page, "identified")

        page.click('nav a[data-view="desk"]')
        page.click(f'#people button[aria-label="Erase {name}"]')
        page.click("#sure-yes")
        page.wait_for_selector('#people-said:has-text("is erased")', timeout=_SOON)
        assert name not in page.inner_text("#people")

        page.click('nav a[data-view="door"]')
        page.click("#camera")
        assert decided(page, "unknown") == "Unknown"

    left = b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file() and file != camera)
    assert np.ascontiguousarray(vectors, "<f4").tobytes() not in left
    assert name.encode() not in left
    assert cv2.imencode(".png", scene.own[..., ::-1])[1].tobytes() not in left


def test_how_long_the_door_takes_is_measured_on_its_page(house: Path, drawn_again: list[np.ndarray], tmp_path: Path) -> None:
    executable()
    waited = at_the_door(house, drawn_again[3], tmp_path, frames=2)
    assert waited.requests == 2
    assert 0 < waited.p50 <= waited.p99
