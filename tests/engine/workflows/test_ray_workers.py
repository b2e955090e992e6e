"""Work on Ray is the work of one process: the same output, whatever becomes of a worker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import load_encoder
from engine.errors import EncoderError, GalleryReplaced, SpreadError
from engine.gallery.gallery import Gallery
from engine.templates.parquet import TemplateWriter, stream_templates
from engine.templates.quality import LEAST
from engine.workflows import ray_workers as spreading
from engine.workflows.embed_files import embed_to_file
from engine.workflows.identify_files import identify_to_file
from engine.workflows.ray_workers import IdentifyingWorker, SpreadEmbedder, Workers, spread_identify, workers_on
from tests.support.contract import people, strangers
from tests.support.tables import assert_same_tables, read_results

ONEK = str(Path(sys.executable).with_name("onek"))
pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with workers_on("ray", 2) as made:
        yield made


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """170 face crops, of which one is broken and one is no face anybody could tell."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for number in range(170):
        noise = np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number:03}.png")
    (folder / "050.png").write_bytes(b"broken")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "060.png")
    return folder


def kill_one(name: str) -> int:
    """SIGKILL to a worker, as the system's memory killer would send it."""
    called = ((each, " ".join(each.info["cmdline"] or [])) for each in psutil.process_iter(["cmdline"]))
    found = [each for each, line in called if "ray::" in line and name in line]
    victim = min(found, key=lambda each: each.pid)
    os.kill(victim.pid, signal.SIGKILL)
    return victim.pid


def test_embeds_as_one_process_does(workers, crops, tmp_path):
    load = partial(load_encoder, "pixels")
    photographs = find_photographs([crops])
    here = embed_to_file(photographs, Embedder(load(), "none"), tmp_path / "here.parquet")
    spread = SpreadEmbedder(Embedder(load(), "none"), load, workers)
    told: list[int] = []
    there = embed_to_file(photographs, spread, tmp_path / "there.parquet", progress=told.append)
    assert (here.images, here.templates, here.problems) == (there.images, there.templates, there.problems) == (170, 168, 2)
    assert_same_tables(pq.read_table(tmp_path / "here.parquet"), pq.read_table(tmp_path / "there.parquet"))
    assert (tmp_path / "here.problems.csv").read_text() == (tmp_path / "there.problems.csv").read_text()
    assert sum(told) == 170


def test_a_killed_embedding_worker_costs_its_batch_alone(workers, crops, tmp_path):
    load = partial(load_encoder, "pixels")
    photographs = find_photographs([crops])
    here = list(Embedder(load(), "none").stream(photographs))
    spread = SpreadEmbedder(Embedder(load(), "none"), load, workers)
    there = []
    for outcome in spread.stream(photographs):
        there.append(outcome)
        if len(there) == 1:
            kill_one("EmbeddingWorker")
    assert [each.photograph for each in there] == [each.photograph for each in here]
    assert [each.problem for each in there] == [each.problem for each in here]
    assert all(np.allclose(a.vectors, b.vectors, atol=1e-5) for a, b in zip(there, here, strict=True))


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(people(0, 150), tmp_path / "g")


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    with TemplateWriter(tmp_path / "p.parquet", people(0, 1).provenance) as writer:
        for each in people(0, 200, 5, seed=6).table.to_batches():
            writer.write(each)
    return tmp_path / "p.parquet"


def test_identifies_as_one_process_does_while_a_worker_is_killed(workers, gallery, thousand):
    limit = gallery.threshold()
    parts = list(stream_templates(thousand, 25))
    here = [gallery.snapshot().identify(part, limit, 5) for part in parts]
    there = []
    for table in spread_identify(workers, str(gallery.path), limit, 5, None)(iter(parts)):
        there.append(table)
        if len(there) == 3:
            killed = kill_one("IdentifyingWorker")
    assert not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE
    assert sum(map(len, there)) == 1000
    assert_same_tables(pa.concat_tables(here), pa.concat_tables(there))


def test_a_file_of_results_is_the_same(workers, gallery, thousand, tmp_path):
    for name, on in (("here.csv", None), ("there.csv", workers)):
        made = identify_to_file(gallery, [thousand], tmp_path / name, workers=on)
        assert made.counts.probes == 1000
    assert_same_tables(read_results(tmp_path / "here.csv"), read_results(tmp_path / "there.csv"))


def test_what_a_worker_raises_is_raised_here(workers):
    with pytest.raises(EncoderError, match="encoder='nothing'"):
        list(workers.started(_Raises)(["work"]))


class _Raises:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def work(self, name: str) -> None:
        load_encoder("nothing")


def test_commands_on_ray(tmp_path, gallery, thousand):
    call: Callable[..., subprocess.CompletedProcess[str]] = lambda *words: subprocess.run(  # noqa: E731
        [ONEK, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    plain = call("identify", "p.parquet", "-g", "g", "-o", "a.parquet")
    spread = call("identify", "p.parquet", "-g", "g", "-o", "b.parquet", "--on", "ray", "--workers", "2")
    assert spread.returncode == 0, spread.stderr
    assert spread.stdout == plain.stdout.replace("a.parquet", "b.parquet")
    assert spread.stderr == plain.stderr
    assert_same_tables(pq.read_table(tmp_path / "a.parquet"), pq.read_table(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--on", "spark"], "--on spark: expected ray, or ray=HOST:PORT"),
        (["--on", "ray="], "expected ray, or ray=HOST:PORT"),
        (["--workers", "3"], "--workers 3 goes with --on ray"),
        (["--on", "ray=127.0.0.1:9"], "no Ray cluster answers there"),
    ],
)
def test_what_cannot_be(words, says, tmp_path, gallery, thousand):
    start = time.monotonic()
    done = subprocess.run(
        [ONEK, "identify", "p.parquet", "-g", "g", "-o", "r.csv", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert time.monotonic() - start < 60
    assert not (tmp_path / "r.csv").exists()


def test_a_gallery_that_one_process_may_open(workers):
    with pytest.raises(SpreadError, match="one process at a time"):
        spread_identify(workers, "milvus-lite:m.db/g", 0.5, 5, None)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpreadError, match=r"pip install 'onek\[ray\]'"), workers_on("ray"):
        pass


def test_a_worker_that_opens_another_gallery_than_the_run_began_with(gallery):
    """Who joined is the same gallery; one that took its place is not, nor is one with other thresholds."""
    begun = gallery.snapshot()
    gallery.enroll(people(150, 2))
    limit = begun.threshold()
    probes = people(0, 3)
    worker = IdentifyingWorker(".", str(gallery.path), begun.edition, limit, 5, None, LEAST)
    assert worker.work(probes)["identity"].equals(begun.identify(probes, limit, 5)["identity"])
    Gallery.build(people(0, 150), gallery.path, overwrite=True, score="plain")
    with pytest.raises(GalleryReplaced, match="anew while it was being searched"):
        IdentifyingWorker(".", str(gallery.path), begun.edition, limit, 5, None, LEAST).work(probes)
    assert worker.work(probes).num_rows == 6  # it goes on with the one that it opened


def test_nothing_of_ray_outlives_a_driver_that_was_killed():
    code = """
import time
from engine.workflows.ray_workers import workers_on
with workers_on("ray", 1):
    print("up", flush=True)
    time.sleep(300)
"""
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "up\n"
        started = psutil.Process(driver.pid).children(recursive=True)
        assert any("Agent" in " ".join(each.cmdline()) for each in started)
    finally:
        driver.kill()
        driver.wait()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert [each.cmdline() for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_strangers_stay_strangers(workers, gallery):
    from engine.templates.model import Templates

    probes = Templates.from_vectors(strangers())
    (table,) = spread_identify(workers, str(gallery.path), 0.0, 5, None)([probes])
    assert set(table["decision"].to_pylist()) == {"unknown"}


def test_a_ray_that_is_started_here_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens on every network, and would run the code of whoever comes."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    spreading._require_token()
    first = os.environ["RAY_AUTH_TOKEN"]
    spreading._require_token()
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"], len(first)) == ("token", first, 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    spreading._require_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
