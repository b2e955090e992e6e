"""Small ONNX networks of the kinds that people have, each a few convolutions on chips of 16 pixels."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, DIM = 16, 12
# The ir_version that exporters wrote at the time of an opset.
IR = {9: 3, 11: 6, 13: 7, 17: 8, 21: 10}


def write(folder: Path, model: onnx.ModelProto | bytes, **fields: Any) -> str:
    """A network and its description as files; where they lie."""
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    points = [[4, 5], [12, 5], [8, 9], [5, 12], [11, 12]]
    path.with_suffix(".json").write_text(json.dumps({"size": SIZE, "points": points, "dim": DIM, **fields}))
    return str(path)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Weights that keep what goes through them about as large as it was."""
    return (np.random.default_rng([seed, *shape]).normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def made(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Any],
    *,
    shape: Sequence[int | str | None] = ("n", 3, SIZE, SIZE),
    outputs: Sequence[str] = ("template",),
    output_shape: Sequence[int | str | None] | None = ("n", DIM),
    opset: int = 13,
    ir: int | None = None,
    listed: bool = False,
    kind: int = TensorProto.FLOAT,
    output_kind: int = TensorProto.FLOAT,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A network of these nodes. `listed`: its initialisers are listed as inputs too."""
    weights = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    inputs = [helper.make_tensor_value_info("chip", kind, shape)]
    if listed:
        inputs += [helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)) for weight in weights]
    graph = helper.make_graph(
        list(nodes),
        "network",
        inputs,
        [helper.make_tensor_value_info(name, output_kind, output_shape) for name in outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = ir or IR.get(opset, 10)
    return model


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), output.split(), name=f"the_{output.split()[0]}", **attributes)


CONSTANTS = {
    "w1": drawn(8, 3, 3, 3),
    "b1": drawn(8, seed=1) * 0.1,
    "gamma": np.linspace(0.5, 1.5, 8, dtype=np.float32),
    "beta": drawn(8, seed=2),
    "mean": drawn(8, seed=3),
    "var": np.linspace(0.5, 2, 8, dtype=np.float32),
    "slope": np.full((8, 1, 1), 0.25, np.float32),
    "w2": drawn(16, 8, 3, 3),
    "b2": drawn(16, seed=4) * 0.1,
    "w3": drawn(DIM, 16 * 16, seed=5),
    "b3": drawn(DIM, seed=6) * 0.1,
}


def body(chip: str = "chip") -> list[onnx.NodeProto]:
    """Convolution, normalisation, PRelu, pooling, and a grouped convolution down to (n, 16, 4, 4)."""
    return [
        node("Conv", f"{chip} w1 b1", "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 gamma beta mean var", "n1", epsilon=1e-5),
        node("PRelu", "n1 slope", "r1"),
        node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 w2 b2", "c2", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", "c2", "r2"),
        node("AveragePool", "r2", "p2", kernel_shape=[2, 2], strides=[2, 2]),
    ]


def head() -> list[onnx.NodeProto]:
    return [node("Flatten", "p2", "flat"), node("Gemm", "flat w3 b3", "template", transB=1)]


def plain(**how: Any) -> onnx.ModelProto:
    return made([*body(), *head()], CONSTANTS, **how)


def fixed_reshape(batch: int, to: Sequence[int] | None = None) -> onnx.ModelProto:
    """The batch is a number inside, too."""
    nodes = [*body(), node("Reshape", "p2 sides", "flat"), head()[1]]
    return made(
        nodes,
        {**CONSTANTS, "sides": np.array(to or [batch, 256])},
        shape=(batch, 3, SIZE, SIZE),
        output_shape=(batch, DIM),
    )


def nhwc_transposed() -> onnx.ModelProto:
    return made(
        [node("Transpose", "chip", "planes", perm=[0, 3, 1, 2]), *body("planes"), *head()], CONSTANTS, shape=("n", SIZE, SIZE, 3)
    )


def nhwc_throughout() -> onnx.ModelProto:
    """As tf2onnx writes it: channels last, transposed around each convolution."""
    there, back = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        node("Sub", "chip middle", "centred"),
        node("Transpose", "centred", "t1", perm=there),
        node("Conv", "t1 w1", "c1", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", "c1", "l1", perm=back),
        node("Add", "l1 b1", "s1"),
        node("Relu", "s1", "r1"),
        node("Transpose", "r1", "t2", perm=there),
        node("Conv", "t2 w2", "c2", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", "c2", "l2", perm=back),
        node("Add", "l2 b2", "s2"),
        node("Relu", "s2", "r2"),
        node("Reshape", "r2 sides", "flat"),
        node("MatMul", "flat w3", "m3"),
        node("Add", "m3 b3", "template"),
    ]
    constants = {
        **CONSTANTS,
        "w3": CONSTANTS["w3"].T.copy(),
        "middle": np.array([100, 110, 120], np.float32),
        "sides": np.array([-1, 256]),
    }
    return made(nodes, constants, shape=("n", SIZE, SIZE, 3))


def several_outputs() -> onnx.ModelProto:
    """A template, and what lies in the middle."""
    nodes = [
        *body(),
        node("Flatten", "p2", "flat"),
        node("Gemm", "flat w3 b3", "template", transB=1),
        node("Softmax", "template", "classes"),
    ]
    return made(nodes, CONSTANTS, outputs=("classes", "template"))


def quantised(value: np.ndarray, kind: Any, axis: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, scale and zero point, of the whole or for each index of an axis."""
    info = np.iinfo(kind)
    others = None if axis is None else tuple(i for i in range(value.ndim) if i != axis)
    low, high = np.minimum(value.min(others), 0), np.maximum(value.max(others), 0)
    scale = ((high - low) / (info.max - info.min)).astype(np.float32)
    zero = np.round(info.min - low / scale).astype(kind)
    along = [1] * value.ndim
    if axis is not None:
        along[axis] = -1
    q = np.clip(np.round(value / scale.reshape(along)) + zero.reshape(along).astype(np.int32), info.min, info.max)
    return q.astype(kind), scale, zero


def qdq(kind: Any = np.int8, axis: int | None = None, activations: Any = np.uint8, **how: Any) -> onnx.ModelProto:
    """Weights, biases and activations quantised, with QuantizeLinear and DequantizeLinear around each operator."""
    constants: dict[str, Any] = {name: CONSTANTS[name] for name in ("gamma", "beta", "mean", "var", "slope")}
    nodes = []
    for name in ("w1", "w2", "w3"):
        constants[f"{name}_q"], constants[f"{name}_s"], constants[f"{name}_z"] = quantised(CONSTANTS[name], kind, axis)
        attributes = {} if axis is None else {"axis": axis}
        nodes.append(node("DequantizeLinear", f"{name}_q {name}_s {name}_z", name, **attributes))
    for name in ("b1", "b2", "b3"):
        constants[f"{name}_s"] = np.float32(1e-4)
        constants[f"{name}_q"] = np.round(CONSTANTS[name] / 1e-4).astype(np.int32)
        nodes.append(node("DequantizeLinear", f"{name}_q {name}_s", name))
    info = np.iinfo(activations)
    # Relu is left to the quantisation, whose zero is the smallest number: what is negative is cut off.
    ranges = {"chip": (0, 255), "r1": (-60, 250), "p1": (-60, 250), "c2": (0, 200), "p2": (0, 200), "template": (-60, 60)}
    renamed = {}
    for name, (low, high) in ranges.items():
        constants[f"{name}_s"] = np.float32((high - low) / (info.max - info.min))
        constants[f"{name}_z"] = activations(np.round(info.min - low / constants[f"{name}_s"]))
        renamed[name] = f"{name}_dq"
    for each in [*body(), *head()]:
        if each.op_type == "Relu":
            continue
        source = [renamed.get(name, name) for name in each.input]
        source = [renamed["c2"] if name == "r2" else name for name in source]
        out = each.output[0]
        copied = onnx.NodeProto()
        copied.CopyFrom(each)
        del copied.input[:]
        copied.input.extend(source)
        if out == "template":
            copied.output[0] = "raw"
            nodes += [
                copied,
                node("QuantizeLinear", "raw template_s template_z", "template_q"),
                node("DequantizeLinear", "template_q template_s template_z", "template"),
            ]
            continue
        nodes.append(copied)
        if out in ranges:
            nodes += pair(out)
    return made([*pair("chip"), *nodes], constants, **how)


def pair(name: str) -> list[onnx.NodeProto]:
    return [
        node("QuantizeLinear", f"{name} {name}_s {name}_z", f"{name}_q"),
        node("DequantizeLinear", f"{name}_q {name}_s {name}_z", f"{name}_dq"),
    ]


def blocks(block: int, axis: int | None = None, four_bits: bool = False) -> onnx.ModelProto:
    """The last layer's weights are quantised in blocks along an axis; the last block may not be full."""
    along = 1 if axis is None else axis
    attributes = {} if axis is None else {"axis": axis}
    kind, top = (TensorProto.INT4, 7) if four_bits else (TensorProto.INT8, 127)
    weights = CONSTANTS["w3"]
    starts = range(0, weights.shape[along], block)
    parts = [weights.take(range(start, min(start + block, weights.shape[along])), along) for start in starts]
    scale = np.stack([np.abs(part).max(along) / top for part in parts], along).astype(np.float32)
    zero = np.resize(np.array([0, 1, -1]), scale.shape)
    q = np.concatenate(
        [np.clip(np.round(part / scale.take([i], along)) + zero.take([i], along), -top - 1, top) for i, part in enumerate(parts)],
        along,
    )
    constants = {name: value for name, value in CONSTANTS.items() if name != "w3"}
    constants["w3_q"] = helper.make_tensor("w3_q", kind, q.shape, q.astype(int).ravel().tolist())
    constants["w3_z"] = helper.make_tensor("w3_z", kind, zero.shape, zero.astype(int).ravel().tolist())
    constants["w3_s"] = scale
    nodes = [*body(), node("DequantizeLinear", "w3_q w3_s w3_z", "w3", block_size=block, **attributes), *head()]
    return made(nodes, constants, opset=21)


def half(keep_io: bool, kind: int = TensorProto.FLOAT16) -> onnx.ModelProto:
    """A network of half precision within, and with `keep_io` of single precision outside."""
    numbers = np.float16 if kind == TensorProto.FLOAT16 else np.float64
    constants = {name: value.astype(numbers) for name, value in CONSTANTS.items()}
    if not keep_io:
        return made([*body(), *head()], constants, kind=kind, output_kind=kind)
    last = node("Gemm", "flat w3 b3", "raw", transB=1)
    nodes = [
        node("Cast", "chip", "chip_half", to=kind),
        *body("chip_half"),
        head()[0],
        last,
        node("Cast", "raw", "template", to=TensorProto.FLOAT),
    ]
    return made(nodes, constants)


def four_sided() -> onnx.ModelProto:
    """(n, d, 1, 1), as a network gives that ends with a convolution."""
    nodes = [*body(), node("Conv", "p2 w4", "template", kernel_shape=[4, 4])]
    return made(nodes, {**CONSTANTS, "w4": drawn(DIM, 16, 4, 4)}, output_shape=("n", DIM, 1, 1))


def any_size() -> onnx.ModelProto:
    """Any height and width: it averages over them."""
    nodes = [
        *body(),
        node("GlobalAveragePool", "p2", "pooled"),
        node("Flatten", "pooled", "flat"),
        node("Gemm", "flat w4", "template"),
    ]
    return made(nodes, {**CONSTANTS, "w4": drawn(16, DIM)}, shape=("n", 3, "height", "width"))


def constants_as_nodes() -> onnx.ModelProto:
    """PyTorch's older exporter: weights as Constant nodes; the size computed from the input's shape."""
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)) for name, value in CONSTANTS.items()]
    nodes += [
        *body(),
        node("Shape", "p2", "sides"),
        helper.make_node("Constant", [], ["first"], value=numpy_helper.from_array(np.array(0))),
        node("Gather", "sides first", "count", axis=0),
        helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([0]))),
        node("Unsqueeze", "count axes", "counts"),
        helper.make_node("Constant", [], ["rest"], value=numpy_helper.from_array(np.array([-1]))),
        node("Concat", "counts rest", "wanted", axis=0),
        node("Reshape", "p2 wanted", "flat"),
        node("Gemm", "flat w3 b3", "unscaled", transB=1),
        node("ReduceL2", "unscaled", "length", axes=[1], keepdims=1),
        node("Div", "unscaled length", "template"),
    ]
    return made(nodes, {})


def kept_size() -> onnx.ModelProto:
    """Padding that the file names by its purpose, of which one end gets more."""
    nodes = [
        node("Conv", "chip w1 b1", "c1", auto_pad="SAME_LOWER", strides=[2, 2]),
        node("MaxPool", "c1", "p1", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("AveragePool", "p1", "a1", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Conv", "a1 w2 b2", "p2", auto_pad="SAME_UPPER", dilations=[2, 2]),
        *head(),
    ]
    return made(nodes, CONSTANTS)


def squeezed() -> onnx.ModelProto:
    """Channels weighed by HardSigmoid of their means, as in MobileNetV3."""
    nodes = [
        *body(),
        node("GlobalAveragePool", "p2", "means"),
        node("Conv", "means w4", "raw"),
        node("HardSigmoid", "raw", "weighing", alpha=1 / 6, beta=0.5),
        node("Mul", "p2 weighing", "weighed"),
        node("Flatten", "weighed", "flat"),
        head()[1],
    ]
    return made(nodes, {**CONSTANTS, "w4": drawn(16, 16, 1, 1) * np.float32(0.1)})


def rescaled_within() -> onnx.ModelProto:
    """Quantised while it runs, by the range of all that is in the batch; OpenCV has no such operator."""
    q, scale, zero = quantised(CONSTANTS["w3"].T.copy(), np.int8)
    nodes = [
        *body(),
        node("Flatten", "p2", "flat"),
        node("DynamicQuantizeLinear", "flat", "q s z"),
        node("MatMulInteger", "q w3_q z w3_z", "sums"),
        node("Cast", "sums", "floats", to=TensorProto.FLOAT),
        node("Mul", "s w3_s", "both"),
        node("Mul", "floats both", "template"),
    ]
    return made(nodes, {**CONSTANTS, "w3_q": q, "w3_s": scale, "w3_z": zero})


def weights_quantised_within() -> onnx.ModelProto:
    """As quantisation-aware training leaves it: the weights are floats still, which the network itself quantises."""
    _, scale, zero = quantised(CONSTANTS["w2"], np.int8, 0)
    nodes = [
        node("QuantizeLinear", "w2_f scale zero", "w2_q", axis=0),
        node("DequantizeLinear", "w2_q scale zero", "w2", axis=0),
        *body(),
        *head(),
    ]
    constants = {name: value for name, value in CONSTANTS.items() if name != "w2"}
    return made(nodes, {**constants, "w2_f": CONSTANTS["w2"], "scale": scale, "zero": zero})


def bytes_in() -> onnx.ModelProto:
    """Takes the pixels as bytes."""
    nodes = [node("Cast", "chip", "floats", to=TensorProto.FLOAT), *body("floats"), *head()]
    return made(nodes, CONSTANTS, kind=TensorProto.UINT8)


def with_functions() -> onnx.ModelProto:
    """PyTorch's newer exporter: operators that the file itself defines."""
    model = made(
        [*body(), node("Flatten", "p2", "flat"), node("Dense", "flat w3 b3", "template", domain="its.own")],
        CONSTANTS,
        domains=["its.own"],
        opset=17,
    )
    dense = helper.make_function(
        "its.own", "Dense", ["x", "w", "b"], ["y"], [node("Gemm", "x w b", "y", transB=1)], [helper.make_opsetid("", 17)]
    )
    model.functions.append(dense)
    return model


KINDS: dict[str, Callable[[], onnx.ModelProto]] = {
    **{f"opset {opset}": (lambda opset=opset: plain(opset=opset, listed=opset == 9)) for opset in IR},
    "initialisers listed as inputs": lambda: plain(listed=True),
    "batch fixed at 1": lambda: plain(shape=(1, 3, SIZE, SIZE), output_shape=(1, DIM)),
    "batch fixed at 1 inside": lambda: fixed_reshape(1),
    "batch fixed at 1, the rest open": lambda: fixed_reshape(1, [1, -1]),
    "batch fixed at 8": lambda: plain(shape=(8, 3, SIZE, SIZE), output_shape=(8, DIM)),
    "batch fixed at 8 inside": lambda: fixed_reshape(8),
    "no shapes told": lambda: plain(shape=("n", 3, None, None), output_shape=None),
    "channels last, transposed": nhwc_transposed,
    "channels last throughout": nhwc_throughout,
    "weights as constants": constants_as_nodes,
    "several outputs": several_outputs,
    "QDQ int8": qdq,
    "QDQ int8 per channel": lambda: qdq(axis=0),
    "QDQ uint8": lambda: qdq(np.uint8),
    "QDQ int8 activations": lambda: qdq(activations=np.int8),
    "QDQ opset 21": lambda: qdq(axis=0, opset=21),
    "QDQ 16 bits": lambda: qdq(activations=np.uint16, opset=21),
    "blocks": lambda: blocks(32),
    "blocks, the last not full": lambda: blocks(48),
    "blocks along the first axis": lambda: blocks(5, 0),
    "blocks, negative axis": lambda: blocks(64, -1),
    "blocks of four bits": lambda: blocks(32, four_bits=True),
    "half precision": lambda: half(keep_io=False),
    "half precision within": lambda: half(keep_io=True),
    "double precision": lambda: half(keep_io=False, kind=TensorProto.DOUBLE),
    "four sides": four_sided,
    "any size": any_size,
    "padding that keeps the size": kept_size,
    "channels weighed": squeezed,
    "weights quantised within": weights_quantised_within,
    "bytes": bytes_in,
    "functions": with_functions,
}


def over_arrays(axes: int, size: int, channels: int, last: bool = False) -> onnx.ModelProto:
    """A network of signals (one axis) or volumes (three): a convolution of 5 a side with 4 filters, and a linear map to DIM.

    `last`: its channels come last.
    """
    sides = [size] * axes
    nodes = [
        *([node("Transpose", "chip", "first", perm=[0, axes + 1, *range(1, axes + 1)])] if last else []),
        node("Conv", "first k" if last else "chip k", "c"),
        node("Relu", "c", "r"),
        node("Flatten", "r", "f"),
        node("MatMul", "f w", "template"),
    ]
    weights = {"k": drawn(4, channels, *[5] * axes), "w": drawn(4 * (size - 4) ** axes, DIM)}
    return made(nodes, weights, shape=("n", *sides, channels) if last else ("n", channels, *sides))
