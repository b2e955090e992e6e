"""From a signal to its windows."""

from fractions import Fraction

import numpy as np

from engine.arrays.sampled import Sampled, finite, refuse_huge, unit, with_channels
from engine.arrays.shapes import UNIT, Window
from engine.errors import ImageProblem

# Rates are brought to each other by a ratio of whole numbers up to this one.
_MOST_RATIO = 1000
# A window whose samples span less than this share of what the whole signal spans is silent.
_SILENT = 1e-6


def windows_of(signal: Sampled, window: Window) -> np.ndarray:
    """What an encoder sees of a signal, float32 (windows, size, channels).

    Raises:
        ImageProblem: another shape or number of channels, NaN, silence, or shorter than a window.
    """
    values = finite(with_channels(signal.values, 1, window.channels, "a signal"))
    values = _at_rate(values, signal.rate, window.rate)
    if len(values) < window.size:
        raise ImageProblem(f"{len(values):,} samples{_seconds(len(values), window)}, expected {window.size:,} or more, a window")
    span = np.ptp(values, axis=0).max()
    if span == 0:
        raise ImageProblem("silence: all samples are the same")
    starts = np.linspace(0, len(values) - window.size, window.windows).round().astype(int)
    parts = np.stack([values[start : start + window.size] for start in starts])
    heard = np.flatnonzero(np.ptp(parts, axis=1).max(axis=1) > _SILENT * span)
    if not len(heard):
        raise ImageProblem(f"silence in each of {window.windows} windows of {window.size:,} samples")
    parts = parts[np.resize(heard, window.windows)]
    return unit(parts, (1,)) if window.normalise == UNIT else np.ascontiguousarray(parts)


def _at_rate(values: np.ndarray, rate: float | None, wanted: float | None) -> np.ndarray:
    """Samples (n, channels) brought to the rate that is wanted, where both are known."""
    if rate is None or wanted is None or rate == wanted:
        return values
    ratio = Fraction(wanted / rate).limit_denominator(_MOST_RATIO)
    if not ratio or ratio > _MOST_RATIO:
        raise ImageProblem(f"{rate:g} samples a second, which is too far from the {wanted:g} that the encoder takes")
    refuse_huge(int(len(values) * ratio) * values.shape[1], values.itemsize)
    # Late: SciPy's signals take a third of a second to load, and most files are at their encoder's rate.
    from scipy.signal import resample_poly

    # Before and behind the signal, the line from its first sample to its last goes on, so that its ends do not ring.
    return np.asarray(resample_poly(values, ratio.numerator, ratio.denominator, axis=0, padtype="line"), np.float32)


def _seconds(samples: int, window: Window) -> str:
    return "" if window.rate is None else f" ({samples / window.rate:.3g} s)"
