"""From a volume to the cube that an encoder sees."""

import numpy as np

from engine.arrays.sampled import Sampled, finite, refuse_huge, unit, with_channels
from engine.arrays.shapes import UNIT, Cube
from engine.errors import ImageProblem


def cube_of(volume: Sampled, cube: Cube) -> np.ndarray:
    """What an encoder sees of a volume, float32 (1, size, size, size, channels).

    Raises:
        ImageProblem: another shape or number of channels, NaN, all voxels the same, or no spacing where it is needed.
    """
    values = with_channels(volume.values, 3, cube.channels, "a volume")
    refuse_huge(values.size, 4)
    values = finite(values)
    if np.ptp(values, axis=(0, 1, 2)).max() == 0:
        raise ImageProblem("a blank volume: all voxels are the same")
    scale = _scale(values.shape[:3], volume.spacing, cube)
    for axis, share in enumerate(scale):
        values = _resampled(values, axis, share, cube.size)
    if cube.normalise == UNIT:
        values = unit(values, (0, 1, 2))
    return _in_the_middle(values, cube.size)[None]


def _scale(sides: tuple[int, ...], spacing: tuple[float, ...] | None, cube: Cube) -> tuple[float, ...]:
    """Of each axis, how many voxels of the cube one of the volume becomes."""
    if cube.spacing is not None:
        if spacing is None:
            raise ImageProblem(
                f"the file does not say how large its voxels are, and the encoder takes {cube.spacing:g} mm; NIfTI says it, or "
                "an .npz with spacing"
            )
        return tuple(each / cube.spacing for each in spacing)
    millimetres = spacing or (1.0, 1.0, 1.0)
    longest = max(side * each for side, each in zip(sides, millimetres, strict=True))
    return tuple(each * cube.size / longest for each in millimetres)


def _resampled(values: np.ndarray, axis: int, share: float, most: int) -> np.ndarray:
    """Values with an axis `share` times as long, and not longer than `most`: what is beyond that to either side is left out.

    Interpolates linearly; where it shrinks, each new voxel is the mean of those under a triangle two new voxels wide.
    """
    before = values.shape[axis]
    after = max(1, round(before * share))
    kept = min(after, most)
    # Where the middles of the new voxels lie among the old ones.
    middles = (np.arange(kept) + (after - kept) / 2 + 0.5) * before / after - 0.5
    reach = max(1.0, before / after)
    weights = np.maximum(1 - np.abs(np.arange(before) - middles[:, None]) / reach, 0).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis))


def _in_the_middle(values: np.ndarray, size: int) -> np.ndarray:
    """Values (x, y, z, channels) of up to `size` a side in the middle of a cube, whose rest is their mean."""
    cube = np.empty((size, size, size, values.shape[3]), np.float32)
    cube[:] = values.mean(axis=(0, 1, 2))
    where = tuple(slice((size - side) // 2, (size - side) // 2 + side) for side in values.shape[:3])
    cube[where] = values
    return cube
