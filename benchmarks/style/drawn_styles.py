"""Pictures in styles, drawn, so that nobody's painting is needed: some to learn from, others that are kept aside.

Each shows the same kind of thing, soft hills of light, in another hand: pencil, oil, print, film; woodcut, watercolour, points,
infra-red. The same seed gives the same picture.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from engine.style.pictures import write_picture

SIDE = 256
Hand = Callable[[np.random.Generator], np.ndarray]
"""From chance to an RGB picture in a style, float32 (SIDE, SIDE, 3), 0 to 1."""


def _hills(random: np.random.Generator, width: float = 28) -> np.ndarray:
    """Light of soft hills, float32 (SIDE, SIDE), 0 to 1."""
    wide = cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), width)
    return np.asarray((wide - wide.min()) / np.ptp(wide), np.float32)


def _grain(random: np.random.Generator, strength: float, width: float = 0.8) -> np.ndarray:
    fine = cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), width)
    return strength * fine / fine.std()


def _across(angle: float) -> np.ndarray:
    """How far each pixel lies along a direction, in pixels."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.asarray(x * np.cos(angle) + y * np.sin(angle), np.float32)


def _coloured(light: np.ndarray, dark: tuple[float, ...], bright: tuple[float, ...]) -> np.ndarray:
    share = np.clip(light, 0, 1)[..., None]
    return np.asarray(np.array(dark, np.float32) * (1 - share) + np.array(bright, np.float32) * share)


def _lines(light: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Paper (1) with dark lines where the phase turns over, wide where there is little light."""
    return 1 / (1 + np.exp(-8 * (np.cos(phase) + 2.2 * light - 0.9)))


def _pencil(random: np.random.Generator) -> np.ndarray:
    """Hatching in two directions, the second in the shadows only."""
    hills, shaky = _hills(random), 6 * _hills(random, 9)
    first = _lines(hills, _across(0.8) * 1.3 + shaky)
    second = _lines(hills + 0.35, _across(2.3) * 1.1 + shaky)
    return _coloured(np.minimum(first, second) + _grain(random, 0.05), (0.25, 0.25, 0.27), (0.97, 0.96, 0.93))


def _oil(random: np.random.Generator) -> np.ndarray:
    """Thick strokes along the hills, each of one colour."""
    hills, warm = _hills(random), _hills(random)
    slopes = [cv2.Sobel(hills, cv2.CV_32F, *each, ksize=5) for each in ((1, 0), (0, 1))]
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    for _ in range(2600):
        x, y = random.integers(0, SIDE, 2)
        angle = np.arctan2(slopes[0][y, x], -slopes[1][y, x]) + random.normal(0, 0.2)
        colour = np.array([0.2 + 0.8 * warm[y, x], 0.15 + 0.7 * hills[y, x], 0.75 - 0.5 * warm[y, x]])
        reach = np.array([np.cos(angle), np.sin(angle)]) * random.uniform(6, 14)
        ends = [tuple(int(each) for each in np.array([x, y]) + sign * reach) for sign in (-1, 1)]
        shade = np.clip(colour * random.uniform(0.75, 1.25), 0, 1).tolist()
        cv2.line(picture, ends[0], ends[1], shade, int(random.integers(3, 7)), cv2.LINE_AA)
    return picture


def _print(random: np.random.Generator) -> np.ndarray:
    """Dots of three inks on grids that are turned against each other."""
    inks = []
    for angle in (0.26, 1.31, 0.0):
        across, down = _across(angle) * 1.1, _across(angle + np.pi / 2) * 1.1
        inks.append(1 / (1 + np.exp(-6 * (np.cos(across) + np.cos(down) + 3.2 * _hills(random) - 1.6))))
    return np.stack(inks, axis=-1).astype(np.float32)


def _film(random: np.random.Generator) -> np.ndarray:
    """An old brown photograph: grain, and dark corners."""
    away = np.hypot(_across(0) - SIDE / 2, _across(np.pi / 2) - SIDE / 2) / SIDE
    light = 0.15 + 0.8 * _hills(random) - 0.7 * np.square(away) + _grain(random, 0.09)
    return _coloured(light, (0.12, 0.07, 0.03), (0.95, 0.84, 0.62))


def _woodcut(random: np.random.Generator) -> np.ndarray:
    """Black and white lines that follow the hills."""
    hills = _hills(random)
    cut = np.cos(70 * hills + _hills(random, 6)) + 1.6 * hills - 0.8
    return _coloured(1 / (1 + np.exp(-14 * cut)), (0.06, 0.05, 0.05), (0.93, 0.9, 0.82))


def _watercolour(random: np.random.Generator) -> np.ndarray:
    """Pale washes with darker rims, on rough paper."""
    paper = np.full((SIDE, SIDE, 3), 0.96, np.float32)
    for _ in range(9):
        wet = _hills(random, 18) + _grain(random, 0.012, 3)
        edge = random.uniform(0.45, 0.65)
        wash = 1 / (1 + np.exp(-60 * (wet - edge)))
        rim = np.exp(-np.square((wet - edge) / 0.018))
        pigment = random.uniform(0.1, 0.55, 3).astype(np.float32)
        paper *= 1 - (0.45 * wash + 0.35 * rim)[..., None] * pigment
    return paper + _grain(random, 0.02)[..., None]


def _points(random: np.random.Generator) -> np.ndarray:
    """Small dabs of pure colours."""
    hills, warm = _hills(random), _hills(random)
    picture = np.full((SIDE, SIDE, 3), 0.9, np.float32)
    pure = np.array([[0.9, 0.3, 0.2], [0.95, 0.8, 0.25], [0.2, 0.45, 0.75], [0.25, 0.6, 0.35], [0.5, 0.25, 0.55]])
    for _ in range(6000):
        x, y = random.integers(0, SIDE, 2)
        likely = np.array([warm[y, x], hills[y, x], 1 - warm[y, x], 0.4, 1 - hills[y, x]]) + 0.05
        colour = pure[random.choice(5, p=likely / likely.sum())] * (0.5 + 0.6 * hills[y, x])
        cv2.circle(picture, (int(x), int(y)), int(random.integers(1, 4)), np.clip(colour, 0, 1).tolist(), -1, cv2.LINE_AA)
    return picture


def _infrared(random: np.random.Generator) -> np.ndarray:
    """What is warm, in false colours, softly."""
    warmth = (255 * np.clip(_hills(random) + _grain(random, 0.02, 1.5), 0, 1)).astype(np.uint8)
    return cv2.applyColorMap(warmth, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32) / 255


LEARNT: Mapping[str, Hand] = {"pencil": _pencil, "oil": _oil, "print": _print, "film": _film}
ASIDE: Mapping[str, Hand] = {"woodcut": _woodcut, "watercolour": _watercolour, "points": _points, "infrared": _infrared}


def draw_style(hand: Hand, seed: int = 0) -> np.ndarray:
    """A picture in a style, uint8 (SIDE, SIDE, 3), RGB."""
    return np.asarray(np.round(255 * np.clip(hand(np.random.default_rng(seed)), 0, 1)), np.uint8)


def write_styles(folder: Path, hands: Mapping[str, Hand]) -> list[Path]:
    """A PNG for each style, called as it is, in place of earlier ones. Raises `OutputError`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in hands]
    for path, hand in zip(paths, hands.values(), strict=True):
        write_picture(draw_style(hand), path)
    return paths
