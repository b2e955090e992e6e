"""Drawn people for every test, embedded once a worker; real data where it lies beside the project."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import faiss
import numpy as np
import pytest
from pyarrow import fs

from benchmarks.data.drawn_people import picture_of
from engine.encoders import Encoder, load_encoder
from engine.templates.model import Templates

PEOPLE = 12
# Tests that others inherit say as much when they fail as tests of their own.
pytest.register_assert_rewrite("tests.support.backend_contract")


@pytest.fixture(scope="session", autouse=True)
def _no_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What whoever runs the tests has set for himself changes nothing in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def drawn() -> list[np.ndarray]:
    """Picture 0 of a dozen drawn people, uint8 (250, 250, 3), RGB."""
    return [picture_of(seed, 0, nuisance=0.6) for seed in range(PEOPLE)]


@pytest.fixture(scope="session")
def drawn_again() -> list[np.ndarray]:
    """Picture 1 of the same people."""
    return [picture_of(seed, 1, nuisance=0.6) for seed in range(PEOPLE)]


@pytest.fixture(scope="session")
def sface() -> Encoder:
    return load_encoder("sface")


@pytest.fixture(scope="session")
def dlib_resnet() -> Encoder:
    return load_encoder("dlib-resnet")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Indexes search with one thread: of a few hundred vectors, threads cost more than they save."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[np.ndarray, str], Path]:
    """Write an RGB picture below the test's folder, and give its path."""

    def write(picture: np.ndarray, name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture[..., ::-1])
        return path

    return write


@pytest.fixture
def photos(drawn: list[np.ndarray], save: Callable[[np.ndarray, str], Path], tmp_path: Path) -> Path:
    """A folder with one photograph of each of the dozen, called after them: person0.jpg, ..."""
    for number, picture in enumerate(drawn):
        save(picture, f"photos/person{number}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def random_templates() -> Callable[..., Templates]:
    """Templates of random unit vectors, `each` of them for every identity, from a seed."""

    def make(identities: int = 20, each: int = 2, dim: int = 16, seed: int = 0) -> Templates:
        random = np.random.default_rng(seed)
        centres = random.normal(size=(identities, dim))
        vectors = np.repeat(centres, each, axis=0) + 0.1 * random.normal(size=(identities * each, dim))
        names = [f"id{number // each}" for number in range(identities * each)]
        return Templates.from_vectors(vectors, names, [f"t{number}" for number in range(identities * each)])

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs and weights; skipped where it is absent, except in CI, where it must be there."""
    folder = Path(os.environ.get("ONEK_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI needs the real data in {folder}")
        pytest.skip(f"no real data in {folder}; set ONEK_DATA")
    return folder


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> fs.S3FileSystem:
    """An S3 server on loopback, as the environment names it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    return fs.S3FileSystem(endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True, allow_bucket_deletion=True)


@pytest.fixture
def bucket(store: fs.S3FileSystem) -> Iterator[str]:
    """An empty bucket of the test's own."""
    name = f"bucket-{time.time_ns()}"
    store.create_dir(name)
    yield name
    store.delete_dir(name)
