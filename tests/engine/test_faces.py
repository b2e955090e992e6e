from itertools import pairwise

import cv2
import numpy as np
import pytest

from engine.encoders.dlib_resnet import CARD
from engine.errors import PhotographsError
from engine.faces import Chip, align, aligner, all_faces, largest_face, whole_picture

CHIP = CARD.chip


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_face_is_found_at_any_size_and_the_chip_stays_the_same(drawn: list[np.ndarray]) -> None:
    sizes = [(125, 125), (250, 250), (700, 700), (2000, 2000)]
    pictures = [cv2.resize(drawn[3], size, interpolation=cv2.INTER_CUBIC) for size in sizes]
    found = largest_face(pictures, CHIP)
    assert [len(faces) for faces in found] == [1] * 4
    chips = [faces[0].chip.astype(int) for faces in found]
    for one, two in pairwise(chips):
        assert np.abs(one - two).mean() < 12
    for (face,), (width, _) in zip(found, sizes, strict=True):
        x, _, w, _ = face.box
        assert 0.25 * width < w < 0.6 * width
        assert abs(x + w / 2 - width / 2) < 0.1 * width
        assert 0.8 < face.quality <= 1


def test_a_small_face_in_a_large_picture(drawn: list[np.ndarray]) -> None:
    picture = grey(1200, 1600)
    picture[700:850, 900:1050] = cv2.resize(drawn[0], (150, 150), interpolation=cv2.INTER_AREA)
    (faces,) = largest_face([picture], CHIP)
    x, y, w, h = faces[0].box
    assert 900 < x < x + w < 1050
    assert 700 < y < y + h < 850


def test_largest_and_all(drawn: list[np.ndarray]) -> None:
    picture = grey(500, 900)
    picture[100:350, 50:300] = drawn[0]
    picture[50:450, 450:850] = cv2.resize(drawn[1], (400, 400))
    (one,) = largest_face([picture], CHIP)
    (every,) = all_faces([picture], CHIP)
    assert len(one) == 1
    assert len(every) == 2
    assert one[0].box[0] > 450
    assert every[0].box[2] > every[1].box[2]
    assert every[1].box[0] < 300


def test_pictures_of_all_sizes_in_one_batch(drawn: list[np.ndarray]) -> None:
    """Tiny and thin ones neither break the batch nor hide the faces of the others."""
    pictures = [grey(1, 1), drawn[0], grey(3, 2000), grey(400, 20), cv2.resize(drawn[1], (180, 180)), grey(250, 250)]
    assert [len(faces) for faces in largest_face(pictures, CHIP)] == [0, 1, 0, 0, 1, 0]
    assert [len(faces) for faces in largest_face([grey(1, 1)], CHIP)] == [0]
    assert largest_face([], CHIP) == []


def test_alignment_brings_landmarks_to_their_points() -> None:
    """White dots where the landmarks are come to lie where the chip wants them, turned, scaled and shifted."""
    points = np.array(CHIP.points) @ (1, 1j)
    for scale, turn in ((0.4, 0.3), (1.0, -0.5), (6.0, 0.1)):
        landmarks = points * scale * np.exp(1j * turn) + (150 + 100j)
        picture = np.zeros((1300, 1300, 3), np.uint8)
        for z in landmarks:
            cv2.circle(picture, (round(z.real), round(z.imag)), max(2, round(3 * scale)), (255, 255, 255), -1)
        chip = align(picture, landmarks, CHIP)
        for x, y in CHIP.points:
            seen = chip[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, 0].astype(float)
            rows, columns = np.indices(seen.shape) - 6
            assert abs((seen * columns).sum() / seen.sum() + round(x) - x) < 1.2
            assert abs((seen * rows).sum() / seen.sum() + round(y) - y) < 1.2


def test_none_takes_the_whole_picture() -> None:
    picture = np.zeros((60, 30, 3), np.uint8)
    picture[30:] = 200
    ((face,),) = whole_picture([picture], Chip(96, CHIP.points))
    assert face.chip.shape == (96, 96, 3)
    assert face.box == (0.0, 0.0, 30.0, 60.0)
    assert face.chip[:40].max() == 0
    assert face.chip[56:].min() == 200


def test_an_unknown_choice() -> None:
    with pytest.raises(PhotographsError, match="biggest: expected largest, all or none"):
        aligner("biggest")
