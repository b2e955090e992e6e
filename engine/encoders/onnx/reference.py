"""What an ONNX network is meant to give: computed slowly by onnx's reference implementation, to compare runtimes with."""

import warnings
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_batch_normalization import BatchNormalization_14
from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_23
from onnx.reference.ops.op_max_pool import MaxPool as AnyMaxPool

from engine.errors import EncoderError


class BatchNormalization(BatchNormalization_14):  # type: ignore[misc] # onnx's reference has no types
    """Before opset 14 the operator does not say whether it trains, and the reference takes it that it does."""

    def _run(self, *inputs: np.ndarray, training_mode: int | None = None, **attributes: Any) -> tuple[np.ndarray, ...]:
        return super()._run(*inputs, training_mode=training_mode or 0, **attributes)


class DequantizeLinear(DequantizeLinear_23):  # type: ignore[misc]
    """The reference has this operator from opset 19 on only; before, it was the same."""


class MaxPool(AnyMaxPool):  # type: ignore[misc]
    """At a stride of one the reference gets uneven padding wrong; the way that it goes for longer strides is right."""

    def _run(self, x: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:
        return self._max_pool(x, **attributes)


def meant(proto: onnx.ModelProto, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """All that a network computes from `inputs`, by name; its output among it.

    Raises:
        EncoderError: the reference cannot run it; says why.
    """
    try:
        evaluator = ReferenceEvaluator(proto, new_ops=[BatchNormalization, DequantizeLinear, MaxPool])
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            values = evaluator.run(None, {proto.graph.input[0].name: inputs}, intermediate=True)
    except Exception as error:  # whatever numpy and the reference raise for what they do not know or what does not fit
        raise EncoderError(f"onnx's reference cannot run it: {error}") from error
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
