"""Whether styles help is measured on people that were not trained on, on probes that both networks see alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.data.drawn_people import Shot, draw_files
from benchmarks.style import augmentation
from benchmarks.style.augmentation import CLEAN, STRENGTHS, WITH, WITHOUT, Learnt, compared, measure_style_augmentation
from benchmarks.style.drawn_styles import ASIDE, LEARNT
from engine.embedding.photographs import find_photographs
from engine.training.networks import Network
from engine.training.validation import Figures, Validation


def test_means_and_differences_by_seed() -> None:
    def made(how: str, seed: int, style: str, rank1: float) -> Learnt:
        return Learnt(how, seed, style, 5 if style == "oil" else 0, Figures(0.0, rank1, 0.5))

    rows = [made(how, seed, style, 0.1 * at) for at, (how, seed, style) in enumerate(
        (how, seed, style) for seed in (0, 1) for how in (WITHOUT, WITH) for style in (CLEAN, "oil")
    )]  # fmt: skip
    found = list(compared(rows, lambda each: each.rank1))
    assert [row[:2] for row in found] == [(CLEAN, 0), ("oil", 5)]
    np.testing.assert_allclose(found[0][2:4], (0.2, 0.4))
    np.testing.assert_allclose(found[1][2:4], (0.3, 0.5))
    np.testing.assert_allclose(found[1][4], (0.2, 0.2))


@pytest.mark.slow
def test_who_is_measured_on_is_nobody_who_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_files(
        [Shot(tmp_path / "photos" / f"p{number:02}" / f"{shot}.jpg", number, shot) for number in range(33) for shot in range(2)]
    )
    told: list[dict[str, Any]] = []

    def fitted(network: Network, pixels: np.ndarray, names: np.ndarray, rows: np.ndarray, *rest: Any, **more: Any) -> None:
        told.append(
            {
                "names": set(names[rows].tolist()),
                "validation": rest[0],
                "styled": more["styled"],
                "seed": rest[1].seed,
                "all": names,
            }
        )

    asked: list[np.ndarray] = []

    def darker(chips: np.ndarray, *_: object) -> np.ndarray:
        asked.append(chips)
        return chips // 2

    monkeypatch.setattr(augmentation, "fit", fitted)
    monkeypatch.setattr(augmentation, "styled", darker)
    photographs = find_photographs([tmp_path / "photos"])
    measured: list[Validation] = []
    whole = augmentation._fewer
    monkeypatch.setattr(augmentation, "_fewer", lambda *given: measured.append(whole(*given)) or measured[-1])
    made = measure_style_augmentation(photographs, tmp_path / "out", people=4, seeds=2)
    assert [(each["seed"], each["styled"] is not None) for each in told] == [(0, False), (0, True), (1, False), (1, True)]
    names = told[0]["all"]
    apart = set(names[np.concatenate([measured[0].enrolled, measured[0].mated, measured[0].strangers])].tolist())
    for each in told:
        chosen = each["validation"]
        validated = set(names[np.concatenate([chosen.enrolled, chosen.mated, chosen.strangers])].tolist())
        assert not each["names"] & apart
        assert not validated & apart
        assert not validated & each["names"]
    assert len(made) == 4 * (1 + len(ASIDE) * len(STRENGTHS))
    assert len(asked) == 2 * len(ASIDE)
    assert not LEARNT.keys() & {each.style for each in made}
    # What is there is taken again.
    again = measure_style_augmentation(photographs, tmp_path / "out", people=4, seeds=2)
    assert (len(told), len(asked)) == (4, 2 * len(ASIDE))
    assert again == made
