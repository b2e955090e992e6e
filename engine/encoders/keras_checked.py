"""A `.keras` file that may be anybody's: what it is made of and how large it will be, before Keras builds anything of it.

Such a file says in JSON which classes are to be made, with which numbers. Some of Keras's run code that the file brings, or read
files that it names; and the numbers may ask for more memory than there is. So only listed layers are taken, and sizes are held
against the weights that are in the file.
"""

import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.common.tensorflow import tensorflow
from engine.errors import EncoderError

# At the most: bytes of the description, numbers that one layer gives for one chip, parameters beyond those that are in the file.
MOST_DESCRIPTION, MOST_OUTPUT, SLACK = 1 << 24, 1 << 26, 1 << 18
# Weights hardly shrink when they are compressed: an h5 file that unpacks to so many times its size holds something else.
_MOST_RATIO = 50
_LAYERS = frozenset(
    re.findall(
        r"\w+",
        """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Cropping1D Cropping2D Cropping3D
    Dense DepthwiseConv2D Dot Dropout EinsumDense ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization Identity InputLayer LayerNormalization LeakyReLU Maximum MaxPooling1D MaxPooling2D MaxPooling3D
    Minimum MultiHeadAttention Multiply Normalization Permute PReLU ReLU Rescaling Reshape Resizing SeparableConv2D
    Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
        """,
    )
)
# All classes in these modules only compute.
_COMPUTING = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.activations", "keras.ops", "keras.src.ops.")
_MODELS = frozenset({"Functional", "Sequential", "Model", "DTypePolicy"})
_PLAIN = frozenset({"__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__", "__numpy__", "__tensor__"})


def read_keras(path: Path) -> Any:
    """The Keras model in a file.

    Raises:
        EncoderError: no Keras file, made of something that is not listed, or larger than its weights; says what was found.
    """
    described, weights = _read(path)
    for each in _made(described):
        _refuse_unlisted(each)
    try:
        _refuse_huge(described, weights)
        return tensorflow().keras.models.load_model(path, compile=False, safe_mode=True)
    except EncoderError:
        raise
    except Exception as error:  # Keras raises whatever it trips over in what a file says
        said = " ".join(str(error).split())
        raise EncoderError(f"Keras cannot make it: {type(error).__name__}: {said[:300]}") from error


def _read(path: Path) -> tuple[Any, int]:
    """The description, and the bytes that its weights unpack to."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            config = entries.get("config.json")
            if config is None:
                raise EncoderError("not a Keras file: it holds no config.json")
            size = sum(entry.file_size for entry in entries.values())
            if config.file_size > MOST_DESCRIPTION or size > _MOST_RATIO * path.stat().st_size:
                raise EncoderError(
                    f"unpacks from {path.stat().st_size:,} bytes to {size:,}, {config.file_size:,} of them its description; "
                    f"at most {_MOST_RATIO} times as many are unpacked, and {MOST_DESCRIPTION:,} of description"
                )
            return json.loads(archive.read(config)), size
    except (OSError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile, RuntimeError) as error:
        raise EncoderError(f"not a Keras file: {error}") from error


def _made(described: Any) -> Iterator[dict[str, Any]]:
    """Every place where a description asks for a class."""
    waiting = [described]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "class_name" in each:
                yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _refuse_unlisted(each: dict[str, Any]) -> None:
    name, module = str(each["class_name"]), str(each.get("module"))
    listed = (
        (module == "keras.layers" and name in _LAYERS)
        or (module.split(".")[0] == "keras" and name in _MODELS)
        or module.startswith(_COMPUTING)
        or ("module" not in each and name in _PLAIN)
    )
    if not listed or str(each.get("registered_name") or name) not in (name, f"keras>{name}"):
        raise EncoderError(
            f"is made of {ascii(f'{module}.{name}')[:80]}, which is not taken: such parts may run code of the file's, or read "
            "other files; save it with layers that only compute, or as ONNX"
        )


def _refuse_huge(described: Any, weights: int) -> None:
    tensorflow()
    import keras

    with _Unbuilt(keras):
        model = keras.saving.deserialize_keras_object(described, safe_mode=True)
        parameters = model.count_params()
        largest = max((_numbers(layer.output) for layer in _layers(model)), default=0)
    # Half precision is the smallest that Keras saves.
    if parameters > weights // 2 + SLACK:
        raise EncoderError(f"asks for {parameters:,} parameters, but its weights have {weights:,} bytes")
    if largest > MOST_OUTPUT:
        raise EncoderError(f"has a layer that gives {largest:,} numbers for a chip; at most {MOST_OUTPUT:,} are computed")


class _Unbuilt:
    """Inside this context models are made without allocating their weights, and Keras forgets them at the end."""

    def __init__(self, keras: Any) -> None:
        self._scope = keras.StatelessScope()

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(self, *error: object) -> None:
        from keras.src.backend.common import global_state

        # When the scope ends, Keras would allocate all their weights.
        global_state.set_global_attribute("uninitialized_variables", [])
        self._scope.__exit__(*error)


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _numbers(output: Any) -> int:
    """How many numbers a layer gives for one chip; a side of any length counts as one."""
    outputs = output if isinstance(output, list | tuple) else [output]
    return sum(math.prod(side or 1 for side in each.shape[1:]) for each in outputs)
