"""Simulated probes, like second templates of enrolled identities: recall is measured with them before there are real probes."""

import numpy as np

# The share of the covariance of all templates that is due to differences within identities, where it cannot be measured: that of
# `dlib-resnet` on LFW.
_WITHIN_SHARE = 0.26
# Some second photographs are much like the first and some are not, so the length of the noise varies: the standard deviation of
# its logarithm on LFW, beyond the variation that normal noise has.
_UNEVEN = 0.16
# The least share of the variance, in any direction, that is due to identity. With less, simulated probes would be strangers.
_LEAST_OWN = 0.05


def second_templates(vectors: np.ndarray, sample: np.ndarray, within: np.ndarray | None, seed: int = 0) -> np.ndarray:
    """For each of `vectors` (n, d) another template that might be of the same identity: float32 (n, d), of unit length.

    A template is modelled as its identity's centre plus noise, both normal; T is the covariance of all templates, W the one
    within identities. Given one template x, a second one is normal with the mean m + (T - W) T^-1 (x - m), where m is the mean of
    all, and the covariance T - (T - W) T^-1 (T - W). As on real photographs, the length of the noise varies more than that.

    Args:
        vectors: of unit length.
        sample: vectors (k, d) to estimate m and T from.
        within: W (d, d); None: a fixed share of T.
        seed: for the noise.
    """
    mean = sample.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(sample.T.astype(np.float64)) if len(sample) > 1 else np.eye(len(mean)))
    keep = variances > 1e-6 * max(float(variances[-1]), 1e-12)
    if not keep.any():
        return vectors.copy()
    # Where T is whitened to the identity matrix, the eigenvalues of W are shares of the variance, between 0 and 1.
    whiten = axes[:, keep] / np.sqrt(variances[keep])
    colour = axes[:, keep] * np.sqrt(variances[keep])
    shares, rotation = np.linalg.eigh(_WITHIN_SHARE * np.eye(keep.sum()) if within is None else whiten.T @ within @ whiten)
    own = np.clip(1 - shares, _LEAST_OWN, 1)
    known = (vectors - mean) @ whiten @ rotation
    random = np.random.default_rng(seed)
    noise = random.standard_normal(known.shape) * np.exp(_UNEVEN * random.standard_normal((len(known), 1)))
    drawn = mean + (known * own + noise * np.sqrt(1 - own**2)) @ rotation.T @ colour.T
    return np.ascontiguousarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def within_covariance(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray | None:
    """Covariance (d, d) of templates (n, d) about the mean of their identity, `codes` (n,), with equal weight for each identity.

    It is unbiased. None where fewer identities than dimensions have several templates.
    """
    codes = np.unique(codes, return_inverse=True)[1]
    counts = np.bincount(codes)
    if (counts > 1).sum() < vectors.shape[1]:
        return None
    deviations, weights = deviations_within(vectors, codes)
    return (deviations * weights[:, None]).T @ deviations / weights.sum()


def deviations_within(vectors: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations (m, d) of templates from the mean of their identity, where it has several, and weights (m,).

    The weights give each identity the same weight. The mean of n templates varies with them, which makes deviations too short:
    they are multiplied by sqrt(n / (n - 1)).
    """
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    several = counts[codes] > 1
    number = counts[codes[several]]
    means = sums[codes[several]] / number[:, None]
    return (vectors[several] - means) * np.sqrt(number / (number - 1))[:, None], 1 / number
