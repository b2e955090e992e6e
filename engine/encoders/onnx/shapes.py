"""How large the values inside an ONNX network are, found without computing any: absurd ones are refused, padding is told."""

from math import prod

import onnx
from onnx import TensorProto, helper, shape_inference

from engine.errors import EncoderError

# How many numbers one value may have: a gigabyte of float32, which no network for faces comes near.
_MOST = 2**28
# Weights with more numbers than this are never shapes themselves.
_SHAPE_LIKE = 64
# The longest list of numbers that onnx may follow as if it were a shape.
_LONGEST = 1_000_000
# Numbers that onnx's reference copies for one convolution: at 20 bytes each, 2 gigabytes.
_MOST_COPIED = 100_000_000

Shapes = dict[str, tuple[int | None, ...]]


def sized(proto: onnx.ModelProto, shape: tuple[int, ...], *, any_number: bool) -> tuple[onnx.ModelProto, bool]:
    """The network with the shape of its input written in, and whether that shows it to be small enough for onnx's reference.

    Args:
        proto: a network of one input and one output.
        shape: of its input, with the number of inputs at once.
        any_number: whether the network that is returned takes any number at once; sizes are still those of `shape`.

    Raises:
        EncoderError: a value inside is absurdly large; names its operator.
    """
    bare = _bare(proto, shape)
    shapes = _shapes(bare)
    _refuse_absurd(proto, shapes)
    # onnx makes an entry for each number in a list that might be a shape.
    if all(_count(sides) <= _LONGEST for sides in shapes.values() if len(sides) == 1):
        shapes = _shapes(bare, follow=True)
        _refuse_absurd(proto, shapes)
    told = onnx.ModelProto()
    told.CopyFrom(proto)
    for node in told.graph.node:
        _tell_pads(node, shapes)
    output = told.graph.output[0].name
    for value, sides in ((told.graph.input[0], shape), (told.graph.output[0], shapes.get(output, ()))):
        if sides:
            first = "n" if any_number else sides[0]
            whole = (first, *sides[1:])
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, whole))
    return told, all(_small(node, shapes) for node in proto.graph.node)


def refuse_unsound(proto: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """See that a network's values fit each other.

    Raises:
        EncoderError: they do not; says what onnx says.
    """
    _shapes(_bare(proto, shape), strict=True)


def _small(node: onnx.NodeProto, shapes: Shapes) -> bool:
    """Whether the memory that a node takes is known, and not too much."""
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return False
    made = [shapes.get(name, (None,)) for name in node.output if name]
    if any(None in sides for sides in made):
        return False
    weights = shapes.get(node.input[1], ()) if node.op_type == "Conv" and len(node.input) > 1 else ()
    group = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return not made or _count(made[0][2:]) * _count(weights[1:]) * group <= _MOST_COPIED


def _count(sides: tuple[int | None, ...]) -> int:
    return prod(side or 1 for side in sides)


def _refuse_absurd(proto: onnx.ModelProto, shapes: Shapes) -> None:
    for node in proto.graph.node:
        for sides in (shapes.get(name, ()) for name in node.output):
            if _count(sides) > _MOST:
                raise EncoderError(
                    f"its operator {node.op_type} makes a value of shape {sides}: at most {_MOST} numbers expected"
                )


def _bare(proto: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The network without its weights, but for those that may be shapes themselves."""
    graph = proto.graph
    small = [tensor for tensor in graph.initializer if prod(tensor.dims) <= _SHAPE_LIKE]
    large = [tensor for tensor in graph.initializer if prod(tensor.dims) > _SHAPE_LIKE]
    weights = [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in large]
    chips = helper.make_tensor_value_info(graph.input[0].name, TensorProto.FLOAT, shape)
    output = helper.make_empty_tensor_value_info(graph.output[0].name)
    bare = helper.make_graph(graph.node, "bare", [chips, *weights], [output], small)
    return helper.make_model(bare, opset_imports=proto.opset_import, ir_version=max(proto.ir_version, 4))


def _shapes(bare: onnx.ModelProto, *, follow: bool = False, strict: bool = False) -> Shapes:
    """The shapes of all values. `follow`: also those that are computed from other shapes. `strict`: all must fit each other."""
    try:
        graph = shape_inference.infer_shapes(bare, data_prop=follow, strict_mode=strict).graph
    except (shape_inference.InferenceError, RuntimeError, ValueError, MemoryError) as error:
        raise EncoderError(f"not a sound ONNX network: {error}") from error
    told = {
        value.name: tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    return told | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _tell_pads(node: onnx.NodeProto, shapes: Shapes) -> None:
    """Write padding that keeps a picture's size (auto_pad) as numbers: OpenCV 5 puts the odd pixel at the wrong side."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type not in ("Conv", "MaxPool", "AveragePool") or "auto_pad" not in attributes:
        return
    if not attributes["auto_pad"].s.startswith(b"SAME_"):
        return
    known = [side for side in shapes.get(node.input[0], ())[2:] if side is not None]
    width = list(attributes["kernel_shape"].ints) if "kernel_shape" in attributes else shapes.get(node.input[1], ())[2:]
    ones = [1] * len(known)
    steps, apart = (list(attributes[name].ints) if name in attributes else ones for name in ("strides", "dilations"))
    if not known or not len(known) == len(width) == len(steps) == len(apart) or 0 in steps:
        return
    lesser, greater = [], []
    for side, pixels, step, gap in zip(known, width, steps, apart, strict=True):
        missing = max((-(-side // step) - 1) * step + ((pixels or 1) - 1) * gap + 1 - side, 0)
        lesser.append(missing // 2)
        greater.append(missing - missing // 2)
    upper = attributes["auto_pad"].s == b"SAME_UPPER"
    node.attribute.remove(attributes["auto_pad"])
    if "pads" in attributes:
        node.attribute.remove(attributes["pads"])
    node.attribute.append(helper.make_attribute("pads", [*lesser, *greater] if upper else [*greater, *lesser]))
