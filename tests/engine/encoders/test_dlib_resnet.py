import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.encoders import Encoder, load_encoder
from engine.encoders.dlib import resnet as module
from engine.encoders.dlib.file_format import read_face_resnet
from engine.errors import EncoderError

FIXTURE = Path(__file__).parents[2] / "fixtures" / "dlib_chips"


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    return np.stack([cv2.imread(str(path))[..., ::-1] for path in sorted(FIXTURE.glob("*.png"))])


def test_parity_with_dlib(chips: np.ndarray) -> None:
    theirs = np.loadtxt(FIXTURE / "descriptors.csv", delimiter=",")
    ours = load_encoder("dlib-resnet", flip=False)
    assert theirs.shape == (12, 128)
    np.testing.assert_allclose(ours.forward(chips), theirs, atol=2e-6)
    np.testing.assert_allclose(ours.encode(chips), theirs / np.linalg.norm(theirs, axis=1, keepdims=True), atol=2e-6)


def test_templates_are_unit_float32_and_independent_of_the_batch(dlib_resnet: Encoder, chips: np.ndarray) -> None:
    templates = dlib_resnet.encode(chips)
    assert templates.dtype == np.float32
    assert templates.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(dlib_resnet.encode(chips[5:6])[0], templates[5], atol=2e-6)
    assert dlib_resnet.encode(chips[:0]).shape == (0, 128)


def test_flip_is_the_mean_of_both_views(dlib_resnet: Encoder, chips: np.ndarray) -> None:
    plain = load_encoder("dlib-resnet", flip=False)
    both = plain.encode(chips) + plain.encode(np.ascontiguousarray(chips[:, :, ::-1]))
    np.testing.assert_allclose(dlib_resnet.encode(chips), both / np.linalg.norm(both, axis=1, keepdims=True), atol=2e-6)
    np.testing.assert_allclose(dlib_resnet.encode(chips), dlib_resnet.encode(chips[:, :, ::-1]), atol=2e-6)


def test_the_fingerprint_tells_settings_apart(dlib_resnet: Encoder) -> None:
    made = {dlib_resnet.provenance("a").fingerprint, dlib_resnet.provenance("b").fingerprint}
    made.add(load_encoder("dlib-resnet", flip=False).provenance("a").fingerprint)
    made.add(load_encoder("pixels").provenance("a").fingerprint)
    assert len(made) == 4
    assert load_encoder("dlib-resnet").provenance("a") == dlib_resnet.provenance("a")


def test_the_file_is_read_whole(tmp_path: Path) -> None:
    network = read_face_resnet(dlib_resnet_file())
    assert len(network.convolutions) == 29
    assert network.projection.shape == (256, 128)
    assert network.size == 150
    np.testing.assert_allclose(network.mean, [122.782, 117.001, 104.298], atol=1e-4)


def dlib_resnet_file() -> Path:
    return module._installed_weights()


@pytest.mark.parametrize("cut", [0, 1, 50, 3_000, 1_000_000, -1])
def test_a_cut_or_foreign_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "net.dat"
    path.write_bytes(dlib_resnet_file().read_bytes()[:cut])
    with pytest.raises(EncoderError, match=r"net\.dat"):
        load_encoder("dlib-resnet", weights=path)


def test_trailing_bytes_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.dat"
    path.write_bytes(dlib_resnet_file().read_bytes() + b"\0")
    with pytest.raises(EncoderError, match="1 bytes follow"):
        load_encoder("dlib-resnet", weights=path)
    path.write_bytes(b"\x89PNG and so on")
    with pytest.raises(EncoderError, match="at byte"):
        load_encoder("dlib-resnet", weights=path)
    with pytest.raises(EncoderError, match="No such file"):
        load_encoder("dlib-resnet", weights=tmp_path / "gone.dat")


@pytest.mark.slow
def test_it_loads_in_a_second(dlib_resnet: Encoder) -> None:
    """Timed, so not part of the ordinary run; TensorFlow is up already."""
    start = time.perf_counter()
    load_encoder("dlib-resnet")
    assert time.perf_counter() - start < 1
