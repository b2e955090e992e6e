"""Draw people, so that the demo and the tests need nobody's photograph.

A person is what one seed gives; each picture adds pose, light, expression and camera. A face detector and an encoder
take the pictures for faces; they say nothing about accuracy on real people. The same seed gives the same bytes on one machine.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drawing import surroundings
from benchmarks.drawing.features import features
from benchmarks.drawing.light import light
from benchmarks.drawing.paint import mix, skin
from benchmarks.drawing.person import Person, person
from benchmarks.drawing.shot import Chance, pose

SIZE = 250


@dataclass(frozen=True)
class Shot:
    """A picture to draw: number `shot` of the person with the seed `seed`, into the file `path`."""

    path: Path
    seed: int
    shot: int


def draw(who: Person, random: np.random.Generator, *, size: int = SIZE, nuisance: float = 1.0, still: bool = False) -> np.ndarray:
    """One picture of a person: uint8, shape (size, size, 3), RGB.

    Args:
        who: what `person` gave.
        random: gives pose, light, expression and camera.
        size: side in pixels.
        nuisance: how strongly these vary; 0.6 is friendly, 1.0 about as hard as it gets.
        still: a passport picture, without any of them.
    """
    chance = Chance(random, 0.0 if still else nuisance)
    face, expression = pose(who, chance, size, still)
    found = features(who, face, expression)
    lit = light(who, face, found, expression, chance, still)
    strand, radius = surroundings.strands(who, face)
    front = skin(who, face, found, expression, lit, strand)
    brightness = 1.0 if still else chance.within(0.7, 1.2)
    hair = surroundings.hair(who, face, lit, strand, radius, brightness)
    picture = surroundings.backdrop(face, chance, still)
    surroundings.behind(picture, who, face, lit, hair, chance)
    mix(picture, face.edge(face.depth, 0.8), front)
    surroundings.in_front(picture, who, face, hair)
    surroundings.glasses(picture, who, face, found)
    return _still_camera(picture) if still else _camera(picture, chance)


def picture_of(seed: int, shot: int, *, size: int = SIZE, nuisance: float = 1.0) -> np.ndarray:
    """Picture number `shot` of the person with this seed, uint8 (size, size, 3), RGB."""
    return draw(person(seed), np.random.default_rng([seed, shot]), size=size, nuisance=nuisance)


def draw_files(shots: Iterable[Shot], *, nuisance: float = 1.0, progress: Callable[[int], None] | None = None) -> None:
    """Draw pictures into JPEG files, on every core; folders are made as needed. `progress` is told how many more are done."""
    todo = list(shots)
    for folder in {shot.path.parent for shot in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for _ in pool.map(partial(_draw_file, nuisance=nuisance), todo, chunksize=4):
            if progress:
                progress(1)


def _draw_file(shot: Shot, nuisance: float) -> None:
    cv2.setNumThreads(1)
    picture = picture_of(shot.seed, shot.shot, nuisance=nuisance)
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    shot.path.write_bytes(coded.tobytes())


def _still_camera(picture: np.ndarray) -> np.ndarray:
    return (255 * np.clip(picture, 0, 1) ** (1 / 2.2) + 0.5).astype("u1")


def _camera(picture: np.ndarray, chance: Chance) -> np.ndarray:
    """Exposure, white balance, gamma, blur, noise, and JPEG."""
    exposed = picture * np.exp(chance.around(0.18)) * (1 + np.array([chance.around(0.07), 0, chance.around(0.07)], "f4"))
    shown = np.clip(exposed, 0, 1) ** (1 / 2.2 * np.exp(chance.around(0.07)))
    blurred = cv2.GaussianBlur(shown, (0, 0), 0.4 + abs(chance.around(0.7))) * 255
    noisy = blurred + chance.random.normal(size=picture.shape).astype("f4") * chance.within(1, 6) * chance.strength
    quality = int(chance.within(45, 95))
    _, coded = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype("u1")[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
