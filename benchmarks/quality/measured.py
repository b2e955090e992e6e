"""What the quality of pictures is good for: the score, the fused templates, the gate, and calibration for probes.

Tables and constants were fitted on half of the people (`benchmarks.quality.fit.fitting_half`). Figures are of the other half:
strangers and probes are drawn from it, while the first half is enrolled with the rest, so that galleries are as large as they can
be. Pictures are ordinary, or a share of them is made worse (`benchmarks.quality.pictures.degraded`).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.accuracy.sweep import Summary, summary
from benchmarks.quality.fit import fitting_half
from benchmarks.quality.pictures import degraded, garbage
from engine.calibration.calibration import Calibration, RowNames, calibrate, calibrate_on_strangers
from engine.calibration.probes import badly_enrolled, unlike
from engine.encoders import Encoder
from engine.errors import GalleryError, TemplatesError
from engine.faces.alignment import alignment
from engine.files.atomic_files import whole_file
from engine.matching.densities import densities
from engine.matching.members import Members
from engine.matching.scoring import LOCAL, QUALITY, Candidates, Scoring, SearchableGallery
from engine.templates.quality import LEAST
from engine.templates.quality.gate import refused
from engine.templates.quality.scale import scale_of
from engine.training.chips import Chips
from indexes.base import Progress
from indexes.exact.flat import Flat

_BATCH = 64
RATES = (0.003, 0.01)
THIRD = 1 / 3
# Shares of pictures that are made worse; strangers that are given to a gallery.
_KINDS = {"clean": 0.0, "mixed": THIRD, "bad": 1.0}
GIVEN = 300


@dataclass(frozen=True)
class Seen:
    """Templates (n, d) of pictures, and what each is worth (n,)."""

    vectors: np.ndarray
    qualities: np.ndarray

    def where(self, which: np.ndarray, other: "Seen") -> "Seen":
        """These, but `other` where a bool (n,) says so."""
        return Seen(np.where(which[:, None], other.vectors, self.vectors), np.where(which, other.qualities, self.qualities))

    def of(self, rows: np.ndarray) -> "Seen":
        """Some of them."""
        return Seen(self.vectors[rows], self.qualities[rows])


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures: `codes` (n,), `fitted` (n,): of the people that tables were fitted on; each as it is, and made worse."""

    codes: np.ndarray
    fitted: np.ndarray
    clean: Seen
    worse: Seen
    garbage: Seen


@dataclass(frozen=True)
class Figure:
    """What was measured, in per cent or times of what was asked for, over splits."""

    what: str
    value: Summary


@dataclass(frozen=True)
class _Split:
    """Rows: `enrolled`, the identity of each in `codes`; `mated` and whom they show in `truth`; `strangers`."""

    enrolled: np.ndarray
    codes: np.ndarray
    mated: np.ndarray
    truth: np.ndarray
    strangers: np.ndarray
    random: np.random.Generator


def pictures_of(chips: Chips, encoder: Encoder, keep: np.ndarray, folder: Path, progress: Progress | None = None) -> Pictures:
    """Encode chips, as they are and made worse; kept in `folder`. `keep` bool (n,): those that are no mistakes.

    Raises:
        TemplatesError: nobody knows what the encoder's confidence means.
    """
    scale = scale_of(encoder.provenance(alignment("largest")))
    if scale is None:
        raise TemplatesError(f"nobody measured what the confidence of {encoder.card.name} means; onek encoders says of which")
    pixels = np.asarray(chips.pixels[: len(chips.names)])
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "clean": lambda: pixels,
        "worse": lambda: degraded(pixels, progress),
        "garbage": lambda: garbage(pixels),
    }
    made = {}
    for name, pictures in kinds.items():
        file = folder / f"{name}-{chips.digest[:12]}-{encoder.card.name}.npz"
        if not file.exists():
            vectors, sure = _encoded(encoder, pictures(), name, progress)
            with whole_file(file) as temporary, temporary.open("wb") as stream:
                np.savez(stream, vectors=vectors, qualities=scale.quality_of(sure))
        with np.load(file, allow_pickle=False) as kept:
            made[name] = Seen(kept["vectors"], kept["qualities"])
    codes = np.unique(chips.names, return_inverse=True)[1]
    fitted = fitting_half(chips.names)
    rows = np.flatnonzero(keep)
    return Pictures(codes[rows], fitted[rows], made["clean"].of(rows), made["worse"].of(rows), made["garbage"])


def measure(pictures: Pictures, splits: int, progress: Progress | None = None) -> list[Figure]:
    """All figures, each over so many splits."""
    found: dict[str, list[float]] = {}
    for number in range(splits):
        for name, value in (
            *_single(pictures, number),
            *_several(pictures, number),
            *_shifted(pictures, number),
        ):
            found.setdefault(name, []).append(value)
        if progress:
            progress("splits", number + 1, splits)
    figures = [Figure(name, summary(values)) for name, values in found.items()]
    return [*figures, *_gate(pictures)]


def _gate(pictures: Pictures) -> Iterator[Figure]:
    others = ~pictures.fitted
    for what, qualities in (("garbage", pictures.garbage.qualities), ("ordinary pictures", pictures.clean.qualities[others])):
        below = 100 * float(refused(qualities, LEAST).mean())
        yield Figure(f"{what} below the gate, %", Summary(below, below, below))


def _single(pictures: Pictures, number: int) -> Iterator[tuple[str, float]]:
    """One photograph of each person enrolled; as they are, and where a third is made worse, of the probes or on both sides."""
    parts = _split(pictures, number, several=False)
    conditions = (("clean", 0.0, 0.0), ("a third worse on both sides", THIRD, THIRD), ("a third of the probes worse", 0.0, THIRD))
    for condition, share, theirs in conditions:
        enrolled = _mixed(pictures, share, parts.random).of(parts.enrolled)
        probes = _mixed(pictures, theirs, parts.random)
        tpir: dict[str, dict[float, float]] = {}
        for score in (LOCAL, QUALITY):
            gallery = enrolled_as(enrolled, parts.codes, Scoring.of(score))
            mated, strangers = (_found(gallery, probes.of(rows)) for rows in (parts.mated, parts.strangers))
            right = gallery.members.codes[mated.rows[:, 0]] == parts.truth
            tpir[score] = {rate: _tpir(mated.scores[:, 0], right, strangers.scores[:, 0], rate) for rate in RATES}
            for rate, value in tpir[score].items():
                yield f"{condition}: TPIR at FPIR {rate:.1%}, {score}", 100 * value
            limit = calibrated(gallery).threshold(0.01, gallery.members.identities).score
            yield f"{condition}: own FPIR for 1 % asked, {score}", float(np.mean(strangers.scores[:, 0] <= limit)) / 0.01
            if score == QUALITY:
                yield from _discarded(condition, mated.scores[:, 0], right, strangers.scores[:, 0], probes, parts)
        for rate in RATES:
            yield f"{condition}: TPIR at FPIR {rate:.1%}, quality - local", 100 * (tpir[QUALITY][rate] - tpir[LOCAL][rate])


def _discarded(
    condition: str, mated: np.ndarray, right: np.ndarray, strangers: np.ndarray, probes: Seen, parts: _Split
) -> Iterator[tuple[str, float]]:
    """What is missed where the worst probes are discarded, of mated ones and strangers alike."""
    both = np.concatenate([probes.qualities[parts.mated], probes.qualities[parts.strangers]])
    for share in (0.0, 0.2, 0.3):
        least = np.quantile(both, share)
        kept, others = (probes.qualities[rows] >= least for rows in (parts.mated, parts.strangers))
        missed = 1 - _tpir(mated[kept], right[kept], strangers[others], 0.01)
        yield f"{condition}: FNIR at FPIR 1 %, {share:.0%} discarded", 100 * missed


def _several(pictures: Pictures, number: int) -> Iterator[tuple[str, float]]:
    """All photographs of each person enrolled but one, of people who have three; the probes as they are."""
    parts = _split(pictures, number, several=True)
    for condition, share in (("clean", 0.0), ("a third of those enrolled worse", THIRD)):
        enrolled, probes = _mixed(pictures, share, parts.random).of(parts.enrolled), pictures.clean
        for name, scoring in (
            ("local", Scoring.of(LOCAL)),
            ("quality, nearest", Scoring.of(QUALITY, 1)),
            ("quality, fused", Scoring.of(QUALITY)),
        ):
            gallery = enrolled_as(enrolled, parts.codes, scoring)
            mated, strangers = (_found(gallery, probes.of(rows)) for rows in (parts.mated, parts.strangers))
            right = gallery.members.codes[mated.rows[:, 0]] == parts.truth
            value = _tpir(mated.scores[:, 0], right, strangers.scores[:, 0], 0.01)
            yield f"several photographs, {condition}: TPIR at FPIR 1 %, {name}", 100 * value
            if scoring.score == QUALITY:
                limit = calibrated(gallery).threshold(0.01, gallery.members.identities).score
                own = float(np.mean(strangers.scores[:, 0] <= limit)) / 0.01
                yield f"several photographs, {condition}: own FPIR for 1 % asked, {name}", own


def _shifted(pictures: Pictures, number: int) -> Iterator[tuple[str, float]]:
    """Galleries and probes of other kinds than each other, behind the gate: what is obtained for 1 % asked, as the gallery
    calibrates itself, weighted for the probes, and by strangers of the probes' kind.
    """
    parts = _split(pictures, number, several=False)
    given, others = parts.strangers[:GIVEN], parts.strangers[GIVEN:]
    for kind, share in _KINDS.items():
        enrolled = _mixed(pictures, share, parts.random).of(parts.enrolled)
        passed = ~refused(enrolled.qualities, LEAST)
        gallery = enrolled_as(enrolled.of(passed), np.arange(int(passed.sum())), Scoring.of(QUALITY))
        own = calibrated(gallery)
        for theirs, bad in _KINDS.items():
            seen = _mixed(pictures, bad, parts.random)
            cohort, strangers = (seen.of(rows[~refused(seen.qualities[rows], LEAST)]) for rows in (given, others))
            found = _found(gallery, strangers).scores[:, 0]
            made = {"itself": own}
            if theirs != kind:
                names = RowNames(pa.chunked_array([np.arange(len(cohort.qualities)).astype(str)]))
                made["strangers given"] = calibrate_on_strangers(
                    gallery, cohort.vectors, _names(gallery), names, qualities=cohort.qualities
                )
                with suppress(GalleryError):  # too few of its people are such as the probes
                    made["weighted"] = calibrate(gallery, _names(gallery), probes=strangers.qualities)
            for how, calibration in made.items():
                limit = calibration.threshold(0.01, gallery.members.identities).score
                obtained = float(np.mean(found <= limit)) / 0.01
                yield f"{kind} gallery, {theirs} probes: FPIR for 1 % asked, by {how}", obtained
            doubt = unlike(own.made_for, strangers.qualities, np.full(len(found), np.nan), "g")
            yield f"{kind} gallery, {theirs} probes: told, %", 100.0 * (doubt is not None)
        yield f"{kind} gallery: told when built, %", 100.0 * (badly_enrolled(enrolled.of(passed).qualities) is not None)


def enrolled_as(seen: Seen, codes: np.ndarray, scoring: Scoring) -> SearchableGallery:
    """A gallery of templates of the identities `codes` (n,), searched exactly."""
    index, members = Flat.build(np.ascontiguousarray(seen.vectors)), Members(codes)
    density = densities(index, members, scoring.neighbours) if scoring.scaled else None
    return SearchableGallery(index, members, scoring, density, quality=seen.qualities)


def calibrated(gallery: SearchableGallery) -> Calibration:
    """As it calibrates itself."""
    return calibrate(gallery, _names(gallery))


def _names(gallery: SearchableGallery) -> RowNames:
    return RowNames(pa.chunked_array([np.arange(gallery.index.count).astype(str)]))


def _found(gallery: SearchableGallery, probes: Seen) -> Candidates:
    return gallery.candidates(np.ascontiguousarray(probes.vectors), 1, qualities=probes.qualities)


def _mixed(pictures: Pictures, share: float, random: np.random.Generator) -> Seen:
    """A share of the pictures made worse, by chance."""
    return pictures.clean.where(random.random(len(pictures.codes)) < share, pictures.worse)


def _split(pictures: Pictures, number: int, *, several: bool) -> _Split:
    """A quarter of the people whom nothing was fitted on are strangers, with one picture each; the others of them are probes."""
    random = np.random.default_rng(number)
    rows = random.permutation(len(pictures.codes))
    people, first, counts = np.unique(pictures.codes[rows], return_index=True, return_counts=True)
    first, ours = rows[first], np.zeros(pictures.codes.max() + 1, bool)
    ours[pictures.codes[~pictures.fitted]] = True
    able = random.permutation(np.flatnonzero(ours[people]))
    strange = np.zeros(pictures.codes.max() + 1, bool)
    strange[people[able[: len(able) // 4]]] = True
    if several:
        probes = first[(counts >= 3) & ours[people] & ~strange[people]]
        enrolled = np.setdiff1d(np.flatnonzero(~strange[pictures.codes]), probes)
    else:
        enrolled = first[~strange[people]]
        rest = np.setdiff1d(np.arange(len(rows)), enrolled)
        probes = rest[ours[pictures.codes[rest]] & ~strange[pictures.codes[rest]]]
    there, codes = np.unique(pictures.codes[enrolled], return_inverse=True)
    truth = np.searchsorted(there, pictures.codes[probes])
    return _Split(enrolled, codes, probes, truth, first[strange[people]], random)


def _tpir(mated: np.ndarray, right: np.ndarray, strangers: np.ndarray, rate: float) -> float:
    """The share of mated searches (n,) that are `right` and score less than the strangers' score at a rate."""
    limit = np.sort(strangers)[int(rate * len(strangers))]
    return float(np.mean(right & (mated < limit)))


def _encoded(encoder: Encoder, pixels: np.ndarray, what: str, progress: Progress | None) -> tuple[np.ndarray, np.ndarray]:
    vectors, sure = [], []
    for start in range(0, len(pixels), _BATCH):
        made = encoder.encoded(np.ascontiguousarray(pixels[start : start + _BATCH]))
        vectors.append(made.vectors)
        sure.append(made.confidences)
        if progress:
            progress(f"encoding {what}", min(start + _BATCH, len(pixels)), len(pixels))
    return np.concatenate(vectors), np.concatenate(sure)
