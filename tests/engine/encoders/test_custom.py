import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.common.tensorflow import tensorflow
from engine.embedding.in_memory import embed_images
from engine.encoders import load_encoder
from engine.errors import EncoderError
from tests.support.encoder_files import CHIPS, FIELDS, SIZE, weights, write_onnx


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


def test_fingerprints_stay_as_they_were(tmp_path: Path) -> None:
    """Galleries hold those of networks described without `layout` and `output`."""
    path = write_onnx(tmp_path, mean=[10, 20, 30.5], scale=0.5, channels="bgr")
    parts = {
        "weights": hashlib.sha256(path.read_bytes()).hexdigest(),
        "preprocessing": '[[10, 20, 30.5], 0.5, "bgr", 16]',
        "flip": True,
        "points": [[4.0, 5.0], [12.0, 5.0], [8.0, 9.0], [5.0, 12.0], [11.0, 12.0]],
        "alignment": "a",
    }
    was = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    assert load_encoder(str(path)).provenance("a").fingerprint == was
    assert (
        load_encoder(str(write_onnx(tmp_path, mean=[10, 20, 30.5], scale=0.5, channels="bgr", layout="nchw")))
        .provenance("a")
        .fingerprint
        != was
    )


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
        ({"a\nb" * 99: 1}, r"/net\.json: [^\n]{,60} not known[^\n]*$"),
        ({"size": True}, "size is True, expected a whole number"),
        ({"size": 10**30}, "size is 1000.*000, expected a whole number"),
        ({"dim": True}, "dim is True, expected a whole number"),
        ({"dim": 1e3}, "dim is 1000.0, expected a whole number"),
        ({"points": [[1, 2]] * 4 + [[1, float("nan")]]}, "points is .* expected five pairs"),
        ({"points": [[1, 2]] * 4 + [[1, "2"]]}, "points is .* expected five pairs"),
        ({"points": list(range(10_000))}, r"points is \[0, 1, 2, 3, 4, 5, \.\.\.\], expected five pairs"),
        ({"points": {"0": 1}}, "points is .* expected five pairs"),
        ({"points": [0] * 1_000_000}, "larger than 1000000 bytes"),
        ({"mean": [1, 2, [3]]}, "mean is .* expected three numbers"),
        ({"mean": [1, 2, 10**400]}, "mean is .* expected three numbers"),
        ({"mean": ["1", "2", "3"]}, "mean is .* expected three numbers"),
        ({"scale": 1e300}, "scale is 1e.300, expected a number"),
        ({"scale": False}, "scale is False, expected a number"),
        ({"channels": ["rgb"]}, "channels is .* expected rgb or bgr"),
        ({"channels": {"rgb": {}}}, "channels is .* expected rgb or bgr"),
        ({"layout": ["nchw"]}, "layout is .* expected nchw or nhwc"),
        ({"layout": "nhwc"}, r"its input has the shape \(1, 3, 16, 16\), expected"),
        ({"output": 3}, "output is 3, expected a name"),
        ({"output": "other"}, "has no output other, only template"),
        ({"threshold": "1"}, "threshold is '1', expected a distance"),
        ({"source": ["x"]}, "source is .* expected words"),
        ({"licence": {}}, "licence is {}, expected words"),
        ({"size": 24}, "does not run on chips of 24 pixels"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = write_onnx(tmp_path)
    path.with_suffix(".json").write_text(json.dumps({**FIELDS, **fields}))
    with pytest.raises(EncoderError, match=message) as caught:
        load_encoder(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_files_that_are_not_there_or_not_what_they_say(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no file .*gone\.onnx"):
        load_encoder(str(tmp_path / "gone.onnx"))
    path = write_onnx(tmp_path)
    description = path.with_suffix(".json")
    description.write_text("{")
    with pytest.raises(EncoderError, match="not a JSON file"):
        load_encoder(str(path))
    description.write_text("[" * 100_000)
    with pytest.raises(EncoderError, match="not a JSON file"):
        load_encoder(str(path))
    description.write_bytes(b"\xff{}")
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
    with pytest.raises(EncoderError, match=r"expected sface, .* Did you mean dlib-resnet\?"):
        load_encoder("dlib-resnt")
    with pytest.raises(EncoderError, match="pixels' takes no weights="):
        load_encoder("pixels", weights="x")
