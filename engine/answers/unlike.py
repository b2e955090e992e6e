"""Whether a gallery was calibrated for probes like these: their quality and distances, gathered from results as they come."""

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import Calibration
from engine.calibration.probes import unlike
from engine.calibration.thresholds import FAILED
from engine.common.late import pc
from engine.templates.model import qualities_of

# How many probes are looked at; more would not change the answer.
_MOST = 100_000


class ProbesSeen:
    """Gathers tables of results."""

    def __init__(self) -> None:
        self._qualities: list[np.ndarray] = []
        self._seconds: list[np.ndarray] = []
        self._count = 0

    def add(self, table: pa.Table) -> None:
        """The results of more probes."""
        if self._count >= _MOST:
            return
        searched = table.filter(pc.not_equal(table["decision"], FAILED))
        self._qualities.append(qualities_of(searched))
        self._seconds.append(_second_distances(searched))
        self._count += len(searched)

    def unlike(self, calibration: Calibration | None, where: object) -> str | None:
        """As `engine.calibration.probes.unlike`, of the gallery `where` that has a calibration."""
        if calibration is None or not self._qualities:
            return None
        return unlike(calibration.made_for, np.concatenate(self._qualities), np.concatenate(self._seconds), where)


def _second_distances(table: pa.Table) -> np.ndarray:
    """Of each row's second candidate, float32 (n,); NaN where there is none."""
    lists = table["candidates"].combine_chunks()
    if not len(lists):
        return np.empty(0, np.float32)
    lengths, distances = np.asarray(pc.list_value_length(lists)), np.asarray(lists.flatten().field("distance"), np.float32)
    starts = np.cumsum(lengths) - lengths
    found = np.full(len(lists), np.nan, np.float32)
    several = lengths > 1
    found[several] = distances[starts[several] + 1]
    return found
