"""Chips in the styles of pictures: amplitudes are theirs, phases the chips'; and training with them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.data.drawn_people import Shot, draw_files
from benchmarks.signals.hearts import write_hearts
from benchmarks.style.drawn_styles import ASIDE, LEARNT, draw_style, write_styles
from engine.arrays import Window
from engine.cli.app import app
from engine.embedding.intake import KINDS
from engine.embedding.photographs import find_photographs
from engine.errors import OnekError, StyleError, TrainingError
from engine.style.pictures import read_styles
from engine.training.fit import Recipe
from engine.training.networks import fresh, fresh_of_arrays
from engine.training.pictures.styles import StyledChips, styled_chips, with_amplitudes
from engine.workflows.train_encoder import train_to_file

RANDOM = np.random.default_rng(0)
CHIPS = RANDOM.integers(0, 256, (40, 64, 64, 3)).astype(np.uint8)
STYLES = {name: draw_style(hand) for name, hand in LEARNT.items()}


def spectra(chips: np.ndarray) -> np.ndarray:
    return np.fft.rfft2(chips.astype(float), axes=(1, 2))


def test_amplitudes_are_the_styles_and_phases_the_chips() -> None:
    """Where nothing is clipped: chips of little contrast, in the middle of the range."""
    chips = RANDOM.integers(110, 146, (3, 32, 32, 3)).astype(np.uint8)
    others = RANDOM.integers(118, 138, (3, 32, 32, 3)).astype(np.uint8)
    one, other = spectra(chips), spectra(others)
    for share in (0.0, 0.3, 1.0):
        made = with_amplitudes(chips, np.abs(other), np.full((3, 1, 1, 1), share))
        found = spectra(made)
        expected = (1 - share) * np.abs(one) + share * np.abs(other)
        # What rounding to grey values adds is a few units of noise at every frequency.
        assert np.abs(np.abs(found) - expected).mean() < 12
        strong = expected > 150
        assert np.cos(np.angle(found[strong]) - np.angle(one[strong])).mean() > 0.98
        np.testing.assert_allclose(found[:, 0, 0], expected[:, 0, 0], rtol=0.01)
    assert (with_amplitudes(chips, np.abs(other), np.zeros((3, 1, 1, 1))) == chips).all()
    # A blank chip has no phases; it takes the style's mean, and stays a picture.
    assert with_amplitudes(np.zeros_like(chips), np.abs(other), np.ones((3, 1, 1, 1))).dtype == np.uint8


def test_half_of_the_chips_take_a_style_each_by_itself() -> None:
    styled = styled_chips(STYLES, 64)
    assert (styled.amplitudes.shape, styled.amplitudes.dtype) == ((32, 64, 33, 3), np.float32)
    before = CHIPS.copy()
    made = styled(CHIPS, (1, 2))
    assert (before == CHIPS).all()
    assert (made.shape, made.dtype) == (CHIPS.shape, np.uint8)
    changed = (made != CHIPS).any(axis=(1, 2, 3))
    assert 10 < changed.sum() < 30
    assert (made == styled(CHIPS, (1, 2))).all()
    assert (made != styled(CHIPS, (1, 3))).any()
    # The same pictures in another order are the same styles.
    turned = styled_chips(dict(reversed(STYLES.items())), 64)
    assert turned.digest == styled.digest
    assert (turned.amplitudes == styled.amplitudes).all()
    assert styled_chips({**STYLES, "film": STYLES["oil"]}, 64).digest != styled.digest
    for shape in ((1, 1, 3), (5, 300, 3), (700, 20, 3)):
        assert styled_chips({"thin": np.zeros(shape, np.uint8)}, 64)(CHIPS, (0,)).shape == CHIPS.shape
    with pytest.raises(TrainingError, match="no picture whose style to take"):
        styled_chips({}, 64)


def test_drawn_styles_are_the_same_each_time_and_differ(tmp_path: Path) -> None:
    assert not LEARNT.keys() & ASIDE.keys()
    drawn = {name: draw_style(hand) for name, hand in {**LEARNT, **ASIDE}.items()}
    for name, hand in {**LEARNT, **ASIDE}.items():
        assert (drawn[name].dtype, drawn[name].shape) == (np.uint8, (256, 256, 3))
        assert (draw_style(hand) == drawn[name]).all()
        assert (draw_style(hand, 1) != drawn[name]).any()
        assert drawn[name].std() > 15
    assert len({picture.tobytes() for picture in drawn.values()}) == 8
    write_styles(tmp_path / "s", ASIDE)
    found = read_styles(tmp_path / "s")
    assert found.keys() == ASIDE.keys()
    assert all((found[name] == drawn[name]).all() for name in ASIDE)


def test_styles_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="no pictures in it"):
        read_styles(tmp_path)
    write_styles(tmp_path, {"oil": LEARNT["oil"]})
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(StyleError, match=r"broken.jpg: the JPEG file is"):
        read_styles(tmp_path)
    (tmp_path / "broken.jpg").unlink()
    shutil.copy(tmp_path / "oil.png", tmp_path / "oil.jpg")
    with pytest.raises(StyleError, match="another picture there is called oil too"):
        read_styles(tmp_path)


QUICK = Recipe(epochs=1, steps=2, identities=4, each=2)


def drawn_people(folder: Path) -> Path:
    draw_files([Shot(folder / f"p{number}" / f"{shot}.jpg", number, shot) for number in range(8) for shot in range(2)])
    return folder


def test_training_sees_the_styles_and_goes_on_with_the_same_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs = find_photographs([drawn_people(tmp_path / "photos")])
    seen: list[np.ndarray] = []
    whole = StyledChips.__call__

    def watched(self: StyledChips, chips: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
        seen.append(whole(self, chips, seed))
        return seen[-1]

    monkeypatch.setattr(StyledChips, "__call__", watched)
    recipe = replace(QUICK, augment=False)
    train_to_file(photographs, fresh("small"), recipe, tmp_path / "with.keras", faces="none", share=0.5, styles=STYLES)
    assert [chips.shape for chips in seen] == [(8, 64, 64, 3)] * 2
    # An interrupted run without styles does not go on with some.
    stopped = replace(QUICK, rate=1e38)
    with pytest.raises(TrainingError, match=r"the loss is|no numbers"):
        train_to_file(photographs, fresh("small"), stopped, tmp_path / "s.keras", faces="none", share=0.5)
    with pytest.raises(TrainingError, match="is of another chips: .* this run has .* in styles"):
        train_to_file(
            photographs, fresh("small"), QUICK, tmp_path / "s.keras", faces="none", share=0.5, styles=STYLES, resume=True
        )


def test_signals_have_no_style(tmp_path: Path) -> None:
    write_hearts(tmp_path / "hearts", range(4), 2)
    recordings = find_photographs([tmp_path / "hearts"], kind=KINDS["signal"])
    with pytest.raises(TrainingError, match="--style-augment goes with photographs; a signal has no style"):
        train_to_file(recordings, fresh_of_arrays(Window(64)), QUICK, tmp_path / "h.keras", styles=STYLES)
    assert not (tmp_path / "h.keras").exists()


def test_the_command(tmp_path: Path) -> None:
    photos = drawn_people(tmp_path / "photos")
    write_styles(tmp_path / "styles", LEARNT)
    (tmp_path / "none").mkdir()

    def say(styles: str) -> str:
        words = ("train", photos, "--faces", "none", "-o", tmp_path / "e.keras", "--epochs", 1, "--steps", 1, "--identities", 4)
        more = ("--each", 2, "--validation", 0.5, "--style-augment", tmp_path / styles)
        result = CliRunner().invoke(app, [str(word) for word in (*words, *more)])
        return str(result.exception) if isinstance(result.exception, OnekError) else result.output

    assert "no pictures in it" in say("none")
    assert "epoch 1" in say("styles")
    assert (tmp_path / "e.keras").is_file()
