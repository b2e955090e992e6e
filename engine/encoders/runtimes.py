"""What runs a network: OpenCV, which is there anyway, or OpenVINO, which is faster and takes longer to start."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

import cv2
import numpy as np

from engine.common.concurrency import Pool
from engine.common.opencv import quiet_opencv
from engine.errors import EncoderError

OPENCV, OPENVINO, HALF = "opencv", "openvino", "openvino-half"
RUNTIMES = (OPENCV, OPENVINO)
# From so many photographs on, the speed of OpenVINO makes up for its slow start.
LONG = 100
# Inputs in one call: more are no faster (7.1 ms a face on two threads for 4, 8 and 16 of them), and take 10 MiB more each.
AT_ONCE = 4
_PLACES = re.compile(
    r"OpenCV\(\S+\) \S+ error: (\(\S+ [^)]*\))?|in function '.*?'|> "
    r"|Exception from \S+:|Check '.*?' failed at \S+:|FrontEnd API failed with \w+:|Model wasn't fully converted\..*?log:"
)


class Network(Protocol):
    """A network that any number of threads may call. `about` names the runtime, its version and precision."""

    about: str

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """From float32 (n, ...) as the network takes them to its output, float32 (n, ...)."""


def in_order(runtime: str | None, photographs: int | None) -> tuple[str, ...]:
    """The runtimes to take for so many photographs (None: nobody knows), the first that will do.

    The one that was asked for, and no other; else all that are installed, OpenVINO first where the work is long.

    Raises:
        EncoderError: no such runtime, or it is not installed.
    """
    installed = tuple(name for name in RUNTIMES if name == OPENCV or find_spec("openvino") is not None)
    if runtime is None:
        if _forked_from_openvino():
            return (OPENCV,)
        return installed[::-1] if photographs is not None and photographs >= LONG else installed
    if runtime not in (*RUNTIMES, HALF):
        raise EncoderError(f"runtime={runtime!r}: expected {', '.join(RUNTIMES)} or {HALF}")
    if runtime != OPENCV and OPENVINO not in installed:
        raise EncoderError(f"runtime={runtime!r}: OpenVINO is not installed; pip install 'onek[openvino]'")
    return (runtime,)


def network(model: bytes, runtime: str, *, at_once: int = AT_ONCE) -> Network:
    """An ONNX network, as `engine.encoders.onnx.model` prepares it, on a runtime.

    Args:
        model: the network.
        runtime: one of `RUNTIMES`.
        at_once: how many inputs it is given in one call, at most.

    Raises:
        EncoderError: the runtime cannot run it; says what it said.
    """
    return OpenCv(model, at_once) if runtime == OPENCV else OpenVino([(model, "float32")], at_once)


def half_network(beginning: bytes, rest: bytes, *, at_once: int = AT_ONCE) -> Network:
    """A network in two parts on OpenVINO: the `beginning` in single precision, what it gives goes through the `rest` in bfloat16.

    Raises:
        EncoderError: the processor has no instructions for bfloat16, or OpenVINO cannot run the network.
    """
    if not computes_in_half():
        raise EncoderError(f"runtime={HALF!r}: this processor has no instructions for bfloat16; take {OPENVINO}")
    return OpenVino([(beginning, "float32"), (rest, "bfloat16")], at_once)


def computes_in_half() -> bool:
    """Whether this processor has instructions for bfloat16, as OpenVINO says."""
    _require_its_process()
    return "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenCv:
    """On OpenCV's DNN, in single precision. A network of its keeps its input between two calls, so that each thread has one."""

    def __init__(self, model: bytes, at_once: int) -> None:
        self.about = f"OpenCV {cv2.__version__}, float32"
        self._at_once = at_once
        self._networks: Pool[Any] = Pool(partial(_opencv, np.frombuffer(model, np.uint8)))

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        with self._networks.one() as net:
            return _in_parts(partial(self._forward, net), inputs, self._at_once)

    @staticmethod
    def _forward(net: Any, part: np.ndarray) -> np.ndarray:
        try:
            net.setInput(part)
            return net.forward()
        except cv2.error as error:
            raise _cannot_run("OpenCV", error) from error


class OpenVino:
    """On OpenVINO: a network in parts, each with its precision (`float32` or `bfloat16`); what one gives, the next takes."""

    def __init__(self, parts: Sequence[tuple[bytes, str]], at_once: int) -> None:
        _require_its_process()
        openvino = _openvino()
        core = openvino.Core()
        try:
            compiled = [core.compile_model(core.read_model(model), "CPU", _options(precision)) for model, precision in parts]
        except RuntimeError as error:
            raise _cannot_run("OpenVINO", error) from error
        version = openvino.__version__.split("-", maxsplit=1)[0]
        self.about = f"OpenVINO {version}, {' and '.join(precision for _, precision in parts)}"
        self._at_once = at_once
        self._requests: Pool[list[Any]] = Pool(lambda: [each.create_infer_request() for each in compiled])

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        with self._requests.one() as requests:
            return _in_parts(partial(self._forward, requests), inputs, self._at_once)

    @staticmethod
    def _forward(requests: list[Any], part: np.ndarray) -> np.ndarray:
        _require_its_process()
        first, *others = requests
        try:
            first.infer([part])
            given = first.get_output_tensor()
            for request in others:
                request.set_input_tensor(given)
                request.infer()
                given = request.get_output_tensor()
        except RuntimeError as error:
            raise _cannot_run("OpenVINO", error) from error
        return given.data


def _options(precision: str) -> dict[str, str]:
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    return {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "THROUGHPUT"}


def _in_parts(forward: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, size: int) -> np.ndarray:
    starts = range(0, len(inputs), size)
    # The output lies in the runtime's own memory, which its next call overwrites.
    return np.concatenate([np.array(forward(inputs[start : start + size]), np.float32, ndmin=1) for start in starts])


# The processes that OpenVINO has run in: this one, and those that it was forked from.
_ran_in: set[int] = set()


def _forked_from_openvino() -> bool:
    return bool(_ran_in - {os.getpid()})


def _require_its_process() -> None:
    """Refuse OpenVINO in a child that was forked from a process where it ran: it waits for threads that are not there."""
    if _forked_from_openvino():
        raise EncoderError(
            "OpenVINO ran before this process was forked, and does not outlive that: start processes by multiprocessing's "
            f"spawn or forkserver, or load the encoder with runtime={OPENCV!r}"
        )
    _ran_in.add(os.getpid())


def _openvino() -> Any:
    """OpenVINO, without the package beside it by which each import would be reported over the network."""
    hidden = "openvino_telemetry"
    sys.modules.setdefault(hidden, None)  # type: ignore[arg-type] # None makes its import an ImportError, which OpenVINO expects
    try:
        return importlib.import_module("openvino")
    finally:
        if sys.modules[hidden] is None:
            del sys.modules[hidden]


def _opencv(model: np.ndarray) -> Any:
    with quiet_opencv:
        try:
            net = cv2.dnn.readNetFromONNX(model)
        except cv2.error as error:
            raise _cannot_run("OpenCV", error) from error
    if net.empty():
        raise EncoderError("OpenCV cannot run the network: it has an operator that OpenCV does not know")
    return net


def _cannot_run(runtime: str, error: Exception) -> EncoderError:
    """A runtime's message of many lines as one line, without the places in the runtime's own source."""
    said = " ".join(_PLACES.sub(" ", " ".join(str(error).split())).split())
    return EncoderError(f"{runtime} cannot run the network: {said[:200]}")
