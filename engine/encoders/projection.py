"""A linear map behind an encoder: templates of one encoder in, templates of another, perhaps shorter, out."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_plain
from engine.encoders.base import Encoded, Encoder
from engine.errors import EncoderMismatch, TrainingError
from engine.files.learnt_file import read_learnt, write_learnt
from engine.templates.model import Templates, with_vectors
from engine.templates.provenance import Provenance


@dataclass(frozen=True)
class Projection:
    """f -> (f - mean) matrix, then of unit length again. `mean` float32 (d,), `matrix` float32 (d, p); `kind` says how it was
    learnt, `made` of which encoder's templates.
    """

    kind: str
    mean: np.ndarray
    matrix: np.ndarray
    made: Provenance

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Unit vectors float32 (n, p) of unit vectors (n, d); of the mean itself, zeros, which no template may be."""
        moved = (vectors - self.mean) @ self.matrix
        norms = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return np.ascontiguousarray(moved / norms, np.float32)

    def provenance_at(self, path: Path) -> Provenance:
        """How templates are made that the projection in the file `path` was applied to: others than those of the encoder alone,
        and without its 1:1 threshold.
        """
        digest = hashlib.sha256(self.mean.tobytes() + self.matrix.tobytes()).hexdigest()
        whole = hashlib.sha256(f"{self.made.fingerprint}{digest}".encode()).hexdigest()
        return replace(self.made, fingerprint=whole, dim=self.matrix.shape[1], threshold=None, projection=str(path))

    def save(self, path: Path) -> None:
        """Write it as `.npz`. Raises `OutputError`."""
        said = {"kind": self.kind, "made": asdict(self.made)}
        write_learnt(path, said, {"mean": self.mean, "matrix": self.matrix})


def read_projection(path: Path) -> Projection:
    """Read what `save` wrote.

    Raises:
        TrainingError: it is missing, or something else.
    """
    said, arrays = read_learnt(path, ("mean", "matrix"))
    mean, matrix = arrays["mean"], arrays["matrix"]
    made = _provenance(path, said)
    if mean.shape != (made.dim,) or matrix.ndim != 2 or len(matrix) != made.dim or not 0 < matrix.shape[1] <= made.dim:
        raise TrainingError(f"{path}: a mean {mean.shape} and a matrix {matrix.shape}, expected ({made.dim},) and as many rows")
    return Projection(str(said.get("kind")), mean, matrix, made)


def _provenance(path: Path, said: dict[str, object]) -> Provenance:
    try:
        return from_plain(Provenance, said.get("made"))
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from error


class Projected(Encoder):
    """Chips go through `encoder`, its templates through the projection in the file `path`, which was learnt from such."""

    def __init__(self, encoder: Encoder, path: Path) -> None:
        self.encoder, self.path, self.projection = encoder, path, read_projection(path)
        self.card, self.flip, self.weights = encoder.card, encoder.flip, encoder.weights
        self.runtime = encoder.runtime

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self.encoder.forward(chips)

    def encoded(self, chips: np.ndarray) -> Encoded:
        made = self.encoder.encoded(chips)
        if not len(chips):
            return Encoded(np.empty((0, self.projection.matrix.shape[1]), np.float32), made.confidences)
        return Encoded(self.projection(made.vectors), made.confidences)

    def provenance(self, alignment: str) -> Provenance:
        """Raises `EncoderMismatch` where the projection was learnt from another encoder's templates; names both."""
        theirs = self.encoder.provenance(alignment)
        if theirs.fingerprint != self.projection.made.fingerprint:
            raise EncoderMismatch(f"{self.path} was learnt from templates of {self.projection.made}; these would be of {theirs}")
        return self.projection.provenance_at(self.path)


def project(templates: Templates, projection: Projection, path: Path) -> Templates:
    """The same templates, projected by what lies in the file `path`.

    Raises:
        EncoderMismatch: they are of another encoder than those that it was learnt from; names both.
    """
    theirs = templates.provenance
    if theirs.dim != projection.made.dim or theirs.fingerprint != projection.made.fingerprint:
        raise EncoderMismatch(f"the projection was learnt from templates of {projection.made}; these are of {theirs}")
    made = projection.provenance_at(path)
    return Templates(with_vectors(templates.table, projection(templates.vectors), made), made)
