"""What false-alarm rate a gallery holds after it has grown by enrolment alone, nobody having calibrated it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.sweep import Summary, summary
from engine.errors import TemplatesError
from engine.evaluation.splits import RATES, split
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from indexes.base import Progress

# People that join at a time.
_STEP = 25


@dataclass(frozen=True)
class Growth:
    """`obtained`: FPIR in units of the one asked for, by rate, of a gallery that has grown from `before` to `after` identities;
    `built`: of one that was built of all of them. `calibrated_at`: the K of the last calibration, in the mean.
    """

    before: int
    after: int
    calibrated_at: float
    obtained: Mapping[float, Summary]
    built: Mapping[float, Summary]


def measure_growth(
    templates: Templates, before: int, after: int, folder: Path, *, splits: int = 10, progress: Progress | None = None
) -> Growth:
    """Build galleries of `before` people of labelled templates, one each, enrol others until there are `after`, and search for
    people who never were enrolled; below `folder`, in several splits.

    Raises:
        TemplatesError: too few people.
    """
    codes = np.unique(np.asarray(templates.table["identity"].to_pylist()), return_inverse=True)[1]
    obtained: dict[float, list[float]] = {rate: [] for rate in RATES}
    built: dict[float, list[float]] = {rate: [] for rate in RATES}
    calibrated = []
    for number in range(splits):
        parts = split(codes, number)
        if len(parts.enrolled) < after:
            raise TemplatesError(f"a gallery of {after} people was asked for; these templates give {len(parts.enrolled)}")
        joining = np.asarray(parts.enrolled)[:after]
        strangers = _rows(templates, parts.strangers)
        grown = Gallery.build(_rows(templates, joining[:before]), folder / f"grown{number}")
        for start in range(before, after, _STEP):
            grown.enroll(_rows(templates, joining[start : start + _STEP]))
        whole = Gallery.build(_rows(templates, joining), folder / f"built{number}")
        for gallery, found in ((grown, obtained), (whole, built)):
            for rate, values in found.items():
                if gallery.calibration is not None and rate >= gallery.calibration.tail.least_rate:
                    results = gallery.identify(strangers, fpir=rate)
                    values.append(results.counts.identified / len(results) / rate)
        calibrated.append(grown.calibration.identities if grown.calibration else 0)
        grown.close()
        if progress:
            progress("splits", number + 1, splits)
    return Growth(
        before,
        after,
        float(np.mean(calibrated)),
        {rate: summary(values) for rate, values in obtained.items() if values},
        {rate: summary(values) for rate, values in built.items() if values},
    )


def _rows(templates: Templates, rows: np.ndarray) -> Templates:
    return Templates(templates.table.take(rows), templates.provenance)
