"""How well networks of signals and volumes tell identities apart that they were not trained on, beside nearest neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.open_set import calibrated, enrol, search, thresholds
from benchmarks.accuracy.sweep import Summary, summary
from benchmarks.signals.hearts import RATE, write_hearts
from benchmarks.signals.solids import write_solids
from engine.arrays import Cube, Window
from engine.embedding.intake import KINDS, intake
from engine.embedding.photographs import Photograph, find_photographs
from engine.encoders import load_encoder
from engine.encoders.base import unit
from engine.matching.scoring import LOCAL, Scoring
from engine.metrics import Searches, fpir, measure, tpir
from engine.training import Recipe
from engine.training.networks import fresh_of_arrays
from engine.workflows.train_encoder import train_to_file

FIGURES = ("rank-1", "TPIR at FPIR 1 %", "FPIR obtained / asked at 1 %", "TPIR at the gallery's own threshold")
NETWORK, RAW, SPECTRUM = "network", "raw array", "spectrum"
_RATE = 0.01


@dataclass(frozen=True)
class MadeUp:
    """Identities that do not exist: the first `trained` are trained on, `measured` more are measured on, of which `enrolled` are
    enrolled and the others strangers; `each` files of each. `shown`: what the network sees.
    """

    called: str
    write: Callable[[Path, range, int], None]
    shown: Window | Cube
    trained: int
    measured: int
    enrolled: int
    each: int
    recipe: Recipe


HEARTS = MadeUp(
    "hearts", write_hearts, Window(512, rate=RATE), 150, 150, 100, 6, Recipe(loss="arcface", epochs=40, steps=30, rate=3e-3)
)
SOLIDS = MadeUp("solids", write_solids, Cube(24), 100, 100, 67, 6, Recipe(loss="arcface", epochs=30, steps=20, rate=3e-3))


@dataclass(frozen=True)
class Measured:
    """`how` identities were told apart, and its `figures`, by `FIGURES`; rates in per cent."""

    how: str
    figures: dict[str, Summary]


def measure_signals(made_up: MadeUp, out: Path, *, splits: int = 10, said: Callable[[str], None] | None = None) -> list[Measured]:
    """Draw, train, and measure; files and network are written below `out`, in the place of earlier ones. Training that was
    interrupted there goes on, to the same network.
    """
    say = said or (lambda _: None)
    learnt, others = out / made_up.called / "trained-on", out / made_up.called / "others"
    say(f"{made_up.called}: drawing {made_up.trained + made_up.measured}")
    made_up.write(learnt, range(made_up.trained), made_up.each)
    made_up.write(others, range(made_up.trained, made_up.trained + made_up.measured), made_up.each)
    kind, file = KINDS[made_up.shown.modality], out / f"{made_up.called}.keras"
    trained = train_to_file(
        find_photographs([learnt], kind=kind),
        fresh_of_arrays(made_up.shown),
        made_up.recipe,
        file,
        resume=True,
        overwrite=True,
        seen=lambda epoch: say(f"{made_up.called}: epoch {epoch.number}, rank-1 {epoch.rank1:.1%}, EER {epoch.eer:.2%}"),
    )
    say(f"{made_up.called}: epoch {trained.best.number} is the best")
    recordings = find_photographs([others], kind=kind)
    shown = _shown(recordings, made_up.shown)
    codes = np.unique([each.identity for each in recordings], return_inverse=True)[1]
    raw = unit(shown.reshape(len(shown), -1))
    ways = {NETWORK: load_encoder(str(file)).encode(shown), RAW: turned(raw), SPECTRUM: turned(spectra(shown))}
    return [Measured(how, _measured(vectors, codes, made_up.enrolled, splits)) for how, vectors in ways.items()]


def spectra(shown: np.ndarray) -> np.ndarray:
    """Unit vectors of the power at each frequency, the mean over windows, of float32 (n, parts, sides..., channels)."""
    axes = tuple(range(2, shown.ndim - 1))
    power = np.square(np.abs(np.fft.rfftn(shown, axes=axes))).mean(axis=1)
    return unit(power.reshape(len(shown), -1).astype(np.float32))


def turned(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) in at most n dimensions, with the same distances: their coordinates in a basis of what they span."""
    return vectors if len(vectors) >= vectors.shape[1] else unit(np.linalg.qr(vectors.T)[1].T)


def _shown(recordings: list[Photograph], chip: Window | Cube) -> np.ndarray:
    take = intake(chip, "largest")
    return np.stack([take.shown(take.opened(each)[0])[0].chip for each in recordings])


def _measured(vectors: np.ndarray, codes: np.ndarray, enrolled: int, splits: int) -> dict[str, Summary]:
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for number in range(splits):
        random = np.random.default_rng(number)
        rows = random.permutation(len(codes))
        people, first = np.unique(codes[rows], return_index=True)
        members = random.permutation(people)[:enrolled]
        own = rows[first[members]]
        inside = np.isin(codes, members)
        mated, strangers = np.setdiff1d(np.flatnonzero(inside), own), np.flatnonzero(~inside)
        place = np.full(len(people), -1)
        place[members] = np.arange(enrolled)
        gallery = enrol(np.ascontiguousarray(vectors[own]), np.arange(enrolled), Scoring.of(LOCAL))
        who = (codes[mated].tolist(), codes[strangers].tolist())
        table = search(gallery, vectors[mated], place[codes[mated]], vectors[strangers], who)
        is_mated, scores = np.asarray(table["mated"]), np.asarray(table["score"])
        searches = Searches(np.asarray(table["rank"])[is_mated], scores[is_mated], scores[~is_mated])
        limit = thresholds(calibrated(gallery), enrolled)[_RATE]
        figures = (
            measure("rank1", searches),
            measure(f"tpir@fpir={_RATE}", searches),
            fpir(searches.non_mated, limit) / _RATE / 100,
            tpir(searches.ranks, searches.mated, limit),
        )
        for name, figure in zip(FIGURES, figures, strict=True):
            found[name].append(100 * figure)
    return {name: _above_0(summary(values)) for name, values in found.items()}


def _above_0(found: Summary) -> Summary:
    return Summary(found.mean, max(0.0, found.low), found.high)
