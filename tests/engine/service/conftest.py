"""A service with a gallery of drawn people, and their pictures as files are sent."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from engine import Client, Gallery, embed_images
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.support.services import running

ENROLLED = 10


def coded(picture: np.ndarray, ending: str = ".jpg") -> bytes:
    done, data = cv2.imencode(ending, picture[..., ::-1])
    assert done
    return data.tobytes()


@pytest.fixture(scope="session")
def pictures(drawn: list[np.ndarray]) -> list[bytes]:
    """Picture 0 of the dozen, as PNG files: of the first ten, who are enrolled, it is the one enrolled."""
    return [coded(picture, ".png") for picture in drawn]


@pytest.fixture(scope="session")
def pictures_again(drawn_again: list[np.ndarray]) -> list[bytes]:
    return [coded(picture, ".png") for picture in drawn_again]


@pytest.fixture(scope="session")
def people(drawn: list[np.ndarray]) -> Templates:
    """Templates of the first ten of the dozen: person0, ..., person9."""
    made = embed_images(drawn[:ENROLLED]).templates
    names = [f"person{number}" for number in range(ENROLLED)]
    table = made.table.set_column(1, made.table.schema.field(1), [names])
    return Templates(table, made.provenance)


@pytest.fixture(scope="session")
def _built(people: Templates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "house"
    Gallery.build(people, path)
    return path


@pytest.fixture
def house(_built: Path, tmp_path: Path) -> Path:
    """A gallery of the ten of the test's own."""
    return shutil.copytree(_built, tmp_path / "house")


@pytest.fixture
def served(house: Path) -> Iterator[str]:
    """The address of a service of it."""
    with running(Settings(str(house), events_days=7, rate=0, runtime="opencv")) as url:
        yield url


@pytest.fixture(scope="session")
def asked(_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service of it that is only asked, by all tests."""
    house = shutil.copytree(_built, tmp_path_factory.mktemp("asked") / "house")
    with running(Settings(str(house), rate=0, runtime="opencv")) as url, Client(url) as client:
        yield client


@pytest.fixture
def http(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def client(served: str) -> Iterator[Client]:
    with Client(served) as asked:
        yield asked


@pytest.fixture
def serve() -> Iterator[Callable[[Settings], str]]:
    """Starts services that end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda settings: stack.enter_context(running(settings))
