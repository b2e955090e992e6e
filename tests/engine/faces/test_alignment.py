from itertools import pairwise

import cv2
import numpy as np
import pytest

from engine.encoders.sface import CARD
from engine.errors import PhotographsError
from engine.faces.alignment import Chip, align, aligner, all_faces, largest_face, largest_landmarks, whole_picture
from engine.faces.detector import detect

CHIP = CARD.chip


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_face_is_found_at_any_size_and_the_chip_stays_the_same(drawn: list[np.ndarray]) -> None:
    sizes = [(125, 125), (250, 250), (700, 700), (2000, 2000)]
    pictures = [cv2.resize(drawn[3], size, interpolation=cv2.INTER_CUBIC) for size in sizes]
    found = [largest_face(picture, CHIP) for picture in pictures]
    assert [len(faces) for faces in found] == [1] * 4
    chips = [faces[0].chip.astype(int) for faces in found]
    for one, two in pairwise(chips):
        assert np.abs(one - two).mean() < 12
    for (aligned,), (width, _) in zip(found, sizes, strict=True):
        x, _, w, _ = aligned.face.box
        assert 0.25 * width < w < 0.6 * width
        assert abs(x + w / 2 - width / 2) < 0.1 * width
        assert 0.8 < aligned.face.detection <= 1


@pytest.mark.parametrize("side", [60, 150, 1150])
def test_a_face_anywhere_in_a_large_picture(drawn: list[np.ndarray], side: int) -> None:
    """Of about 20, 60 and 450 pixels."""
    picture = grey(1200, 1600)
    picture[20 : 20 + side, 400 : 400 + side] = cv2.resize(drawn[0], (side, side), interpolation=cv2.INTER_AREA)
    for find in (largest_face, all_faces):
        (aligned,) = find(picture, CHIP)
        x, y, w, h = aligned.face.box
        assert 400 < x < x + w < 400 + side
        assert 20 < y < y + h < 20 + side


def test_largest_and_all(drawn: list[np.ndarray]) -> None:
    picture = grey(500, 900)
    picture[100:350, 50:300] = drawn[0]
    picture[50:450, 450:850] = cv2.resize(drawn[1], (400, 400))
    (one,) = largest_face(picture, CHIP)
    every = all_faces(picture, CHIP)
    assert len(every) == 2
    assert one.face.box[0] > 450
    assert every[0].face.box[2] > every[1].face.box[2]
    assert every[1].face.box[0] < 300


def test_a_large_face_and_small_ones_together(drawn: list[np.ndarray]) -> None:
    """One fills the picture's height, the others are a twentieth of that: no copy of one size shows both well."""
    picture = grey(2000, 3000)
    picture[:, :2000] = cv2.resize(drawn[1], (2000, 2000), interpolation=cv2.INTER_CUBIC)
    for row in range(4):
        picture[100 + 400 * row : 300 + 400 * row, 2400:2600] = cv2.resize(drawn[2 + row], (200, 200))
    found = all_faces(picture, CHIP)
    assert len(found) == 5
    assert found[0].face.box[2] > 700
    assert all(2400 < small.face.box[0] < 2600 for small in found[1:])


def test_five_hundred_faces(drawn: list[np.ndarray]) -> None:
    group = np.vstack(
        [np.hstack([cv2.resize(drawn[(3 * row + column) % 12], (64, 64)) for column in range(25)]) for row in range(20)]
    )
    found = all_faces(group, CHIP)
    assert 490 <= len(found) <= 510
    places = {(int((x + w / 2) // 64), int((y + h / 2) // 64)) for x, y, w, h in (aligned.face.box for aligned in found)}
    assert len(places) >= 490


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3, 2000), (400, 20), (9, 9), (250, 250), (40, 3000)])
def test_pictures_of_any_shape_without_a_face(shape: tuple[int, int]) -> None:
    for find in (largest_face, all_faces):
        assert find(grey(*shape), CHIP) == []


@pytest.mark.parametrize("degrees", [10, 20, 30, 45, 90, 135, 180, 270])
def test_landmarks_follow_a_head_that_is_turned(drawn: list[np.ndarray], degrees: int) -> None:
    """By any angle: the detector's own follow a third of the way, and those of a picture on its side not at all."""
    errors = []
    for picture in drawn:
        points = largest_landmarks(picture)
        matrix = cv2.getRotationMatrix2D((124.5, 124.5), degrees, 1)
        turned = largest_landmarks(cv2.warpAffine(picture, matrix, (250, 250), borderMode=cv2.BORDER_REPLICATE))
        assert points is not None
        if turned is not None:
            expected = (points - (124.5 + 124.5j)) * np.exp(-1j * np.radians(degrees)) + (124.5 + 124.5j)
            errors.append(np.abs(turned - expected).mean() / abs(points[0] - points[1]))
    assert len(errors) >= 11
    assert np.median(errors) < 0.12
    assert sorted(errors)[-2] < 0.5


def test_second_looks_agree_with_the_face(drawn: list[np.ndarray]) -> None:
    """What the mean of several looks gives is near what one look gives, mirrored pictures give mirrored landmarks."""
    for picture in drawn:
        (found,) = detect(picture, 250)
        landmarks = largest_landmarks(picture)
        assert landmarks is not None
        eyes = abs(found.landmarks[0] - found.landmarks[1])
        assert np.abs(landmarks - found.landmarks).max() < 0.3 * eyes
        mirrored = largest_landmarks(np.ascontiguousarray(picture[:, ::-1]))
        assert mirrored is not None
        assert np.abs(249 - np.conj(mirrored[[1, 0, 2, 4, 3]]) - landmarks).max() < 0.2 * eyes


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
    (aligned,) = whole_picture(picture, Chip(96, CHIP.points))
    assert aligned.chip.shape == (96, 96, 3)
    assert aligned.face.box == (0.0, 0.0, 30.0, 60.0)
    assert aligned.chip[:40].max() == 0
    assert aligned.chip[56:].min() == 200


def test_an_unknown_choice() -> None:
    with pytest.raises(PhotographsError, match="faces=.biggest.: expected largest, all or none"):
        aligner("biggest")
