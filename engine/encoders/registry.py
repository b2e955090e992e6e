"""Finds an encoder by its name or its file."""

import difflib
from pathlib import Path

from engine.encoders import arrays, custom, pixels, sface
from engine.encoders.base import Encoder, Weights
from engine.encoders.dlib import resnet as dlib_resnet
from engine.encoders.openface import network as openface
from engine.encoders.projection import Projected
from engine.encoders.runtimes import in_order
from engine.errors import EncoderError
from engine.files.object_storage import local
from engine.templates.provenance import PICTURE

_LOADERS = {
    sface.CARD: sface.load,
    dlib_resnet.CARD: dlib_resnet.load,
    openface.CARD: openface.load,
    openface.COURSE_CARD: openface.load,
    pixels.CARD: pixels.load,
}
CARDS = tuple(_LOADERS)
DEFAULT = sface.CARD.name
_TAKES_WEIGHTS = (sface.CARD, dlib_resnet.CARD, openface.CARD, openface.COURSE_CARD)


def load_encoder(
    name: str = DEFAULT,
    *,
    flip: bool | None = None,
    weights: str | Path | None = None,
    projection: str | Path | None = None,
    runtime: str | None = None,
    photographs: int | None = None,
) -> Encoder:
    """Load an encoder, ready to call.

    Args:
        name: one of `CARDS`, or the path of an `.onnx` or `.keras` file with a JSON file beside it.
        flip: average each chip's template with that of its mirror image; by default as the encoder's card says.
        weights: the folder or file of weights, for the encoders that take one.
        projection: what `onek train-projection` made, applied behind it.
        runtime: `opencv` or `openvino` for an ONNX network, such as `sface`; by default OpenVINO for long work, where it is
            installed. Both compute in single precision and agree to 1e-5; `openvino-half` is for
            `sface` alone, and within 0.02 of them.
        photographs: how many there are to embed, where that is known: whether the work is long.

    Raises:
        EncoderError: no such encoder, its weights are missing or damaged, it takes no `weights`, or there is no such runtime.
    """
    if projection is not None:
        encoder = load_encoder(name, flip=flip, weights=weights, runtime=runtime, photographs=photographs)
        return Projected(encoder, Path(projection))
    card = next((card for card in CARDS if card.name == name), None)
    if weights is not None and card not in _TAKES_WEIGHTS:
        takers = ", ".join(card.name for card in _TAKES_WEIGHTS)
        raise EncoderError(f"encoder={name!r} takes no weights=...; {takers} do")
    runtimes = runtimes_for(name, runtime, photographs)
    if card is not None:
        flip = card.flip if flip is None else flip
        given = Weights(str(weights), local(Path(weights))) if weights else None
        return _LOADERS[card](card, flip=flip, weights=given, runtimes=runtimes)
    if Path(name).suffix.lower() in custom.ENDINGS:
        files = network_files(name)
        if (modality := custom.read_modality(files)) != PICTURE:
            return arrays.load(files, modality, flip=flip, runtimes=runtimes)
        return custom.load(files, flip=flip is not False, runtimes=runtimes)
    names = [card.name for card in CARDS]
    hint = difflib.get_close_matches(name, names, n=1)
    meant = f" Did you mean {hint[0]}?" if hint else ""
    raise EncoderError(f"encoder={name!r}: expected {', '.join(names)}, or a path that ends in .onnx or .keras.{meant}")


def modality_of(name: str) -> str:
    """What an encoder takes, `picture`, `signal` or `volume`, without loading it; of one that does not exist, a picture.

    Raises:
        EncoderError: its description cannot be read.
    """
    return custom.read_modality(network_files(name)) if Path(name).suffix.lower() in custom.ENDINGS else PICTURE


def network_files(name: str) -> custom.NetworkFiles:
    """The files of a network of the user's own, at the path that is its name. Raises `StorageError` as `local`."""
    path = Path(name)
    return custom.NetworkFiles(str(path), local(path), local(path.with_suffix(".json")))


def runtimes_for(name: str, runtime: str | None, photographs: int | None) -> tuple[str, ...]:
    """The runtimes that `load_encoder` tries for an encoder, in order; none for one that does without a choice.

    Raises:
        EncoderError: it takes no `runtime`, or there is no such runtime.
    """
    if name == sface.CARD.name or Path(name).suffix.lower() == ".onnx":
        return in_order(runtime, photographs)
    if runtime is not None:
        raise EncoderError(f"encoder={name!r} has its own runtime; runtime=... goes with {sface.CARD.name} and PATH.onnx")
    return ()
