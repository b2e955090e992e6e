"""Vectors that join and leave an index after it was built."""

from pathlib import Path

import numpy as np
import pytest

from indexes.approximate.faiss_factory import Factory
from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.base import SearchableIndex, StoredIndex
from indexes.composite.concatenated import ConcatenatedIndex
from indexes.composite.masked import MaskedIndex
from indexes.errors import IndexUnsupported, VectorsError
from indexes.exact.flat import Flat
from indexes.registry import load_index
from tests.indexes.vectors import brute_force, cone

OLD, NEW, PROBES = cone(1500, 24, 0), cone(200, 24, 1), cone(40, 24, 2)


def check(index: SearchableIndex, vectors: np.ndarray, k: int = 7) -> None:
    """Searches exactly what `vectors` (n, d) are, and gives them back."""
    assert index.count == len(vectors)
    found = index.search(np.concatenate([PROBES, vectors[-5:]]), k)
    probes = np.concatenate([PROBES, vectors[-5:]])
    np.testing.assert_allclose(found.distances, brute_force(vectors, probes, k), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(probes[:, None] - vectors[found.rows], axis=2), found.distances, atol=1e-6)
    rows = np.random.default_rng(0).permutation(len(vectors))[:300]
    np.testing.assert_array_equal(index.vectors(rows), vectors[rows])


@pytest.mark.parametrize("kind", [Flat, FlatCodes, Ivf, IvfSq8])
def test_added_vectors_are_found_like_those_that_were_built(kind: type[StoredIndex], tmp_path: Path) -> None:
    whole = np.concatenate([OLD, NEW])
    index = kind.build(OLD)
    if isinstance(index, TwoStageIndex):
        index.effort = Effort(index.most_visits, 1700)
    for count in (1500, 1501, 1600, 1700):
        index.extend(whole[:count])
        check(index, whole[:count])
    index.save(tmp_path / "index")
    check(load_index(tmp_path / "index", whole), whole)
    if isinstance(index, TwoStageIndex):
        index.effort = Effort(1, 1)
        assert sorted(index.search(PROBES, 1700).rows[0].tolist()) == list(range(1700))


@pytest.mark.parametrize("kind", [Flat, FlatCodes])
def test_what_cannot_be_added_is_refused(kind: type[StoredIndex]) -> None:
    index, bad = kind.build(OLD), np.concatenate([OLD, NEW])
    bad[1502, 3] = np.nan
    with pytest.raises(VectorsError, match="row 1502 of the vectors holds NaN"):
        index.extend(bad)
    for other in (OLD[:1499], cone(1700, 20, 0), OLD.astype(np.float64), OLD[0]):
        with pytest.raises(VectorsError, match=r"expected float32 \(1500 or more, 24\)"):
            index.extend(other)
    assert index.count == 1500
    assert index.search(NEW, 1600).rows.shape == (200, 1500)


def test_exact_search_in_batches_finds_what_was_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bounds are those of the vectors that it holds now."""
    monkeypatch.setattr("indexes.exact.flat._FEW_VECTORS", 100)
    monkeypatch.setattr("indexes.exact.flat._FEW_PROBES", 10)
    index = Flat.build(OLD)
    index.search(PROBES, 3)
    index.extend(np.concatenate([OLD, NEW]))
    np.testing.assert_array_equal(index.search(NEW, 1).distances, 0)


def test_a_graph_takes_vectors_too() -> None:
    index = Factory.build(OLD, factory="HNSW16")
    index.effort = Effort(200, 100)
    index.extend(np.concatenate([OLD, NEW]))
    found = index.search(NEW, 1)
    assert (found.distances[:, 0] < 1e-6).mean() > 0.95


def test_joined_indexes_search_as_one() -> None:
    codes = FlatCodes.build(OLD)
    codes.effort = Effort(1, 1500)
    joined = ConcatenatedIndex([Flat.build(NEW[:3]), codes, Flat.build(NEW[3:])])
    check(joined, np.concatenate([NEW[:3], OLD, NEW[3:]]))
    assert not joined.exact
    assert joined.search(PROBES, 10_000).rows.shape == (40, 1700)
    with pytest.raises(VectorsError, match=r"\[20, 24\]"):
        ConcatenatedIndex([Flat.build(NEW), Flat.build(cone(3, 20, 0))])


@pytest.mark.parametrize("left", [1700, 1699, 1000, 30, 7])
def test_what_is_gone_is_never_found(left: int) -> None:
    vectors = np.concatenate([OLD, NEW])
    gone = np.ones(1700, bool)
    gone[np.random.default_rng(left).permutation(1700)[:left]] = False
    without = MaskedIndex(ConcatenatedIndex([Flat.build(OLD), Flat.build(NEW)]), gone)
    check(without, vectors[~gone])
    assert without.search(PROBES, 2000).rows.shape == (40, left)


def test_all_that_is_near_may_be_gone() -> None:
    crowd = np.repeat(PROBES[:1], 500, axis=0)
    gone = np.arange(700) < 500
    without = MaskedIndex(Flat.build(np.concatenate([crowd, NEW])), gone)
    np.testing.assert_allclose(without.search(PROBES, 3).distances, brute_force(NEW, PROBES, 3), atol=2e-6)


def test_an_index_with_nothing_left_finds_nothing() -> None:
    without = MaskedIndex(Flat.build(NEW), np.ones(200, bool))
    assert without.count == 0
    assert without.search(PROBES, 3).rows.shape == (40, 0)
    with pytest.raises(VectorsError, match="expected bool"):
        MaskedIndex(Flat.build(NEW), np.ones(3, bool))


@pytest.mark.parametrize("kind", [FlatCodes, Ivf, IvfSq8, Factory])
def test_an_index_with_more_leaves_the_one_before_as_it_is(kind: type[TwoStageIndex]) -> None:
    """Step by step, in as many parts as come: each finds its own rows and no others, and keeps nothing that cannot be saved."""
    drawn = np.random.default_rng(3).normal(size=(1400, 16)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    steps = [kind.build(drawn[:1200])]
    steps[0].effort = Effort(steps[0].most_visits, 200)
    for start in range(1200, 1400, 50):
        steps.append(steps[-1].with_more(drawn[start : start + 50]))
    for number, index in enumerate(steps):
        held = 1200 + 50 * number
        assert index.count == held
        found = index.search(drawn, 3)
        assert found.rows.max() < held
        own = found.rows[:held, 0] == np.arange(held)
        assert own[1200:].all()
        assert own.mean() > 0.99
        np.testing.assert_array_equal(index.vectors(np.arange(held)), drawn[:held])
    with pytest.raises(IndexUnsupported, match="50 vectors were added since"):
        steps[1].save(Path("nowhere"))
    with pytest.raises(VectorsError, match="16 dimensions"):
        steps[1].with_more(drawn[:, :8])
    steps[-1].extend(drawn)  # what was added to a copy becomes its own, and is there once
    found = steps[-1].search(drawn, 3).rows
    assert (found[:, 0] == np.arange(1400)).mean() > 0.99
    assert all(len(set(each)) == 3 for each in found.tolist())
