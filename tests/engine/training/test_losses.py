"""Losses and mining against plain arithmetic."""

import numpy as np
import pytest

from engine.common.tensorflow import tensorflow
from engine.training.losses import (
    Triplets,
    arcface_loss,
    mine,
    pair_loss,
    squared_distances,
    triplet_loss,
    triplet_sum,
    triplet_terms,
)

tf = tensorflow()


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_triplet_loss_of_the_paper() -> None:
    random = np.random.default_rng(1)
    anchors, positives, negatives = (
        random.normal(mean, spread, (3, 128)).astype(np.float32) for mean, spread in ((6, 0.1), (1, 1), (3, 4))
    )
    expected = [
        max(sum((a - p) ** 2) - sum((a - n) ** 2) + 0.2, 0)
        for a, p, n in zip(anchors.astype(float), positives.astype(float), negatives.astype(float), strict=True)
    ]
    assert sum(expected) > 0
    np.testing.assert_allclose(triplet_terms(anchors, positives, negatives), expected, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(triplet_sum(anchors, positives, negatives), sum(expected), rtol=1e-4)
    assert float(triplet_sum(anchors, anchors, negatives)) == 0  # all far beyond the margin


def test_the_worked_example_of_a_course() -> None:
    """With the arrays of TensorFlow's seed 1. One of its three triplets is not active: cut at 0 one by one, as the paper writes
    it, they sum to 528.1; the course's 350.0 is what comes of cutting the sum.
    """
    with tf.Graph().as_default():
        tf.compat.v1.set_random_seed(1)
        arrays = [
            tf.compat.v1.random_normal([3, 128], mean=mean, stddev=spread, seed=1) for mean, spread in ((6, 0.1), (1, 1), (3, 4))
        ]
        with tf.compat.v1.Session() as session:
            anchors, positives, negatives = session.run(arrays)
    assert float(triplet_sum(anchors, positives, negatives)) == pytest.approx(528.143, abs=0.01)
    uncut = sum(triplet_terms(anchors, positives, negatives, margin=1e6).numpy().astype(float) - 1e6) + 0.2
    assert uncut == pytest.approx(350.026, abs=0.2)


def test_only_active_triplets_count() -> None:
    line = np.array([[0.0], [1.0], [1.05], [9.0]], np.float32)
    triplets = Triplets(tf.constant([0, 0]), tf.constant([1, 1]), tf.constant([2, 3]))
    loss, share = triplet_loss(tf.constant(line), triplets)
    assert float(loss) == pytest.approx(1 - 1.05**2 + 0.2, rel=1e-4)
    assert float(share) == 0.5
    nothing = Triplets(*[tf.zeros(0, tf.int32)] * 3)
    assert [float(each) for each in triplet_loss(tf.constant(line), nothing)] == [0, 0]


def test_distances() -> None:
    vectors = unit(20, 7, 0)
    expected = ((vectors[:, None].astype(float) - vectors[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(tf.constant(vectors)), expected, atol=1e-5)


def test_arcface() -> None:
    vectors, weights, labels = unit(6, 5, 0), unit(4, 5, 1).T, np.array([0, 1, 2, 3, 0, 1], np.int32)
    cosines = vectors.astype(float) @ weights
    expected = []
    for row, own in enumerate(labels):
        angle = np.arccos(cosines[row, own])
        logits = 30.0 * cosines[row]
        turned = np.cos(angle + 0.5) if angle + 0.5 <= np.pi else np.cos(angle) - 0.5 * np.sin(0.5)
        logits[own] = 30.0 * turned
        expected.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[own])
    loss, wrong = arcface_loss(tf.constant(vectors), tf.constant(labels), tf.constant(weights))
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-4)
    assert float(wrong) == pytest.approx(np.mean(cosines.argmax(axis=1) != labels))


def test_pairs() -> None:
    vectors, weights = unit(3, 5, 0), np.array([1, 2, 3, 4, 5], np.float32)
    triplets = Triplets(tf.constant([0]), tf.constant([1]), tf.constant([2]))
    same = 1.5 - np.abs(vectors[0] - vectors[1]) @ weights
    other = 1.5 - np.abs(vectors[0] - vectors[2]) @ weights
    loss, wrong = pair_loss(tf.constant(vectors), triplets, tf.constant(weights), tf.constant(1.5))
    assert float(loss) == pytest.approx((np.log1p(np.exp(-same)) + np.log1p(np.exp(other))) / 2, rel=1e-5)
    assert float(wrong) == (int(same <= 0) + int(other > 0)) / 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mining", ["random", "semi-hard", "hard"])
def test_mining_finds_what_a_loop_finds(mining: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, 24).astype(np.int32)
    labels[:2] = 77, 78  # who has one picture is nobody's positive
    squares = squared_distances(tf.constant(unit(24, 3, seed))).numpy()
    found = mine(tf.constant(squares), tf.constant(labels), mining, tf.constant([seed, 1]))
    triplets = list(zip(*(each.numpy().tolist() for each in (found.anchors, found.positives, found.negatives)), strict=True))
    pairs = [(a, p) for a in range(24) for p in range(24) if a != p and labels[a] == labels[p]]
    others = {a: [n for n in range(24) if labels[n] != labels[a]] for a in range(24)}
    if mining == "hard":
        anchors = sorted({a for a, _ in pairs})
        assert triplets == [
            (a, max((p for b, p in pairs if b == a), key=lambda p: squares[a, p]), min(others[a], key=lambda n: squares[a, n]))
            for a in anchors
        ]
        return
    assert [(a, p) for a, p, _ in triplets] == pairs
    if mining == "random":
        assert all(n in others[a] for a, _, n in triplets)
        assert len({n for _, _, n in triplets}) > 10
        return
    for a, p, n in triplets:
        farther = [m for m in others[a] if squares[a, m] > squares[a, p]]
        assert n == (min(farther, key=lambda m: squares[a, m]) if farther else max(others[a], key=lambda m: squares[a, m]))


def test_mining_where_there_is_nothing() -> None:
    squares = squared_distances(tf.constant(unit(4, 3, 0)))
    for labels in ([1, 2, 3, 4], [1, 1, 1, 1]):
        for mining in ("random", "semi-hard", "hard"):
            found = mine(squares, tf.constant(labels), mining, tf.constant([0, 0]))
            assert int(tf.size(found.anchors)) == 0
    with pytest.raises(ValueError, match="no mining is called soft"):
        mine(squares, tf.constant([1, 1, 2, 2]), "soft", tf.constant([0, 0]))
