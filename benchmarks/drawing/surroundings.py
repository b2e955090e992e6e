"""What lies behind, around and in front of a face: backdrop, hair, neck, shirt, ears, glasses."""

from dataclasses import dataclass

import numpy as np

from benchmarks.drawing.features import Features
from benchmarks.drawing.light import Light
from benchmarks.drawing.paint import mix
from benchmarks.drawing.person import Person, linear
from benchmarks.drawing.shot import Chance, Face, bump


@dataclass(frozen=True)
class Hair:
    """`depth` is the distance inside its outline, in mm; `shade` multiplies its colour, `gloss` is added; `strand` -1 to 1."""

    depth: np.ndarray
    shade: np.ndarray
    gloss: np.ndarray
    strand: np.ndarray


def strands(p: Person, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Waves along the hair, -1 to 1, and the distance from the crown that they follow."""
    angle = np.arctan2(face.u, 60 - face.v)
    radius = np.hypot(face.u, face.v - 20) / 20
    phase = p.strands
    waves = (
        np.sin(count * (1 + 0.15 * phase[i]) * angle + p.hair_wave * 3 * np.sin(radius * 1.7 + phase[i + 4]) + phase[i])
        for i, count in enumerate((19, 37, 61, 97))
    )
    return sum(waves, np.zeros_like(angle)) / 4, radius


def hair(p: Person, face: Face, light: Light, strand: np.ndarray, radius: np.ndarray, brightness: float) -> Hair:
    """The hair's outline and how it is lit."""
    width, height = p.head_w + p.hair_vol * 0.7, p.head_top + 5 + p.hair_vol
    grow = (4 + 0.9 * p.hair_vol) * np.clip((face.v + 20) / 70, 0, 1) * (p.hair_len > 40)
    outline = np.square(face.u / (width + grow)) + np.square(np.minimum(face.v - 5, 0) / height) ** 1.2
    shine = np.exp(-np.square((radius - 5.1 - 0.02 * face.u * float(np.sin(light.azimuth)) + 0.3 * strand) / 0.7))
    shade = (0.8 + 0.45 * strand) * brightness * (0.45 + 0.55 * np.clip(light.shade, 0, 1.3)) + (0.4 + 0.5 * strand) * shine
    gloss = 0.018 * (0.6 + 0.6 * strand) * (0.25 + shine) * np.clip(light.shade, 0.3, 1.2)
    return Hair((1 - np.sqrt(outline)) * width, shade[..., None], gloss[..., None], strand)


def backdrop(face: Face, chance: Chance, still: bool) -> np.ndarray:
    """Two colours that run into each other, with blurred shapes: float32 (size, size, 3), linear."""
    random, size = chance.random, face.size
    colours = np.array([[150, 165, 180]] * 2, "f4") if still else _dull(random.uniform(20, 235, (2, 3)))
    angle = random.uniform(0, 6.3)
    slope = (face.x - size / 2) * np.cos(angle) + (face.y - size / 2) * np.sin(angle)
    along = np.clip(0.5 + slope / size, 0, 1)[..., None]
    picture = (linear(colours[0]) * (1 - along) + linear(colours[1]) * along).astype("f4")
    for _ in range(0 if still else 4):
        x, y = chance.within(0, size), chance.within(0, size)
        blob = bump(face.x - x, face.y - y, chance.within(12, 50), chance.within(12, 50))
        mix(picture, 0.7 * blob, linear(_dull(random.uniform(10, 245, 3))))
    return picture


def behind(picture: np.ndarray, p: Person, face: Face, light: Light, hair: Hair, chance: Chance) -> None:
    """Long hair, neck, shirt and ears, in front of the backdrop and behind the face."""
    if not p.bald and p.hair_len > 40:
        wavy = 6 * np.sin(face.v / 17 + p.strands[0]) * p.hair_wave
        fall = np.minimum(hair.depth + wavy, p.hair_len - face.v + 8 * hair.strand)
        mix(picture, face.edge(fall, 2), (p.hair * 0.6) * hair.shade + 0.5 * hair.gloss)
    sideways = np.abs(face.u0)
    neck = np.minimum(p.head_w * 0.62 + 0.008 * np.maximum(face.v - 110, 0) ** 2 - sideways, face.v - 60)
    lit = 0.62 * light.ambient + 0.34 * np.clip(1 - np.square((face.u0 + 25 * light.azimuth) / 75), 0.1, 1)
    mix(picture, face.edge(neck, 2), p.skin * (lit * (1 - 0.6 * np.exp(np.minimum(face.depth, 0) / 16)))[..., None])
    shirt = face.v0 - 134 - 0.55 * np.clip(45 - sideways, 0, 40) - 0.0016 * np.square(face.u0)
    cloth = linear(_dull(chance.random.uniform(15, 235, 3)))
    mix(picture, face.edge(shirt, 1.5), cloth * (0.6 + 0.3 * np.clip(1 - sideways / 160, 0, 1))[..., None])
    ear = (1 - np.hypot((face.au - p.head_w - p.ear * 0.2) / p.ear, (face.v - 14) / 21)) * 9
    mix(picture, face.edge(ear, 0.8), p.skin * (0.62 * light.shade.mean() + 0.12 * np.clip(ear, 0, 6) / 6)[..., None])


def in_front(picture: np.ndarray, p: Person, face: Face, hair: Hair) -> None:
    """The hair over the forehead; of a bald head what is left at its sides."""
    if p.bald:
        if p.hair_len > 0:
            ring = np.minimum(np.minimum(face.depth + 2, -8 + 0.2 * (face.au - 40)), 15 - face.v)
            mix(picture, 0.6 * face.edge(ring, 4) * (face.au > 50), p.hair)
        return
    line = p.hairline - p.fringe * (22 + 3 * hair.strand)
    parted = face.u - p.hair_part * (1 - p.fringe)
    across = (face.u / (p.head_w * p.hair_temple)) ** 2
    upward = (np.minimum(face.v - 12, 0) / (line + 12 - 0.0022 * parted * parted)) ** 2
    open_face = (1 - np.sqrt(across + upward)) * 60
    front = np.minimum(np.minimum(hair.depth, -open_face + 1.5 * hair.strand), max(p.hair_len, 0) + 8 - face.v)
    mix(picture, 0.3 * face.edge(front + 5, 5) * face.edge(face.depth, 2), picture * 0.35)
    mix(picture, face.edge(front, 1.3), p.hair * hair.shade + hair.gloss)


def glasses(picture: np.ndarray, p: Person, face: Face, found: Features) -> None:
    """Rims and a bridge, and lenses that add a little light."""
    if not p.glasses:
        return
    power = p.glass_sq
    ring = (np.abs(found.eyes.x / p.glass_r) ** power + np.abs((face.v - 3) / (p.glass_r * 0.8)) ** power) ** (1 / power)
    bridge = np.exp(-(((face.v + 3) / 1.3) ** 4)) * (face.au < p.eye_x - p.glass_r * 0.9)
    mix(picture, p.glasses * np.maximum(np.exp(-(((ring - 1) * p.glass_r / 1.3) ** 4)), bridge), p.glass_c)
    picture += (0.04 * (ring < 1))[..., None]


def _dull(colour: np.ndarray) -> np.ndarray:
    return 0.55 * colour.mean(-1, keepdims=True) + 0.45 * colour
