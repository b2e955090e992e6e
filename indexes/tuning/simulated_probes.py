"""Probes like second templates of enrolled identities: what recall is measured with before anybody was searched for."""

import numpy as np

# Where nobody knows how templates of one identity differ: the share of the covariance that this is for `dlib-resnet` on LFW.
_WITHIN_SHARE = 0.26
# Second photographs are some much like the first and some not at all: what the logarithm of the noise's length varies by on LFW,
# beside a normal's own variation.
_UNEVEN = 0.16
# An identity's own part of a direction is never less than this, or probes would be strangers.
_LEAST_OWN = 0.05


def second_templates(vectors: np.ndarray, sample: np.ndarray, within: np.ndarray | None, seed: int = 0) -> np.ndarray:
    """For each of `vectors` (n, d) another template, as the same identity might give: float32 (n, d), of unit length.

    With T the covariance of templates and W the one within identities, a template is its identity's centre plus noise; given one,
    a second is normal about mean + (T - W) T^-1 (x - mean) with the covariance T - (T - W) T^-1 (T - W); the noise's length
    varies more than that on real photographs, and so it does here.

    Args:
        vectors: of unit length.
        sample: vectors (m, d) to take mean and T from.
        within: W (d, d); None: a fixed share of T.
        seed: of the noise.
    """
    mean = sample.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(sample.T.astype(np.float64)) if len(sample) > 1 else np.eye(len(mean)))
    keep = variances > 1e-6 * max(float(variances[-1]), 1e-12)
    if not keep.any():
        return vectors.copy()
    # In the space where T is the identity, W is a matrix of shares between 0 and 1.
    whiten = axes[:, keep] / np.sqrt(variances[keep])
    colour = axes[:, keep] * np.sqrt(variances[keep])
    shares, turn = np.linalg.eigh(_WITHIN_SHARE * np.eye(keep.sum()) if within is None else whiten.T @ within @ whiten)
    own = np.clip(1 - shares, _LEAST_OWN, 1)
    known = (vectors - mean) @ whiten @ turn
    random = np.random.default_rng(seed)
    noise = random.standard_normal(known.shape) * np.exp(_UNEVEN * random.standard_normal((len(known), 1)))
    drawn = mean + (known * own + noise * np.sqrt(1 - own**2)) @ turn.T @ colour.T
    return np.ascontiguousarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def within_covariance(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray | None:
    """Covariance (d, d) of templates (n, d) about the mean of their identity, `codes` (n,), each identity weighing the same.

    Unbiased. None where too few identities have several templates to say: fewer than dimensions.
    """
    codes = np.unique(codes, return_inverse=True)[1]
    counts = np.bincount(codes)
    if (counts > 1).sum() < vectors.shape[1]:
        return None
    deviations, weights = deviations_within(vectors, codes)
    return (deviations * weights[:, None]).T @ deviations / weights.sum()


def deviations_within(vectors: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations (m, d) of templates from the mean of their identity, where it has several, and weights (m,).

    The weights make identities equal; the deviations are longer by what the mean's own noise hides, sqrt(n / (n - 1)) for
    n templates.
    """
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    several = counts[codes] > 1
    number = counts[codes[several]]
    means = sums[codes[several]] / number[:, None]
    return (vectors[several] - means) * np.sqrt(number / (number - 1))[:, None], 1 / number
