"""What all kinds that approximate must keep, each against exact search."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.approximate.faiss_factory import Factory
from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.two_stage import Effort, TwoStageIndex
from indexes.errors import IndexUnsupported, VectorsError
from indexes.files import open_vectors
from indexes.registry import KINDS, load_index
from tests.indexes.vectors import brute_force, cone, unit

APPROXIMATE: list[type[TwoStageIndex]] = [FlatCodes, Ivf, IvfSq8, Factory]
COUNT = 1500


@pytest.mark.parametrize("kind", APPROXIMATE)
@settings(max_examples=8, deadline=None)
@given(k=st.integers(1, 40), copies=st.integers(1, 30), seed=st.integers(0, 99))
def test_at_full_effort_distances_are_those_of_exact_search(kind: type[TwoStageIndex], k: int, copies: int, seed: int) -> None:
    vectors = np.repeat(cone(-(-COUNT // copies), 24, seed), copies, axis=0)[:COUNT]
    probes = np.concatenate([cone(20, 24, seed + 1), vectors[:5]])
    index = kind.build(vectors)
    index.effort = Effort(index.most_visits, COUNT)
    found = index.search(probes, k)
    assert found.rows.shape == found.distances.shape == (25, k)
    assert found.rows.min() >= 0
    assert all(len(set(row)) == k for row in found.rows.tolist())
    np.testing.assert_allclose(np.linalg.norm(probes[:, None] - vectors[found.rows], axis=2), found.distances, atol=1e-6)
    truth = brute_force(vectors, probes, k)
    assert np.mean(np.abs(found.distances - truth) < 2e-6) >= (0.97 if kind is Factory else 1)  # a graph may lose a node


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_at_any_effort_results_are_whole_and_measured(kind: type[TwoStageIndex]) -> None:
    """One list of forty visited, and more neighbours asked for than it holds: no padding, no invented distance."""
    vectors, probes = cone(COUNT, 24, 0), cone(50, 24, 1)
    index = kind.build(vectors)
    index.effort = Effort(1, 1)
    for k in (1, 200, COUNT, 2 * COUNT):
        found = index.search(probes, k)
        assert found.rows.shape == (50, min(k, COUNT))
        assert found.rows.min() >= 0
        assert np.isfinite(found.distances).all()
        assert (np.diff(found.distances, axis=1) >= 0).all()
    assert sorted(found.rows[0].tolist()) == list(range(COUNT))


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_a_saved_index_searches_the_same(kind: type[TwoStageIndex], tmp_path: Path) -> None:
    vectors, probes = cone(COUNT, 24, 0), cone(50, 24, 1)
    np.save(tmp_path / "v.npy", vectors)
    index = kind.build(open_vectors(tmp_path / "v.npy"))
    index.effort = Effort(min(3, index.most_visits), 12)
    index.save(tmp_path / "x.index")
    loaded = load_index(tmp_path / "x.index", open_vectors(tmp_path / "v.npy"))
    assert type(loaded) is kind
    assert isinstance(loaded, TwoStageIndex)
    assert loaded.effort == index.effort
    first, again = index.search(probes, 5), loaded.search(probes, 5)
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.distances, again.distances)
    np.testing.assert_array_equal(loaded.vectors(np.array([7, 0])), vectors[[7, 0]])


@pytest.mark.parametrize("kind", APPROXIMATE)
@pytest.mark.parametrize("shape", ["identical", "wide", "one axis"])
def test_strange_clouds(kind: type[TwoStageIndex], shape: str) -> None:
    if shape == "identical":
        vectors = np.repeat(unit(1, 16, 0), COUNT, axis=0)
    elif shape == "wide":
        vectors = unit(COUNT, 16, 0)
    else:
        angles = np.linspace(0, 1, COUNT)
        vectors = np.zeros((COUNT, 16), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    index = kind.build(vectors)
    index.effort = Effort(index.most_visits, 64)
    found = index.search(vectors[:40], 3)
    assert found.distances[:, 0].max() <= (1e-6 if shape == "identical" else 0.7)
    assert found.rows.min() >= 0


@pytest.mark.parametrize("kind", [FlatCodes, Ivf, IvfSq8])
def test_too_few_vectors_name_both_numbers(kind: type[TwoStageIndex]) -> None:
    with pytest.raises(VectorsError, match=f"there are 99 vectors .* at least {kind.least}, so take flat"):
        kind.build(cone(99, 24, 0))


def test_bytes_are_at_most_what_was_foretold() -> None:
    vectors = unit(4000, 128, 0)
    for kind in (FlatCodes, Ivf, IvfSq8):
        assert 0 < kind.build(vectors).bytes_per_vector <= kind.bytes_at_most(128)
    assert KINDS["ivf-sq8"].bytes_at_most(128) <= 96


@pytest.mark.parametrize(
    ("string", "error", "message"),
    [
        ("IVF12,Nonsense", IndexUnsupported, "'IVF12,Nonsense' is no FAISS string for 24 dimensions"),
        ("IVF4096,Flat", VectorsError, "has 4096 lists, but there are 1500 vectors"),
        ("PQ7", IndexUnsupported, "no FAISS string for 24|cannot build PQ7"),
    ],
)
def test_strings_that_faiss_cannot_use(string: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Factory.build(cone(COUNT, 24, 0), factory=string)


@pytest.mark.parametrize("string", ["Flat", "SQ8", "IVF16,SQ8", "HNSW8", "PCA8,Flat", "IVF16,PQ12x4fs,RFlat"])
def test_strings_of_faiss(string: str, tmp_path: Path) -> None:
    vectors = cone(COUNT, 24, 0)
    index = Factory.build(vectors, factory=string)
    index.effort = Effort(index.most_visits, 200)
    assert np.mean(index.search(vectors[:100], 1).rows[:, 0] == np.arange(100)) > 0.97
    index.save(tmp_path / "x.index")
    loaded = load_index(tmp_path / "x.index", vectors)
    assert isinstance(loaded, Factory)
    assert loaded.factory == string


def test_ivf_sq8_orders_by_all_axes_where_few_do_not_hold_the_variance() -> None:
    """Templates that spread over all dimensions, as `sface`'s do, and probes far from them: a shortlist of four will do. Ordered
    by 68 of the axes, one in four would be missed.
    """
    vectors = unit(6000, 128, 0)
    probes = vectors[:400] + 2 * unit(400, 128, 1)
    index = IvfSq8.build(vectors)
    index.effort = Effort(index.most_visits, 4)
    found = index.search(np.ascontiguousarray(probes, np.float32), 1).rows[:, 0]
    nearest = np.argmin((vectors**2).sum(axis=1) - 2 * probes @ vectors.T, axis=1)
    assert np.mean(found == nearest) >= 0.97
