"""The gate: what is worth less than a share of ordinary photographs is neither enrolled nor looked for.

What is no face, or shows none to the encoder (false detections, noise, strong blur), is hardly ever taken for a person, but for
other such pictures: a few dozen of them enrolled are a trap for all that come.
"""

import numpy as np

from engine.errors import TemplatesError, require_number
from engine.statistics.rates import percent

# Pictures better than this share of ordinary ones need no reasons.
TOLD = 0.1


def check_least(least: float) -> float:
    """The quality that is asked for. Raises `TemplatesError` where it is no share."""
    require_number("quality", least, "0.001")
    if not 0 <= least < 1:
        raise TemplatesError(f"a quality of {least!r} was asked for; expected a share from 0 to below 1, such as 0.001")
    return float(least)


def refused(qualities: np.ndarray, least: float) -> np.ndarray:
    """Which of some qualities (n,) are below the gate, bool (n,); those that nobody knows are not."""
    return np.asarray(qualities) < np.float32(least)


def why_refused(quality: float, reasons: str | None, least: float) -> str:
    """What the row of a refused picture says: its quality, the gate, and what is wrong with it, where that is known."""
    seen = f": {reasons}" if reasons else ""
    return f"quality {share(quality)}, below the gate (--quality {share(least)}){seen}"


def share(quality: float) -> str:
    """A quality in words' digits: 0.001 is 0.1 %."""
    return percent(quality) if quality >= 1e-5 else "under 0.001 %"
