"""A verifier over two templates that was learnt from pairs: what `train-head` makes, and `verify` and `identify` take."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_plain
from engine.errors import EncoderMismatch, TrainingError
from engine.files.atomic_files import whole_file
from engine.files.learnt_file import read_learnt
from engine.matching.scoring import Candidates
from engine.templates.provenance import Provenance
from indexes.base import SearchableIndex

ABSOLUTE, CHI2 = "absolute", "chi2"
FORMS = (ABSOLUTE, CHI2)
SHORTLIST = 20
"""Candidates of each probe that a head looks at."""
# Below this a pair of coordinates says nothing, and dividing by their sum would say anything.
_LEAST = np.float32(1e-3)


@dataclass(frozen=True)
class Head:
    """p(same) = sigmoid(bias - sum_k weights_k phi_k(f, g)) of two unit templates f and g; `weights` float32 (d,).

    `absolute`: phi_k = |f_k - g_k|. `chi2`: phi_k = (f_k - g_k)^2 / (|f_k| + |g_k| + 0.001): DeepFace's features are not negative
    (Taigman et al. 2014, 4.2), templates are, so that the sum in the denominator is taken of magnitudes, and kept away from 0.
    """

    form: str
    weights: np.ndarray
    bias: float
    made: Provenance

    def scores(self, probes: np.ndarray, templates: np.ndarray) -> np.ndarray:
        """sum_k weights_k phi_k - bias, small is alike, 0 is even: float32 (...) of vectors (..., d)."""
        return np.asarray(features(self.form, probes, templates) @ self.weights - np.float32(self.bias))

    def probability(self, score: float) -> float:
        """Of the same person, by a score."""
        return float(1 / (1 + np.exp(score)))

    def check(self, made: Provenance, name: str) -> None:
        """Refuse another encoder's templates. Raises `EncoderMismatch`; names both."""
        if (made.dim, made.fingerprint) != (self.made.dim, self.made.fingerprint):
            raise EncoderMismatch(f"the head was learnt from templates of {self.made}; those of {name} are of {made}")

    def save(self, path: Path) -> None:
        """Write it as `.npz`. Raises `OutputError`."""
        said = json.dumps({"form": self.form, "bias": float(self.bias), "made": asdict(self.made)})
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, said=np.frombuffer(said.encode(), np.uint8), weights=self.weights)


def reordered(found: Candidates, head: Head, probes: np.ndarray, index: SearchableIndex, top: int) -> Candidates:
    """The `top` of each probe's candidates: the `SHORTLIST` best in the head's order, and behind them the others as they were."""
    rows = found.rows[:, :SHORTLIST]
    templates = index.vectors(rows.ravel()).reshape(*rows.shape, -1)
    order = np.argsort(head.scores(probes[:, None], templates), axis=1, kind="stable")
    others = np.broadcast_to(np.arange(SHORTLIST, found.rows.shape[1]), (len(order), max(found.rows.shape[1] - SHORTLIST, 0)))
    order = np.concatenate([order, others], axis=1)[:, :top]
    return Candidates(*(np.take_along_axis(values, order, 1) for values in (found.rows, found.distances, found.scores)))


def features(form: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Phi (..., d) of two arrays of vectors (..., d)."""
    difference = one - other
    if form == ABSOLUTE:
        return np.abs(difference)
    return difference * difference / (np.abs(one) + np.abs(other) + _LEAST)


def read_head(path: Path) -> Head:
    """Read what `save` wrote.

    Raises:
        TrainingError: it is missing, or something else.
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
    return Head(str(form), arrays["weights"], bias, made)
