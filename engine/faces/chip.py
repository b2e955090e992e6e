"""What an encoder wants to see of a face, and how faces are brought to it: names and numbers that need no picture."""

from dataclasses import dataclass
from typing import ClassVar

# Part of every fingerprint: change it whenever the same photograph would give another chip.
ALIGNMENT = "yunet 2023mar, 5-point similarity, v1"
CROP_ALIGNMENT = "whole picture, v1"


@dataclass(frozen=True)
class Chip:
    """What an encoder wants to see: a square of `size` pixels, with the five landmarks at `points` (5, 2), x and y in pixels."""

    size: int
    points: tuple[tuple[float, float], ...]

    modality: ClassVar[str] = "picture"
    dtype: ClassVar[str] = "uint8"

    @property
    def shape(self) -> tuple[int, ...]:
        """(size, size, 3), RGB."""
        return self.size, self.size, 3
