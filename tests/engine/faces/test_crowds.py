"""Pictures of several people: which one is taken, in which order they come, and that each chip is of its own box."""

import cv2
import numpy as np
import pytest

from engine.encoders import Encoder
from engine.encoders.sface import CARD
from engine.faces import alignment as faces
from engine.faces.alignment import SURE, all_faces, largest_face, whole_picture
from engine.faces.chip import Chip
from engine.faces.detector import Detection

CHIP = CARD.chip
# Where the middles of the pasted pictures lie in one of 900 x 600, and the sides that they are pasted with.
MIDDLE = (450, 300)


def pasted(*people: tuple[np.ndarray, tuple[int, int], int]) -> np.ndarray:
    """Drawn people on grey: each a picture, where its middle lies, and its side."""
    picture = np.full((600, 900, 3), 128, np.uint8)
    for drawn, (x, y), side in people:
        picture[y - side // 2 : y - side // 2 + side, x - side // 2 : x - side // 2 + side] = cv2.resize(drawn, (side, side))
    return picture


def middle_of(box: tuple[float, float, float, float]) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        (((200, 300), 220), (MIDDLE, 200), 1),  # who is a little larger, but off the middle
        (((450, 150), 240), ((450, 480), 200), 0),  # above and below
        ((MIDDLE, 590), ((820, 80), 150), 0),
    ],
)
def test_the_most_prominent_of_two(
    drawn: list[np.ndarray], first: tuple[tuple[int, int], int], second: tuple[tuple[int, int], int], chosen: int
) -> None:
    """Whoever of them stands at which place."""
    for one, two in ((0, 1), (5, 2)):
        picture = pasted((drawn[one], *first), (drawn[two], *second))
        (found,) = largest_face(picture, CHIP)
        (x, y), side = (first, second)[chosen]
        assert abs(middle_of(found.face.box)[0] - x) < 0.2 * side
        assert abs(middle_of(found.face.box)[1] - y) < 0.25 * side


@pytest.mark.parametrize(
    ("boxes", "qualities", "chosen"),
    [
        # Area 900, 200 off the middle: 900 - 80,000; area 400 in the middle wins.
        ([(585, 285, 30, 30), (390, 290, 20, 20)], [0.9, 0.9], 1),
        # 10,000 in the middle, 12,100 at 32 and 33 pixels off it: 12,100 - 2,048 = 10,052 and 12,100 - 2,178 = 9,922.
        ([(350, 250, 100, 100), (377, 245, 110, 110)], [0.9, 0.9], 1),
        ([(350, 250, 100, 100), (378, 245, 110, 110)], [0.9, 0.9], 0),
        ([(350, 250, 100, 100), (345, 277, 110, 110)], [0.9, 0.9], 1),
        ([(350, 250, 100, 100), (345, 278, 110, 110)], [0.9, 0.9], 0),
        # Sure comes before unsure, wherever it lies; SURE itself is sure.
        ([(350, 250, 100, 100), (0, 0, 20, 20)], [np.nextafter(SURE, 0), SURE], 1),
        ([(350, 250, 100, 100), (0, 0, 20, 20)], [SURE, 0.99], 0),
    ],
)
def test_prominence_by_hand(
    monkeypatch: pytest.MonkeyPatch, boxes: list[tuple[float, ...]], qualities: list[float], chosen: int
) -> None:
    """In a picture of 800 x 600."""
    points = np.array([-20 - 20j, 20 - 20j, 0, -15 + 20j, 15 + 20j])
    known = [
        Detection(np.array(box, float), quality, points + complex(box[0] + box[2] / 2, box[1] + box[3] / 2))
        for box, quality in zip(boxes, qualities, strict=True)
    ]
    for order in (known, known[::-1]):
        monkeypatch.setattr(faces, "detect", lambda _picture, _side, order=order: list(order))
        (found,) = largest_face(np.zeros((600, 800, 3), np.uint8), CHIP)
        assert found.face.box == boxes[chosen]
        assert found.face.detection == qualities[chosen]


def test_everybody_largest_first_each_with_his_own_chip(drawn: list[np.ndarray], sface: Encoder) -> None:
    """Pasted in no order of size: the templates of the crowd are those of the people alone."""
    places = [((150, 150), 140), ((450, 160), 300), ((750, 150), 220), ((160, 450), 260), ((450, 470), 180), ((750, 450), 110)]
    picture = pasted(*((drawn[number], *place) for number, place in enumerate(places)))
    found = all_faces(picture, CHIP)
    assert len(found) == 6
    areas = [face.face.box[2] * face.face.box[3] for face in found]
    assert areas == sorted(areas, reverse=True)
    own = [largest_face(picture, CHIP)[0] for picture in drawn[:6]]
    expected = [face.face.box[2] * face.face.box[3] * side**2 for face, (_, side) in zip(own, places, strict=True)]
    order = np.argsort(expected)[::-1].tolist()
    assert order != list(range(6))
    for face, number in zip(found, order, strict=True):
        (x, y), side = places[number]
        assert abs(middle_of(face.face.box)[0] - x) < 0.2 * side
        assert abs(middle_of(face.face.box)[1] - y) < 0.25 * side
    alone = [own[number].chip for number in order]
    crowd, single = sface.encode(np.stack([face.chip for face in found])), sface.encode(np.stack(alone))
    distances = np.linalg.norm(crowd[:, None] - single[None], axis=2)
    assert distances.argmin(axis=1).tolist() == list(range(6))
    assert np.median(distances.diagonal()) < 0.6


def test_a_crop_is_brought_to_size_without_losing_or_making_up_anything() -> None:
    """A larger one by the mean of what each pixel covers, a smaller one by what lies between its pixels."""
    chip = Chip(50, CHIP.points)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    (shrunk,) = whole_picture(noise, chip)
    means = noise.reshape(50, 8, 50, 8, 3).mean(axis=(1, 3))
    assert np.abs(shrunk.chip - means).max() <= 1
    small = np.zeros((25, 25, 3), np.uint8)
    small[:, 12:] = 200
    (grown,) = whole_picture(small, chip)
    assert set(np.unique(grown.chip).tolist()) == {0, 50, 150, 200}
    # At the limit nothing is done.
    same = noise[:50, :50]
    assert np.array_equal(whole_picture(same, chip)[0].chip, same)
    assert shrunk.face.box == (0.0, 0.0, 400.0, 400.0)
    assert shrunk.face.detection == 1
