"""A head: a verifier of two templates, trained on pairs. `train-head` makes one; `verify` and `identify` use it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_plain
from engine.errors import EncoderMismatch, TrainingError
from engine.files.learnt_file import read_learnt, write_learnt
from engine.matching.scoring import REORDERED, Candidates
from engine.templates.provenance import Provenance
from indexes.base import SearchableIndex

ABSOLUTE, CHI2 = "absolute", "chi2"
FORMS = (ABSOLUTE, CHI2)
# Added to the denominator of chi2: the quotient of coordinates near zero would be noise.
_LEAST = np.float32(1e-3)


@dataclass(frozen=True)
class PairVerifier:
    """p(same) = sigmoid(bias - sum_k weights_k phi_k(f, g)) of two unit templates f and g; `weights` float32 (d,).

    `absolute`: phi_k = |f_k - g_k|. `chi2`: phi_k = (f_k - g_k)^2 / (|f_k| + |g_k| + 0.001), after DeepFace (Taigman et al. 2014,
    4.2). Its features are never negative and templates may be, so the denominator sums magnitudes, and is kept away from 0.
    """

    form: str
    weights: np.ndarray
    bias: float
    made: Provenance

    def scores(self, probes: np.ndarray, templates: np.ndarray) -> np.ndarray:
        """sum_k weights_k phi_k - bias: smaller is more alike, 0 is a probability of one half. float32 (...) of (..., d)."""
        return np.asarray(features(self.form, probes, templates) @ self.weights - np.float32(self.bias))

    def probability(self, score: float) -> float:
        """The probability that a pair with this score is of the same person."""
        return float(1 / (1 + np.exp(score)))

    def check(self, made: Provenance, name: str) -> None:
        """Refuse templates of another encoder. Raises `EncoderMismatch`, which names both."""
        if (made.dim, made.fingerprint) != (self.made.dim, self.made.fingerprint):
            raise EncoderMismatch(f"the head was learnt from templates of {self.made}; those of {name} are of {made}")

    def save(self, path: Path) -> None:
        """Write it as `.npz`. Raises `OutputError`."""
        said = {"form": self.form, "bias": float(self.bias), "made": asdict(self.made)}
        write_learnt(path, said, {"weights": self.weights})


def reordered(found: Candidates, head: PairVerifier, probes: np.ndarray, index: SearchableIndex, top: int) -> Candidates:
    """The `top` of each probe's candidates: the first `REORDERED` in the order of the head's scores, then the others."""
    rows = found.rows[:, :REORDERED]
    templates = index.vectors(rows.ravel()).reshape(*rows.shape, -1)
    order = np.argsort(head.scores(probes[:, None], templates), axis=1, kind="stable")
    others = np.broadcast_to(np.arange(REORDERED, found.rows.shape[1]), (len(order), max(found.rows.shape[1] - REORDERED, 0)))
    order = np.concatenate([order, others], axis=1)[:, :top]
    return Candidates(*(np.take_along_axis(values, order, 1) for values in (found.rows, found.distances, found.scores)))


def features(form: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The phi (..., d) of `PairVerifier`, for two arrays of vectors (..., d)."""
    difference = one - other
    if form == ABSOLUTE:
        return np.abs(difference)
    return difference * difference / (np.abs(one) + np.abs(other) + _LEAST)


def read_pair_verifier(path: Path) -> PairVerifier:
    """Read what `save` wrote.

    Raises:
        TrainingError: the file is missing, or is no head.
    """
    said, arrays = read_learnt(path, ("weights",))
    try:
        made, form, bias = from_plain(Provenance, said.get("made")), said.get("form"), said.get("bias")
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from error
    if form not in FORMS or not isinstance(bias, float) or not np.isfinite(bias) or arrays["weights"].shape != (made.dim,):
        raise TrainingError(
            f"{path}: a head of form {form!r} with weights {arrays['weights'].shape}; expected {made.dim} weights"
        )
    return PairVerifier(str(form), arrays["weights"], bias, made)
