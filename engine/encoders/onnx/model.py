"""Bring an ONNX network into the form that runtimes take: single precision, dequantised weights, one input and one output."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, inliner, numpy_helper

from engine.encoders.onnx.constants import folded, numbers_of
from engine.encoders.onnx.written_out import written_out
from engine.errors import EncoderError

# Precisions that not every runtime computes in. `_NAME_A_TYPE`, below: the attributes that name one.
_TO_SINGLE = frozenset((TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE))
# Far more operators than any known network has, so that no real one is refused.
_MOST_OPERATORS = 100_000
_NAME_A_TYPE = frozenset(("to", "dtype", "output_dtype"))


@dataclass(frozen=True)
class OnnxModel:
    """A network with one input and one output. `shape`: of its input; None for a side that may have any length."""

    proto: onnx.ModelProto
    shape: tuple[int | None, ...]

    @property
    def data(self) -> bytes:
        """The network as the bytes of an ONNX file."""
        return self.proto.SerializeToString()


def prepared(data: bytes, output: str | None = None) -> OnnxModel:
    """Rewrite a network so that every runtime can load it.

    Everything becomes single precision, and quantised weights become float32. Inputs that only repeat an initialiser are removed,
    and so are operators that the output does not depend on. The result takes any number of inputs at once; its `shape` still says
    the number that the file fixed.

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
    nodes = _needed([node for node in graph.node if not folded(node, graph, constants)], kept.name)
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
    # Runtimes infer the shapes of inner values again: those in the file may hold for one batch size or precision alone.
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
    """Refuse weights that lie in another file: a network from elsewhere could name any file of this machine."""
    for part in _parts(model):
        if isinstance(part, TensorProto) and (part.data_location == TensorProto.EXTERNAL or part.external_data):
            raise EncoderError("keeps its weights in another file; save it with its weights inside")
        if isinstance(part, onnx.SparseTensorProto):
            raise EncoderError("has sparse weights, which are not taken; save it with dense ones")


def _refuse_endless(model: onnx.ModelProto) -> None:
    """Refuse functions that grow without measure when their calls are written out: of n functions that each call the next one
    twice, 2^n operators come, and one that calls itself never ends.
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
    """Every part of a message, at any depth: also in functions, in graphs inside operators, and in what only training uses."""
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
    """Convert all numbers to single precision, and check that each tensor is as long as its shape says: runtimes would read
    beyond the end of a shorter one.
    """
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.type == AttributeProto.TENSOR]
    for tensor in (*graph.initializer, *tensors):
        numbers = numbers_of(tensor)
        if tensor.data_type in _TO_SINGLE:
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float32), tensor.name))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _TO_SINGLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for attribute in attributes:
        if attribute.name in _NAME_A_TYPE and attribute.i in _TO_SINGLE:
            attribute.i = TensorProto.FLOAT


def _take_floats(value: onnx.ValueInfoProto, nodes: list[onnx.NodeProto]) -> None:
    """Let the input be float32 where the network itself begins by casting it to floating point numbers."""
    kind = value.type.tensor_type
    takers = {node.op_type for node in nodes if value.name in node.input}
    if kind.elem_type == TensorProto.UINT8 and takers == {"Cast"}:
        kind.elem_type = TensorProto.FLOAT
    if kind.elem_type != TensorProto.FLOAT:
        found = TensorProto.DataType.keys()[TensorProto.DataType.values().index(kind.elem_type)]
        raise EncoderError(f"its input {value.name} takes {found}, expected floating point numbers, or UINT8 that it casts")


def _taken(node: onnx.NodeProto) -> set[str]:
    """The names of the values that a node, and the graphs inside it, use."""
    return {*node.input, *(name for graph in _inside(node) for inner in graph.node for name in inner.input)} | {
        value.name for graph in _inside(node) for value in graph.output
    }


def _given_inside(nodes: list[onnx.NodeProto]) -> set[str]:
    """The names of the values that the graphs inside nodes define themselves."""
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
