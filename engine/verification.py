"""One probe against one enrolled identity: what `Gallery.verify` says and needs."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.embed import Embedder, list_photographs
from engine.errors import GalleryError, PhotographsError


@dataclass(frozen=True)
class Verification:
    """Whether a probe shows the identity that it was said to show: `same` if and only if `distance <= threshold`.

    `distance` is that of the identity's nearest template, `template_id`. Where a head decided, `probability` is what it gives the
    identity's most alike template, and `same` whether that is a half or more.
    """

    probe: str
    identity: str
    same: bool
    distance: float
    threshold: float
    template_id: str
    probability: float | None = None


def code_of(identities: pa.Array, identity: str, where: str | Path) -> int:
    """The number of an identity in a gallery. Raises `GalleryError` where nobody is called that; says who is meant, perhaps."""
    code = int(identities.index(pa.scalar(identity, pa.string())).as_py())
    if code < 0:
        near = difflib.get_close_matches(identity, identities.to_pylist(), n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise GalleryError(f"nobody called {identity} is enrolled in {where}.{meant}")
    return code


def one_face(photo: np.ndarray | str | Path, embedder: Embedder) -> tuple[str, np.ndarray]:
    """The name of a photograph, and the template (dim,) of its largest face. Raises `PhotographsError` where there is none."""
    photographs = list_photographs([photo], "none")
    if len(photographs) != 1:
        raise PhotographsError(f"{photo} holds {len(photographs)} photographs; expected one")
    (outcome,) = embedder.stream(photographs)
    if outcome.problem is not None:
        raise PhotographsError(f"{outcome.photograph.source}: {outcome.problem}, so there is nothing to compare")
    return outcome.photograph.source, outcome.vectors[0]
