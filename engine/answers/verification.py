"""One probe against one enrolled identity: what `Gallery.verify` says and needs."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from engine.errors import GalleryError
from engine.templates.names import spellings


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
    codes = (int(identities.index(pa.scalar(name, pa.string())).as_py()) for name in (identity, *spellings(identity)))
    code = next((code for code in codes if code >= 0), -1)
    if code < 0:
        near = difflib.get_close_matches(identity, identities.to_pylist(), n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise GalleryError(f"nobody called {identity} is enrolled in {where}.{meant}")
    return code
