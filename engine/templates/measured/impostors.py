"""What is known of an encoder's impostors: how often templates of two different people come as near as a distance.

A gallery of a few people can say little of strangers; its encoder can, since thousands of other people were measured with it. The
tables are files beside this one, made by `onek benchmark impostors`, and are read without loading any encoder.
"""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.statistics.score_tail import ScoreTail
from engine.templates.provenance import Provenance

ENDING = ".impostors.json"
_FOLDER = Path(__file__).parent
# Standard deviations from a rate that was measured to the end of its interval of 95 %.
_SURE = 1.96


@dataclass(frozen=True)
class Impostors:
    """How often templates of two different people come near.

    `rates`: shares of pairs, rising; `squares`: the squared distance within which each of them was measured to lie; `deviations`:
    the standard deviation of the logarithm of each rate, by bootstrap over people, since the pairs of one person hang together.
    It holds for templates made by `encoder` with this `flip` and `alignment`; `pairs` of one template each of `people`, who are
    `whose`, were measured.

    What is answered is the upper end of the interval of 95 %: a rate is that high at most.
    """

    encoder: str
    flip: bool
    alignment: str
    whose: str
    people: int
    pairs: int
    rates: tuple[float, ...]
    squares: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def least_rate(self) -> float:
        """The smallest share of pairs that was measured."""
        return float(self._highest[0])

    def distance_at(self, rate: float) -> float:
        """The distance within which at most a share `rate` of pairs lies; beyond the table, as its end goes on."""
        return float(np.exp(_line(np.log([rate]), np.log(self._highest), np.log(self.squares))[0] / 2))

    def rate_at(self, distance: float) -> float:
        """At most which share of pairs lies within a distance: the inverse of `distance_at`, and 1 at most."""
        square = np.log([max(distance**2, 1e-12)])
        return float(np.exp(min(_line(square, np.log(self.squares), np.log(self._highest))[0], 0)))

    def likeness(self, pairs: ScoreTail) -> tuple[float, float]:
        """How a gallery's own people compare, at the smallest rate of their pairs that was sampled.

        Returns:
            What distances of the table are to be multiplied by, and the rate of the table in units of their own at that distance;
            both 1 where they come no nearer than those of the table, or no nearer than chance would have it (97.5 %).
        """
        rate, distance = float(pairs.rates[0]), float(pairs.scores[0])
        deviation = np.sqrt(pairs.design_effect * (1 - rate) / (rate * pairs.searches))
        least = float(rate * np.exp(-_SURE * deviation))
        return min(distance / self.distance_at(least), 1.0), min(self.rate_at(distance) / least, 1.0)

    @cached_property
    def _highest(self) -> np.ndarray:
        return np.maximum.accumulate(np.array(self.rates) * np.exp(_SURE * np.array(self.deviations)))


@dataclass(frozen=True)
class Chances:
    """What the encoder's impostors say of a gallery of `templates`, each of which is a chance for a stranger to be alike.

    1 - (1 - FMR)^N is the rate that N chances without anything in common would give. They have the stranger in common, so that
    the true one is about that or less: on LFW 0.5 to 0.95 of what was asked for, from 1 to 200 identities, with one template each
    and with three, the upper end of the table's interval included (`onek benchmark small-galleries`).

    `unit`: the squared distance that a scaled score of 1 stands for, of ordinary pictures where templates lie as densely
    as they usually do; None where scores are distances. `graded`: they are quality scores. `scale`, `trust`: the
    `Impostors.likeness` of the gallery's own people; the table says little of people who are more alike than its own.
    """

    impostors: Impostors
    templates: int
    unit: float | None
    scale: float = 1.0
    trust: float = 1.0
    graded: bool = False

    @property
    def least_rate(self) -> float:
        """The smallest false-alarm rate that they support."""
        return float(-np.expm1(self.templates * np.log1p(-self.impostors.least_rate)))

    def score_at(self, fpir: float) -> float:
        """The score within which a share `fpir` of strangers' searches finds somebody."""
        distance = self.scale * self.impostors.distance_at(float(-np.expm1(np.log1p(-fpir) / self.templates)))
        if self.unit is None:
            return distance
        return float(np.exp(2 * (distance**2 - self.unit))) if self.graded else distance**2 / self.unit


def impostors_of(made: Provenance) -> Impostors | None:
    """What is known of the impostors of templates that were made so; None where nobody measured it."""
    if made.encoder is None or made.alignment is None or made.projection is not None:
        return None
    return measured(made.encoder, flip=made.flip, alignment=made.alignment)


def measured(encoder: str, *, flip: bool, alignment: str) -> Impostors | None:
    """The table for an encoder's templates that are made so; None where nobody measured it."""
    key = (encoder, flip, alignment)
    return next((table for table in _tables() if (table.encoder, table.flip, table.alignment) == key), None)


@cache
def _tables() -> tuple[Impostors, ...]:
    files = sorted(_FOLDER.glob(f"*{ENDING}"))
    return tuple(_table(values) for file in files for values in json.loads(file.read_text(encoding="utf-8")))


def _table(values: dict[str, Any]) -> Impostors:
    lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Impostors(**{**values, **lists})


def _line(x: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Piecewise linear through rising points (m,), at x (n,); beyond either end as between the last three points there."""
    below = ys[0] + (x - xs[0]) * (ys[2] - ys[0]) / (xs[2] - xs[0])
    above = ys[-1] + (x - xs[-1]) * (ys[-1] - ys[-3]) / (xs[-1] - xs[-3])
    return np.where(x < xs[0], below, np.where(x > xs[-1], above, np.interp(x, xs, ys)))
