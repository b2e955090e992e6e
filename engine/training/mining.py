"""Which triplets of a batch are learnt from: O(b^2) memory for b descriptors, and no loop.

A triplet is an anchor, a positive (another picture of the same identity) and a negative (a picture of another).
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
    # Each row's negatives by their distance, nearest first; what is none of them comes last.
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
