"""Keras files that bring code, read other files, or ask for more than there is: refused before Keras makes anything of them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.common.tensorflow import tensorflow
from engine.encoders import load_encoder
from engine.errors import EncoderError
from tests.support.encoder_files import CHIPS, FIELDS, SIZE


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the kinds of layer that networks of faces have."""
    keras = tensorflow().keras
    layers = keras.layers
    chips = layers.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2")(chips)
    x = layers.PReLU()(layers.BatchNormalization()(x))
    x = keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, 2)))
    x = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dropout(0.1)])(x)
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    keras.Model(chips, layers.Dense(512)(x)).save(path)
    return path


def changed(whole: Path, folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """A network whose list of layers was changed."""
    path = folder / "net.keras"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                described = json.loads(data)
                change(described["config"]["layers"])
                data = json.dumps(described).encode()
            new.writestr(name, data)
    path.with_suffix(".json").write_text(json.dumps(FIELDS))
    return path


def last(**config: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda layers: layers[-1]["config"].update(config)


def named(module: str, name: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda layers: layers[1].update(module=module, class_name=name)


def test_the_layers_of_networks_of_faces_are_taken(whole: Path, tmp_path: Path) -> None:
    path = changed(whole, tmp_path, lambda layers: None)
    assert np.isfinite(load_encoder(str(path), flip=False).encode(CHIPS)).all()


def test_a_layer_that_gives_too_much_is_never_computed(tmp_path: Path) -> None:
    keras = tensorflow().keras
    chips = keras.layers.Input((SIZE, SIZE, 3))
    large = keras.layers.UpSampling2D(2)(chips)
    keras.Model(chips, keras.layers.Dense(512)(keras.layers.GlobalAveragePooling2D()(large))).save(tmp_path / "whole.keras")
    path = changed(tmp_path / "whole.keras", tmp_path, lambda layers: layers[1]["config"].update(size=[1000, 1000]))
    with pytest.raises(EncoderError, match="a layer that gives 768,000,000 numbers for a chip; at most 67,108,864"):
        load_encoder(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (named("keras.layers", "Lambda"), "made of 'keras.layers.Lambda'"),
        (named("keras.layers", "TFSMLayer"), "made of 'keras.layers.TFSMLayer'"),
        (named("keras.layers", "StringLookup"), "made of 'keras.layers.StringLookup'"),
        (named("keras.src.utils.file_utils", "get_file"), "get_file"),
        (named("os", "system"), "made of 'os.system'"),
        (named("keras.layers", "Nothing"), "made of 'keras.layers.Nothing'"),
        (last(units=3_000_000_000), "asks for 33,000,.* parameters"),
        (last(units=50_000), "asks for 5.. ?.* parameters"),
        (last(units="many"), "Keras cannot make it"),
        (last(units=-1), "Keras cannot make it"),
        (last(activation={"class_name": "function", "config": "eval", "module": "builtins"}), "made of 'builtins.function'"),
        (lambda layers: layers[-1].update(inbound_nodes=[{}]), "Keras cannot make it"),
        (lambda layers: layers.clear(), "Keras cannot make it"),
        (lambda layers: layers[1]["config"].update(padding="same", strides=[0, 0]), "Keras cannot make it"),
    ],
)
def test_others_are_refused_in_one_line(
    whole: Path, tmp_path: Path, change: Callable[[list[dict[str, Any]]], object], message: str
) -> None:
    path = changed(whole, tmp_path, change)
    with pytest.raises(EncoderError, match=message) as refused:
        load_encoder(str(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_archives_that_unpack_to_more_than_they_are(whole: Path, tmp_path: Path) -> None:
    path = changed(whole, tmp_path, lambda layers: None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(1 << 26))
    with pytest.raises(EncoderError, match="unpacks from .* bytes to 67,"):
        load_encoder(str(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"[" * 1_000_000)
    with pytest.raises(EncoderError, match=r"net\.keras: .*not a Keras file|unpacks"):
        load_encoder(str(path))
