"""Vectors in more batches than one: the answers are those of one batch."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from indexes.approximate.faiss_factory import Factory
from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import StoredIndex
from indexes.composite.concatenated import ConcatenatedIndex
from indexes.composite.masked import MaskedIndex
from indexes.errors import VectorsError
from indexes.exact.flat import Flat
from indexes.exact.lower_bounds import Bounds
from indexes.files import VectorWriter, open_vectors
from indexes.tuning.operating_point import nearest_distances, tune
from tests.indexes.vectors import brute_force, cone
from tests.support.batches import shrink, sizes_in_the_code

pytestmark = pytest.mark.usefixtures("one_thread")
VECTORS, PROBES = cone(1100, 24, 0), cone(40, 24, 1)


@pytest.fixture
def stored(tmp_path: Path) -> np.ndarray:
    """`VECTORS`, memory-mapped: what is read in batches."""
    with VectorWriter(tmp_path / "v.npy", 24) as writer:
        for start in range(0, 1100, 300):
            writer.write(VECTORS[start : start + 300])
    return open_vectors(tmp_path / "v.npy")


def test_every_batch_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by their names, lent ones too: a module that calls its batches otherwise would be missed."""
    known = {
        ("indexes.base", "BATCH"),
        ("indexes.approximate.two_stage", "BATCH"),
        ("indexes.tuning.operating_point", "_PART"),
        ("engine.matching.densities", "_BATCH"),
    }
    known |= {(f"engine.{module}", "ROW_GROUP") for module in ("templates.parquet", "storage.sealing", "maintenance.integrity")}
    assert known <= sizes_in_the_code()
    shrink(monkeypatch, 5)
    assert {getattr(import_module(module), name) for module, name in sizes_in_the_code()} == {5}


@pytest.mark.parametrize("kind", [Flat, FlatCodes, Ivf, IvfSq8, Factory])
def test_an_index_built_in_batches_is_the_one_built_at_once(
    kind: type[StoredIndex], stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kind.build(stored)
    shrink(monkeypatch, 37)
    told: list[tuple[int, int]] = []
    parts = kind.build(stored, lambda _, done, of: told.append((done, of)))
    assert told[-1] == (1100, 1100)
    for index in (whole, parts):
        if isinstance(index, TwoStageIndex):
            index.effort = Effort(index.most_visits, 1100)
    ours, theirs = parts.search(PROBES, 9), whole.search(PROBES, 9)
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.distances, theirs.distances)
    # Searched for themselves, vectors of every batch are found.
    np.testing.assert_allclose(parts.search(VECTORS, 1).distances[:, 0].mean(), 0, atol=0.01)


@pytest.mark.parametrize("row", [0, 36, 37, 38, 1099])
def test_what_is_not_finite_is_named_by_its_row(stored: np.ndarray, monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    shrink(monkeypatch, 37)
    bad = np.memmap(stored.filename, np.float32, "c", stored.offset, stored.shape)
    bad[row, 5] = np.nan
    with pytest.raises(VectorsError, match=f"row {row} of the vectors holds NaN"):
        Flat.build(bad)


@pytest.mark.parametrize("size", [1, 37, 550, 1099, 1100, 1101])
def test_the_nearest_of_several_parts(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Wherever the nearest lies: in the first part, the last, or between."""
    monkeypatch.setattr("indexes.tuning.operating_point._PART", size)
    probes = np.concatenate([PROBES, VECTORS[[0, 36, 37, 600, 1099]]])
    found = nearest_distances(VECTORS, probes)
    np.testing.assert_allclose(found, brute_force(VECTORS, probes, 1)[:, 0], atol=2e-6)
    assert (found[-5:] == 0).all()


def test_the_recall_that_is_told_is_the_one_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured among all vectors, not only those of the last part."""
    vectors, probes = cone(2000, 24, 3), cone(200, 24, 4)
    monkeypatch.setattr("indexes.tuning.operating_point._PART", 499)
    index = Ivf.build(vectors)
    point = tune(index, probes, 0.9)
    found = index.search(probes, 1, stop_near=True).distances[:, 0]
    assert point.recall == np.mean(found <= brute_force(vectors, probes, 1)[:, 0] + 1e-5)
    assert point.identified is not None
    assert 0.9 <= point.identified < 1


@pytest.mark.parametrize("count", [8, 9, 13, 100, 1100])
@pytest.mark.parametrize("k", [1, 8])
def test_bounds_in_small_blocks_exclude_nothing_that_is_near(monkeypatch: pytest.MonkeyPatch, count: int, k: int) -> None:
    shrink(monkeypatch)
    for name, size in (("_FIRST", 8), ("_BLOCK", 5), ("_GROUP", 2), ("_LEAST", 3)):
        monkeypatch.setattr(f"indexes.exact.lower_bounds.{name}", size)
    found = Bounds(VECTORS[:count]).search(PROBES, k)
    np.testing.assert_allclose(found.distances, brute_force(VECTORS[:count], PROBES, k), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(PROBES[:, None] - VECTORS[found.rows], axis=2), found.distances, atol=2e-6)


def test_exact_search_goes_by_bounds_only_where_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides of each limit the answers are the same."""
    monkeypatch.setattr("indexes.exact.flat._FEW_PROBES", 10)
    monkeypatch.setattr("indexes.exact.flat._FEW_VECTORS", 300)
    monkeypatch.setattr("indexes.exact.flat._MANY_NEIGHBOURS", 20)
    for probes in (9, 10, 11):
        for count in (299, 300, 301):
            for k in (19, 20, 21):
                found = Flat(VECTORS[:count]).search(PROBES[:probes], k)
                np.testing.assert_allclose(found.distances, brute_force(VECTORS[:count], PROBES[:probes], k), atol=2e-6)


@pytest.mark.parametrize("spare", [0, 1, 16])
def test_masks_and_joined_indexes_look_again_until_they_have_enough(monkeypatch: pytest.MonkeyPatch, spare: int) -> None:
    monkeypatch.setattr("indexes.composite.masked._SPARE", spare)
    gone = np.zeros(1100, bool)
    nearest = np.argsort(np.linalg.norm(PROBES[:5, None] - VECTORS[None], axis=2), axis=1)[:, :200]
    gone[nearest.ravel()] = True  # the two hundred nearest of some probes, so that these look three times
    joined = ConcatenatedIndex([Flat(VECTORS[:1]), Flat(VECTORS[1:500]), Flat(VECTORS[500:])])
    without = MaskedIndex(joined, gone)
    found = without.search(PROBES, 6)
    np.testing.assert_allclose(found.distances, brute_force(VECTORS[~gone], PROBES, 6), atol=2e-6)
    np.testing.assert_array_equal(without.vectors(found.rows.ravel()), VECTORS[~gone][found.rows.ravel()])


def test_the_first_and_the_last_row_on_both_sides_of_a_seam() -> None:
    """Of vectors that were built and vectors that were added, and of indexes that were joined."""
    added = cone(5, 24, 7)
    everything = np.concatenate([VECTORS, added])
    index = FlatCodes.build(VECTORS).with_more(added)
    joined = ConcatenatedIndex([Flat(VECTORS), Flat(added)])
    for rows in ([1099], [1100], [1104], [1099, 1100], [1100, 1099, 0, 1104], []):
        for each in (index, joined):
            np.testing.assert_array_equal(each.vectors(np.array(rows, np.int64)), everything[np.array(rows, np.int64)])
    for each in (index, joined):
        with pytest.raises(VectorsError, match="rows 1105 to 1105 were named; the index holds rows 0 to 1104"):
            each.vectors(np.array([1105]))
        with pytest.raises(VectorsError, match="rows -1 to 3"):
            each.vectors(np.array([-1, 3]))
