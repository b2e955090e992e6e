"""Networks, and what describes them, that name other files, bring code, or ask for more than there is."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.attacks.case import Attack, Place
from benchmarks.durability.isolated import apart
from engine.encoders.custom import load
from engine.encoders.registry import network_files
from engine.encoders.runtimes import OPENCV

_SIDE, _DIM = 16, 12
_FIELDS = {"size": _SIDE, "points": [[4, 5], [12, 5], [8, 9], [5, 12], [11, 12]], "dim": _DIM}
_HUGE = (1 << 20, 1 << 31, 1 << 40, (1 << 62) + 1)


class Encoders(Attack):
    """By what is wrong with it; all but the description are networks that somebody was talked into naming."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from engine.common.tensorflow import tensorflow

        keras: Any = tensorflow().keras

        def save() -> str:
            chips = keras.layers.Input((_SIDE, _SIDE, 3))
            x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(chips))
            keras.Model(chips, keras.layers.Dense(_DIM)(x)).save(folder / "whole.keras")
            return ""

        apart(save)  # here, TensorFlow would begin threads, without which it stands still in a fork

    def lay(self, place: Place, chance: random.Random) -> str:
        made: Any = chance.choice([_elsewhere, _deep, _large, _endless, _cut, _described, _configured, _weighed])
        path = place.work / ("net.keras" if made in (_configured, _weighed) else "net.onnx")
        (place.work / "net.json").write_text(json.dumps(_FIELDS))
        path.write_bytes(made(chance, place, self.folder / "whole.keras"))
        return str(made.__name__).strip("_")

    def ask(self, place: Place, chance: random.Random) -> None:  # noqa: ARG002
        keras = place.work / "net.keras"
        if keras.exists():
            load(network_files(str(keras)), flip=False, runtimes=())
        else:
            load(network_files(str(place.work / "net.onnx")), flip=False, runtimes=(OPENCV,))


def _network(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: Any = ("n", 3, _SIDE, _SIDE)) -> onnx.ModelProto:
    """Chips -> template, by way of some nodes that take `chips` and give `x`, and a mean over each channel."""
    weights = {"w": np.ones((3, _DIM), np.float32)}
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["template"]),
        ],
        "net",
        [helper.make_tensor_value_info("chips", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("template", TensorProto.FLOAT, ("n", _DIM))],
        [numpy_helper.from_array(value, name) for name, value in (weights | constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def _outside(place: Place, chance: random.Random) -> str:
    return chance.choice(["../canary/precious", str(place.canary / "precious"), "/dev/zero", "/etc/hostname", "absent.bin"])


def _elsewhere(chance: random.Random, place: Place, _: Path) -> bytes:
    """Weights in another file: of the network's, of a constant inside, of a function's, of what only training needs."""
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [3, 1, 1], bytes(12), raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", _outside(place, chance)), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    kind = chance.randrange(4)
    model = _network([helper.make_node("Add", ["chips", "c"], ["x"])], {})
    if kind == 0:
        model.graph.initializer.append(tensor)
    elif kind == 1:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))
    elif kind == 2:
        model.graph.node.insert(0, helper.make_node("f", [], ["c"], domain="own"))
        held = [helper.make_node("Constant", [], ["c"], value=tensor)]
        model.functions.append(helper.make_function("own", "f", [], ["c"], held, [helper.make_opsetid("", 13)]))
        model.opset_import.append(helper.make_opsetid("own", 1))
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((3, 1, 1), np.float32), "c"))
        model.training_info.add().initialization.initializer.append(tensor)
    return model.SerializeToString()


def _deep(chance: random.Random, *_: object) -> bytes:
    """Graphs in one another, or functions that call one another without end."""
    if chance.random() < 0.5:
        names = [f"f{number}" for number in range(chance.choice([2, 40]))]
        model = _network([helper.make_node(names[0], ["chips"], ["x"], domain="own")], {})
        model.opset_import.append(helper.make_opsetid("own", 1))
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
        for name, following in zip(names, names[1:] + names[:1], strict=True):
            twice = [
                helper.make_node(following, ["a"], ["b"], domain="own"),
                helper.make_node(following, ["b"], ["c"], domain="own"),
            ]
            if name == names[-1] and chance.random() < 0.7:  # ends, after as many calls as 2 to their number
                twice = [helper.make_node("Identity", ["a"], ["c"])]
            model.functions.append(helper.make_function("own", name, ["a"], ["c"], twice, opsets))
        return model.SerializeToString()
    inner = helper.make_graph([helper.make_node("Identity", ["chips"], ["y"])], "g", [], [_value("y")])
    for _level in range(chance.choice([3, 10, 20])):
        node = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner if chance.random() < 0.1 else None)
        inner = helper.make_graph([node], "g", [], [_value("y")])
        if inner.ByteSize() > 10_000_000:
            break
    node = helper.make_node("If", ["yes"], ["x"], then_branch=inner, else_branch=inner)
    return _network([node], {"yes": np.array(True)}).SerializeToString()


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _large(chance: random.Random, *_: object) -> bytes:
    """Operators that make much of little."""
    side = chance.choice(_HUGE)
    kind = chance.randrange(6)
    shape = np.array([1, 3, side, side], np.int64)
    if kind == 0:
        nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"]), helper.make_node("Add", ["chips", "y"], ["x"])]
    elif kind == 1:
        nodes = [helper.make_node("Expand", ["chips", "s"], ["x"])]
    elif kind == 2:
        nodes = [helper.make_node("Tile", ["chips", "s"], ["x"])]
    elif kind == 3:
        nodes = [helper.make_node("Resize", ["chips", "", "", "s"], ["x"])]
    elif kind == 4:
        nodes, shape = [helper.make_node("Pad", ["chips", "s"], ["x"])], np.array([0, 0, side, side] * 2, np.int64)
    else:
        nodes = [helper.make_node("Conv", ["chips", "k"], ["x"], pads=[min(side, 1 << 31)] * 4)]
    constants = {"s": shape, "k": np.ones((3, 3, 1, 1), np.float32)}
    model = _network(nodes, constants)
    if chance.random() < 0.2:
        model.graph.initializer[0].dims[0] = side
    return model.SerializeToString()


def _endless(chance: random.Random, *_: object) -> bytes:
    """A loop that does not end, or many operators in a row."""
    if chance.random() < 0.5:
        nodes = [helper.make_node("Relu", ["chips"], ["y0"])]
        count = chance.choice([100, 20_000])
        nodes += [helper.make_node("Relu", [f"y{number}"], [f"y{number + 1}"]) for number in range(count)]
        return _network([*nodes, helper.make_node("Relu", [f"y{count}"], ["x"])], {}).SerializeToString()
    taken = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        _value("a"),
    ]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["a"], ["b"])],
        "body",
        taken,
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), _value("b")],
    )
    loop = helper.make_node("Loop", ["most", "yes", "chips"], ["x"], body=body)
    return _network([loop], {"most": np.array(chance.choice(_HUGE)), "yes": np.array(True)}).SerializeToString()


def _cut(chance: random.Random, *_: object) -> bytes:
    """Weights shorter than they say, bytes over a network's, or no network at all."""
    model = _network([helper.make_node("Conv", ["chips", "k"], ["x"])], {"k": np.ones((3, 3, 1, 1), np.float32)})
    kind = chance.randrange(3)
    if kind == 0:
        model.graph.initializer[1].raw_data = model.graph.initializer[1].raw_data[: chance.randrange(36)]
        return model.SerializeToString()
    data = bytearray(model.SerializeToString())
    if kind == 1:
        return bytes(b"\x0a\xff\xff\xff\xff\x07" * chance.choice([1, 5000])) + data
    for _change in range(3):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _described(chance: random.Random, place: Place, _: Path) -> bytes:
    """A description that is none."""
    deep = chance.choice([900, 90_000])
    fields: dict[str, Any] = dict(_FIELDS)
    field = chance.choice(
        ["size", "points", "dim", "mean", "scale", "channels", "layout", "output", "threshold", "source", "more"]
    )
    fields[field] = chance.choice([None, -1, 1e300, 10**400, [], {}, "x" * 500_000, "\x1b[2J", True, [[1, 2]] * 5, "NaN", 4096])
    text: Any = chance.choice(
        [json.dumps(fields), "[" * deep + "]" * deep, '{"size":' * deep, "9" * 900_000, json.dumps(fields).encode("utf-16")]
    )
    (place.work / "net.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return _network([helper.make_node("Relu", ["chips"], ["x"])], {}).SerializeToString()


def _configured(chance: random.Random, place: Place, whole: Path) -> bytes:
    """A Keras file whose description names code, files or sizes."""
    entries = _entries(whole)
    described = json.loads(entries["config.json"])
    layer = chance.choice(described["config"]["layers"])
    kind = chance.randrange(5)
    if kind == 0:
        module, name = chance.choice(
            [
                *(
                    ("keras.layers", each)
                    for each in ("Lambda", "TFSMLayer", "StringLookup", "TextVectorization", "Wrapper", "JaxLayer")
                ),
                *(("keras.utils", each) for each in ("get_file", "load_img")),
                *(("os", "system"), ("builtins", "eval"), ("numpy", "load"), ("keras.src.ops.function", "Function")),
                *(("keras.ops", "vectorized_map"), ("keras.activations", "get"), ("keras.src.legacy.layers", "RandomHeight")),
            ]
        )
        layer.update(module=module, class_name=name, registered_name=chance.choice([None, name, "own>x"]))
    elif kind == 1:
        layer["config"].update(filters=chance.choice(_HUGE), units=chance.choice(_HUGE), kernel_size=[chance.choice(_HUGE)] * 2)
    elif kind == 2:
        value = {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}
        layer["config"][chance.choice(["activation", "kernel_initializer", "name", "dtype", "batch_shape"])] = value
    elif kind == 3:
        layer["config"] = chance.choice(
            [
                None,
                [],
                {"layers": [json.loads(json.dumps(described["config"]))] * 30},
                {"vocabulary": str(place.canary / "precious")},
            ]
        )
    else:
        deep = chance.choice([900, 90_000])
        entries["config.json"] = (b'{"config":' * deep) + b"1" + b"}" * deep
        return _zipped(entries, chance)
    entries["config.json"] = json.dumps(described).encode()
    return _zipped(entries, chance)


def _weighed(chance: random.Random, place: Place, whole: Path) -> bytes:
    """A Keras file whose weights lie elsewhere, or are said to be large."""
    entries = _entries(whole)
    stream = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        names = list[str]()
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = chance.choice(names)
        shape = file[name].shape
        kind = chance.randrange(5)
        del file[name]
        if kind == 0:
            file[name] = h5py.ExternalLink(_outside(place, chance), "/x")
        elif kind == 1:
            file[name] = h5py.SoftLink(chance.choice(["/", f"/{name}", "/layers"]))
        elif kind == 2:
            file.create_dataset(name, shape, "<f4", external=[(_outside(place, chance), 0, h5py.h5f.UNLIMITED)])
        elif kind == 3:
            file.create_dataset(name, tuple(chance.choice(_HUGE[:2]) for _ in shape), "<f4", chunks=tuple(16 for _ in shape))
        else:
            layout = h5py.VirtualLayout(shape, "<f4")
            layout[:] = h5py.VirtualSource(_outside(place, chance), "/x", shape)
            file.create_virtual_dataset(name, layout)
    entries["model.weights.h5"] = stream.getvalue()
    return _zipped(entries, chance)


def _entries(whole: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(whole) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(entries: dict[str, bytes], chance: random.Random) -> bytes:
    """An archive of these, and perhaps of what leads elsewhere or unpacks to much."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        kind = chance.randrange(8)
        if kind == 0:
            archive.writestr("../../canary/written", b"x")
        elif kind == 1:
            archive.writestr("assets/zeros", bytes(1 << 26))
        elif kind == 2:
            archive.writestr("assets/../../x", b"x")
    return stream.getvalue()
