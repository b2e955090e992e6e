"""What an encoder wants to see of a signal or a volume: names and numbers, which its description states."""

from dataclasses import dataclass
from typing import ClassVar

from engine.templates.provenance import SIGNAL, VOLUME

UNIT, NONE = "unit", "none"
NORMALISATIONS = (UNIT, NONE)


@dataclass(frozen=True)
class Window:
    """Of a signal: `windows` stretches of `size` samples, evenly over all of it, of so many `channels`.

    `rate` samples a second, to which signals that say theirs are brought; None: they stay as they are. `normalise`: `unit`, each
    window and channel to mean 0 and standard deviation 1, or `none`.
    """

    size: int
    channels: int = 1
    rate: float | None = None
    windows: int = 4
    normalise: str = UNIT

    modality: ClassVar[str] = SIGNAL
    # Part of every fingerprint: change it whenever the same file would give other numbers.
    alignment: ClassVar[str] = f"{SIGNAL}, even windows, v1"
    dtype: ClassVar[str] = "float32"
    points: ClassVar[tuple[tuple[float, float], ...]] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is seen of one file: (windows, size, channels)."""
        return self.windows, self.size, self.channels


@dataclass(frozen=True)
class Cube:
    """Of a volume: a cube of `size` voxels a side, of so many `channels`.

    `spacing`: millimetres a voxel, of which the middle is seen; None: all of the volume, its longest side `size` voxels.
    `normalise`: `unit`, each channel to mean 0 and standard deviation 1, or `none`.
    """

    size: int
    channels: int = 1
    spacing: float | None = None
    normalise: str = UNIT

    modality: ClassVar[str] = VOLUME
    alignment: ClassVar[str] = f"{VOLUME}, its middle or all, v1"
    dtype: ClassVar[str] = "float32"
    points: ClassVar[tuple[tuple[float, float], ...]] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is seen of one file: (1, size, size, size, channels)."""
        return 1, self.size, self.size, self.size, self.channels
