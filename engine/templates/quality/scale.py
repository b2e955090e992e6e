"""The quality of a template: the share of ordinary photographs of which the encoder is less confident.

Networks say in units of their own how confident they are of a template: SFace by the length of its output before that is
normalised. A table for each encoder says how its confidence is distributed over ordinary photographs of thousands of people, and
makes of it the one number that is read the same way for all. The tables are files beside this one, made by
`onek benchmark fit-quality`, and are read without loading any encoder.
"""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.templates.provenance import Provenance

ENDING = ".quality.json"
_FOLDER = Path(__file__).parent
# Beyond these shares nothing is told apart.
_WORST, _BEST = 1e-15, 1 - 1e-7


@dataclass(frozen=True)
class Scale:
    """How an encoder's confidence is distributed over ordinary photographs.

    `means`: what its confidence is. `shares`: of the photographs, rising; `confidences`: what each of them lies below. It holds
    for templates made by `encoder` with this `flip` and `alignment`; `photographs` of `people`, who are `whose`, were measured.
    """

    encoder: str
    flip: bool
    alignment: str
    means: str
    whose: str
    people: int
    photographs: int
    shares: tuple[float, ...]
    confidences: tuple[float, ...]

    def quality_of(self, confidences: np.ndarray) -> np.ndarray:
        """The share of ordinary photographs that are worse, float32 (n,), of confidences (n,); NaN of NaN.

        Between the points of the table its log odds are linear in the confidence, and beyond either end they go on so, so that
        what is worse than every photograph that was measured is still told apart.
        """
        confidences = np.asarray(confidences, np.float64)
        odds = _line(confidences, np.array(self.confidences), self._odds)
        return share_of(np.clip(odds, *log_odds(np.array([_WORST, _BEST]))))

    @cached_property
    def _odds(self) -> np.ndarray:
        return log_odds(np.array(self.shares))


def log_odds(quality: np.ndarray) -> np.ndarray:
    """log(q / (1 - q)) of qualities (n,): 0 for the median photograph, negative for worse ones. NaN where there is none."""
    q = np.clip(np.asarray(quality, np.float64), _WORST, _BEST)
    return np.asarray(np.log(q) - np.log1p(-q))


def share_of(odds: np.ndarray) -> np.ndarray:
    """The inverse of `log_odds`, float32 (n,)."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(odds, np.float64))), np.float32)


def scale_of(made: Provenance) -> Scale | None:
    """The scale of templates that were made so; None where their encoder says nothing, or nobody measured it."""
    if made.encoder is None or made.alignment is None:
        return None
    return scale(made.encoder, flip=made.flip, alignment=made.alignment)


def scale(encoder: str, *, flip: bool, alignment: str) -> Scale | None:
    """The scale of an encoder's templates that are made so; None where nobody measured it."""
    key = (encoder, flip, alignment)
    return next((each for each in _scales() if (each.encoder, each.flip, each.alignment) == key), None)


@cache
def _scales() -> tuple[Scale, ...]:
    files = sorted(_FOLDER.glob(f"*{ENDING}"))
    return tuple(_scale(values) for file in files for values in json.loads(file.read_text(encoding="utf-8")))


def _scale(values: dict[str, Any]) -> Scale:
    lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Scale(**{**values, **lists})


def _line(x: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Piecewise linear through rising points (m,), at x (n,); beyond either end as between the two points there."""
    below = ys[0] + (x - xs[0]) * (ys[1] - ys[0]) / (xs[1] - xs[0])
    above = ys[-1] + (x - xs[-1]) * (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return np.where(x < xs[0], below, np.where(x > xs[-1], above, np.interp(x, xs, ys)))
