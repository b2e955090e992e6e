"""A gallery names files that made its templates: none of them is opened that its user did not name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.embedding.in_memory import embed_images
from engine.encoders import load_encoder
from engine.errors import EncoderMismatch
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from tests.support.encoder_files import write_onnx
from tests.support.galleries import people

PICTURES = list(np.random.default_rng(0).integers(0, 255, (6, 60, 60, 3), dtype=np.uint8))
NAMES = [f"id{number}" for number in range(6)]


def enrolled(encoder: str, folder: Path) -> Gallery:
    """Of pictures that are crops, by an encoder of the user's own."""
    made = embed_images(PICTURES, load_encoder(encoder), faces="none").templates
    return Gallery.build(Templates.from_vectors(made.vectors, NAMES, NAMES, made.provenance), folder / "g")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "own encoders").mkdir()
    return write_onnx(tmp_path / "own encoders", threshold=1.0)


def test_an_encoder_of_the_user_s_own_is_named_once(network: Path, tmp_path: Path) -> None:
    gallery = enrolled(str(network), tmp_path)
    for ask in (
        lambda: gallery.identify(PICTURES),
        lambda: gallery.verify(PICTURES[0], "id0"),
        lambda: gallery.enroll(PICTURES[:1], identity="new"),
        gallery.embedder,
    ):
        with pytest.raises(EncoderMismatch, match=f"if you trust these files, pass --encoder '{network}' .*encoder=") as refused:
            ask()
        assert "\n" not in str(refused.value)
    assert gallery.verify(PICTURES[0], "id0", encoder=str(network)).same
    assert [result.identity for result in gallery.identify(PICTURES, threshold=0.5)] == NAMES
    assert gallery.enroll(PICTURES[:1], identity="new").templates == 1
    with pytest.raises(EncoderMismatch, match="Nothing that a gallery names is loaded unasked"):
        Gallery.open(gallery.path).identify(PICTURES)


def test_another_network_than_the_gallery_s_is_refused(network: Path, tmp_path: Path) -> None:
    gallery = enrolled(str(network), tmp_path)
    (tmp_path / "others").mkdir()
    other = write_onnx(tmp_path / "others", threshold=1.0, scale=2.0)
    with pytest.raises(EncoderMismatch, match="their distances mean nothing"):
        gallery.embedder(encoder=str(other))
    with pytest.raises(EncoderMismatch, match="loaded unasked"):  # it does not count as named
        gallery.embedder()


@pytest.mark.parametrize(
    ("says", "passes"),
    [
        ({"encoder": "s3://bucket/net.onnx"}, "--encoder s3://bucket/net.onnx"),
        ({"encoder": "/root/net.keras"}, "--encoder /root/net.keras"),
        ({"encoder": "x.onnx; touch y"}, "--encoder 'x.onnx; touch y'"),
        ({"weights": "s3://bucket/dlib.dat"}, "--weights s3://bucket/dlib.dat"),
        ({"projection": "gs://bucket/p.npz"}, "--projection gs://bucket/p.npz"),
        ({"projection": "p.npz", "weights": "w"}, "--weights w --projection p.npz"),
    ],
)
def test_nothing_is_fetched_that_a_gallery_names(
    says: dict[str, str], passes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(load_encoder("pixels").provenance("whole picture, v1"), dim=16, **says)
    table = people(0, 6).table
    gallery = Gallery.build(Templates(table.replace_schema_metadata(made.to_metadata()), made), tmp_path / "g")
    touched = []
    monkeypatch.setattr("engine.encoders.load_encoder", lambda *named, **more: touched.append(named))
    monkeypatch.setattr("engine.files.object_storage._at", lambda path: touched.append(path))
    with pytest.raises(EncoderMismatch, match="loaded unasked") as refused:
        gallery.identify(PICTURES)
    assert f"pass {passes} (" in str(refused.value)
    assert gallery.identify(people(0, 2), threshold=0.5)[0].identity == "id0"  # vectors need no encoder
    assert touched == []
