"""Why this candidate: which parts of a probe, covered, take it away from the enrolled template."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.answers.verification import code_of
from engine.embedding.embedder import Embedder
from engine.encoders import Encoder
from engine.errors import GalleryError, ImageProblem, PhotographsError
from engine.faces.alignment import aligner
from engine.faces.images import decode
from engine.gallery.gallery import Gallery

# The side of the cover, and places along each side of a chip; chips that are encoded at a time.
_COVER, _PLACES, _BATCH = 0.2, 15, 75


@dataclass(frozen=True)
class Explanation:
    """A probe's `chip` and the `enrolled` one, uint8 (s, s, 3), None where the enrolled photograph is not there any more.

    `pull` float32 (15, 15), from the top left: how much farther from the enrolled template the probe is when the place is
    covered; above 0 the place speaks for the candidate, below it against. `distance` is that of nothing covered;
    `expected_false_alarms` as in results, None without calibration, or where the identity was chosen and is not the first.
    """

    chip: np.ndarray
    enrolled: np.ndarray | None
    pull: np.ndarray
    identity: str
    template_id: str
    distance: float
    expected_false_alarms: float | None


def explain(gallery: Gallery, probe: str | Path, identity: str | None = None, faces: str | None = None) -> Explanation:
    """Explain a probe's first candidate, or an `identity` that is enrolled.

    Raises:
        PhotographsError: the photograph cannot be read, or has no face.
        GalleryError: nobody of that name is enrolled.
        EncoderMismatch: the gallery's encoder is not known.
    """
    embedder = gallery.embedder(faces)
    chip = _chip(Path(probe), embedder)
    vector = embedder.encoder.encode(chip[None])
    found = gallery.enrolled.candidates(vector, 1)
    row, expected = int(found.rows[0, 0]), None
    first = gallery.identity_names[int(gallery.enrolled.members.codes[row])].as_py()
    if identity is not None and identity != first:
        rows = gallery.enrolled.members.rows(np.array([code_of(gallery.identity_names, identity, gallery.address)]))[0]
        row = int(rows[np.argmax(gallery.index.vectors(rows) @ vector[0])])
    elif (expecting := gallery.evidence.expected_false_alarms(found.scores[:, 0])) is not None:
        expected = float(expecting[0])
    template = gallery.index.vectors(np.array([row]))[0]
    return Explanation(
        chip=chip,
        enrolled=_enrolled(gallery, row, embedder),
        pull=occlusion(embedder.encoder, chip, template),
        identity=identity or first,
        template_id=str(gallery.template_ids[row]),
        distance=float(np.linalg.norm(vector[0] - template)),
        expected_false_alarms=expected,
    )


def occlusion(encoder: Encoder, chip: np.ndarray, template: np.ndarray) -> np.ndarray:
    """As `Explanation.pull`, of a chip uint8 (s, s, 3) and a template (d,): a square of the chip's mean colour goes over it
    (Zeiler and Fergus 2014, 4.2).
    """
    side = chip.shape[0]
    cover = max(1, round(_COVER * side))
    places = np.linspace(0, side - cover, _PLACES).round().astype(int)
    covered = []
    for top in places:
        for left in places:
            changed = chip.copy()
            changed[top : top + cover, left : left + cover] = chip.mean(axis=(0, 1))
            covered.append(changed)
    parts = [encoder.encode(np.stack(covered[start : start + _BATCH])) for start in range(0, len(covered), _BATCH)]
    distances = np.linalg.norm(np.concatenate(parts) - template, axis=1)
    whole = np.linalg.norm(encoder.encode(chip[None])[0] - template)
    return (distances - whole).reshape(_PLACES, _PLACES).astype(np.float32)


def _chip(path: Path, embedder: Embedder) -> np.ndarray:
    try:
        picture = decode(path)
    except ImageProblem as problem:
        gone = isinstance(problem.__cause__, FileNotFoundError)
        raise PhotographsError(f"{path}: {'no such photograph' if gone else problem}") from problem
    faces = aligner(embedder.faces)(picture, embedder.encoder.chip)
    if not faces:
        raise PhotographsError(f"{path}: no face found, so there is nothing to explain")
    return faces[0].chip


def _enrolled(gallery: Gallery, row: int, embedder: Embedder) -> np.ndarray | None:
    source = gallery.sources()[row].as_py()
    if source is None or not Path(source).is_file():
        return None
    try:
        return _chip(Path(source), embedder)
    except (PhotographsError, GalleryError):
        return None
