"""A linear map behind an encoder: templates of one encoder in, templates of another, perhaps shorter, out."""

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.errors import EncoderMismatch, TrainingError
from engine.files import whole_file
from engine.plain import from_plain
from engine.provenance import Provenance
from engine.templates import Templates, batch, normalised


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
        """Unit vectors float32 (n, p) of unit vectors (n, d).

        Raises:
            TemplatesError: one is the mean itself.
        """
        return normalised((vectors - self.mean) @ self.matrix, "the projected templates", 0)

    def provenance_at(self, path: Path) -> Provenance:
        """How templates are made that the projection in the file `path` was applied to: others than those of the encoder alone,
        and without its 1:1 threshold.
        """
        digest = hashlib.sha256(self.mean.tobytes() + self.matrix.tobytes()).hexdigest()
        whole = hashlib.sha256(f"{self.made.fingerprint}{digest}".encode()).hexdigest()
        return replace(self.made, fingerprint=whole, dim=self.matrix.shape[1], threshold=None, projection=str(path))

    def apply(self, templates: Templates, path: Path) -> Templates:
        """The same templates, projected by what lies in the file `path`.

        Raises:
            EncoderMismatch: they are of another encoder than those that it was learnt from; names both.
        """
        theirs = templates.provenance
        if theirs.dim != self.made.dim or theirs.fingerprint != self.made.fingerprint:
            raise EncoderMismatch(f"the projection was learnt from templates of {self.made}; these are of {theirs}")
        names = ("template_id", "identity", "source", "face", "box", "quality")
        columns = [templates.table[name].to_pylist() for name in names]
        made = self.provenance_at(path)
        rows = batch(made, columns[0], columns[1], self(templates.vectors), *columns[2:])
        return Templates(pa.Table.from_batches([rows]), made)

    def save(self, path: Path) -> None:
        """Write it as `.npz`. Raises `OutputError`."""
        said = json.dumps({"kind": self.kind, "made": asdict(self.made)})
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(
                stream,
                allow_pickle=False,
                said=np.frombuffer(said.encode(), np.uint8),
                mean=self.mean,
                matrix=self.matrix,
            )


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


def read_learnt(path: Path, names: tuple[str, ...]) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """What a file says of itself, and its arrays, float32 and finite.

    Raises:
        TrainingError: it is missing, or something else.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            said = json.loads(archive["said"].tobytes())
            arrays = {name: np.ascontiguousarray(archive[name], np.float32) for name in names}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise TrainingError(f"{path}: nothing that onek has learnt: {error}") from error
    if not isinstance(said, dict) or not all(np.isfinite(array).all() for array in arrays.values()):
        raise TrainingError(f"{path}: nothing that onek has learnt: it holds values that are no numbers")
    return said, arrays


def _provenance(path: Path, said: dict[str, object]) -> Provenance:
    try:
        return from_plain(Provenance, said.get("made"))
    except ValueError as error:
        raise TrainingError(f"{path}: {error}") from error
