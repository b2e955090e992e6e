"""LFW's published protocols, from the folder and the file lists that it ships.

Verification: the pairs of `pairs.txt` (ten folds of 300 genuine and 300 impostor pairs, Huang et al. 2007), or of any list in its
form. Open-set identification after Guenther et al. 2017 (Toward Open-Set Face Recognition): identities with four images or more
are known, their first three images are enrolled and the others are mated probes; those with two or three images are known
unknowns, those with one unknown unknowns. O1 searches for mated probes and known unknowns, O2 for mated probes and unknown
unknowns, O3 for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.open_set import calibrated, thresholds
from benchmarks.accuracy.sweep import Summary
from benchmarks.accuracy.verification import Pair
from engine.errors import ListError, PhotographsError
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import Scoring, SearchableGallery
from engine.metrics import Searches, bootstrap, fpir, measure
from engine.tables.text_lines import read_lines
from engine.templates.model import Templates
from indexes.exact.flat import Flat

LISTS = ("pairs.txt", "pairsDevTest.txt", "pairsDevTrain.txt")
RATES = (0.001, 0.01, 0.1)
ENROLLED, KNOWN = 3, 4
# Identities of the whole of LFW.
PEOPLE = 5749


@dataclass(frozen=True)
class OpenSet:
    """One protocol's outcome. `figures`, by name: `rank1`, `tpir@fpir=F` with intervals by identity, and `obtained@fpir=F` of the
    gallery's own threshold.
    """

    protocol: str
    score: str
    fuse: int
    identities: int
    mated: int
    strangers: int
    figures: Mapping[str, Summary]


def find_list(photos: Path) -> Path | None:
    """The list of pairs that lies in LFW's folder or beside it, if there is one."""
    places = [folder / name for name in LISTS for folder in (photos, photos.parent)]
    return next((place for place in places if place.is_file()), None)


def read_lfw_pairs(path: Path) -> list[Pair]:
    """Pairs of a list as LFW ships them: `NAME 1 2` is one identity, `NAME 1 OTHER 2` two; a first line of numbers is skipped.

    Raises:
        ListError: a line is neither; says which.
    """
    pairs = []
    for number, line in read_lines(path):
        words = line.split()
        if not words or (number == 1 and all(word.isdigit() for word in words)):
            continue
        if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
            pairs.append(Pair(_image(words[0], words[1]), _image(words[0], words[2]), True))
        elif len(words) == 4 and words[1].isdigit() and words[3].isdigit():
            pairs.append(Pair(_image(words[0], words[1]), _image(words[2], words[3]), False))
        else:
            raise ListError(f"{path}: line {number} is {line[:60]!r}, expected NAME 1 2 or NAME 1 OTHER 2")
    return pairs


def known_pairs(photos: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs whose images are both there."""
    return [pair for pair in pairs if (photos / pair.a).is_file() and (photos / pair.b).is_file()]


def open_set(templates: Templates, score: str, fuse: int = 1, said: Callable[[str], None] | None = None) -> list[OpenSet]:
    """O1, O2 and O3 on labelled templates.

    Raises:
        PhotographsError: nobody has four images, or nobody has fewer.
    """
    names = np.asarray(templates.table["identity"].to_pylist())
    order = np.argsort(np.asarray(templates.table["source"].to_pylist()), kind="stable")
    codes = np.unique(names, return_inverse=True)[1]
    counts = np.bincount(codes)
    place = np.empty(len(codes), int)
    for code in range(len(counts)):
        own = order[codes[order] == code]
        place[own] = np.arange(len(own))
    known = counts[codes] >= KNOWN
    gallery, mated = np.flatnonzero(known & (place < ENROLLED)), np.flatnonzero(known & (place >= ENROLLED))
    few, single = np.flatnonzero((counts[codes] >= 2) & ~known), np.flatnonzero(counts[codes] == 1)
    if not len(gallery) or not len(few) or not len(single):
        raise PhotographsError(
            f"found {np.sum(counts >= KNOWN)} identities with {KNOWN} images or more, {len(np.unique(codes[few]))} with two or "
            f"three and {len(single)} with one; the protocol needs each kind"
        )
    vectors = templates.vectors
    own = np.unique(codes[gallery], return_inverse=True)[1]
    index, members, scoring = Flat.build(np.ascontiguousarray(vectors[gallery])), Members(own), Scoring(score, fuse=fuse)
    density = densities(index, members, scoring.neighbours) if scoring.scaled else None
    enrolled = SearchableGallery(index, members, scoring, density)
    limits = thresholds(calibrated(enrolled), members.identities)
    found = []
    for protocol, others in (("O1", few), ("O2", single), ("O3", np.concatenate([few, single]))):
        if said:
            said(f"{protocol}, {score}")
        searches = _search(enrolled, vectors, codes, np.unique(codes[gallery]), mated, others)
        figures = {}
        for name in ("rank1", *(f"tpir@fpir={rate:g}" for rate in RATES)):
            figures[name] = Summary(measure(name, searches), *bootstrap(name, searches, resamples=400))
        for rate in RATES:
            if rate in limits:
                obtained = fpir(searches.non_mated, limits[rate])
                figures[f"obtained@fpir={rate:g}"] = Summary(obtained, float("nan"), float("nan"))
        found.append(OpenSet(protocol, score, fuse, members.identities, len(mated), len(others), figures))
    return found


def _search(
    enrolled: SearchableGallery, vectors: np.ndarray, codes: np.ndarray, who: np.ndarray, mated: np.ndarray, others: np.ndarray
) -> Searches:
    candidates = enrolled.candidates(vectors[mated], 10)
    right = who[enrolled.members.codes[candidates.rows]] == codes[mated][:, None]
    ranks = np.where(right.any(axis=1), right.argmax(axis=1) + 1, 0)
    strangers = enrolled.candidates(vectors[others], 1).scores[:, 0]
    return Searches(ranks, candidates.scores[:, 0], strangers, codes[mated], codes[others])


def _image(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"
