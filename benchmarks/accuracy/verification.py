"""1:1 verification of labelled pairs of photographs, in folds: LFW's protocol on any list of pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.pair_accuracy import FOLDS, PairAccuracy, pair_accuracy
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import Photograph
from engine.encoders import load_encoder
from engine.errors import ListError, MetricsError, PhotographsError
from engine.tables.lists import Column, read_list
from engine.templates.model import Templates


@dataclass(frozen=True)
class Pair:
    """Two photographs, as paths below the folder of photographs, and whether they show one identity."""

    a: str
    b: str
    same: bool


@dataclass(frozen=True)
class Verified:
    """What came of it. `failed` names photographs that gave no template; a pair with one counts as called "not the same"."""

    accuracy: PairAccuracy
    pairs: int
    photographs: int
    failed: tuple[str, ...]
    flip: bool


def read_pairs(path: Path) -> list[Pair]:
    """Read a list with the columns `a`, `b` and `same` (1 or 0).

    Raises:
        ListError: it cannot be read, or a column or value is missing; names what was found.
    """
    pairs = []
    for row in read_list(path, [Column(name) for name in ("a", "b", "same")]).rows:
        if row.values["same"] not in ("0", "1"):
            raise ListError(f"{path}: {row.place} says same = {row.values['same']!r}, expected 1 or 0")
        pairs.append(Pair(row.values["a"], row.values["b"], row.values["same"] == "1"))
    return pairs


def require_both_kinds(pairs: Sequence[Pair]) -> None:
    """Refuse pairs of which there are too few of a kind for the folds. Raises `MetricsError`."""
    genuine = sum(pair.same for pair in pairs)
    if min(genuine, len(pairs) - genuine) < FOLDS:
        raise MetricsError(
            f"found {genuine} pairs of one identity and {len(pairs) - genuine} of two; "
            f"expected at least {FOLDS} of each, one for each fold"
        )


def verification(
    photos: Path,
    pairs: list[Pair],
    encoder: str,
    *,
    flip: bool | None = None,
    faces: str = "largest",
    weights: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Embed every photograph that a pair names, and judge the pairs' distances in ten folds.

    Raises:
        PhotographsError: a photograph of a pair is not there.
        MetricsError: there are too few pairs of one kind for ten folds.
    """
    names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    missing = next((name for name in names if not (photos / name).is_file()), None)
    if missing:
        raise PhotographsError(f"{photos / missing}: no such file, but a pair names it")
    require_both_kinds(pairs)
    embedder = Embedder(load_encoder(encoder, flip=flip, weights=weights, photographs=len(names)), faces)
    outcomes = list(embedder.stream([Photograph(name, photos / name, None) for name in names], progress))
    vectors = {outcome.photograph.source: outcome.vectors[0] for outcome in outcomes if outcome.problem is None}
    accuracy = _accuracy(pairs, vectors)
    failed = tuple(outcome.photograph.source for outcome in outcomes if outcome.problem is not None)
    return Verified(accuracy, len(pairs), len(names), failed, embedder.encoder.flip)


def of_vectors(photos: Path, pairs: Sequence[Pair], templates: Templates) -> PairAccuracy:
    """The accuracy on pairs of photographs below a folder, whose templates are there already; a missing one is the farthest."""
    rows = {source: row for row, source in enumerate(templates.table["source"].to_pylist())}
    names = {name for pair in pairs for name in (pair.a, pair.b)}
    places = {name: rows[str(photos / name)] for name in names if str(photos / name) in rows}
    return _accuracy(pairs, {name: templates.vectors[row] for name, row in places.items()})


def _accuracy(pairs: Sequence[Pair], vectors: Mapping[str, np.ndarray]) -> PairAccuracy:
    distances = np.array([_distance(vectors.get(pair.a), vectors.get(pair.b)) for pair in pairs])
    return pair_accuracy(distances, np.array([pair.same for pair in pairs]))


def _distance(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Euclidean; 2, the largest there is, where a template is missing."""
    return 2.0 if a is None or b is None else float(np.linalg.norm(a - b))
