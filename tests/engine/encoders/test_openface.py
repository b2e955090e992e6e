from pathlib import Path

import numpy as np
import pytest

from engine.common.tensorflow import tensorflow
from engine.embedding.in_memory import embed_images
from engine.encoders import load_encoder
from engine.encoders.openface.network import CARD, build, set_weights, tensor_shapes
from engine.encoders.openface.weights import read_tensor, read_weights
from engine.errors import EncoderError
from engine.faces.alignment import largest_face
from engine.faces.images import decode, find_images

MISSING = [
    "inception_3c_3x3_conv2_w",
    "inception_4e_3x3_conv2_w",
    "inception_5a_1x1_conv_w",
    "inception_5a_3x3_conv2_w",
    "inception_5b_3x3_conv2_w",
]


@pytest.fixture
def folder(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return real_data / "openface-nn4-small2"


def write_whole_set(folder: Path, seed: int = 0) -> Path:
    """Small random numbers of the right shapes in all 224 files."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for name, shape in tensor_shapes().items():
        values = random.normal(scale=0.05, size=int(np.prod(shape))).astype(np.float32)
        np.savetxt(folder / f"{name}.csv", np.abs(values)[None] + 0.1 if name.endswith("_v") else values[None], "%.5g", ",")
    return folder


@pytest.mark.parametrize("course", [False, True])
def test_parameters(course: bool) -> None:
    assert build(course).count_params() == 3_743_280


def test_missing_kernels_are_named(folder: Path) -> None:
    present = [path.stem for path in folder.glob("*.csv")]
    missing = sorted(set(tensor_shapes()) - set(present))
    if not missing:
        pytest.skip("this copy of the weights is whole")
    assert missing == MISSING
    with pytest.raises(EncoderError, match=f"5 of 224 tensors are missing .*: {', '.join(MISSING)};"):
        load_encoder("openface", weights=folder)


def test_what_is_there_fits_the_stored_statistics(folder: Path, real_data: Path) -> None:
    """From the stem to 3b, activations vary as the batch normalisations remember; only the original's L2 pooling does so."""
    shapes = {name: shape for name, shape in tensor_shapes().items() if (folder / f"{name}.csv").is_file()}
    tensors = {name: read_tensor(folder, name, shape) for name, shape in shapes.items()}
    pictures = [decode(path) for path in find_images(real_data / "lfw-dev")[:96]]
    found = [largest_face(picture, CARD.chip) for picture in pictures]
    chips = np.stack([faces[0].chip for faces in found if faces]).astype(np.float32) / 255

    def variance_ratios(course: bool) -> dict[str, float]:
        model = build(course)
        set_weights(model, tensors)
        names = [
            layer.name
            for layer in model.layers
            if layer.name.startswith(("bn", "inception_3a", "inception_3b")) and "bn" in layer.name
        ]
        inputs = tensorflow().keras.Model(model.input, [model.get_layer(name).input for name in names])
        values = inputs(chips)
        return {
            name: float(np.median(np.asarray(value).reshape(-1, value.shape[-1]).var(0) / tensors[f"{name}_v"]))
            for name, value in zip(names, values, strict=True)
        }

    original, course = variance_ratios(course=False), variance_ratios(course=True)
    assert len(original) == 15
    assert all(0.7 < ratio < 1.4 for ratio in original.values()), original
    assert 0.9 < original["inception_3b_pool_bn"] < 1.1
    assert course["inception_3b_pool_bn"] < 0.2


@pytest.mark.parametrize("name", ["openface", "openface-course"])
def test_a_whole_set_loads_and_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[np.ndarray], name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_whole_set(tmp_path / "weights")
    encoder = load_encoder(name, weights=folder)
    (cached,) = (tmp_path / "cache" / "onek").glob("*.npz")
    templates = encoder.encode(np.stack([picture[77:173, 77:173] for picture in drawn]))
    assert templates.shape == (12, 128)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-5)
    written = cached.stat().st_mtime_ns
    again = load_encoder(name, weights=folder)
    assert cached.stat().st_mtime_ns == written
    assert again.provenance("a") == encoder.provenance("a")


def test_the_cache_follows_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_whole_set(tmp_path / "weights")
    _, before = read_weights(folder, tensor_shapes())
    np.savetxt(folder / "dense_b.csv", np.ones((1, 128)), "%g", ",")
    tensors, after = read_weights(folder, tensor_shapes())
    assert before != after
    assert (tensors["dense_b"] == 1).all()
    np.savetxt(folder / "dense_b.csv", np.ones((1, 7)), "%g", ",")
    with pytest.raises(EncoderError, match=r"dense_b\.csv: found 7 numbers, expected 128"):
        read_weights(folder, tensor_shapes())


def test_it_needs_its_weights(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="pass weights="):
        load_encoder("openface")
    with pytest.raises(EncoderError, match="is no folder"):
        load_encoder("openface", weights=tmp_path / "gone")


def test_published_distances(folder: Path, real_data: Path) -> None:
    """With the course's variant, a full set of weights and its crops."""
    missing = sorted(set(tensor_shapes()) - {path.stem for path in folder.glob("*.csv")})
    if missing:
        pytest.skip(f"the weights in {folder} lack {', '.join(missing)}")
    encoder = load_encoder("openface-course", weights=folder, flip=False)
    happy = real_data / "happy-house"
    names = ["camera_0.jpg", "younes.jpg", "camera_2.jpg", "kian.jpg"]
    vectors = embed_images([happy / name for name in names], encoder, faces="none").templates.vectors
    assert np.linalg.norm(vectors[0] - vectors[1]) == pytest.approx(0.65939, abs=1e-4)
    assert np.linalg.norm(vectors[2] - vectors[3]) == pytest.approx(0.86224, abs=1e-4)
