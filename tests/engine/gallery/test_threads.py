"""Any number of threads may use one gallery: they search side by side, and each sees what was acknowledged before it asked."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info

from benchmarks.durability.kills import people
from benchmarks.durability.readers_and_writers import drive
from engine.errors import GalleryReplaced
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from indexes.base import Neighbours
from indexes.exact import flat
from indexes.exact.flat import Flat


def test_two_searches_are_under_way_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits inside the index until the other is there; where one has to be done first, neither ever is."""
    gallery = Gallery.build(people(range(30)), tmp_path / "g", score="plain")
    both, search = Barrier(2, timeout=60), Flat._search

    def together(index: Flat, probes: np.ndarray, k: int, stop_near: bool) -> Neighbours:
        both.wait()
        return search(index, probes, k, stop_near)

    monkeypatch.setattr(Flat, "_search", together)
    with ThreadPoolExecutor(2) as pool:
        try:
            found = list(pool.map(lambda at: gallery.identify(people(range(at, at + 1)), threshold=0.1), (3, 4)))
        except BrokenBarrierError:
            pytest.fail("one search waited for the other")
    assert [each.identity for results in found for each in results] == ["3", "4"]


@pytest.mark.parametrize(("index", "objects"), [("flat", 1), ("ivf", 1), ("flat", 2)])
def test_threads_against_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, objects: int) -> None:
    monkeypatch.setattr("engine.storage.sealing.SEAL_AT", 25)  # so that segments change often
    founders = 1100 if index == "ivf" else 60
    Gallery.build(people(range(founders)), tmp_path / "g", score="plain", index=index, recall=0.5).close()
    galleries = [Gallery.open(tmp_path / "g") for _ in range(objects)]
    made = drive(galleries, readers=4, writers=2, seconds=2.5)
    assert made.wrong == []
    assert made.answers > 20
    assert made.changes > 5


def test_local_scores_of_who_joined_are_those_of_one_thread(tmp_path: Path) -> None:
    """Densities are measured in passing: by whichever thread comes first, the same for all, and never half."""
    gallery = Gallery.build(people(range(80)), tmp_path / "g", score="local")
    gallery.enroll(people(range(100, 110)))
    probes = people(range(100, 110))
    alone = [each.score for each in Gallery.open(gallery.path).identify(probes, threshold=9.0)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [each.score for each in gallery.identify(probes, threshold=9.0)], range(16)))
    assert found == [alone] * 16
    assert np.isnan(gallery.enrolled.density).any()  # the snapshot itself stays what it was


def test_a_snapshot_stays_as_it_is(tmp_path: Path) -> None:
    gallery = Gallery.build(people(range(1100)), tmp_path / "g", score="plain", index="ivf", recall=0.5)
    snapshots = []
    for number in range(2000, 2006):
        snapshots.append(gallery.snapshot())
        gallery.enroll(people(range(number, number + 1)))
    gallery.remove(["5"])
    for joined, seen in enumerate(snapshots):
        assert (seen.template_count, seen.identity_count) == (1100 + joined, 1100 + joined)
        found = seen.identify(people(range(1998, 2006)), 0.001, 1)
        assert found["identity"].to_pylist() == [None, None, *map(str, range(2000, 2000 + joined)), *[None] * (6 - joined)]
        assert seen.identify(people(range(5, 6)), 0.001, 1)["identity"].to_pylist() == ["5"]
    assert gallery.identify(people(range(5, 6)), threshold=0.001)[0].identity is None


def test_threads_of_linear_algebra_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches by bounds take one thread each; when several overlapped, the number that it was is there again."""
    monkeypatch.setattr(flat, "_FEW_VECTORS", 500)
    narrow = np.random.default_rng(0).normal(size=(1000, 32)).astype(np.float32) * np.linspace(1, 0.1, 32, dtype=np.float32) ** 3
    index = Flat.build(narrow / np.linalg.norm(narrow, axis=1, keepdims=True))
    probes, before = index.vectors(np.arange(200)), _threads()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: index.search(probes, 2), range(40)))
    assert index._bounds is not None
    assert index._bounds.exclude
    assert _threads() == before


def _threads() -> list[int]:
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_a_gallery_that_another_process_put_in_the_place_is_written_to(tmp_path: Path) -> None:
    """What is acknowledged is in the gallery that is there, not in the one that it took the place of."""
    ours = Gallery.build(people(range(30)), tmp_path / "g")
    ours.enroll(people(range(50, 51)))  # it keeps a connection from now on
    code = (
        "import sys; from benchmarks.durability.kills import people; from engine.gallery.gallery import Gallery; "
        "Gallery.build(people(range(100, 140)), sys.argv[1], overwrite=True, score='plain').close()"
    )
    assert len(ours) == 31
    subprocess.run([sys.executable, "-c", code, ours.path], check=True)
    assert ours.identify(people(range(3, 4)), threshold=0.001)[0].identity == "3"  # the one that it opened, until it looks
    ours.enroll(people(range(60, 61)))
    assert ours.scoring.score == "plain"
    assert ours.identities == sorted([*map(str, range(100, 140)), "60"])
    assert Gallery.open(ours.path).identities == ours.identities


def test_a_snapshot_of_a_gallery_that_was_replaced(tmp_path: Path) -> None:
    """It answers as ever, by its own threshold and names; what it does not hold itself it does not take from the other."""
    seen = Gallery.build(people(range(70)), tmp_path / "g", score="local").snapshot()
    probes, limit = people(range(60, 75)), seen.threshold(fpir=0.1)
    before = seen.identify(probes, limit, 3)
    Gallery.build(people(range(100, 170)), tmp_path / "g", score="plain", overwrite=True)
    assert seen.threshold(fpir=0.1) == limit
    assert seen.identify(probes, limit, 3).equals(before)
    with pytest.raises(GalleryReplaced, match="built or sealed anew"):
        seen.sources()


def test_sources_after_a_removal(tmp_path: Path) -> None:
    """Each is that of its template, whoever left."""
    gallery = Gallery.build(_with_sources(people(range(30))), tmp_path / "g", score="plain")
    gallery.enroll(_with_sources(people(range(40, 44))))
    gallery.remove(["3", "41"])
    expected = [f"photographs/{name}" for name in gallery.template_ids.to_pylist()]
    assert gallery.sources().to_pylist() == expected
    assert len(expected) == 32


def _with_sources(made: Templates) -> Templates:
    table, column = made.table, made.table.schema.get_field_index("source")
    paths = pa.array([f"photographs/{name}" for name in table["template_id"].to_pylist()], pa.string())
    return Templates(table.set_column(column, table.schema.field(column), paths), made.provenance)
