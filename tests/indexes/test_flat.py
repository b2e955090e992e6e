from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import IndexFileError, VectorsError
from indexes.flat import Flat


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60), dim=st.integers(2, 24), probes=st.integers(1, 40), k=st.integers(1, 80), seed=st.integers(0, 999)
)
def test_search_agrees_with_brute_force(count: int, dim: int, probes: int, k: int, seed: int) -> None:
    vectors = unit(count, dim, seed)
    vectors[count // 2 :] = vectors[: count - count // 2]  # ties
    searched = unit(probes, dim, seed + 1)
    found = Flat.build(vectors).search(searched, k)
    truth = np.sort(np.linalg.norm(searched[:, None].astype(float) - vectors[None], axis=2), axis=1)[:, : min(k, count)]
    assert found.rows.shape == found.distances.shape == (probes, min(k, count))
    np.testing.assert_allclose(found.distances, truth, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(searched[:, None] - vectors[found.rows], axis=2), found.distances, atol=1e-6)
    assert found.rows.min() >= 0
    assert all(len(set(row)) == len(row) for row in found.rows.tolist())


def test_an_enrolled_vector_lies_at_distance_zero_whatever_the_batch() -> None:
    vectors = unit(500, 128, 3)
    index = Flat.build(vectors)
    assert index.search(vectors, 1).distances.max() == 0
    alone = [index.search(vectors[i : i + 1], 3).distances for i in range(50)]
    np.testing.assert_array_equal(np.concatenate(alone), index.search(vectors[:50], 3).distances)


def test_add_and_remove_renumber_rows() -> None:
    vectors = unit(10, 8, 0)
    index = Flat.build(vectors[:6])
    index.add(vectors[6:])
    index.remove(np.array([0, 3]))
    assert index.count == 8
    np.testing.assert_array_equal(index.vectors(np.arange(8)), np.delete(vectors, [0, 3], axis=0))
    with pytest.raises(VectorsError, match="rows 0 to 7"):
        index.remove(np.array([8]))


def test_save_and_load(tmp_path: Path) -> None:
    vectors = unit(20, 8, 0)
    Flat.build(vectors).save(tmp_path / "x.faiss")
    loaded = Flat.load(tmp_path / "x.faiss")
    assert (loaded.count, loaded.dim) == (20, 8)
    np.testing.assert_array_equal(loaded.search(vectors, 1).rows[:, 0], np.arange(20))


def test_bytes_that_are_no_index(tmp_path: Path) -> None:
    (tmp_path / "x.faiss").write_bytes(b"no index, but some bytes")
    with pytest.raises(IndexFileError, match=r"x\.faiss"):
        Flat.load(tmp_path / "x.faiss")


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
