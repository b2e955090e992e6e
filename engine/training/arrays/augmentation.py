"""How signals and volumes are changed in training, so that what does not make an identity is not learnt."""

import numpy as np

# Shift in parts of a window or a cube; scale as a logarithm; noise in parts of the standard deviation; the longest part that is
# dropped, in parts of a side, and how often one is.
_SHIFT, _SCALE, _NOISE, _DROPPED, _OFTEN = 0.1, 0.25, 0.1, 0.25, 0.5


def as_it_is(shown: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """One part, drawn, of what is shown of each file: from float32 (n, parts, ...) to (n, ...)."""
    drawn = np.random.default_rng(seed).integers(0, shown.shape[1], len(shown))
    return shown[np.arange(len(shown)), drawn]


def changed_signals(shown: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """Windows (n, windows, size, channels): one of each, shifted round, scaled, with noise and without a part; the same for the
    same seed.
    """
    random = np.random.default_rng((*seed, 1))
    windows = as_it_is(shown, seed)
    size = windows.shape[1]
    shifts = random.integers(-int(_SHIFT * size), int(_SHIFT * size) + 1, len(windows))
    windows = np.stack([np.roll(window, shift, 0) for window, shift in zip(windows, shifts, strict=True)])
    return _without_a_part(_scaled(windows, random), random)


def changed_volumes(shown: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """Cubes (n, 1, size, size, size, channels): shifted, scaled, with noise and without a part; the same for the same seed."""
    random = np.random.default_rng((*seed, 1))
    cubes = _shifted(as_it_is(shown, seed), random)
    return _without_a_part(_scaled(cubes, random), random)


def turned_volumes(shown: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """As `changed_volumes`, each turned by quarters about any axis and flipped or not: for volumes that have no up."""
    random = np.random.default_rng((*seed, 2))
    cubes = changed_volumes(shown, seed)
    for row, cube in enumerate(cubes):
        turned = np.transpose(cube, (*random.permutation(3), 3))
        flips = tuple(axis for axis in range(3) if random.random() < 0.5)
        cubes[row] = np.flip(turned, flips)
    return cubes


def _shifted(cubes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cubes moved along each axis; what comes in is what lay at that side."""
    most = int(_SHIFT * cubes.shape[1])
    moved = np.empty_like(cubes)
    for row, cube in enumerate(cubes):
        by = random.integers(-most, most + 1, 3)
        wide = np.pad(cube, [(most, most)] * 3 + [(0, 0)], mode="edge")
        moved[row] = wide[tuple(slice(most + each, most + each + side) for each, side in zip(by, cube.shape[:3], strict=True))]
    return moved


def _scaled(arrays: np.ndarray, random: np.random.Generator) -> np.ndarray:
    each = (len(arrays),) + (1,) * (arrays.ndim - 1)
    scales = np.exp(random.uniform(-_SCALE, _SCALE, each))
    levels = random.uniform(0, _NOISE, each) * arrays.std(axis=tuple(range(1, arrays.ndim)), keepdims=True)
    return (arrays * scales + random.normal(size=arrays.shape) * levels).astype(np.float32)


def _without_a_part(arrays: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Arrays (n, ..., channels), half of them with a stretch, or a block, that is 0."""
    for array in arrays:
        if random.random() < _OFTEN:
            where = []
            for side in array.shape[:-1]:
                length = int(random.uniform(0, _DROPPED) * side)
                start = random.integers(0, side - length + 1)
                where.append(slice(start, start + length))
            array[tuple(where)] = 0
    return arrays
