"""Numbers as a file gives them, and the checks that hold for signals and volumes alike."""

from dataclasses import dataclass

import numpy as np

from engine.errors import ImageProblem

MOST_BYTES = 1 << 29
"""Of memory that one file may take: a scan of 512 x 512 x 1000 voxels of 16 bits."""

# Numbers whose differences are numbers too in single precision.
_LARGEST = 1e30


@dataclass(frozen=True)
class Sampled:
    """`values`, an array of real numbers of any shape; `rate` in samples a second and `spacing` in millimetres, one for each of
    three axes, where the file says them.
    """

    values: np.ndarray
    rate: float | None = None
    spacing: tuple[float, ...] | None = None


def damaged(name: str, error: Exception) -> Exception:
    """What a library raised over a file's bytes, as a problem; if the disk raised it, the same."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return ImageProblem(f"the {name} file is damaged or cut short: {' '.join(str(error).split())[:200]}")


def refuse_huge(count: int, size: int) -> None:
    """Refuse so many numbers of so many bytes each before memory is asked for them. Raises `ImageProblem`."""
    if count * size > MOST_BYTES:
        raise ImageProblem(f"{count:,} numbers are {count * size:,} bytes; at most {MOST_BYTES:,} are read of a file")


def with_channels(values: np.ndarray, axes: int, channels: int, what: str) -> np.ndarray:
    """Values (..., channels) with so many axes before the last; one channel need not have an axis of its own.

    Raises:
        ImageProblem: another shape; names both.
    """
    shaped = values[..., None] if values.ndim == axes else values
    if shaped.ndim != axes + 1 or shaped.shape[-1] != channels or not shaped.size:
        sides = ", ".join(("samples",) if axes == 1 else ("x", "y", "z"))
        alone = f"({sides}{',' if axes == 1 else ''}) or " if channels == 1 else ""
        raise ImageProblem(f"an array of shape {values.shape}, expected {what}: {alone}({sides}, {channels})")
    return shaped


def finite(values: np.ndarray) -> np.ndarray:
    """The same as float32. Raises `ImageProblem` where some are no numbers, or beyond 1e30; says how many."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(values, np.float32)
    wrong = numbers.size - int((np.abs(numbers) <= _LARGEST).sum())
    if wrong:
        raise ImageProblem(f"{wrong:,} of {numbers.size:,} numbers are NaN, infinite, or too large")
    return numbers


def unit(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Values with mean 0 and standard deviation 1 over some axes; what is the same everywhere becomes 0."""
    centred = values - values.mean(axis=axes, keepdims=True, dtype=np.float64).astype(np.float32)
    spread = np.sqrt(np.square(centred, dtype=np.float64).mean(axis=axes, keepdims=True))
    return np.asarray(centred / np.maximum(spread, np.finfo(np.float32).tiny), np.float32)
