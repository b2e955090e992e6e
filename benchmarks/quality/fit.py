"""How an encoder's confidence is distributed over ordinary photographs: the tables that make qualities of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy.impostors import kept_in
from engine.embedding.photographs import Photograph
from engine.encoders import Encoder
from engine.errors import TemplatesError
from engine.faces.alignment import alignment
from engine.templates.quality import scale
from engine.templates.quality.scale import ENDING, Scale
from engine.training.chips import Chips, cut_chips
from indexes.base import Progress

# Beyond the ends, where a few photographs would decide, the line goes on.
SHARES = (0.005, 0.02, 0.05, *(round(0.1 * tenth, 1) for tenth in range(1, 10)), 0.95, 0.98, 0.995)
_BATCH = 64


def fitting_half(names: np.ndarray) -> np.ndarray:
    """Which of labelled photographs, names (n,), are of the half of people that tables are fitted on, bool (n,); always the same.
    Whoever reports figures reports them of the others.
    """
    people = np.unique(names)
    return np.isin(names, np.random.default_rng(0).permutation(people)[: len(people) // 2])


def fit_quality(
    photographs: Sequence[Photograph], encoder: Encoder, whose: str, folder: Path, progress: Progress | None = None
) -> Scale:
    """The scale of an encoder, from half of the people of labelled photographs, whose chips are kept in `folder`.

    Raises:
        TemplatesError: the encoder says nothing of its confidence.
    """
    chips = cut_chips(photographs, encoder.card.chip, "largest", folder)
    rows = np.flatnonzero(fitting_half(chips.names))
    sure = confidences(encoder, chips, rows, progress)
    if np.isnan(sure).any():
        raise TemplatesError(f"{encoder.card.name} says nothing of how confident it is")
    return scale_fitted(sure, encoder, whose, len(np.unique(chips.names[rows])))


def scale_fitted(sure: np.ndarray, encoder: Encoder, whose: str, people: int) -> Scale:
    """The scale by confidences (n,)."""
    means = " ".join((encoder.confidences.__doc__ or "").split())
    found = tuple(round(float(each), 4) for each in np.quantile(sure, SHARES))
    made = alignment("largest")
    return Scale(encoder.card.name, encoder.flip, made, means, whose, people, len(sure), SHARES, found)


def confidences(encoder: Encoder, chips: Chips, rows: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """How confident an encoder is of some chips, rows (n,): float32 (n,)."""
    parts = []
    for start in range(0, len(rows), _BATCH):
        parts.append(encoder.encoded(np.asarray(chips.pixels[rows[start : start + _BATCH]])).confidences)
        if progress:
            progress("encoding", min(start + _BATCH, len(rows)), len(rows))
    return np.concatenate(parts)


def keep(fitted: Scale, folder: Path = Path(scale.__file__).parent) -> Path:
    """Write it beside the others, in the place of one for templates that are made alike; where that is."""
    return kept_in(folder / f"{fitted.encoder}{ENDING}", fitted)
