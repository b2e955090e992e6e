"""What the benchmark of the detector counts is counted right, and the faces are where its scenes say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import benchmark
from benchmarks.faces import detection
from benchmarks.faces.detection import CELL, Row, Sample, Scene, interval, judged, measure_detection
from engine.errors import PhotographsError
from engine.faces.alignment import Face, all_faces
from engine.faces.images import find_images


@pytest.fixture
def sample(drawn: list[np.ndarray]) -> Sample:
    picture = drawn[0]
    box = np.array(all_faces(picture, detection._ANY)[0].face.box)
    return Sample(picture, box, detection.blanked(picture, box))


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scene at a size that takes no time."""
    monkeypatch.setattr(detection, "CANVASES", ((320, 256), (480, 320)))
    monkeypatch.setattr(detection, "FILLING", (300, 500))
    monkeypatch.setattr(detection, "ENLARGED", (250, 400))
    monkeypatch.setattr(detection, "GRIDS", ((1, 2), (2, 2)))


def test_found_twice_and_false_are_told_apart() -> None:
    faces = np.array([[10.0, 10, 20, 20], [100, 100, 40, 40], [200, 10, 20, 20]])
    found = [
        Face((12, 8, 20, 22), 0.7),
        Face((11, 11, 20, 20), 0.9),
        Face((115, 115, 10, 10), 0.6),  # in the second face, but a quarter of its size
        Face((180, 0, 60, 40), 0.8),  # round the third, but more than twice as large
        Face((300, 300, 20, 20), 0.65),
    ]
    row = judged(Row("", "", ""), faces, found)
    assert (row.pictures, row.faces, row.found, row.twice, row.false) == (1, 3, (0.9,), 1, (0.6, 0.8, 0.65))
    row = judged(row, np.empty((0, 4)), [Face((0, 0, 9, 9), 0.75)])
    assert (row.pictures, row.faces, row.found, row.false) == (2, 3, (0.9,), (0.6, 0.8, 0.65, 0.75))
    assert judged(row, faces, []).faces == 6


def test_intervals_are_those_of_wilson() -> None:
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert interval(0, 0) == (0, 1)


def _found(scene: Scene) -> Row:
    return judged(Row("", "", ""), scene.faces, [one.face for one in all_faces(scene.picture, detection._ANY)])


def test_faces_are_where_the_scenes_say(sample: Sample) -> None:
    random = np.random.default_rng(0)
    small = list(detection.small(sample, (640, 480), random))
    assert [round(scene.faces[0, 2]) for scene in small] == list(detection.SMALL)
    assert all(scene.picture.shape == (480, 640, 3) for scene in small)
    turned = {scene.case: scene for scene in detection.turned(sample, random)}
    assert (turned["0"].picture == sample.picture).all()
    (group,) = detection.groups([sample], 2, 3)
    assert group.picture.shape == (2 * CELL, 3 * CELL, 3)
    filling = list(detection.filling(sample))
    assert [max(scene.picture.shape) for scene in filling] == list(detection.FILLING)
    for scene in (small[-1], turned["0"], turned["15"], group, filling[0]):
        row = _found(scene)
        assert (scene.case, len(row.found), row.twice, row.false) == (scene.case, len(scene.faces), 0, ())


def test_covers_hide_their_part_of_the_face(sample: Sample) -> None:
    x, y, width, height = sample.box
    changed = {
        scene.case: (scene.picture != sample.picture).any(axis=2)[int(y) : int(y + height), int(x) : int(x + width)]
        for scene in detection.covered(sample)
    }
    assert changed.keys() == detection.COVERS.keys()
    for case, share in {"lower half": 0.5, "upper half": 0.5, "left half": 0.5, "mask": 0.45, "sunglasses": 0.2}.items():
        assert changed[case].mean() == pytest.approx(share, abs=0.04)
    middle = int(height / 2)
    assert not changed["lower half"][: middle - 2].any()
    assert not changed["upper half"][middle + 2 :].any()


def test_nobody_is_left_where_faces_were_blurred_away(sample: Sample) -> None:
    assert not any(len(scene.faces) for scene in detection.nobody(sample, np.random.default_rng(0)))
    assert not all_faces(sample.blank, detection._ANY)
    assert len(all_faces(sample.picture, detection._ANY)) == 1


@pytest.mark.usefixtures("little")
def test_a_run_measures_every_task(photos: Path) -> None:
    seen = []
    rows = measure_detection(find_images(photos), count=2, progress=seen.append)
    assert sum(row.pictures for row in rows if row.finder == "all") == len(seen)
    by_case = {(row.case, row.finder): row for row in rows}
    assert {row.task for row in rows} == {
        "small faces (width in pixels)",
        "turned faces (degrees)",
        "covered faces",
        "faces that fill the picture (longer side in pixels)",
        "groups",
        "nobody there",
    }
    for finder in ("largest", "all"):
        upright = by_case["0", finder]
        assert (upright.pictures, upright.faces, len(upright.found)) == (2, 2, 2)
        assert all(0 < quality <= 1 for quality in upright.found)
        assert by_case["grey", finder].false == ()
    assert by_case["2 x 2", "largest"].faces == by_case["2 x 2", "all"].faces == 4
    assert len(by_case["2 x 2", "largest"].found) == 1


@pytest.mark.usefixtures("little")
def test_any_finder_sees_the_same_scenes_each_time(photos: Path) -> None:
    pictures: list[np.ndarray] = []

    def blind(picture: np.ndarray) -> list[Face]:
        pictures.append(picture)
        return []

    rows = measure_detection(find_images(photos), count=1, finders={"blind": blind})
    assert sum(row.pictures for row in rows) == len(pictures)
    assert not any(row.found or row.false for row in rows)
    first, pictures[:] = list(pictures), []
    measure_detection(find_images(photos), count=1, finders={"blind": blind})
    assert all((one == other).all() for one, other in zip(first, pictures, strict=True))


@pytest.mark.usefixtures("little")
def test_the_command_prints_a_table_for_each_task(photos: Path) -> None:
    done = CliRunner().invoke(benchmark, ["detection", "--photos", str(photos), "--count", "1"])
    assert done.exit_code == 0
    for said in ("small faces", "180", "sunglasses", "2 x 2", "nobody there", "checkerboard"):
        assert said in done.stdout


def test_photographs_of_nobody_are_refused(save: Callable[[np.ndarray, str], Path]) -> None:
    path = save(np.full((100, 100, 3), 127, np.uint8), "grey.png")
    with pytest.raises(PhotographsError, match="of 1 photographs none shows one face alone"):
        measure_detection([path])
