"""Encoder files of a known network, which a test makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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
