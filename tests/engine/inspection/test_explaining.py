"""Explanations point at what matters, and say when there is nothing to explain."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engine import embed_images, load_encoder
from engine.cli.app import app
from engine.encoders import Encoder
from engine.errors import GalleryError, OnekError, PhotographsError
from engine.gallery.gallery import Gallery
from engine.inspection.channels import most_activating_chips
from engine.inspection.occlusion import explain, occlusion
from engine.training.networks import begun, fresh


class Corner(Encoder):
    """Sees nothing but the top left quarter of a chip."""

    def __init__(self) -> None:
        pixels = load_encoder("pixels", flip=False)
        super().__init__(pixels.card, flip=False, weights=None, weights_hash="corner", preprocessing="corner")

    def forward(self, chips: np.ndarray) -> np.ndarray:
        half = chips.shape[1] // 2
        return chips[:, :half, :half].reshape(len(chips), -1)[:, ::97].astype(np.float32) - 100


def test_only_what_the_encoder_sees_pulls(drawn: list[np.ndarray]) -> None:
    encoder = Corner()
    chip = cv2.resize(drawn[0], (150, 150))
    pull = occlusion(encoder, chip, encoder.encode(chip[None])[0])
    assert pull.shape == (15, 15)
    assert pull[:6, :6].min() > 0
    np.testing.assert_allclose(pull[10:, :], 0, atol=1e-6)
    np.testing.assert_allclose(pull[:, 10:], 0, atol=1e-6)


@pytest.fixture
def gallery(photos: Path, tmp_path: Path) -> Gallery:
    return Gallery.build(embed_images(photos, "pixels", faces="none").templates, tmp_path / "g")


def test_an_explanation_is_of_the_first_candidate_or_of_who_was_named(gallery: Gallery, photos: Path) -> None:
    found = explain(gallery, photos / "person3.jpg")
    content = hashlib.sha256((photos / "person3.jpg").read_bytes()).hexdigest()[:32]
    assert (found.identity, found.template_id) == ("person3", f"{content}#0")
    assert found.distance == pytest.approx(0, abs=1e-3)
    assert found.pull.min() > 0  # whatever is covered makes it another picture
    assert found.enrolled is not None
    np.testing.assert_array_equal(found.enrolled, found.chip)
    other = explain(gallery, photos / "person3.jpg", "person4")
    assert (other.identity, other.expected_false_alarms) == ("person4", None)
    assert other.distance > 0.1
    with pytest.raises(GalleryError, match="nobody called person33"):
        explain(gallery, photos / "person3.jpg", "person33")
    (photos / "person3.jpg").rename(photos / "moved.jpg")
    assert explain(gallery, photos / "moved.jpg").enrolled is None
    (photos / "empty.jpg").write_bytes(b"")
    for name, words in (("nowhere.jpg", "no such photograph"), ("empty.jpg", "the file is empty")):
        with pytest.raises(PhotographsError, match=words):
            explain(gallery, photos / name)


def test_the_chips_that_excite_a_channel(drawn: list[np.ndarray]) -> None:
    network = fresh("small")
    chips = np.stack([cv2.resize(picture, (64, 64)) for picture in drawn])
    found = most_activating_chips(network, chips, layers=2, channels=3, shown=4)
    assert len(found) == 6
    assert len({channel.layer for channel in found}) == 2
    for channel in found:
        assert (np.diff(channel.strengths) <= 0).all()
        assert len(set(channel.rows.tolist())) == 4
    # The first convolution by hand.
    kernel = network.model.get_layer(found[0].layer).get_weights()[0][..., found[0].channel]
    prepared = (chips.astype(np.float32) - 127.5) / 127.5
    padded = np.pad(prepared, ((0, 0), (0, 1), (0, 1), (0, 0)))
    values = [
        max(
            float((padded[number, top : top + 3, left : left + 3] * kernel).sum())
            for top in range(0, 64, 2)
            for left in range(0, 64, 2)
        )
        for number in range(len(chips))
    ]
    assert int(np.argmax(values)) == found[0].rows[0]
    np.testing.assert_allclose(max(values), found[0].strengths[0], rtol=1e-3)
    with pytest.raises(OnekError, match="3 chips; expected 4"):
        most_activating_chips(network, chips[:3], shown=4)


def test_the_commands(gallery: Gallery, photos: Path, tmp_path: Path) -> None:
    def say(*arguments: object) -> "tuple[int, str]":
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, OnekError):
            return 2, str(result.exception)
        return result.exit_code, result.output

    status, said = say("explain", photos / "person3.jpg", "-g", gallery.path, "-o", tmp_path / "why.png")
    assert status == 0, said
    assert "from person3" in said
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert say("explain", photos / "person3.jpg", "-g", gallery.path, "-o", tmp_path / "why.png")[0] == 2
    assert "ends in .png" in say("explain", photos / "person3.jpg", "-g", gallery.path, "-o", tmp_path / "why.txt")[1]
    status, said = say("explain-encoder", photos, "--faces", "none", "--layers", 2, "-o", tmp_path / "c.png")
    assert status == 0, said
    assert said.strip().startswith("8 channels of dlib-resnet in")
    with pytest.raises(OnekError, match="--from pixels"):
        begun("pixels")
