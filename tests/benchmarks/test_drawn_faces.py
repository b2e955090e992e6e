from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.drawn_people import Shot, draw, draw_files, picture_of
from benchmarks.drawing.person import SHAPE, person
from engine.embedding.in_memory import embed_images
from engine.encoders import Encoder
from engine.faces.images import decode

PEOPLE = 40


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [picture_of(seed, shot, nuisance=0.6) for seed in range(100, 100 + PEOPLE) for shot in range(2)]


def test_a_person_is_their_seed() -> None:
    one, again, other = person(5), person(5), person(6)
    assert all(getattr(one, name) == getattr(again, name) for name in SHAPE)
    assert any(getattr(one, name) != getattr(other, name) for name in SHAPE)
    assert all(low - 6 <= getattr(one, name) <= high + 6 for name, (_, _, low, high) in SHAPE.items())


def test_pictures_repeat_and_differ() -> None:
    first = picture_of(1, 0)
    assert first.shape == (250, 250, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, picture_of(1, 0))
    assert np.abs(first.astype(int) - picture_of(1, 1)).mean() > 5
    passport = draw(person(1), np.random.default_rng(0), still=True)
    again = draw(person(1), np.random.default_rng(9), still=True)
    np.testing.assert_array_equal(passport[:210], again[:210])  # below is the shirt


def test_the_detector_finds_them_and_the_encoder_knows_them(pictures: list[np.ndarray], sface: Encoder) -> None:
    """At least 95 % found, rank-1 at least 90 %, and at least 20 points above the pixels themselves."""

    def rank_1(encoder: str | Encoder) -> float:
        made = embed_images(pictures, encoder)
        assert len(made.templates) >= 0.95 * len(pictures)
        number = {int(source.split(":")[1]): row for row, source in enumerate(made.templates.table["source"].to_pylist())}
        both = [person for person in range(PEOPLE) if 2 * person in number and 2 * person + 1 in number]
        enrolled = made.templates.vectors[[number[2 * person] for person in both]]
        probes = made.templates.vectors[[number[2 * person + 1] for person in both]]
        nearest = np.linalg.norm(probes[:, None] - enrolled[None], axis=2).argmin(axis=1)
        return float((nearest == np.arange(len(both))).mean())

    network, pixels = rank_1(sface), rank_1("pixels")
    assert network >= 0.9
    assert network >= pixels + 0.2


def test_files(tmp_path: Path) -> None:
    told: list[int] = []
    shots = [Shot(tmp_path / "a" / f"{seed}.jpg", seed, 0) for seed in range(3)]
    draw_files(shots, nuisance=0.6, progress=told.append)
    assert sum(told) == 3
    assert np.abs(decode(shots[2].path).astype(int) - picture_of(2, 0, nuisance=0.6)).mean() < 4
