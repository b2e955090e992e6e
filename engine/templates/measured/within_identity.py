"""How templates of one identity differ, for the encoders where it was measured."""

from pathlib import Path

import numpy as np


def within_identity_covariance(encoder: str | None) -> np.ndarray | None:
    """The within-identity covariance (d, d) of an encoder's templates, None where nobody measured it.

    `onek benchmark fit-templates` made it of labelled templates: `sface` and `dlib-resnet` (mirror average) of
    LFW's development split.
    """
    path = Path(__file__).parent / f"{encoder}.within.npy"
    # An encoder's name may be a path, of anybody's choice.
    if encoder is None or path.parent != Path(__file__).parent or not path.is_file():
        return None
    factor = np.load(path, allow_pickle=False).astype(np.float64)
    return factor @ factor.T
