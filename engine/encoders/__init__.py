"""The encoders: one file per network, and the registry that finds them by name."""

import difflib
from pathlib import Path

from engine.encoders import custom, dlib_resnet, openface, pixels
from engine.encoders.base import Card, Encoder
from engine.encoders.projected import Projected
from engine.errors import EncoderError

__all__ = ["CARDS", "DEFAULT", "Card", "Encoder", "load_encoder"]

_LOADERS = {
    dlib_resnet.CARD: dlib_resnet.load,
    openface.CARD: openface.load,
    openface.COURSE_CARD: openface.load,
    pixels.CARD: pixels.load,
}
CARDS = tuple(_LOADERS)
DEFAULT = dlib_resnet.CARD.name
_TAKES_WEIGHTS = (dlib_resnet.CARD, openface.CARD, openface.COURSE_CARD)


def load_encoder(
    name: str = DEFAULT, *, flip: bool = True, weights: str | Path | None = None, projection: str | Path | None = None
) -> Encoder:
    """Load an encoder, ready to call.

    Args:
        name: one of `CARDS`, or the path of an `.onnx` or `.keras` file with a JSON file beside it.
        flip: average each chip's template with that of its mirror image.
        weights: the folder or file of weights, for the encoders that take one.
        projection: what `onek train-projection` made, applied behind it.

    Raises:
        EncoderError: no such encoder, its weights are missing or damaged, or it takes no `weights`.
    """
    if projection is not None:
        return Projected(load_encoder(name, flip=flip, weights=weights), Path(projection))
    card = next((card for card in CARDS if card.name == name), None)
    if weights is not None and card not in _TAKES_WEIGHTS:
        takers = ", ".join(card.name for card in _TAKES_WEIGHTS)
        raise EncoderError(f"--encoder {name} takes no --weights; {takers} do")
    if card is not None:
        return _LOADERS[card](card, flip=flip, weights=None if weights is None else str(weights))
    if Path(name).suffix.lower() in custom.ENDINGS:
        return custom.load(Path(name), flip=flip)
    names = [card.name for card in CARDS]
    hint = difflib.get_close_matches(name, names, n=1)
    meant = f" Did you mean {hint[0]}?" if hint else ""
    raise EncoderError(f"--encoder {name}: expected {', '.join(names)}, or a path that ends in .onnx or .keras.{meant}")
