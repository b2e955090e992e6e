from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from engine.encoders import load_encoder
from engine.encoders.onnx.reference import meant
from engine.errors import EncoderError
from tests.engine.encoders.onnx_networks import CONSTANTS, KINDS, SIZE, body, head, made, node, plain, rescaled_within, write

CHIPS = np.random.default_rng(5).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
TYPES = {TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64, TensorProto.UINT8: np.uint8}
there = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
RUNTIMES = ["opencv", pytest.param("openvino", marks=there)]


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.reshape(len(vectors), -1).astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def truth(model: onnx.ModelProto) -> np.ndarray:
    """What onnx's own reference computes from the file as it is."""
    kind = model.graph.input[0].type.tensor_type
    sides = [dim.dim_value for dim in kind.shape.dim]
    inputs = CHIPS if sides[-1] == 3 else CHIPS.transpose(0, 3, 1, 2)
    inputs = inputs.astype(TYPES.get(kind.elem_type, np.float32))
    size = sides[0] or 1
    inputs = np.resize(inputs, (max(size, len(CHIPS)), *inputs.shape[1:]))
    parts = [meant(model, inputs[start : start + size])["template"] for start in range(0, len(inputs), size)]
    return unit(np.concatenate(parts)[: len(CHIPS)])


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_every_kind_gives_what_onnx_means(tmp_path: Path, make: Callable[[], onnx.ModelProto], runtime: str) -> None:
    model = make()
    output = {"output": "template"} if len(model.graph.output) > 1 else {}
    encoder = load_encoder(write(tmp_path, model, **output), flip=False, runtime=runtime)
    assert str(encoder.runtime).lower().startswith(runtime)
    templates = encoder.encode(CHIPS)
    np.testing.assert_array_less(np.linalg.norm(templates - truth(model), axis=1), 0.02)
    alone = np.concatenate([encoder.encode(chip[None]) for chip in CHIPS])
    np.testing.assert_allclose(templates, alone, atol=1e-5)


def test_opencv_pads_as_the_file_says(tmp_path: Path) -> None:
    """OpenCV 5 by itself puts half a pixel too much at the top, and no error tells."""
    encoder = load_encoder(write(tmp_path, KINDS["padding that keeps the size"]()), flip=False, runtime="opencv")
    np.testing.assert_allclose(encoder.encode(CHIPS), truth(KINDS["padding that keeps the size"]()), atol=1e-5)


@there
def test_what_opencv_lacks_goes_to_openvino(tmp_path: Path) -> None:
    """And a network that looks at the whole batch gets its chips singly."""
    model = rescaled_within()
    path = write(tmp_path, model)
    encoder = load_encoder(path, flip=False)
    assert encoder.runtime is not None
    assert encoder.runtime.startswith("OpenVINO")
    with pytest.raises(EncoderError, match="OpenCV cannot run the network: .* at its operator DynamicQuantizeLinear"):
        load_encoder(path, flip=False, runtime="opencv")
    with pytest.raises(EncoderError, match="openvino-half is for sface alone"):
        load_encoder(path, flip=False, runtime="openvino-half")
    np.testing.assert_allclose(encoder.encode(CHIPS), truth(model), atol=1e-4)


def test_what_opencv_lacks_without_openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.encoders.onnx.checked.find_spec", lambda _: None)
    with pytest.raises(EncoderError, match=r"DynamicQuantizeLinear \(the_q\); pip install 'onek\[openvino\]' may help$"):
        load_encoder(write(tmp_path, rescaled_within()), runtime="opencv")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_numbers_are_refused_by_their_operator(
    tmp_path: Path, runtime: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What onnx means is changed here, for runtimes that are right."""

    def otherwise(*given: np.ndarray) -> dict[str, np.ndarray]:
        values = meant(*given)
        return {name: value if name in ("c1", "n1", "r1", "p1") else value[..., ::-1] for name, value in values.items()}

    monkeypatch.setattr("engine.encoders.onnx.checked.meant", otherwise)
    with pytest.raises(EncoderError, match=r"gives other numbers than ONNX means, at its operator Conv \(the_c2\)"):
        load_encoder(write(tmp_path, plain()), runtime=runtime)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_operator_that_nobody_has(tmp_path: Path, runtime: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = made([node("Frobnicate", "chip", "x", domain="my.own"), *body("x"), *head()], CONSTANTS, domains=["my.own"])
    with pytest.raises(EncoderError, match=r"at its operator my\.own\.Frobnicate \(the_x\)") as caught:
        load_encoder(write(tmp_path, model), runtime=runtime)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_operators_that_only_runtimes_know_are_believed_when_two_agree(
    tmp_path: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise EncoderError("onnx's reference cannot run it")

    monkeypatch.setattr("engine.encoders.onnx.checked.meant", unknown)
    path = write(tmp_path, plain())
    if find_spec("openvino") is not None:
        np.testing.assert_allclose(load_encoder(path, flip=False, runtime=runtime).encode(CHIPS), truth(plain()), atol=1e-5)
    monkeypatch.setattr("engine.encoders.onnx.checked.find_spec", lambda _: None)
    with pytest.raises(EncoderError, match="so that nobody knows whether"):
        load_encoder(path, runtime="opencv")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_do_not_meet(tmp_path: Path, runtime: str) -> None:
    encoder = load_encoder(write(tmp_path, plain()), runtime=runtime)
    chips = np.random.default_rng(6).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda i: encoder.encode(chips[i : i + 1 + i % 3])[0], range(64)))
    np.testing.assert_allclose(np.stack(made), encoder.encode(chips), atol=1e-5)


def test_choices() -> None:
    with pytest.raises(EncoderError, match="runtime='abacus': expected opencv, openvino or openvino-half"):
        load_encoder("net.onnx", runtime="abacus")
    with pytest.raises(EncoderError, match="encoder=.pixels. has its own runtime"):
        load_encoder("pixels", runtime="opencv")
