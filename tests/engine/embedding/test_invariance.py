"""A photograph gives the same boxes and templates whatever lies beside it: in any order, batch, thread, process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from benchmarks.data.drawn_people import picture_of
from engine.common.tensorflow import tensorflow
from engine.embedding.embedder import Embedder
from engine.embedding.outcome import Outcome
from engine.embedding.photographs import Photograph, find_photographs
from engine.encoders import Encoder, load_encoder
from engine.workflows.ray_workers import SpreadEmbedder, workers_on
from tests.support.streams import stream_in_any_way

# Width and height: upright, lying, square, thin, tiny, and larger than the smaller copies that faces are looked for on.
SHAPES = [
    *[(900, 1600), (1600, 900), (480, 640), (640, 480), (300, 300), (250, 700), (1200, 500), (431, 577), (250, 250), (96, 96)],
    *[(161, 160), (160, 161), (321, 97), (97, 321), (641, 640), (333, 500), (500, 333), (1000, 211), (211, 1000), (1281, 720)],
    *[(720, 1281), (127, 255), (255, 127), (64, 48), (48, 64), (33, 31), (12, 400), (400, 12), (1, 1), (2, 900), (900, 2)],
    *[
        (5, 5),
        (77, 770),
        (770, 77),
        (599, 601),
        (601, 599),
        (320, 320),
        (160, 160),
        (150, 330),
        (330, 150),
        (450, 450),
        (800, 600),
    ],
]


def photograph_of(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """A drawn person somewhere on a canvas; every fifth canvas shows nobody, every seventh two people."""
    width, height = shape
    down = np.linspace(60, 200, height, dtype=np.uint8)[:, None, None]
    canvas = np.ascontiguousarray(np.broadcast_to(down, (height, width, 3)))
    random = np.random.default_rng(seed)
    side = int(min(shape) * random.uniform(0.6, 1.0))
    if seed % 5 == 2 or side < 24:
        return canvas
    for person in range(2 if seed % 7 == 3 else 1):
        face = cv2.resize(picture_of(seed % 6 + 6 * person, seed, nuisance=0.6), (side, side), interpolation=cv2.INTER_AREA)
        left = (width - side) * person if person else random.integers(0, width - side + 1)
        top = (height - side) * person if person else random.integers(0, height - side + 1)
        canvas[top : top + side, left : left + side] = face
    return canvas


@pytest.fixture(scope="module")
def photographs() -> list[Photograph]:
    return [Photograph(f"{number}", photograph_of(number, shape), None) for number, shape in enumerate(SHAPES)]


@dataclass(frozen=True)
class Kept:
    """What a photograph gave when it was alone."""

    boxes: np.ndarray
    vectors: np.ndarray
    problem: str | None


def kept(outcome: Outcome) -> Kept:
    return Kept(np.array([face.box for face in outcome.faces]).reshape(-1, 4), outcome.vectors, outcome.problem)


def same(found: Sequence[Outcome], alone: dict[str, Kept]) -> None:
    for outcome in found:
        before = alone[outcome.photograph.source]
        assert outcome.problem == before.problem
        np.testing.assert_array_equal(kept(outcome).boxes, before.boxes)
        np.testing.assert_allclose(outcome.vectors, before.vectors, atol=1e-5)


def small_onnx(folder: Path) -> str:
    """An encoder of somebody's: a convolution, and a linear map of what it gives."""
    random = np.random.default_rng(0)
    weights = {"k": random.normal(size=(8, 3, 5, 5)), "w": random.normal(size=(8 * 14 * 14, 16)) / 40}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], strides=[4, 4], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", onnx.TensorProto.FLOAT, [1, 3, 56, 56])],
        [value("y", onnx.TensorProto.FLOAT, [1, 16])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "small.onnx")
    points = [[17, 21], [39, 21], [28, 32], [19, 42], [37, 42]]
    (folder / "small.json").write_text(f'{{"size": 56, "points": {points}, "dim": 16, "scale": 0.01}}')
    return str(folder / "small.onnx")


def small_keras(folder: Path) -> str:
    """The like in Keras."""
    keras = tensorflow().keras
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((56, 56, 3)), keras.layers.Conv2D(8, 5, 4, "same", activation="relu")]
    keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(16)]).save(folder / "k.keras")
    points = [[17, 21], [39, 21], [28, 32], [19, 42], [37, 42]]
    (folder / "k.json").write_text(f'{{"size": 56, "points": {points}, "dim": 16, "scale": 0.01}}')
    return str(folder / "k.keras")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, sface: Encoder, dlib_resnet: Encoder) -> Callable[[str], Encoder]:
    folder = tmp_path_factory.mktemp("networks")

    def get(name: str) -> Encoder:
        if name.startswith("openvino"):
            pytest.importorskip("openvino", reason="the extra openvino is not installed")
            return load_encoder("sface", runtime=name)
        if name == "onnx":
            return load_encoder(small_onnx(folder))
        if name == "keras":
            return load_encoder(small_keras(folder))
        return {"sface": sface, "dlib-resnet": dlib_resnet}.get(name) or load_encoder(name)

    return get


@pytest.mark.parametrize(
    ("name", "faces", "examples"),
    [
        ("sface", "largest", 3),
        ("pixels", "all", 3),
        ("dlib-resnet", "largest", 1),
        ("sface", "none", 2),
        ("openvino", "none", 2),
        ("openvino-half", "none", 2),
        ("dlib-resnet", "none", 2),
        ("keras", "none", 2),
        ("onnx", "none", 10),
        ("pixels", "none", 10),
    ],
)
def test_what_lies_beside_a_photograph_changes_nothing(
    photographs: list[Photograph],
    encoders: Callable[[str], Encoder],
    name: str,
    faces: str,
    examples: int,
) -> None:
    embedder = Embedder(encoders(name), faces)
    alone = {each.source: kept(outcome) for each in photographs for outcome in embedder.embed_batch([each])}
    found = [before for before in alone.values() if len(before.boxes)]
    assert faces == "none" or len(SHAPES) // 2 < len(found) < len(SHAPES)
    stream_in_any_way(embedder, photographs, partial(same, alone=alone), examples)


@pytest.mark.xdist_group("ray")
def test_neither_does_ray(photographs: list[Photograph], sface: Encoder) -> None:
    embedder = Embedder(sface)
    alone = {outcome.photograph.source: kept(outcome) for outcome in embedder.embed_batch(photographs[:16])}
    with workers_on("ray", 2) as workers:
        spread = SpreadEmbedder(embedder, partial(load_encoder, "sface"), workers)
        same(list(spread.stream(photographs[15::-1])), alone)


def test_photographs_of_a_telephone(real_data: Path, sface: Encoder, tmp_path: Path) -> None:
    """Real people on canvases as telephones make them, with views between: each as alone."""
    shapes = [(900, 1600), (1600, 900), (480, 640), (640, 480), (300, 300), (250, 700), (1200, 500), (431, 577)]
    people = [folder for folder in sorted((real_data / "lfw-dev").iterdir()) if len(list(folder.iterdir())) > 1][:16]
    for number, person in enumerate(people):
        shape = shapes[number % len(shapes)]
        side = int(min(shape) * 0.7)
        canvas = Image.new("RGB", shape, (150, 160, 170))
        with Image.open(min(person.iterdir())) as picture:
            canvas.paste(picture.resize((side, side)), ((shape[0] - side) // 3, (shape[1] - side) // 4))
        canvas.save(tmp_path / f"{number:02}.jpg", quality=92)
        if number % 5 == 2:
            Image.linear_gradient("L").resize(shapes[(number + 2) % 8]).convert("RGB").save(tmp_path / f"{number:02}_view.jpg")
    embedder = Embedder(sface)
    listed = find_photographs([tmp_path], "none")
    alone = {each.source: kept(outcome) for each in listed for outcome in embedder.embed_batch([each])}
    outcomes = list(embedder.stream(listed))
    same(outcomes, alone)
    assert [outcome.photograph.source for outcome in outcomes if outcome.problem] == [
        each.source for each in listed if "view" in each.source
    ]
    for outcome in outcomes:
        if outcome.problem is None:
            picture = Image.open(outcome.photograph.source).size
            side = int(min(picture) * 0.7)
            x, y, width, height = outcome.faces[0].box
            middle = (x + width / 2 - (picture[0] - side) // 3, y + height / 2 - (picture[1] - side) // 4)
            assert 0.3 * side < middle[0] < 0.7 * side
            assert 0.3 * side < middle[1] < 0.7 * side
