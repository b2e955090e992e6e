"""Style: costs against hand-computed arrays, and that pictures follow them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.style.styled_chips import blends, styled
from engine.cli.app import app
from engine.common.tensorflow import tensorflow
from engine.errors import OnekError, StyleError
from engine.style import Styling, content_cost, gram, style_cost, stylised, total_variation
from engine.style.descent import by_adam, by_lbfgs
from engine.style.features import Features, sides

RANDOM = np.random.default_rng(0)


def stripes(side: int = 150) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([127 + 120 * np.sin(each) for each in (x / 4 + y / 9, y / 5, (x - y) / 7)], axis=-1).astype(np.uint8)


def soft(seed: int, side: int = 150) -> np.ndarray:
    small = np.random.default_rng(seed).integers(60, 200, (5, 5, 3)).astype(np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


def test_gram_matrices_by_hand() -> None:
    """Two places, two channels: channel 0 is (1, 3), channel 1 is (2, 4)."""
    activations = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    np.testing.assert_array_equal(gram(activations), [[[1 + 9, 2 + 12], [2 + 12, 4 + 16]]])


def test_costs_by_hand() -> None:
    one = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    zero = np.zeros_like(one)
    # 1 x 2 places of 2 channels: (1 + 4 + 9 + 16) / (4 * 4), and the squares of the Gram matrix / (2 * 4)^2.
    np.testing.assert_allclose(content_cost(one, zero), [30 / 16])
    np.testing.assert_allclose(style_cost(one, zero), [(100 + 196 + 196 + 400) / 64])
    assert content_cost(one, one).numpy() == style_cost(one, one).numpy() == 0
    # Where things are changes the content and not the style.
    turned = one[:, :, ::-1]
    np.testing.assert_allclose(content_cost(one, turned), [16 / 16])
    assert style_cost(one, turned).numpy() == 0
    picture = np.array([[[[0.0] * 3, [1.0] * 3], [[5.0] * 3, [7.0] * 3]]], np.float32)
    np.testing.assert_allclose(total_variation(picture), [3 * (1 + 2 + 5 + 6)])


def test_costs_against_numpy_and_each_picture_by_itself() -> None:
    one, other = (RANDOM.normal(size=(3, 4, 5, 6)).astype(np.float32) for _ in range(2))
    flat, flats = (each.reshape(3, 20, 6) for each in (one, other))
    grams = [each.transpose(0, 2, 1) @ each for each in (flat, flats)]
    np.testing.assert_allclose(gram(one), grams[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(style_cost(one, other), np.square(grams[0] - grams[1]).sum((1, 2)) / (2 * 120) ** 2, rtol=1e-4)
    np.testing.assert_allclose(content_cost(one, other), np.square(one - other).sum((1, 2, 3)) / 480, rtol=1e-5)
    np.testing.assert_allclose(style_cost(one, other)[1:2], style_cost(one[1:2], other[1:2]), rtol=1e-5)


def test_a_picture_takes_the_style_and_keeps_the_content() -> None:
    content, style = soft(1), stripes()
    costs: list[float] = []
    made = stylised(content[None], style, Styling(steps=25), lambda _, cost, __: costs.append(float(cost[0])))
    assert (made.shape, made.dtype) == ((1, 150, 150, 3), np.uint8)
    assert len(costs) == 25
    assert costs[-1] < 0.6 * costs[0]
    features = Features(150, 150)
    layers = [features(tensorflow().constant(each[None], np.float32)) for each in (content, style, made[0])]
    before, after = (
        sum(float(style_cost(one, other)[0]) for one, other in zip(layers[1][1], layers[at][1], strict=True)) for at in (0, 2)
    )
    assert after < 0.7 * before
    assert float(content_cost(layers[0][0], layers[2][0])[0]) < float(content_cost(layers[0][0], layers[1][0])[0])


@pytest.mark.parametrize("descend", [by_adam, by_lbfgs])
def test_both_ways_down_come_to_a_minimum_that_is_known(descend: Callable[..., np.ndarray]) -> None:
    """Of the squared distance to a picture, which black and white bound; by L-BFGS in a few steps."""
    wanted = RANDOM.uniform(-60, 300, (1, 4, 5, 3)).astype(np.float32)
    start, found = np.full((1, 4, 5, 3), 100, np.float32), list[float]()
    steps = 10 if descend is by_lbfgs else 150

    def costs(pictures: Any) -> Any:
        return tensorflow().reduce_sum((pictures - wanted) ** 2, axis=(1, 2, 3))

    made = descend(costs, start, steps, lambda _, cost, so_far: found.append(float(cost[0])))
    np.testing.assert_allclose(made, np.clip(wanted, 0, 255), atol=0.5)
    assert len(found) <= steps
    assert found[-1] < found[0]


def test_lbfgs_needs_fewer_steps_and_gives_the_same_picture_again() -> None:
    contents, style = np.stack([soft(1), soft(2)]), stripes()
    told: dict[str, list[tuple[int, float]]] = {"adam": [], "lbfgs": []}
    made = {
        name: stylised(
            contents[:1],
            style,
            Styling(steps=7, optimizer=name),
            lambda number, cost, _, name=name: told[name].append((number, float(cost[0]))),  # type: ignore[misc]
        )
        for name in told
    }
    costs = [cost for _, cost in told["lbfgs"]]
    assert [number for number, _ in told["lbfgs"]] == list(range(1, 8))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.9 * told["adam"][-1][1]
    assert (made["adam"] != made["lbfgs"]).any()
    # Of two pictures each is as alone, to the last bit.
    both = stylised(contents, style, Styling(steps=7, optimizer="lbfgs"))
    assert (both[:1] == made["lbfgs"]).all()
    assert (both[1] != both[0]).any()
    assert stylised(contents[:0], style, Styling(optimizer="lbfgs")).shape == (0, 150, 150, 3)


def test_the_same_seed_the_same_picture_and_no_picture_changes_another() -> None:
    contents, style = np.stack([soft(1), soft(2)]), stripes(97)
    how = Styling(steps=3)
    both = stylised(contents, style, how)
    assert (both == stylised(contents, style, how)).all()
    assert (stylised(contents[:1], style, Styling(steps=3, seed=1)) != both[:1]).any()
    # The sums of a batch are those of a picture alone, to a grey value.
    alone = stylised(contents[1:], style, how)
    assert np.abs(alone[0].astype(int) - both[1]).max() <= 1


def test_sides_keep_proportions_as_far_as_the_network_goes() -> None:
    assert sides(400, 400, 342) == (342, 342)
    assert sides(400, 300, 342) == (342, 278)
    assert sides(50, 5000, 342) == (150, 342)
    for height, width in ((150, 214), (278, 150)):
        content, layers = Features(height, width)(np.zeros((1, height, width, 3), np.float32))
        assert len(layers) == 4
        assert content.shape[0] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"style": -1}, "--style -1"),
        ({"content": np.nan}, "--content nan"),
        ({"steps": 0}, "--steps 0"),
        ({"optimizer": "sgd"}, "--optimizer sgd: expected adam or lbfgs"),
    ],
)
def test_weights_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(StyleError, match=words):
        Styling(**wrong).check()


def test_the_command(tmp_path: Path) -> None:
    Image.fromarray(soft(1)).save(tmp_path / "c.png")
    Image.fromarray(stripes()).save(tmp_path / "s.jpg")

    def say(*words: object) -> str:
        result = CliRunner().invoke(app, ["stylise", *map(str, words)])
        return str(result.exception) if isinstance(result.exception, OnekError) else result.output

    given = (tmp_path / "c.png", tmp_path / "s.jpg", "--side", 150, "--steps", 3)
    assert "150 x 150 pixels, cost" in say(*given, "-o", tmp_path / "p.png", "--every", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "p.0002.png", "p.png", "s.jpg"]
    assert np.asarray(Image.open(tmp_path / "p.png")).shape == (150, 150, 3)
    assert "exists already" in say(*given, "-o", tmp_path / "p.png")
    assert "150 x 150 pixels, cost" in say(*given, "-o", tmp_path / "l.png", "--every", 2, "--optimizer", "lbfgs")
    assert (tmp_path / "l.0002.png").is_file()
    assert "ends in .png" in say(*given, "-o", tmp_path / "p.jpg")
    (tmp_path / "s.jpg").write_bytes(b"")
    assert "the file is empty" in say(*given, "-o", tmp_path / "q.png")
    before = (tmp_path / "c.png").read_bytes()
    assert "c.png" in say(*given, "-o", tmp_path / "c.png", "--overwrite")
    assert (tmp_path / "c.png").read_bytes() == before


def test_chips_by_strength() -> None:
    chips = np.stack([soft(seed, 64) for seed in (1, 2)])
    whole = styled(chips, stripes(), Styling(steps=3))
    assert (whole.shape, whole.dtype) == (chips.shape, np.uint8)
    made = blends(chips, whole)
    changes = [np.abs(made[strength].astype(int) - chips).mean() for strength in (1, 2, 3, 4, 5)]
    assert changes == sorted(changes)
    assert changes[0] > 0
    assert (made[5] == whole).all()
