"""What projections and heads that were learnt on some people are worth on others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.open_set import enrol, search
from benchmarks.accuracy.sweep import Summary, summary
from engine.matching.nearest_identities import nearest_identities
from engine.matching.pair_verifier import FORMS, PairVerifier
from engine.matching.scoring import LOCAL, PLAIN, REORDERED, Scoring
from engine.metrics import Searches, measure
from engine.templates.model import Templates
from engine.training.pair_verifier import train_pair_verifier
from engine.training.projections import LDA, PCA, WCCN, train_projection
from indexes.base import Progress

METRICS = ("tpir@fpir=0.01", "rank1")


@dataclass(frozen=True)
class Learned:
    """What was learnt, how it was scored, and the figures by `METRICS`: on people that nothing was learnt from."""

    name: str
    score: str
    figures: Mapping[str, Summary]


def measure_learned(templates: Templates, *, splits: int = 10, progress: Progress | None = None) -> list[Learned]:
    """Half of the identities are learnt from, the others are enrolled with one template each, a quarter of them strangers."""
    names = np.asarray(templates.table["identity"].to_pylist())
    codes = np.unique(names, return_inverse=True)[1]
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for number in range(splits):
        random = np.random.default_rng(number)
        people = random.permutation(codes.max() + 1)
        learnt = np.isin(codes, people[: len(people) // 2])
        ours = Templates(templates.table.filter(learnt), templates.provenance)
        rest = np.flatnonzero(~learnt)
        for (name, score), searches in _searches(ours, templates.vectors[rest], codes[rest], random).items():
            for metric in METRICS:
                found.setdefault((name, score), {}).setdefault(metric, []).append(measure(metric, searches))
        if progress:
            progress("splits", number + 1, splits)
    return [
        Learned(name, score, {metric: summary(values) for metric, values in figures.items()})
        for (name, score), figures in found.items()
    ]


def _searches(
    ours: Templates, vectors: np.ndarray, codes: np.ndarray, random: np.random.Generator
) -> dict[tuple[str, str], Searches]:
    rows = random.permutation(len(codes))
    first = rows[np.unique(codes[rows], return_index=True)[1]]
    random.shuffle(first)
    strangers, enrolled = np.split(first, [len(first) // 4])
    mated = np.setdiff1d(np.flatnonzero(np.isin(codes, codes[enrolled])), enrolled)
    made: dict[tuple[str, str], Searches] = {}
    dim = vectors.shape[1]
    maps: dict[str, Callable[[np.ndarray], np.ndarray]] = {"as it is": lambda each: each}
    for kind, wanted, shrinkage in ((PCA, dim // 2, 0.0), (WCCN, dim, 0.1), (WCCN, dim, 0.5), (LDA, dim, 0.1), (LDA, dim, 0.5)):
        maps[f"{kind} {wanted}, shrinkage {shrinkage:g}"] = train_projection(ours, kind, wanted, shrinkage)
    place = np.full(codes.max() + 1, -1)
    place[codes[enrolled]] = np.arange(len(enrolled))
    for name, map_ in maps.items():
        moved = map_(vectors)
        for score in (PLAIN, LOCAL):
            gallery = enrol(moved[enrolled], np.arange(len(enrolled)), Scoring(score))
            table = search(
                gallery, moved[mated], place[codes[mated]], moved[strangers], (codes[mated].tolist(), codes[strangers].tolist())
            )
            is_mated = np.asarray(table["mated"])
            scores = np.asarray(table["score"])
            made[name, score] = Searches(np.asarray(table["rank"])[is_mated], scores[is_mated], scores[~is_mated])
    gallery = enrol(vectors[enrolled], np.arange(len(enrolled)), Scoring(PLAIN))
    for form in FORMS:
        head = train_pair_verifier(ours, form)
        ranks, near = _by_head(head, gallery, vectors[enrolled], vectors[mated], place[codes[mated]])
        made[f"head {form}", "its own"] = Searches(ranks, near, _by_head(head, gallery, vectors[enrolled], vectors[strangers])[1])
    return made


def _by_head(
    head: PairVerifier, gallery: object, enrolled: np.ndarray, probes: np.ndarray, truth: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the true identity (0: not among them) and the best scores, (n,) each, of candidates that a head puts in order."""
    found = nearest_identities(gallery.index, gallery.members, probes, REORDERED)  # type: ignore[attr-defined]
    scores = head.scores(probes[:, None], enrolled[found.rows])
    order = np.argsort(scores, axis=1, kind="stable")
    ranks = np.zeros(len(probes), int)
    if truth is not None:
        right = np.take_along_axis(found.rows, order, 1) == truth[:, None]
        ranks = np.where(right.any(axis=1), right.argmax(axis=1) + 1, 0)
    return ranks, np.take_along_axis(scores, order, 1)[:, 0]
