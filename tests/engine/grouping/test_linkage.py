import numpy as np
import pytest

from engine.grouping.method.linkage import EXPONENT, Nodes, agglomerate, each_once, pair_scores


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nodes(vectors: np.ndarray, apart: list[tuple[int, int]] | None = None, owners: list[int] | None = None) -> Nodes:
    pairs = np.array(apart or [], np.int64).reshape(-1, 2)
    return Nodes(vectors, np.ones(len(vectors)), np.array(owners or [-1] * len(vectors)), pairs)


def whole(n: int) -> np.ndarray:
    return np.stack(np.triu_indices(n, 1), axis=1).astype(np.int64)


def test_the_score_is_the_formula() -> None:
    one, two = unit((1, 0, 0), (1, 1, 0)), unit((1, 0, 1), (0, 1, 1))
    a, b = one.mean(axis=0), two.mean(axis=0)
    expected = a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) ** EXPONENT
    found = pair_scores(one.sum(axis=0)[None], np.array([2]), two.sum(axis=0)[None], np.array([2]))
    assert found == pytest.approx([expected], abs=1e-6)


def greedy(vectors: np.ndarray, floor: float) -> list[set[int]]:
    """One merge at a time, the best of all pairs, as the formula says it."""
    groups = [{row} for row in range(len(vectors))]

    def score(one: set[int], two: set[int]) -> float:
        a, b = vectors[list(one)].mean(axis=0), vectors[list(two)].mean(axis=0)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) ** EXPONENT)

    while len(groups) > 1:
        best, i, j = max((score(groups[i], groups[j]), i, j) for i in range(len(groups)) for j in range(i))
        if best < floor:
            break
        groups[j] |= groups.pop(i)
    return groups


@pytest.mark.parametrize("seed", range(5))
def test_merging_in_bands_gives_the_groups_of_merging_one_pair_at_a_time(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    centres = drawn.standard_normal((6, 24))
    vectors = unit(*(centres[row % 6] + 0.6 * drawn.standard_normal(24) for row in range(24)))
    stands = agglomerate(nodes(vectors), whole(24), 0.5).groups_at(0.5)
    found = {frozenset(np.flatnonzero(stands == each).tolist()) for each in np.unique(stands)}
    assert found == {frozenset(each) for each in greedy(vectors, 0.5)}


def test_heights_fall_towards_the_root_and_every_cut_nests() -> None:
    drawn = np.random.default_rng(1)
    merges = agglomerate(nodes(unit(*drawn.standard_normal((60, 6)))), whole(60), -1.0)
    before = merges.groups_at(2.0)
    assert len(np.unique(before)) == 60
    for height in np.arange(1, -1, -0.05):
        now = merges.groups_at(float(height))
        assert all(len(np.unique(now[before == each])) == 1 for each in np.unique(before))
        before = now


def test_nodes_apart_never_meet_however_indirectly() -> None:
    vectors = unit((1, 0.02, 0), (1, 0.01, 0), (1, 0, 0), (1, -0.01, 0))
    stands = agglomerate(nodes(vectors, apart=[(0, 3)]), whole(4), 0.0).groups_at(0.0)
    assert stands[0] != stands[3]
    assert len(np.unique(stands)) == 2


def test_nodes_of_two_owners_never_meet_and_others_may_join_either() -> None:
    vectors = unit((1, 0.02, 0), (1, 0.01, 0), (1, 0, 0), (1, -0.01, 0))
    stands = agglomerate(nodes(vectors, owners=[7, -1, -1, 2]), whole(4), 0.0).groups_at(0.0)
    assert stands[0] != stands[3]
    assert len(np.unique(stands)) == 2


def test_edges_are_kept_once_without_loops() -> None:
    assert each_once(np.array([3, 1, 2, 2]), np.array([1, 3, 2, 0]), 4).tolist() == [[0, 2], [1, 3]]
    assert each_once(np.empty(0, int), np.empty(0, int), 1).shape == (0, 2)
