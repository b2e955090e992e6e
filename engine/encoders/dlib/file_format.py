"""Read the weights of dlib's face ResNet from the bytes that dlib serialised.

The format is dlib's own (`dlib/serialize.h`, `dlib/dnn/core.h`): variable-length integers, floats as mantissa and exponent,
tensors as raw float32. The headers of nested layers come first, outermost layer first, then the layers' contents in the
opposite order.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import EncoderError

_ADD_LAYER, _TAG_OR_SKIP, _INNERMOST = 2, 1, 3


@dataclass(frozen=True)
class Convolution:
    """A convolution with the affine layer behind it folded in. `kernel` is (height, width, in, out), `bias` (out,)."""

    kernel: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int


@dataclass(frozen=True)
class FaceResnet:
    """What the file holds. `mean` (3,) is subtracted from RGB; `projection` (256, 128) is applied last."""

    mean: np.ndarray
    size: int
    convolutions: tuple[Convolution, ...]
    projection: np.ndarray


def read_face_resnet(path: Path) -> FaceResnet:
    """Parse `dlib_face_recognition_resnet_model_v1.dat`.

    Raises:
        EncoderError: the file cannot be read, or is not such a network.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read: {error.strerror}") from error
    reader = _Reader(data)
    try:
        network = _network(reader)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise EncoderError(f"{path}: not dlib's face recognition network, at byte {reader.at}: {error}") from error
    if reader.at != len(data):
        raise EncoderError(
            f"{path}: {len(data) - reader.at} bytes follow the network's {reader.at}; the file is not whole or not dlib's"
        )
    return network


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def raw(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError(f"the file ends {count - len(self.data) + self.at} bytes too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self) -> int:
        control = self.raw(1)[0]
        length = control & 0x0F
        if control & 0x70 or length > 8:
            raise ValueError(f"control byte {control:#04x} starts no integer")
        magnitude = int.from_bytes(self.raw(length), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def floating(self) -> float:
        mantissa, exponent = self.integers(2)
        special = {32000: math.inf, 32001: -math.inf, 32002: math.nan}
        return special[exponent] if exponent in special else math.ldexp(mantissa, exponent)

    def floats(self, count: int) -> list[float]:
        return [self.floating() for _ in range(count)]

    def text(self) -> str:
        return self.raw(self.integer()).decode("ascii")

    def expect(self, value: int, what: str) -> None:
        found = self.integer()
        if found != value:
            raise ValueError(f"{what} is {found}, expected {value}")

    def tensor(self) -> np.ndarray:
        self.expect(2, "the version of a tensor")
        shape = self.integers(4)
        if min(shape) < 0:
            raise ValueError(f"a tensor of shape {shape}")
        return np.frombuffer(self.raw(4 * math.prod(shape)), "<f4").reshape(shape)

    def view(self) -> list[int]:
        """The shape of an `alias_tensor`: a view into a layer's parameters, without data of its own."""
        self.expect(1, "the version of an alias tensor")
        return self.integers(4)


def _network(reader: _Reader) -> FaceResnet:
    reader.expect(1, "the version of the loss layer")
    if (name := reader.text()) != "loss_metric_2":
        raise ValueError(f"the loss layer is {name!r}, expected 'loss_metric_2'")
    reader.floats(2)  # margin and distance threshold: only training needs them
    layers = _count_layers(reader)
    if (name := reader.text()) != "input_rgb_image_sized":
        raise ValueError(f"the input layer is {name!r}, expected 'input_rgb_image_sized'")
    mean = np.array(reader.floats(3), np.float32)
    rows, columns = reader.integers(2)
    if rows != columns:
        raise ValueError(f"the input is {columns} x {rows} pixels, expected a square")
    convolutions: list[Convolution] = []
    projection = None
    for number in range(layers):
        name = reader.text()
        if name == "con_4":
            convolutions.append(_convolution(reader))
        elif name == "affine_":
            convolutions[-1] = _fold(convolutions[-1], reader)
        elif name in ("max_pool_2", "avg_pool_2"):
            reader.integers(6)
        elif name == "fc_2":
            projection = _projection(reader)
        elif name not in ("relu_", "add_prev_"):
            raise ValueError(f"layer {number} is {name!r}, which this network does not have")
        reader.raw(3)  # three flags of the computation's state
        for _ in range(3):
            reader.tensor()  # gradients and cached output, empty in a finished network
        if number == 0:
            reader.expect(1, "the sample expansion factor")
    if projection is None:
        raise ValueError("there is no last, fully connected layer")
    return FaceResnet(mean, rows, tuple(convolutions), projection)


def _count_layers(reader: _Reader) -> int:
    """Headers are numbers that name the kind of each layer; the innermost ends the list. Tags and skips hold nothing else."""
    count = 1
    while (kind := reader.integer()) != _INNERMOST:
        if kind not in (_ADD_LAYER, _TAG_OR_SKIP):
            raise ValueError(f"a layer of kind {kind}")
        count += kind == _ADD_LAYER
    return count


def _convolution(reader: _Reader) -> Convolution:
    parameters = reader.tensor().ravel()
    filters, height, width, stride, stride_x, padding, padding_x = reader.integers(7)
    outputs, inputs, kernel_height, kernel_width = reader.view()
    reader.view()
    reader.floats(4)  # learning rates and weight decays
    if (filters, height, width, stride, padding) != (outputs, kernel_height, kernel_width, stride_x, padding_x):
        raise ValueError("a convolution that contradicts itself")
    kernel = parameters[:-filters].reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
    return Convolution(kernel, parameters[-filters:], stride, padding)


def _fold(before: Convolution, reader: _Reader) -> Convolution:
    """Gamma * (kernel * x + bias) + beta, as one convolution."""
    gamma, beta = reader.tensor().reshape(2, -1)
    reader.view()
    reader.view()
    reader.expect(0, "the mode of an affine layer")
    return Convolution(before.kernel * gamma, before.bias * gamma + beta, before.stride, before.padding)


def _projection(reader: _Reader) -> np.ndarray:
    outputs, inputs = reader.integers(2)
    weights = reader.tensor().reshape(inputs, outputs)
    reader.view()
    reader.view()
    reader.expect(1, "the bias mode of the last layer")
    reader.floats(4)
    return weights
