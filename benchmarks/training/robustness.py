"""How much worse probes may be: accuracy of encoders on chips that are corrupted, the enrolled ones clean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.accuracy.open_set import calibrated, enrol, search, thresholds
from benchmarks.data.corrupted_chips import CORRUPTIONS, STRENGTHS, corrupted
from benchmarks.style.styled_chips import blends, styled
from engine.embedding.photographs import Photograph
from engine.encoders import Encoder
from engine.errors import TrainingError
from engine.faces.alignment import alignment
from engine.files.atomic_files import whole_file
from engine.matching.scoring import Scoring
from engine.metrics import Searches, fpir, measure
from engine.style.transfer import Styling
from engine.templates.quality.scale import scale_of
from engine.training.chips import cut_chips
from indexes.base import Progress

CLEAN = "clean"
METRICS = ("tpir@fpir=0.01", "rank1")
_BATCH = 64
_RATE = 0.01


@dataclass(frozen=True)
class Robustness:
    """Figures by `METRICS` of one encoder, a kind of corruption or a style and its strength, 0 for none. `obtained`: FPIR at the
    gallery's own threshold for 1 %, in units of that, NaN where it has none.
    """

    encoder: str
    kind: str
    strength: int
    tpir: float
    rank1: float
    obtained: float = float("nan")


@dataclass(frozen=True)
class _People:
    """Chips: one enrolled of each identity, one mated probe of it, strangers."""

    enrolled: np.ndarray
    mated: np.ndarray
    strangers: np.ndarray


def measure_robustness(
    photographs: Sequence[Photograph],
    encoders: Sequence[Encoder],
    out: Path,
    *,
    faces: str = "largest",
    score: str = "local",
    people: int = 500,
    styles: Mapping[str, np.ndarray] | None = None,
    how: Styling = Styling(steps=60),  # noqa: B008 - it never changes
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    progress: Progress | None = None,
) -> list[Robustness]:
    """Enrol up to `people` identities that have two pictures, with one each; search for their second ones, and for as many
    strangers. Chips are kept below `out`. `styles`: pictures in whose style, made by `how`, probes are too, by name; beside these
    `corruptions`.

    Raises:
        TrainingError: too few people.
    """
    rows = []
    for number, encoder in enumerate(encoders):
        folder = out / f"chips-{encoder.card.chip.size}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        chips = cut_chips(photographs, encoder.card.chip, faces, folder)
        chosen = _chosen(chips.names, people)
        enrolled, worth = _encoded(encoder, chips.pixels[chosen.enrolled], faces)
        gallery = enrol(enrolled, np.arange(len(enrolled)), Scoring.of(score), worth)
        limit = thresholds(calibrated(gallery), len(enrolled)).get(_RATE)
        total = 1 + (len(corruptions) + len(styles or {})) * len(STRENGTHS)
        pixels = [np.asarray(chips.pixels[some]) for some in (chosen.mated, chosen.strangers)]
        for done, (kind, strength, changed) in enumerate(_conditions(pixels, corruptions, styles or {}, how), start=1):
            seen = [_encoded(encoder, each, faces) for each in changed]
            truth, ((mated, first), (strangers, second)) = np.arange(len(chosen.mated)), seen
            table = search(gallery, mated, truth, strangers, (truth.tolist(), chosen.strangers.tolist()), (first, second))
            is_mated, scores = np.asarray(table["mated"]), np.asarray(table["score"])
            found = Searches(np.asarray(table["rank"])[is_mated], scores[is_mated], scores[~is_mated])
            tpir, rank1 = (measure(metric, found) for metric in METRICS)
            obtained = float("nan") if limit is None else fpir(found.non_mated, limit) / _RATE
            rows.append(Robustness(encoder.card.name, kind, strength, tpir, rank1, obtained))
            if progress:
                progress(encoder.card.name, done, total)
    return rows


def _conditions(
    pixels: Sequence[np.ndarray], corruptions: Sequence[str], styles: Mapping[str, np.ndarray], how: Styling
) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    """Each kind and strength, and the chips of mated probes and of strangers in it."""
    yield CLEAN, 0, list(pixels)
    for kind in corruptions:
        for strength in STRENGTHS:
            yield kind, strength, [corrupted(some, kind, strength) for some in pixels]
    for name, style in styles.items():
        blended = [blends(some, styled(some, style, how)) for some in pixels]
        for strength in STRENGTHS:
            yield name, strength, [each[strength] for each in blended]


def draw(rows: Sequence[Robustness], path: Path) -> None:
    """TPIR at FPIR 1 % against strength, a small picture for each kind and a line for each encoder; PNG or SVG by the ending."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    encoders = list(dict.fromkeys(row.encoder for row in rows))
    kinds = list(dict.fromkeys(row.kind for row in rows if row.kind != CLEAN))
    lines = -(-len(kinds) // 4)
    figure, axes = plt.subplots(lines, 4, figsize=(13, 2.7 * lines), sharex=True, sharey=True, squeeze=False)
    for axis, kind in zip(axes.flat, kinds, strict=False):
        for encoder in encoders:
            own = [row for row in rows if row.encoder == encoder and row.kind in (CLEAN, kind)]
            axis.plot([row.strength for row in own], [100 * row.tpir for row in own], marker="o", label=encoder)
        axis.set_title(kind)
        axis.set_ylim(0, 100)
    for axis in axes.flat[len(kinds) :]:
        axis.axis("off")
    axes[0, 0].legend()
    figure.supxlabel("strength")
    figure.supylabel("TPIR at FPIR 1 %")
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])
    plt.close(figure)


def _chosen(names: np.ndarray, people: int) -> _People:
    random = np.random.default_rng(0)
    rows = random.permutation(len(names))
    identities, first, counts = np.unique(names[rows], return_index=True, return_counts=True)
    members = random.permutation(np.flatnonzero(counts > 1))[:people]
    enrolled = rows[first[members]]
    mated = [np.setdiff1d(np.flatnonzero(names == identities[member]), enrolled)[0] for member in members]
    others = np.setdiff1d(np.arange(len(identities)), members)
    strangers = rows[first[random.permutation(others)[: len(members)]]]
    if len(members) < 2 or not len(strangers):
        raise TrainingError(f"{len(members)} identities with two pictures and {len(others)} others; expected some of each")
    return _People(enrolled, np.array(mated), strangers)


def _encoded(encoder: Encoder, chips: np.ndarray, faces: str) -> tuple[np.ndarray, np.ndarray]:
    """Templates (n, d), and what they are worth (n,), NaN where nobody knows."""
    parts = [encoder.encoded(np.asarray(chips[start : start + _BATCH])) for start in range(0, len(chips), _BATCH)]
    scale, sure = scale_of(encoder.provenance(alignment(faces))), np.concatenate([part.confidences for part in parts])
    worth = np.full(len(sure), np.nan, np.float32) if scale is None else scale.quality_of(sure)
    return np.concatenate([part.vectors for part in parts]), worth
