import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import VectorsError
from indexes.exact import flat
from indexes.exact import lower_bounds as bounds
from indexes.exact.flat import Flat
from tests.indexes.vectors import brute_force, cone, unit


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60), dim=st.integers(2, 24), probes=st.integers(1, 40), k=st.integers(1, 80), seed=st.integers(0, 999)
)
def test_search_agrees_with_brute_force(count: int, dim: int, probes: int, k: int, seed: int) -> None:
    vectors = unit(count, dim, seed)
    vectors[count // 2 :] = vectors[: count - count // 2]  # ties
    searched = unit(probes, dim, seed + 1)
    found = Flat.build(vectors).search(searched, k)
    assert found.rows.shape == found.distances.shape == (probes, min(k, count))
    np.testing.assert_allclose(found.distances, brute_force(vectors, searched, k), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(searched[:, None] - vectors[found.rows], axis=2), found.distances, atol=1e-6)
    assert found.rows.min() >= 0
    assert all(len(set(row)) == len(row) for row in found.rows.tolist())


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(4200, 9000),
    probes=st.integers(64, 200),
    k=st.sampled_from([1, 2, 10, 200]),
    copies=st.integers(1, 40),
    seed=st.integers(0, 999),
)
def test_bounds_agree_with_faiss(count: int, probes: int, k: int, copies: int, seed: int) -> None:
    """Ties by the dozen, probes that are enrolled, lengths that are no multiple of a block."""
    vectors = np.repeat(cone(-(-count // copies), 32, seed), copies, axis=0)[:count]
    searched = np.concatenate([cone(probes - 10, 32, seed + 1), vectors[:10]])
    found = bounds.Bounds(vectors).search(searched, k)
    exhaustive = faiss.IndexFlatL2(32)
    exhaustive.add(vectors)
    np.testing.assert_allclose(found.distances, np.sqrt(exhaustive.search(searched, k)[0]), atol=2e-3)  # FAISS near zero
    np.testing.assert_allclose(found.distances, brute_force(vectors, searched, k), atol=2e-6)
    assert all(len(set(row)) == len(row) for row in found.rows.tolist())


def test_batches_go_by_bounds_where_they_exclude(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "_FEW_VECTORS", 5000)
    narrow, wide = cone(6000, 32, 0), unit(6000, 32, 0)
    for vectors, exclude in ((narrow, True), (wide, False)):
        index = Flat.build(vectors)
        found = index.search(vectors[:100], 3)
        assert index._bounds is not None
        assert index._bounds.exclude is exclude
        np.testing.assert_allclose(found.distances, brute_force(vectors, vectors[:100], 3), atol=2e-6)
        one = index.search(vectors[:1], 3)
        np.testing.assert_array_equal(one.distances, found.distances[:1])


def test_an_enrolled_vector_lies_at_distance_zero_whatever_the_batch() -> None:
    vectors = unit(500, 128, 3)
    index = Flat.build(vectors)
    assert index.search(vectors, 1).distances.max() == 0
    alone = [index.search(vectors[i : i + 1], 3).distances for i in range(50)]
    np.testing.assert_array_equal(np.concatenate(alone), index.search(vectors[:50], 3).distances)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((0, 4), np.float32), "no vectors"),
        (np.zeros(4, np.float32), r"shape \(4,\)"),
        (np.zeros((2, 4), int), "int64"),
        (np.array([[1, 0], [np.nan, 1]], np.float32), "row 1"),
    ],
)
def test_vectors_that_cannot_be_indexed(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(VectorsError, match=message):
        Flat.build(vectors)


def test_probes_of_another_dimension_name_both() -> None:
    with pytest.raises(VectorsError, match=r"holds 8 dimensions, the probes 4"):
        Flat.build(unit(3, 8, 0)).search(unit(1, 4, 0), 1)
    with pytest.raises(VectorsError, match="at least 1"):
        Flat.build(unit(3, 8, 0)).search(unit(1, 8, 0), 0)


def test_vectors_that_were_damaged_since_are_an_error() -> None:
    damaged = np.full((70, 8), np.nan, np.float32)
    with pytest.raises(VectorsError, match="the stored vectors are damaged"):
        Flat(damaged).search(np.eye(8, dtype=np.float32)[:2], 3)
