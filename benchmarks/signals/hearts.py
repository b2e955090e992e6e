"""Hearts that do not exist: signals like an electrocardiogram's first lead, so that nobody's recording is needed.

A beat is a sum of bells in the phase of the heart's cycle, P, Q, R, S and T (McSharry et al. 2003), whose heights, widths and
places one seed gives: they are the heart's. Each recording adds what is not: the rate and how it wanders, the breath that moves
the baseline, the electrode's gain, noise, the mains' hum, and where it begins. They say nothing about real hearts.
"""

from pathlib import Path

import numpy as np

RATE = 250.0
SECONDS = 12.0
# Of P, Q, R, S, T: place in the cycle (radians, R at 0), height (R is about 1) and width; and how these differ between hearts.
_PLACES, _HEIGHTS, _WIDTHS = (-1.2, -0.26, 0.0, 0.26, 1.7), (0.14, -0.12, 1.0, -0.25, 0.33), (0.25, 0.1, 0.1, 0.1, 0.4)
_PLACES_VARY, _HEIGHTS_VARY, _WIDTHS_VARY = 0.12, 0.35, 0.2


def draw_heart(seed: int, recording: int, seconds: float = SECONDS, rate: float = RATE) -> np.ndarray:
    """A recording of the heart with this seed, float32 (samples,), R about 1 high; the same for the same numbers."""
    own = np.random.default_rng((seed, 0))
    places = np.array(_PLACES) + _PLACES_VARY * own.normal(size=5) * (1, 0.4, 0, 0.4, 1)
    heights = np.array(_HEIGHTS) * np.exp(_HEIGHTS_VARY * own.normal(size=5))
    widths = np.array(_WIDTHS) * np.exp(_WIDTHS_VARY * own.normal(size=5))
    chance = np.random.default_rng((seed, 1, recording))
    times = np.arange(round(seconds * rate)) / rate
    # Beats a second: of this recording, and how it goes up and down with the breath and slowly.
    pulse = chance.uniform(0.9, 1.7)
    breath, depth = chance.uniform(0.2, 0.35), chance.uniform(0, 0.08)
    turns = 2 * np.pi * np.cumsum(pulse * (1 + depth * np.sin(2 * np.pi * breath * times))) / rate
    phase = (turns + chance.uniform(0, 2 * np.pi) + np.pi) % (2 * np.pi) - np.pi
    # A quick heart's waves come nearer to each other, in time less than in phase.
    off = (phase[:, None] - places * np.sqrt(pulse) + np.pi) % (2 * np.pi) - np.pi
    beats = (heights * np.exp(-0.5 * np.square(off / (widths * np.sqrt(pulse))))).sum(axis=1)
    baseline = chance.uniform(0, 0.2) * np.sin(2 * np.pi * breath * times + chance.uniform(0, 6))
    hum = chance.uniform(0, 0.03) * np.sin(2 * np.pi * 50 * times)
    noise = chance.uniform(0.01, 0.06) * chance.normal(size=len(times))
    return (chance.uniform(0.6, 1.5) * (beats + baseline + hum + noise)).astype(np.float32)


def write_hearts(folder: Path, seeds: range, each: int) -> None:
    """Recordings of hearts as `.npy`, a folder each, `each` of them."""
    for seed in seeds:
        own = folder / f"heart{seed:04d}"
        own.mkdir(parents=True, exist_ok=True)
        for recording in range(each):
            np.save(own / f"{recording}.npy", draw_heart(seed, recording))
