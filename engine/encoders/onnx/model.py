"""Bring an ONNX network into a form that runtimes take: in single precision, weights dequantised, one input and one output."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper, inliner, numpy_helper

from engine.encoders.onnx.written_out import written_out
from engine.errors import EncoderError

# Precisions that not every runtime has, and the attributes that name one.
_TO_SINGLE = frozenset((TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE))
# More operators than the largest network has.
_MOST_OPERATORS = 100_000
_NAME_A_TYPE = frozenset(("to", "dtype", "output_dtype"))


@dataclass(frozen=True)
class OnnxModel:
    """A network of one input and one output, and the shape of its input: None where a side may have any length."""

    proto: onnx.ModelProto
    shape: tuple[int | None, ...]

    @property
    def data(self) -> bytes:
        """The network as an ONNX file has it."""
        return self.proto.SerializeToString()


def prepared(data: bytes, output: str | None = None) -> OnnxModel:
    """Prepare a network.

    Other precisions become single; weights that are stored quantised, in blocks or not, become float32; inputs that only list
    initialisers go, as does what the output does not need; the number of inputs at once becomes free. `shape` still has the one
    that the file says.

    Args:
        data: an ONNX file's bytes.
        output: the output that is meant, where there are several.

    Raises:
        EncoderError: not an ONNX network, damaged, its weights lie in other files, or it has not one input and one output.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise EncoderError(f"not an ONNX network: {error}") from error
    if not model.graph.node:
        raise EncoderError("not an ONNX network: it has no operators")
    _refuse_other_files(model)
    if model.functions:
        _refuse_endless(model)
        model = inliner.inline_local_functions(model)
    graph = model.graph
    kept = _output(graph, output)
    for each in _graphs(graph):
        _make_single(each)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = _needed([node for node in graph.node if not _folded(node, graph, constants)], kept.name)
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)
    nodes = written_out(nodes, graph, constants, opset)
    used = {name for node in nodes for name in _taken(node)} | {kept.name}
    inputs = [value for value in graph.input if value.name in used and value.name not in constants]
    given = {"", *(name for node in nodes for name in node.output), *(each.name for each in (*graph.input, *graph.initializer))}
    if missing := used - given - _given_inside(nodes):
        raise EncoderError(f"damaged: nothing in it gives {', '.join(map(ascii, missing))}")
    if len(inputs) != 1:
        raise EncoderError(f"has {len(inputs)} inputs ({', '.join(value.name for value in inputs)}), expected 1, the chips")
    _take_floats(inputs[0], nodes)
    shape = tuple(dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim)
    for value in (inputs[0], kept):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "n"
    _replace(graph.node, nodes)
    _replace(graph.input, inputs)
    _replace(graph.output, [kept])
    for i in reversed(range(len(graph.initializer))):
        if graph.initializer[i].name not in used:
            del graph.initializer[i]
    # Shapes inside are found anew: those that the file tells may be of one batch or another precision.
    del graph.value_info[:]
    return OnnxModel(model, shape)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside its operators, such as If."""
    yield graph
    for node in graph.node:
        yield from _inside(node)


def _inside(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs) if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) else ():
            yield from _graphs(graph)


def _refuse_other_files(model: onnx.ModelProto) -> None:
    """A file may name any other as the place of its weights: none is opened."""
    for part in _parts(model):
        if isinstance(part, TensorProto) and (part.data_location == TensorProto.EXTERNAL or part.external_data):
            raise EncoderError("keeps its weights in another file; save it with its weights inside")
        if isinstance(part, onnx.SparseTensorProto):
            raise EncoderError("has sparse weights, which are not taken; save it with dense ones")


def _refuse_endless(model: onnx.ModelProto) -> None:
    """Functions that call one another twice each become as many operators as two to their number; those that call themselves end
    nowhere.
    """
    held = {(each.domain, each.name): each.node for each in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], above: tuple[tuple[str, str], ...] = ()) -> int:
        total = 0
        for node in nodes:
            called = (node.domain, node.op_type)
            if called in above:
                raise EncoderError(f"its function {ascii(node.op_type)[:60]} calls itself")
            if called in held and called not in counts:
                counts[called] = count(held[called], (*above, called))
            total += counts.get(called, 1) + sum(count(graph.node, above) for graph in _inside(node))
        return total

    if (operators := count(model.graph.node)) > _MOST_OPERATORS:
        raise EncoderError(f"its functions stand for {operators:,} operators; at most {_MOST_OPERATORS:,} are taken")


def _parts(message: Any) -> Iterator[Any]:
    """All that lies in a message, at any depth: in functions, in graphs inside operators, in what only training needs."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if isinstance(value, Iterable) else (value,):
                yield each
                yield from _parts(each)


def _output(graph: onnx.GraphProto, name: str | None) -> onnx.ValueInfoProto:
    found = [value for value in graph.output if name in (None, value.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(value.name for value in graph.output)
    if not names:
        raise EncoderError("not an ONNX network: it has no output")
    if name is None:
        raise EncoderError(f"has the outputs {names}; name one as output in its JSON file")
    raise EncoderError(f"has no output {name}, only {names}")


def _make_single(graph: onnx.GraphProto) -> None:
    """Let all be single precision, and see that all weights are whole: runtimes would read past the end of others."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.type == AttributeProto.TENSOR]
    for tensor in (*graph.initializer, *tensors):
        numbers = _array(tensor)
        if tensor.data_type in _TO_SINGLE:
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float32), tensor.name))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _TO_SINGLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for attribute in attributes:
        if attribute.name in _NAME_A_TYPE and attribute.i in _TO_SINGLE:
            attribute.i = TensorProto.FLOAT


def _take_floats(value: onnx.ValueInfoProto, nodes: list[onnx.NodeProto]) -> None:
    """Let an input be float32 that the network would turn into floating point numbers anyway."""
    kind = value.type.tensor_type
    takers = {node.op_type for node in nodes if value.name in node.input}
    if kind.elem_type == TensorProto.UINT8 and takers == {"Cast"}:
        kind.elem_type = TensorProto.FLOAT
    if kind.elem_type != TensorProto.FLOAT:
        found = TensorProto.DataType.keys()[TensorProto.DataType.values().index(kind.elem_type)]
        raise EncoderError(f"its input {value.name} takes {found}, expected floating point numbers, or UINT8 that it casts")


def _folded(node: onnx.NodeProto, graph: onnx.GraphProto, constants: dict[str, TensorProto]) -> bool:
    """Whether a node's output is a constant, which is added to both then. Only what quantised weights need is folded."""
    fold = _FOLDS.get(node.op_type)
    if fold is None or node.domain or any(name not in constants for name in node.input if name):
        return False
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        made = fold([_array(constants[name]) for name in node.input if name], attributes)
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
        return _array(attributes["value"])
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
    """Compute with one scale and zero point for all, with those of each index of an axis, or of each block along it."""
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


def _array(tensor: TensorProto) -> np.ndarray:
    """A tensor's numbers. Nothing is made as large as `dims` says before the numbers are seen to be there."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise EncoderError(f"damaged: its weights {tensor.name} are said to be of shape {tuple(tensor.dims)}: {error}") from error


def _taken(node: onnx.NodeProto) -> set[str]:
    """What a node and the graphs inside it take."""
    return {*node.input, *(name for graph in _inside(node) for inner in graph.node for name in inner.input)} | {
        value.name for graph in _inside(node) for value in graph.output
    }


def _given_inside(nodes: list[onnx.NodeProto]) -> set[str]:
    """What the graphs inside nodes give themselves."""
    graphs = [graph for node in nodes for graph in _inside(node)]
    own = {name for graph in graphs for node in graph.node for name in node.output}
    return own | {value.name for graph in graphs for value in (*graph.input, *graph.initializer)}


def _needed(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted |= _taken(node)
            kept.append(node)
    return kept[::-1]


def _replace(field: Any, values: Iterable[Any]) -> None:
    values = list(values)
    del field[:]
    field.extend(values)
