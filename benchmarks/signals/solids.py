"""Solids that do not exist: scans of them as volumes, so that nobody's scan is needed.

A solid is a ball with bumps and dents in its skin and hollows of other density inside it, which one seed gives. Each scan adds
what is not the solid's: how it lies, tilted and off the middle, its scale, the scanner's gain, blur and noise.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

SIDE = 32
_BUMPS, _HOLLOWS = 8, 4
# How far a solid is tilted (radians) and moved (in parts of the side) in a scan.
_TILT, _MOVED = 0.25, 0.06


def draw_solid(seed: int, scan: int, side: int = SIDE) -> np.ndarray:
    """A scan of the solid with this seed, float32 (side, side, side); the same for the same numbers."""
    own = np.random.default_rng((seed, 0))
    towards = _directions(own, _BUMPS)
    bumps, sharp = own.normal(0, 0.22, _BUMPS), own.uniform(2, 8, _BUMPS)
    hollows, radii = _directions(own, _HOLLOWS) * own.uniform(0.2, 0.6, (_HOLLOWS, 1)), own.uniform(0.12, 0.3, _HOLLOWS)
    densities = own.uniform(-0.9, 0.9, _HOLLOWS)
    chance = np.random.default_rng((seed, 1, scan))
    turned = Rotation.from_rotvec(chance.normal(0, _TILT, 3)).as_matrix()
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) - chance.uniform(-_MOVED, _MOVED, 3) * 2
    places = places @ turned.T / chance.uniform(0.52, 0.64)
    away = np.linalg.norm(places, axis=-1)
    way = places / np.maximum(away, 1e-6)[..., None]
    skin = 1 + (bumps * np.exp(sharp * (way @ towards.T - 1))).sum(axis=-1)
    inside = np.linalg.norm(places[..., None, :] - hollows, axis=-1) < radii
    density = 1 + np.where(inside, densities, 0).sum(axis=-1)
    volume = gaussian_filter(np.where(away < skin, density, 0), chance.uniform(0.6, 1.2))
    noise = chance.uniform(0.05, 0.25) * chance.normal(size=volume.shape)
    return (chance.uniform(0.7, 1.4) * (volume + noise)).astype(np.float32)


def _directions(random: np.random.Generator, count: int) -> np.ndarray:
    drawn = random.normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def write_solids(folder: Path, seeds: range, each: int) -> None:
    """Scans of solids as `.npy`, a folder each, `each` of them."""
    for seed in seeds:
        own = folder / f"solid{seed:04d}"
        own.mkdir(parents=True, exist_ok=True)
        for scan in range(each):
            np.save(own / f"{scan}.npy", draw_solid(seed, scan))
