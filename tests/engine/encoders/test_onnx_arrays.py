"""ONNX networks of signals and volumes: the same templates as the network that they are of, or one line that says why not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from engine import embed_images, load_encoder
from engine.arrays import Cube, Window
from engine.encoders.arrays import OnnxArrays
from engine.encoders.onnx.checked import FixedBatchNetwork
from engine.errors import EncoderError, TrainingError
from engine.training.networks import begun
from tests.engine.encoders.onnx_networks import DIM, drawn, made, over_arrays

RANDOM = np.random.default_rng(0)


def saved(folder: Path, model: onnx.ModelProto, **fields: Any) -> str:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".json").write_text(json.dumps({"input": "signal", "size": 32, "dim": DIM, **fields}))
    return str(path)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("axes", "channels", "fields"),
    [
        (1, 1, {}),
        (1, 3, {"channels": 3}),
        (3, 1, {"input": "volume", "size": 10}),
        (3, 2, {"input": "volume", "size": 10, "channels": 2}),
    ],
)
def test_templates_are_those_of_the_network(tmp_path: Path, axes: int, channels: int, fields: dict[str, Any], last: bool) -> None:
    size = fields.get("size", 32)
    encoder = load_encoder(saved(tmp_path, over_arrays(axes, size, channels, last), **fields))
    assert encoder.card.chip == (Window(32, channels) if axes == 1 else Cube(10, channels))
    shown = RANDOM.normal(size=(5, *encoder.card.chip.shape)).astype(np.float32)
    together = encoder.encode(shown)
    for alone, vector in zip(shown, together, strict=True):
        np.testing.assert_allclose(encoder.encode(alone[None])[0], vector, atol=1e-5)
    # By hand, the first file.
    kernel, linear = (drawn(4, channels, *[5] * axes), drawn(4 * (size - 4) ** axes, DIM))
    parts = []
    for part in shown[0]:
        windows = np.lib.stride_tricks.sliding_window_view(np.moveaxis(part, -1, 0), [5] * axes, tuple(range(1, axes + 1)))
        over = (list(range(axes + 1, 2 * axes + 1)), list(range(2, axes + 2)))
        convolved = np.tensordot(windows, kernel, ([0, *over[0]], [1, *over[1]]))
        raw = np.maximum(np.moveaxis(convolved, -1, 0), 0).ravel() @ linear
        parts.append(raw / np.linalg.norm(raw))
    expected = np.sum(parts, axis=0)
    np.testing.assert_allclose(together[0], expected / np.linalg.norm(expected), atol=1e-4)


def test_recordings_are_embedded_by_it(tmp_path: Path) -> None:
    path = saved(tmp_path, over_arrays(1, 32, 1), rate=100)
    made_of = embed_images([RANDOM.normal(size=300), np.zeros(300), RANDOM.normal(size=20)], path)
    assert len(made_of.templates) == 1
    assert [each.source for each in made_of.problems] == ["image:1", "image:2"]
    encoder = load_encoder(path)
    assert isinstance(encoder, OnnxArrays)
    assert made_of.templates.provenance.modality == "signal"
    assert encoder.runtime is not None
    prints = {made_of.templates.provenance.fingerprint}
    for fields in ({"rate": 50}, {"rate": 100, "output": "template"}, {"rate": 100, "windows": 2}):
        prints.add(load_encoder(saved(tmp_path, over_arrays(1, 32, 1), **fields)).provenance("a signal").fingerprint)
    assert len(prints) == 4
    with pytest.raises(TrainingError, match="expected dlib-resnet, or a .keras file"):
        begun(path)


@pytest.mark.parametrize(
    ("model", "fields", "words"),
    [
        (over_arrays(1, 40, 1), {}, r"\('?None'?, 1, 40\), expected \(n, 1, 32\) or \(n, 32, 1\)"),
        (over_arrays(3, 10, 1), {}, r"expected \(n, 1, 32\)"),
        (over_arrays(1, 32, 1), {"dim": 7}, r"an output of shape \(2, 12\), expected \(2, 7\)"),
        (over_arrays(1, 32, 1), {"output": "voice"}, "has no output voice, only template"),
        (over_arrays(1, 32, 1), {"layout": "ncl"}, "layout not known"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_a_line(
    tmp_path: Path, model: onnx.ModelProto, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(EncoderError, match=words) as caught:
        load_encoder(saved(tmp_path, model, **fields))
    assert "\n" not in str(caught.value)


def test_a_network_that_looks_at_its_batch_is_given_one_at_a_time(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["chip"], ["f"]),
        helper.make_node("ReduceMean", ["f"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["f", "mean"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["template"]),
    ]
    whole = made(nodes, {"w": drawn(32, DIM), "b": drawn(DIM, 1)[:, 0]}, shape=("n", 1, 32))
    encoder = load_encoder(saved(tmp_path, whole))
    assert isinstance(encoder, OnnxArrays)
    assert isinstance(encoder._network, FixedBatchNetwork)
    shown = RANDOM.normal(size=(3, *encoder.card.chip.shape)).astype(np.float32)
    np.testing.assert_allclose(encoder.encode(shown)[1], encoder.encode(shown[1:2])[0], atol=1e-5)
