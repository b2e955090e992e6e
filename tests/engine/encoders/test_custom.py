import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.backend import tensorflow
from engine.embed import embed_images
from engine.encoders import load_encoder
from engine.errors import EncoderError

SIZE = 16
FIELDS = {"size": SIZE, "points": [[4, 5], [12, 5], [8, 9], [5, 12], [11, 12]], "dim": 512}
CHIPS = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)


def weights(dim: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3 * SIZE * SIZE, dim)).astype(np.float32)


def write_onnx(folder: Path, dim: int = 512, **fields: Any) -> Path:
    """Flatten and multiply: the template is a linear map of the pixels, so that it can be computed by hand."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["chip"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["template"])],
        "linear",
        [helper.make_tensor_value_info("chip", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("template", TensorProto.FLOAT, [1, dim])],
        [numpy_helper.from_array(weights(dim), "weights")],
    )
    path = folder / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    path.with_suffix(".json").write_text(json.dumps({**FIELDS, "dim": dim, **fields}))
    return path


def write_keras(folder: Path, **fields: Any) -> Path:
    layers = tensorflow().keras.layers
    model = tensorflow().keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.Flatten(), layers.Dense(512, use_bias=False)])
    model.set_weights([weights(512)])
    path = folder / "net.keras"
    model.save(path)
    path.with_suffix(".json").write_text(json.dumps({**FIELDS, **fields}))
    return path


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_onnx_sees_what_its_description_says(tmp_path: Path) -> None:
    path = write_onnx(tmp_path, mean=[10, 20, 30], scale=0.5, channels="bgr", threshold=0.9)
    encoder = load_encoder(str(path), flip=False)
    seen = ((CHIPS[..., ::-1].astype(np.float32) - [10, 20, 30]) * 0.5).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(encoder.encode(CHIPS), unit(seen.reshape(3, -1) @ weights(512)), atol=1e-5)
    made = encoder.provenance("a")
    assert (made.dim, made.threshold, made.encoder) == (512, 0.9, str(path))


def test_onnx_on_several_threads(tmp_path: Path) -> None:
    """The pipeline embeds on every core at once; each photograph must get its own template."""
    encoder = load_encoder(str(write_onnx(tmp_path)))
    pictures = list(np.random.default_rng(2).integers(0, 255, (400, SIZE, SIZE, 3), dtype=np.uint8))
    made = embed_images(pictures, encoder, faces="none").templates
    np.testing.assert_allclose(made.vectors, encoder.encode(np.stack(pictures)), atol=1e-6)


def test_keras_sees_what_its_description_says(tmp_path: Path) -> None:
    encoder = load_encoder(str(write_keras(tmp_path, mean=[127.5] * 3, scale=1 / 128)), flip=False)
    seen = (CHIPS.astype(np.float32) - 127.5) / 128
    np.testing.assert_allclose(encoder.encode(CHIPS), unit(seen.reshape(3, -1) @ weights(512)), atol=1e-5)


def test_the_fingerprint_holds_weights_and_preprocessing(tmp_path: Path) -> None:
    first = load_encoder(str(write_onnx(tmp_path))).provenance("a").fingerprint
    assert load_encoder(str(write_onnx(tmp_path))).provenance("a").fingerprint == first
    assert load_encoder(str(write_onnx(tmp_path, scale=2.0))).provenance("a").fingerprint != first
    assert load_encoder(str(write_onnx(tmp_path, dim=64))).provenance("a").fingerprint != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": "big"}, "size is 'big', expected a whole number"),
        ({"points": [[1, 2]]}, "points is .* expected five pairs"),
        ({"scale": None}, "scale is None, expected a number"),
        ({"channels": "xyz"}, "rgb or bgr"),
        ({"threshold": 3}, "threshold is 3, expected a distance, 0 to 2"),
        ({"dim": 100}, r"shape \(2, 512\), the description says \(2, 100\)"),
        ({"colour": 1}, "colour not known"),
        ({"size": 24}, "does not run on chips of 24 pixels"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = write_onnx(tmp_path)
    path.with_suffix(".json").write_text(json.dumps({**FIELDS, **fields}))
    with pytest.raises(EncoderError, match=message):
        load_encoder(str(path))


def test_files_that_are_not_there_or_not_what_they_say(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no file .*gone\.onnx"):
        load_encoder(str(tmp_path / "gone.onnx"))
    path = write_onnx(tmp_path)
    description = path.with_suffix(".json")
    description.write_text("{")
    with pytest.raises(EncoderError, match="not a JSON file"):
        load_encoder(str(path))
    description.write_text("[1]")
    with pytest.raises(EncoderError, match="found a list"):
        load_encoder(str(path))
    description.write_text(json.dumps(FIELDS))
    path.write_bytes(b"no network")
    with pytest.raises(EncoderError, match=r"net\.onnx"):
        load_encoder(str(path))
    (tmp_path / "net.keras").write_bytes(b"no network")
    with pytest.raises(EncoderError, match=r"net\.keras"):
        load_encoder(str(tmp_path / "net.keras"))
    description.unlink()
    with pytest.raises(EncoderError, match=r"no file .*net\.json"):
        load_encoder(str(path))


def test_names_that_do_not_exist() -> None:
    with pytest.raises(EncoderError, match=r"expected dlib-resnet, .* Did you mean dlib-resnet\?"):
        load_encoder("dlib-resnt")
    with pytest.raises(EncoderError, match="pixels takes no --weights"):
        load_encoder("pixels", weights="x")
