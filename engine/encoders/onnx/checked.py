"""A runtime for an ONNX network that somebody brought: the first that is shown to give what the network is meant to give.

OpenCV 5 takes networks whose numbers it then gets wrong without a word. So onnx's own reference computes one chip too, and a
runtime that differs is passed over. When an encoder is loaded that takes a second for a network like SFace, and five for a
ResNet-100. Half precision is refused: how far it leads away depends on the chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import onnx
from onnx import TensorProto, helper

from engine.common.opencv import quiet_opencv
from engine.encoders.onnx.model import OnnxModel
from engine.encoders.onnx.reference import meant
from engine.encoders.onnx.shapes import refuse_unsound, sized
from engine.encoders.runtimes import AT_ONCE, HALF, OPENCV, OPENVINO, Network, network
from engine.errors import EncoderError

# How far templates of one chip may lie from each other: from two runtimes, and in two batches.
_FAR, _BATCH_FAR = 0.02, 1e-5
# The largest number of inputs at once that a network may be fixed to.
_LARGEST_BATCH = 64


class FixedBatchNetwork:
    """A network that takes a fixed number of inputs at once: the last group is filled up with blank ones."""

    def __init__(self, inner: Network, size: int) -> None:
        self.about = inner.about
        self._inner = inner
        self._size = size

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        filled = np.concatenate([inputs, np.zeros((-len(inputs) % self._size, *inputs.shape[1:]), inputs.dtype)])
        groups = (filled[start : start + self._size] for start in range(0, len(filled), self._size))
        return np.concatenate([self._inner(group).reshape(self._size, -1) for group in groups])[: len(inputs)]


@dataclass(frozen=True)
class _Trial:
    """What there is to try a network with.

    `inputs` are chips, all different. `ways` are the network's forms, each with the number of inputs that it must be given at
    once, None for any. `values` is all that the form `proto` is meant to compute from `seen`; or else `unknown` says why nobody
    knows.
    """

    inputs: np.ndarray
    ways: list[tuple[bytes, int | None]]
    proto: onnx.ModelProto
    seen: np.ndarray
    values: dict[str, np.ndarray]
    unknown: str


def checked(model: OnnxModel, inputs: np.ndarray, runtimes: Sequence[str]) -> Network:
    """The network on the first of some runtimes that gives what it is meant to give.

    Args:
        model: a prepared network.
        inputs: chips to try it with as the network takes them, all different, float32 (n, ...), n at least 2.
        runtimes: their names, in the order in which they are tried.

    Raises:
        EncoderError: none runs the network as it is meant; names the operator at which they fail.
    """
    if HALF in runtimes:
        raise EncoderError(f"{HALF} is for sface alone: how far it leads away was measured for no other network; take {OPENVINO}")
    trial = _trial(model, inputs)
    failures: dict[str, str] = {}
    with quiet_opencv:
        for name in runtimes:
            try:
                found = _steady(trial, name)
                _see_that_it_agrees(trial, found, name)
            except EncoderError as error:
                failures[name] = str(error)
            else:
                return found
        found_out = "; ".join(f"{said}{_where(trial, name)}" for name, said in failures.items())
    raise EncoderError(found_out if find_spec("openvino") else f"{found_out}; pip install 'onek[openvino]' may help")


def _trial(model: OnnxModel, inputs: np.ndarray) -> _Trial:
    """Prepare the trial. A network whose shapes do not fit is refused before: OpenCV would end the whole process."""
    ways: list[tuple[bytes, int | None]] = []
    known: list[tuple[onnx.ModelProto, np.ndarray, dict[str, np.ndarray]]] = []
    failure, unknown = None, "it cannot be told beforehand how large the values inside are"
    batch = (model.shape[0] if model.shape else None) or 1
    # Where the file fixes the number of inputs, the same number may stand inside it as well.
    for number in (1, batch) if 1 < batch <= _LARGEST_BATCH else (1,):
        seen = np.resize(inputs, (number, *inputs.shape[1:]))
        try:
            proto, small = sized(model.proto, seen.shape, any_number=number == 1)
            values, why = _meant(proto, seen) if small else ({}, unknown)
            if not values:
                refuse_unsound(model.proto, seen.shape)
        except EncoderError as error:
            failure = failure or error
            continue
        data = proto.SerializeToString()
        ways += [(data, None), (data, 1)] if number == 1 else [(data, number)]
        known.append((proto, seen, values))
        unknown = why
    if not known:
        raise failure or EncoderError(unknown)
    proto, seen, values = next((each for each in known if each[2]), known[0])
    if values and not np.isfinite(values[proto.graph.output[0].name]).all():
        raise EncoderError("a chip gives NaN or infinity; the network or its mean and scale are wrong")
    if not values and find_spec("openvino") is None:
        raise EncoderError(
            f"{unknown}, so that nobody knows whether {OPENCV} would be right; pip install 'onek[openvino]' may help"
        )
    return _Trial(inputs, ways, proto, seen, values, unknown)


def _meant(proto: onnx.ModelProto, seen: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    try:
        return meant(proto, seen), ""
    except EncoderError as error:
        return {}, str(error)


def _steady(trial: _Trial, name: str) -> Network:
    """The network on a runtime, given as many inputs at once as do not change what it gives for each."""
    failure = None
    for data, size in trial.ways:
        try:
            one = network(data, name, at_once=size or AT_ONCE)
            found: Network = one if size is None else FixedBatchNetwork(one, size)
            alone, together = found(trial.inputs[1:2]), found(trial.inputs)
        except EncoderError as error:
            failure = failure or error
            continue
        count = len(trial.inputs)
        if together.size == count * alone.size and _apart(together.reshape(count, -1)[1], alone) <= _BATCH_FAR:
            return found
    raise failure or EncoderError("what it gives for a chip depends on the others in the batch")


def _see_that_it_agrees(trial: _Trial, found: Network, name: str) -> None:
    alone = found(trial.inputs[:1])
    if trial.values:
        expected = trial.values[trial.proto.graph.output[0].name].reshape(len(trial.seen), -1)[0]
        if not _apart(alone, expected) <= _FAR:
            raise EncoderError(f"{found.about}, gives other numbers than ONNX means")
        return
    other = OPENVINO if name == OPENCV else OPENCV
    if not _apart(alone, _steady(trial, other)(trial.inputs[:1])) <= _FAR:
        raise EncoderError(f"{trial.unknown}, and {found.about}, differs from {other}")


def _where(trial: _Trial, name: str) -> str:
    """The first operator at which a runtime fails or differs, in words; nothing where none is found."""
    nodes = trial.proto.graph.node
    low, high = 0, len(nodes) - 1
    if not _fails(trial, name, high):
        return ""
    while low < high:
        middle = (low + high) // 2
        if _fails(trial, name, middle):
            high = middle
        else:
            low = middle + 1
    node = nodes[high]
    domain = f"{node.domain}." if node.domain else ""
    return f", at its operator {domain}{node.op_type} ({node.name or node.output[0]})"


def _fails(trial: _Trial, name: str, last: int) -> bool:
    """Whether a runtime fails or differs in what the nodes up to `last` give."""
    part = onnx.ModelProto()
    part.CopyFrom(trial.proto)
    output = part.graph.node[last].output[0]
    del part.graph.node[last + 1 :]
    del part.graph.output[:]
    value = trial.values.get(output)
    kind = TensorProto.FLOAT if value is None else helper.np_dtype_to_tensor_dtype(value.dtype)
    part.graph.output.append(helper.make_tensor_value_info(output, kind, None if value is None else value.shape))
    try:
        made = network(part.SerializeToString(), name, at_once=len(trial.seen))(trial.seen)
    except EncoderError:
        return True
    return value is not None and value.dtype == np.float32 and not _apart(made, value) <= _FAR


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """The Euclidean distance of two values as unit vectors; infinite if the first has not as many numbers, or some are none."""
    if one.size != other.size or not np.isfinite(one).all():
        return float("inf")
    first, second = (value.astype(np.float64).ravel() for value in (one, other))
    first, second = (value / max(float(np.linalg.norm(value)), float(np.finfo(np.float32).tiny)) for value in (first, second))
    return float(np.linalg.norm(first - second))
