"""Losses over a batch of descriptors, as TensorFlow operations; small is good.

Descriptors f (b, d) are of unit length where nothing else is said; labels (b,) are whole numbers.
"""

from dataclasses import dataclass
from typing import Any

from engine.common.tensorflow import tensorflow

MINING, MININGS = "semi-hard", ("random", "semi-hard", "hard")


@dataclass(frozen=True)
class Triplets:
    """Rows of the batch, int32 (m,) each: TensorFlow tensors."""

    anchors: Any
    positives: Any
    negatives: Any


def mine(squares: Any, labels: Any, mining: str, seed: Any) -> Triplets:
    """Choose triplets.

    - `random`: every pair of one identity, with a negative drawn for it.
    - `semi-hard`: every such pair, with the nearest negative that is farther than its positive; where there is none, the farthest
      (Schroff et al. 2015, 3.2).
    - `hard`: every anchor, with its farthest positive and its nearest negative (Hermans, Beyer and Leibe 2017, batch hard).

    Args:
        squares: squared distances (b, b).
        labels: int32 (b,).
        mining: one of `MININGS`.
        seed: int32 (2,), for `random`.

    Returns:
        None of an anchor without a positive or a negative.
    """
    tf = tensorflow()
    same = labels[:, None] == labels[None]
    positive = tf.logical_and(same, tf.logical_not(tf.eye(tf.shape(labels)[0], dtype=tf.bool)))
    negatives = tf.reduce_sum(tf.cast(tf.logical_not(same), tf.int32), axis=1)
    farther = tf.where(same, tf.constant(float("inf"), squares.dtype), squares)
    if mining == "hard":
        whole = tf.logical_and(tf.reduce_any(positive, axis=1), negatives > 0)
        anchors = tf.cast(tf.where(whole)[:, 0], tf.int32)
        nearest = tf.argmin(farther, axis=1, output_type=tf.int32)
        far = tf.argmax(tf.where(positive, squares, -1), axis=1, output_type=tf.int32)
        return Triplets(anchors, tf.gather(far, anchors), tf.gather(nearest, anchors))
    pairs = tf.cast(tf.where(tf.logical_and(positive, (negatives > 0)[:, None])), tf.int32)
    anchors, positives = pairs[:, 0], pairs[:, 1]
    # Each row's negatives, nearest first; the columns that are no negatives come last.
    order = tf.argsort(farther, axis=1, stable=True)
    many = tf.gather(negatives, anchors)
    if mining == "semi-hard":
        first = tf.searchsorted(tf.gather(farther, order, axis=1, batch_dims=1), squares, side="right")
        place = tf.minimum(tf.gather_nd(first, pairs), many - 1)
    elif mining == "random":
        share = tf.random.stateless_uniform(tf.shape(anchors), seed)
        place = tf.minimum(tf.cast(share * tf.cast(many, tf.float32), tf.int32), many - 1)
    else:
        raise ValueError(f"no mining is called {mining}; expected one of {', '.join(MININGS)}")
    return Triplets(anchors, positives, tf.gather_nd(order, tf.stack([anchors, place], axis=1)))


MARGIN = 0.2
# ArcFace's scale and angular margin for data sets of thousands of people; the paper takes 64 and 0.5 for millions of pictures.
SCALE, ANGLE = 30.0, 0.5


def squared_distances(descriptors: Any) -> Any:
    """|f_i - f_j|^2 (b, b) of descriptors (b, d), not below 0."""
    tf = tensorflow()
    squares = tf.reduce_sum(descriptors * descriptors, axis=1)
    products = tf.matmul(descriptors, descriptors, transpose_b=True)
    return tf.maximum(squares[:, None] - 2 * products + squares[None], 0)


def triplet_terms(anchors: Any, positives: Any, negatives: Any, margin: float = MARGIN) -> Any:
    """max(|f(A) - f(P)|^2 - |f(A) - f(N)|^2 + margin, 0) for each of m triplets: from three (m, d) to (m,).

    Schroff, Kalenichenko and Philbin 2015, equation 2. Any descriptors will do; the paper's are of unit length.
    """
    tf = tensorflow()
    near = tf.reduce_sum(tf.square(anchors - positives), axis=-1)
    far = tf.reduce_sum(tf.square(anchors - negatives), axis=-1)
    return tf.maximum(near - far + margin, 0)


def gathered(descriptors: Any, triplets: Triplets) -> tuple[Any, Any, Any]:
    """The descriptors of anchors, positives and negatives, three (m, d)."""
    tf = tensorflow()
    anchors, positives, negatives = triplets.anchors, triplets.positives, triplets.negatives
    return tf.gather(descriptors, anchors), tf.gather(descriptors, positives), tf.gather(descriptors, negatives)


def triplet_sum(anchors: Any, positives: Any, negatives: Any, margin: float = MARGIN) -> Any:
    """The sum of `triplet_terms`, as the paper writes its loss."""
    return tensorflow().reduce_sum(triplet_terms(anchors, positives, negatives, margin))


def triplet_loss(descriptors: Any, triplets: Triplets, margin: float = MARGIN) -> tuple[Any, Any]:
    """The mean of the terms that are above 0, and their share: those that are 0 teach nothing and would only dilute the others.

    Both are 0 where no triplet is active.
    """
    tf = tensorflow()
    terms = triplet_terms(*gathered(descriptors, triplets), margin)
    active = tf.cast(terms > 0, tf.float32)
    share = tf.math.divide_no_nan(tf.reduce_sum(active), tf.cast(tf.size(terms), tf.float32))
    mean = tf.math.divide_no_nan(tf.reduce_sum(terms), tf.reduce_sum(active))
    # NaN is not above 0 either, and must not look like a batch in which no triplet is active.
    return tf.where(tf.reduce_all(tf.math.is_finite(descriptors)), mean, float("nan")), share


def arcface_loss(descriptors: Any, labels: Any, weights: Any, scale: float = SCALE, angle: float = ANGLE) -> tuple[Any, Any]:
    """Additive angular margin softmax, and the share of descriptors that it gets wrong without the margin.

    -log(e^(s cos(t_y + m)) / (e^(s cos(t_y + m)) + sum over j != y of e^(s cos t_j))), the mean over the batch; t_j is the angle
    between a descriptor and the column j of `weights` (d, c), both of unit length. Deng et al. 2019, equation 3; where t_y + m
    would pass pi, cos t_y - m sin m takes its place, as in the paper's code, so that the loss goes on falling.
    """
    tf = tensorflow()
    cosines = tf.matmul(tf.nn.l2_normalize(descriptors, axis=1), tf.nn.l2_normalize(weights, axis=0))
    own = tf.clip_by_value(tf.gather(cosines, labels, axis=1, batch_dims=1), -1 + 1e-6, 1 - 1e-6)
    turned = own * tf.cos(angle) - tf.sqrt(1 - own * own) * tf.sin(angle)
    turned = tf.where(own > -tf.cos(angle), turned, own - angle * tf.sin(angle))
    is_own = tf.one_hot(labels, tf.shape(weights)[1], dtype=tf.bool, on_value=True, off_value=False)
    logits = scale * tf.where(is_own, turned[:, None], cosines)
    wrong = tf.cast(tf.argmax(cosines, axis=1, output_type=tf.int32) != labels, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses), tf.reduce_mean(wrong)


def pair_loss(descriptors: Any, triplets: Triplets, weights: Any, bias: Any) -> tuple[Any, Any]:
    """Cross-entropy of a verifier p = sigmoid(b - sum_k w_k |f_k - g_k|) on each triplet's two pairs, and the share of pairs that
    it gets wrong. `weights` (d,), `bias` (). After Taigman et al. 2014, 4.3; written so that w > 0 means "differs, so unlike".
    """
    tf = tensorflow()
    anchors, positives, negatives = gathered(descriptors, triplets)
    same = bias - tf.linalg.matvec(tf.abs(anchors - positives), weights)
    other = bias - tf.linalg.matvec(tf.abs(anchors - negatives), weights)
    losses = tf.concat([tf.nn.softplus(-same), tf.nn.softplus(other)], axis=0)
    wrong = tf.concat([same <= 0, other > 0], axis=0)
    count = tf.cast(tf.maximum(tf.size(losses), 1), tf.float32)
    return tf.reduce_sum(losses) / count, tf.reduce_sum(tf.cast(wrong, tf.float32)) / count
