"""Relief and light: a smooth height field, lit from its gradient. Shading is what makes a face detector fire."""

from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.drawing.features import Features
from benchmarks.drawing.person import Person
from benchmarks.drawing.shot import Chance, Expression, Face, bump


@dataclass(frozen=True)
class Light:
    """`shade` and `occlusion` multiply, `gloss` adds. `azimuth` is where the light stands, `ambient` the share from all sides."""

    shade: np.ndarray
    occlusion: np.ndarray
    gloss: np.ndarray
    azimuth: float
    ambient: float


def light(p: Person, face: Face, found: Features, expression: Expression, chance: Chance, still: bool) -> Light:
    """Light a face from a random direction."""
    height = cv2.GaussianBlur(_relief(p, face, found, expression), (0, 0), 1.1 * face.scale)
    down, right = np.gradient(height * face.scale)
    steep = 1 / np.sqrt(right * right + down * down + 1)
    azimuth, elevation = (-0.35, 0.45) if still else (chance.within(-0.95, 0.95) * chance.strength, chance.within(-0.05, 0.8))
    sun = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], "f4")
    half = sun + np.array([0, 0, 1], "f4")
    half /= np.linalg.norm(half)
    ambient = 0.42 if still else chance.within(0.28, 0.6)
    facing = (-right * sun[0] - down * sun[1] + sun[2]) * steep
    shade = ambient + (1.08 - ambient) * np.clip(0.12 + 0.88 * facing, 0, 1.2)
    gloss = np.exp(22 * np.minimum((-right * half[0] - down * half[1] + half[2]) * steep - 1, 0))
    return Light(shade, _occlusion(p, face, found, expression), gloss, azimuth, ambient)


def _relief(p: Person, face: Face, found: Features, expression: Expression) -> np.ndarray:
    """The height of the face above the picture, in mm."""
    au, u, v, smile = face.au, face.u, face.v, expression.smile
    mouth, laugh, gap = found.mouth, max(expression.smile, 0), expression.gap
    skull = 78 * np.sqrt(np.clip(1 - face.outline, 0, 1) + 0.01)
    nose = face.nose + 5 * bump(au - p.nose_w * 0.78, v - p.nose_y - 2, 4.5, 5)
    ridge = 3.5 * bump(au - p.brow_x * 0.8, v - p.brow_y - 2, 18, 6)
    sockets = 4.5 * bump(found.eyes.x, v, 11, 8) - p.socket * bump(au - p.eye_x * 0.93, v + 1, 13, 9)
    cheeks = p.cheek * bump(au - 42, v - 30 + 4 * smile, 14, 12) * (1 + 0.5 * smile)
    chin = p.chin_bump * bump(u, v - p.chin_y + 14, 14, 9)
    lips = 0.35 * np.clip(mouth.upper, 0, 4) + 3.0 * bump(u, mouth.y - gap - 0.5 * p.lip_lo, mouth.width * 0.6, p.lip_lo * 0.45)
    below = 2.2 * bump(u, mouth.y - gap - p.lip_lo - 5, 12, 4)
    groove = 1.4 * bump(u, v - (p.nose_y + p.mouth_y) / 2 - 3, 2.6, 6)
    folds = (1.5 * p.fold + 1.5 * laugh) * bump(au - (p.nose_w + 4 + 0.35 * (v - p.nose_y)), v - p.nose_y - 16, 3, 15)
    return skull + nose + ridge + sockets + cheeks + chin + lips - below - groove - folds


def _occlusion(p: Person, face: Face, found: Features, expression: Expression) -> np.ndarray:
    """Soft dark areas under nose, eyes and lip, where little of the sky is seen."""
    au, u, v, mouth = face.au, face.u, face.v, found.mouth
    under_nose = 0.45 * bump(u, v - p.nose_y - 11, p.nose_w * 0.8, 3.5)
    under_brow = 0.3 * bump(au - p.eye_x + 3, v + 9, 13, 4)
    bags = 0.18 * p.bag * bump(found.eyes.x + 2, v - 11, 11, 3.5)
    under_lip = 0.28 * bump(u, mouth.y - expression.gap - p.lip_lo - 3, 13, 2.6)
    folds = 0.22 * p.fold * bump(au - (p.nose_w + 3 + 0.36 * (v - p.nose_y)), v - p.nose_y - 15, 2, 13)
    return 1 - under_nose - under_brow - bags - under_lip - folds
