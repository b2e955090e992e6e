"""Corruptions grow with their strength, and the figures are those of the engine."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.corrupted_chips import CORRUPTIONS, STRENGTHS, corrupted
from benchmarks.data.drawn_people import Shot, draw_files
from benchmarks.style.drawn_styles import LEARNT, draw_style
from benchmarks.training.robustness import CLEAN, draw, measure_robustness
from engine import load_encoder
from engine.embedding.photographs import find_photographs
from engine.errors import TrainingError
from engine.style import Styling


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_strength_changes_more_than_the_one_before(drawn: list[np.ndarray], kind: str) -> None:
    chips = np.stack([np.ascontiguousarray(picture[50:146, 50:146]) for picture in drawn])
    before = chips.copy()
    changes = []
    for strength in STRENGTHS:
        changed = corrupted(chips, kind, strength)
        assert (changed.shape, changed.dtype) == (chips.shape, np.uint8)
        assert (changed == corrupted(chips, kind, strength)).all()
        changes.append(float(np.abs(changed.astype(float) - chips).mean()))
    assert changes == sorted(changes)
    assert changes[0] > 0
    assert (chips == before).all()


def test_figures_and_curves(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_files([Shot(photos / f"p{number:02d}" / f"{shot}.jpg", number, shot) for number in range(24) for shot in range(2)])
    (photos / "p00" / "0.jpg").unlink()
    (photos / "p01" / "0.jpg").unlink()
    rows = measure_robustness(
        find_photographs([photos]), [load_encoder("pixels")], tmp_path, faces="none", score="plain", people=15
    )
    assert len(rows) == 1 + len(CORRUPTIONS) * len(STRENGTHS)
    assert (rows[0].kind, rows[0].strength) == (CLEAN, 0)
    worst = [row.rank1 for row in rows if row.strength == 5]
    assert np.mean(worst) < rows[0].rank1
    draw(rows, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(TrainingError, match="0 identities with two pictures"):
        measure_robustness(
            find_photographs([photos / "p00", photos / "p01"]), [load_encoder("pixels")], tmp_path / "x", faces="none"
        )


def test_styles_stand_beside_corruptions(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_files([Shot(photos / f"p{number:02d}" / f"{shot}.jpg", number, shot) for number in range(8) for shot in range(2)])
    rows = measure_robustness(
        find_photographs([photos]),
        [load_encoder("pixels")],
        tmp_path / "out",
        faces="none",
        score="plain",
        people=4,
        styles={"pencil": draw_style(LEARNT["pencil"])},
        how=Styling(steps=3),
        corruptions=("grey",),
    )
    assert {row.kind for row in rows} == {CLEAN, "grey", "pencil"}
    own = [row for row in rows if row.kind == "pencil"]
    assert [row.strength for row in own] == list(STRENGTHS)
    assert all(0 <= row.rank1 <= 1 for row in own)
    assert own[-1].rank1 <= rows[0].rank1
