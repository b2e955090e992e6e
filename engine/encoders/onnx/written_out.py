"""Operators of ONNX written out in simpler ones, where runtimes differ in them.

Where runtimes compute in integers they round at other places than ONNX says, and OpenCV 5 knows none of 16 bits; in float32 the
same numbers come out everywhere. OpenCV 5 takes a picture times HardSigmoid of its channels, as in MobileNetV3, for HardSwish.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_BOUNDS = {kind: np.iinfo(helper.tensor_dtype_to_np_dtype(kind)) for kind in (
    TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.INT32
)}  # fmt: skip
# The operators Round and Clip exist in this form from this opset on.
_FROM_OPSET = 11
Steps = list[tuple[str, list[float]]]


def written_out(
    nodes: list[onnx.NodeProto], graph: onnx.GraphProto, constants: dict[str, TensorProto], opset: int
) -> list[onnx.NodeProto]:
    """The nodes, some in simpler ones, whose numbers are added to `graph`."""
    if opset < _FROM_OPSET:
        return nodes
    quantised = [node for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    steps = {node.output[0]: _quantisation(node, constants) for node in quantised}
    # Operators that compute in integers need quantised inputs: either all quantisation is written out, or none.
    if None in steps.values() or any(
        "Linear" in node.op_type or "Integer" in node.op_type for node in nodes if node not in quantised
    ):
        steps = {}
    steps |= {node.output[0]: _hard_sigmoid(node) for node in nodes if node.op_type == "HardSigmoid"}
    return [simple for node in nodes for simple in _chain(node, steps.get(node.output[0]), graph)]


def _quantisation(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> Steps | None:
    """The simpler nodes for QuantizeLinear or DequantizeLinear with one scale for all numbers; None for others."""
    known = [constants.get(name) for name in node.input[1:] if name]
    numbers = [numpy_helper.to_array(tensor) for tensor in known if tensor is not None]
    if len(numbers) != len(known) or not known or any(array.size != 1 for array in numbers):
        return None
    kind = known[1].data_type if len(known) > 1 and known[1] is not None else TensorProto.UINT8
    if kind not in _BOUNDS or any(
        attribute.name in ("output_dtype", "block_size") and attribute.i for attribute in node.attribute
    ):
        return None
    scale, zero = (float(array.item()) for array in (*numbers, np.zeros(1))[:2])
    if node.op_type == "DequantizeLinear":
        return [*([("Sub", [zero])] if zero else []), ("Mul", [scale])]
    low, high = float(_BOUNDS[kind].min), float(_BOUNDS[kind].max)
    return [("Div", [scale]), ("Round", []), *([("Add", [zero])] if zero else []), ("Clip", [low, high])]


def _hard_sigmoid(node: onnx.NodeProto) -> Steps:
    given = {attribute.name: attribute.f for attribute in node.attribute}
    return [("Mul", [given.get("alpha", 0.2)]), ("Add", [given.get("beta", 0.5)]), ("Clip", [0.0, 1.0])]


def _chain(node: onnx.NodeProto, steps: Steps | None, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    if steps is None:
        yield node
        return
    value, output = node.input[0], node.output[0]
    for i, (kind, numbers) in enumerate(steps):
        names = [f"{output}/{kind}/{j}" for j in range(len(numbers))]
        graph.initializer.extend(
            numpy_helper.from_array(np.float32(number), name) for number, name in zip(numbers, names, strict=True)
        )
        made = output if i == len(steps) - 1 else f"{output}/{kind}"
        yield helper.make_node(kind, [value, *names], [made], name=node.name or output)
        value = made
