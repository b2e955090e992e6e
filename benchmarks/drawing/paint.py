"""The colours of a face, in linear light: one function a feature."""

import cv2
import numpy as np

from benchmarks.drawing.features import Features
from benchmarks.drawing.light import Light
from benchmarks.drawing.person import Person
from benchmarks.drawing.shot import Expression, Face, bump


def mix(picture: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Lay a colour, or a picture of the same size, over `picture` where `mask` (0 to 1) says. Works inside its box only."""
    seen = mask > 0.003
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    over = colour[box] if colour.ndim == 3 else colour
    picture[box] += mask[box][..., None] * (over - picture[box])


def skin(p: Person, face: Face, found: Features, expression: Expression, light: Light, strand: np.ndarray) -> np.ndarray:
    """The lit skin with everything that lies on it, as if it filled the picture: float32 (size, size, 3)."""
    texture = cv2.remap(
        p.skin_noise,
        np.clip(face.u / 3.5 + 24, 0, 47).astype("f4"),
        np.clip(face.v / 5 + 22, 0, 47).astype("f4"),
        cv2.INTER_CUBIC,
    )
    picture = p.skin * np.ones((face.size, face.size, 1), "f4") * (1 + 0.025 * texture)[..., None]
    _complexion(picture, p, face, texture)
    _beard(picture, p, face, found, expression, texture, strand)
    brows = found.brows
    mix(
        picture,
        brows.mask * (0.9 + 0.1 * np.sin(1.7 * brows.x * p.brow_len + brows.y)),
        p.hair * (0.45 if p.grey else 0.75),
    )
    _mouth(picture, p, face, found, expression)
    _nostrils(picture, p, face)
    _eyes(picture, p, face, found, expression)
    picture *= (light.shade * np.clip(light.occlusion, 0.25, 1))[..., None]
    picture += (0.10 * light.gloss * (1 - brows.mask) * (1 - found.eyes.mask))[..., None]
    sparkle = bump(face.u - face.side * p.eye_x - 2 * np.sign(light.azimuth) - expression.gaze, found.eyes.y + 2.6, 1.1, 1.1)
    mix(picture, 0.9 * found.eyes.mask * sparkle, np.ones(3, "f4"))
    return picture


def _complexion(picture: np.ndarray, p: Person, face: Face, texture: np.ndarray) -> None:
    red = bump(face.au - 42, face.v - 34, 14, 12) + 0.7 * bump(face.u, face.v - p.nose_y, 10, 8)
    mix(picture, 0.35 * p.blush * red, p.skin * np.array([1.05, 0.68, 0.66], "f4"))
    if p.freckles:
        spots = np.clip(texture - 0.6, 0, 1) * bump(face.u, face.v - 28, 42, 16)
        mix(picture, 0.5 * p.freckles * spots, p.skin * np.array([0.6, 0.42, 0.32], "f4"))
    for u, v, radius in p.moles:
        mix(picture, 0.75 * bump(face.u - u, face.v - v, radius, radius), p.skin * 0.25)


def _beard(
    picture: np.ndarray, p: Person, face: Face, found: Features, expression: Expression, texture: np.ndarray, strand: np.ndarray
) -> None:
    if not (p.beard or p.moustache):
        return
    au, u, v, mouth = face.au, face.u, face.v, found.mouth
    jaw = face.edge(v - 34 - 0.012 * (40 - au) ** 2 * (au < 40) - 3 * texture, 9) * face.edge(face.depth + 6, 6)
    if p.goatee:
        jaw = jaw * bump(u, v - 95, 24, 24)
    jaw = jaw * (1 - face.edge(bump(u, mouth.y - expression.gap / 2, mouth.width * 0.75, 8) - 0.5, 0.35))
    moustache = face.edge(bump(u * (1 + 0.3 * (mouth.y > -6)), mouth.y + 10, mouth.width * 0.75, 5) - 0.42, 0.25)
    hair = 0.6 * p.hair + 0.4 * p.skin * 0.35
    mix(picture, np.clip(p.beard * jaw + p.moustache * moustache, 0, 1) * (0.88 + 0.12 * strand), hair)


def _mouth(picture: np.ndarray, p: Person, face: Face, found: Features, expression: Expression) -> None:
    mouth = found.mouth
    red = np.array([0.5, 0.1, 0.11], "f4") * (0.35 + 0.8 * p.skin.mean())
    lip = p.skin * np.array([0.86, 0.5, 0.5], "f4") * (1 - p.lip_red) + p.lip_red * red
    mix(picture, 0.85 * face.edge(mouth.upper, 0.9), lip * 0.82)
    mix(picture, 0.85 * face.edge(mouth.lower, 0.9), lip)
    mix(picture, 0.8 * np.exp(-((mouth.line / 1.0) ** 2)), lip * 0.18)
    if expression.gap > 0.3:
        mix(picture, face.edge(mouth.open, 0.6), np.array([0.05, 0.012, 0.012], "f4"))
        teeth = face.edge(np.minimum(mouth.open, 4.2 - mouth.top), 0.8) * face.edge(mouth.width * 0.75 - face.au, 3)
        mix(picture, teeth, np.array([0.62, 0.58, 0.5], "f4"))


def _nostrils(picture: np.ndarray, p: Person, face: Face) -> None:
    holes = bump(face.au - p.nose_w * 0.48, face.v - p.nose_y - 7 + 0.1 * face.au, p.nose_w * 0.2 + 0.6, 1.7)
    mix(picture, 0.85 * holes, p.skin * 0.1)
    mix(picture, 0.3 * bump(face.au - p.nose_w * 1.12, face.v - p.nose_y - 2, 1.3, 5), p.skin * 0.3)


def _eyes(picture: np.ndarray, p: Person, face: Face, found: Features, expression: Expression) -> None:
    eyes = found.eyes
    mix(picture, 0.4 * np.exp(-(((eyes.upper + p.lid) / 1.1) ** 2)) * (eyes.lens > -0.15), p.skin * 0.35)
    ball = np.ones_like(picture) * np.array([0.66, 0.62, 0.58], "f4")
    radius = np.hypot(eyes.x - expression.gaze * face.side, eyes.y + 0.6)
    mix(ball, face.edge(p.iris - radius, 0.7), p.eye)
    mix(ball, 0.6 * np.exp(-(((radius - p.iris) / 0.8) ** 2)), p.eye * 0.3)
    mix(ball, face.edge(p.iris * 0.44 - radius, 0.6), np.array([0.01, 0.01, 0.01], "f4"))
    ball *= np.clip(0.45 + eyes.upper / 6, 0.35, 1)[..., None]
    mix(picture, eyes.mask, ball)
    mix(picture, p.lash * np.exp(-((eyes.upper / 1.15) ** 2)) * (eyes.lens > -0.05), np.minimum(p.hair, 0.05) * 0.6)
    mix(picture, 0.3 * np.exp(-((eyes.lower / 0.9) ** 2)) * (eyes.lens > 0), p.skin * 0.25)
