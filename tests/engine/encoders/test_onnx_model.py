from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.encoders import load_encoder
from engine.encoders.onnx.model import prepared
from engine.errors import EncoderError
from tests.engine.encoders.onnx_networks import (
    CONSTANTS,
    DIM,
    SIZE,
    blocks,
    body,
    head,
    made,
    node,
    plain,
    several_outputs,
    write,
)

BASE = {name: value for name, value in CONSTANTS.items() if name != "w3"}


def in_another_file(place: str, inside: bool = False) -> onnx.ModelProto:
    """Weights that the file says lie elsewhere: among the initialisers, or inside an operator."""
    model = plain()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w1")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=place)
    if inside:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w1"], value=weights))
        model.graph.initializer.remove(weights)
    return model


def claimed(dims: list[int], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Weights that are said to be larger than what is there of them."""
    return made([*body(), *head()], {**BASE, "w3": TensorProto(name="w3", dims=dims, data_type=kind, raw_data=b"few")})


def quantised_wrongly(scales: Any, **attributes: Any) -> onnx.ModelProto:
    q = np.ones((DIM, 256), np.int8)
    nodes = [*body(), node("DequantizeLinear", "q s", "w3", **attributes), *head()]
    return made(nodes, {**BASE, "q": q, "s": np.asarray(scales, np.float32)}, opset=21)


def huge(kind: str) -> onnx.ModelProto:
    """A few bytes that would become terabytes."""
    makers = {
        "ConstantOfShape": [node("ConstantOfShape", "sides", "much"), node("ReduceMean", "much", "little", keepdims=0)],
        "Expand": [node("Expand", "b3 sides", "much"), node("ReduceMean", "much", "little", keepdims=0)],
        "Tile": [
            node("Tile", "sides sides", "much"),
            node("Cast", "much", "floats", to=1),
            node("ReduceMean", "floats", "little"),
        ],
    }
    sides = np.array([10**9] if kind == "Tile" else [10**6, 10**6, DIM])
    nodes = [
        *makers[kind],
        *body(),
        head()[0],
        node("Gemm", "flat w3 b3", "raw", transB=1),
        node("Add", "raw little", "template"),
    ]
    return made(nodes, {**CONSTANTS, "sides": sides})


def two_inputs() -> onnx.ModelProto:
    model = made([*body(), *head()], BASE)
    model.graph.input.append(helper.make_tensor_value_info("w3", TensorProto.FLOAT, [DIM, 256]))
    return model


def no_input() -> onnx.ModelProto:
    return made([node("Identity", "w3", "template")], CONSTANTS)


def not_a_number() -> onnx.ModelProto:
    return made([*body(), *head()], {**CONSTANTS, "b3": np.full(DIM, np.nan, np.float32)})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "not an ONNX network"),
        (b"no network", "not an ONNX network"),
        (plain().SerializeToString()[:-5000], "not an ONNX network|damaged"),
        (in_another_file("../outside.bin"), "keeps its weights in another file"),
        (in_another_file("../outside.bin", inside=True), "keeps its weights in another file"),
        (claimed([10**6, 10**6]), r"damaged: its weights w3 .*\(1000000, 1000000\)"),
        (claimed([DIM, 256]), r"damaged: its weights w3 .*\(12, 256\)"),
        (claimed([10**6, 10**6], TensorProto.INT4), "damaged: its weights w3"),
        (claimed([10**6, 10**6], TensorProto.FLOAT16), r"damaged: its weights w3 .*\(1000000, 1000000\)"),
        (quantised_wrongly([1, 2, 3], axis=0), "DequantizeLinear .* does not fit its weights"),
        (quantised_wrongly([[1.0]], axis=0, block_size=2**60), "DequantizeLinear .* does not fit its weights"),
        (quantised_wrongly([1, 2], axis=7), "DequantizeLinear .* does not fit its weights"),
        (huge("ConstantOfShape"), r"ConstantOfShape makes a value of shape \(1000000, 1000000, 12\)"),
        (huge("Expand"), r"Expand makes a value of shape \(1000000, 1000000, 12\)"),
        (huge("Tile"), "Tile"),
        (plain(shape=("n", 3, 99, 99)), r"its input has the shape \(None, 3, 99, 99\), expected \(n, 3, 16, 16\) or"),
        (plain(kind=TensorProto.INT64), "its input chip takes INT64, expected floating point"),
        (two_inputs(), r"has 2 inputs \(chip, w3\), expected 1"),
        (no_input(), "has 0 inputs"),
        (several_outputs(), "has the outputs classes, template; name one as output"),
        (not_a_number(), "a chip gives NaN or infinity"),
        (plain(shape=(10**9, 3, SIZE, SIZE)), None),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(
    tmp_path: Path, model: onnx.ModelProto | bytes, message: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(8 * 3 * 3 * 3 * 4))
    (tmp_path / "in").mkdir()
    path = write(tmp_path / "in", model)
    if message is None:
        assert load_encoder(path).encode(np.ones((1, SIZE, SIZE, 3), np.uint8)).shape == (1, DIM)
        return
    with pytest.raises(EncoderError, match=message) as caught:
        load_encoder(path, runtime="opencv")
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_output_that_is_named(tmp_path: Path) -> None:
    """Also one that is not the last thing computed."""
    chips = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    template = load_encoder(write(tmp_path, several_outputs(), output="template")).encode(chips)
    np.testing.assert_allclose(template, load_encoder(write(tmp_path, plain())).encode(chips), atol=1e-6)
    with pytest.raises(EncoderError, match="has no output middle, only classes, template"):
        load_encoder(write(tmp_path, several_outputs(), output="middle"))


def test_a_batch_that_depends_on_its_members_is_refused(tmp_path: Path) -> None:
    """Fixed at eight inside, and each chip is seen against the mean of all."""
    nodes = [*body(), node("ReduceMean", "p2", "mean", axes=[0], keepdims=1), node("Sub", "p2 mean", "less")]
    nodes += [node("Reshape", "less sides", "flat"), head()[1]]
    model = made(nodes, {**CONSTANTS, "sides": np.array([8, 256])}, shape=(8, 3, SIZE, SIZE), output_shape=(8, DIM))
    with pytest.raises(EncoderError, match="does not run on chips"):
        load_encoder(write(tmp_path, model))


def test_block_quantised_weights_are_those_that_onnx_means(tmp_path: Path) -> None:
    """Held against the same network with its weights dequantised by onnx itself."""
    from onnx.reference import ReferenceEvaluator

    model = blocks(48)
    evaluator = ReferenceEvaluator(model.graph.node[len(body())], opsets={"": 21})
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = evaluator.run(None, {name: tensors[name] for name in ("w3_q", "w3_s", "w3_z")})[0]
    chips = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    templates = load_encoder(write(tmp_path, model)).encode(chips)
    expected = load_encoder(write(tmp_path, made([*body(), *head()], {**CONSTANTS, "w3": weights}))).encode(chips)
    np.testing.assert_allclose(templates, expected, atol=1e-6)


def of_functions(count: int, last: str) -> onnx.ModelProto:
    """Functions of which each calls the next one twice; the last is, or calls, `last`."""
    model = plain()
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    following = [*(f"f{number}" for number in range(1, count)), last]
    for number, name in enumerate(following):
        domain = "own" if name.startswith("f") else ""
        calls = [helper.make_node(name, [one], [other], domain=domain) for one, other in (("a", "b"), ("b", "c"))]
        model.functions.append(helper.make_function("own", f"f{number}", ["a"], ["c"], calls, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    chips = model.graph.input[0].name
    model.graph.node.insert(0, helper.make_node("f0", [chips], ["of functions"], domain="own"))
    for each in model.graph.node[1:]:
        each.input[:] = ["of functions" if name == chips else name for name in each.input]
    return model


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (of_functions(1, "f0"), "its function 'f0' calls itself"),
        (of_functions(3, "f1"), "its function 'f1' calls itself"),
        (of_functions(60, "Relu"), "its functions stand for 1,152,921,504,606,8[0-9,]* operators; at most 100,000 are taken"),
    ],
    ids=["itself", "one another", "two to the sixtieth"],
)
def test_functions_without_end(model: onnx.ModelProto, why: str) -> None:
    with pytest.raises(EncoderError, match=why):
        prepared(model.SerializeToString())


def test_functions_that_end_are_written_out() -> None:
    assert len(prepared(of_functions(4, "Relu").SerializeToString()).proto.graph.node) == len(plain().graph.node) + 16
