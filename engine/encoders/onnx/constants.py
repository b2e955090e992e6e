"""Constants of an ONNX network: their numbers, and operators whose inputs are all constant, which are computed once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import EncoderError


def folded(node: onnx.NodeProto, graph: onnx.GraphProto, constants: dict[str, TensorProto]) -> bool:
    """Compute the output of a node whose inputs are all constant, and add it to the constants; false where that is not done.

    Only the operators that quantised weights are stored with are computed.
    """
    fold = _FOLDS.get(node.op_type)
    if fold is None or node.domain or any(name not in constants for name in node.input if name):
        return False
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        made = fold([numbers_of(constants[name]) for name in node.input if name], attributes)
    except (ValueError, TypeError, IndexError) as error:
        raise EncoderError(f"its operator {node.op_type} ({node.output[0]}) does not fit its weights: {error}") from error
    if made is None:
        return False
    tensor = graph.initializer.add(name=node.output[0], dims=made.shape, data_type=helper.np_dtype_to_tensor_dtype(made.dtype))
    tensor.raw_data = made.tobytes()
    constants[tensor.name] = tensor
    return True


def _constant(_values: list[Any], attributes: dict[str, Any]) -> np.ndarray | None:
    if "value" in attributes:
        return numbers_of(attributes["value"])
    for name, kind in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in attributes:
            return np.asarray(attributes[name], kind)
    return None


def _reshaped(values: list[Any], attributes: dict[str, Any]) -> np.ndarray | None:
    """ONNX's Reshape: 0 keeps a dimension, -1 is what remains."""
    value, shape = values
    if attributes.get("allowzero"):
        return None
    return value.reshape([value.shape[i] if side == 0 else int(side) for i, side in enumerate(shape)])


def _dequantised(values: list[Any], attributes: dict[str, Any]) -> np.ndarray:
    """(q - zero point) * scale."""

    def compute(x: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        x -= zero
        x *= scale
        return x

    return _by_scales(values, attributes, compute)


def _quantised(values: list[Any], attributes: dict[str, Any]) -> np.ndarray | None:
    """round(x / scale) + zero point, within the numbers of the zero point's type."""
    kind = values[2].dtype if len(values) > 2 else np.dtype(np.uint8)
    if kind.kind not in "iu" or attributes.get("output_dtype"):
        return None
    info = np.iinfo(kind)
    made = _by_scales(values, attributes, lambda x, scale, zero: np.clip(np.rint(x / scale) + zero, info.min, info.max))
    return made.astype(kind)


def _by_scales(
    values: list[Any], attributes: dict[str, Any], compute: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Apply `compute` with one scale and zero point for the whole tensor, each index of an axis, or each block along it."""
    x, scale = values[0].astype(np.float32), values[1].astype(np.float32)
    zero = values[2].astype(np.float32) if len(values) > 2 else np.zeros_like(scale)
    if zero.size == 1:
        zero = np.full_like(scale, zero.item())
    block = attributes.get("block_size", 0)
    if not block and scale.size == 1:
        return compute(x, scale.reshape(()), zero.reshape(()))
    axis = range(x.ndim)[attributes.get("axis", 1)]
    length = x.shape[axis]
    if not block:
        along = [1] * x.ndim
        along[axis] = length
        return compute(x, scale.reshape(along), zero.reshape(along))
    block = min(block, length)
    count = -(-length // block)
    expected = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if scale.shape != expected:
        raise ValueError(f"scales of shape {scale.shape}, expected {expected}")
    # The last block may not be full.
    filled = np.pad(x, [(0, count * block - length if i == axis else 0) for i in range(x.ndim)]) if length % block else x
    blocks = filled.reshape(*x.shape[:axis], count, block, *x.shape[axis + 1 :])
    made = compute(blocks, *(np.expand_dims(value.reshape(expected), axis + 1) for value in (scale, zero)))
    return made.reshape(filled.shape).take(range(length), axis) if length % block else made.reshape(x.shape)


_FOLDS: dict[str, Callable[[list[Any], dict[str, Any]], np.ndarray | None]] = {
    "Constant": _constant,
    "Reshape": _reshaped,
    "DequantizeLinear": _dequantised,
    "QuantizeLinear": _quantised,
}


def numbers_of(tensor: TensorProto) -> np.ndarray:
    """A tensor's numbers. Memory for its shape is taken only after the file was seen to hold that many numbers."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise EncoderError(f"damaged: its weights {tensor.name} are said to be of shape {tuple(tensor.dims)}: {error}") from error
