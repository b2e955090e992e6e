"""One probe against one enrolled identity: what `Gallery.verify` says and needs."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from engine.errors import NotEnrolled
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


# Names that are compared with one that nobody has: with a million it would take a minute.
_FEW = 5_000


def code_if_enrolled(identities: pa.Array, identity: str) -> int | None:
    """The number of an identity in a gallery, None where nobody is called that."""
    codes = (int(identities.index(pa.scalar(name, pa.string())).as_py()) for name in (identity, *spellings(identity)))
    return next((code for code in codes if code >= 0), None)


def code_of(identities: pa.Array, identity: str, where: str | Path) -> int:
    """The number of an identity in a gallery. Raises `NotEnrolled` where nobody is called that; says who is meant, perhaps."""
    code = code_if_enrolled(identities, identity)
    if code is None:
        near = difflib.get_close_matches(identity, identities.to_pylist(), n=1) if len(identities) <= _FEW else []
        meant = f". Did you mean {near[0]}?" if near else ""
        raise NotEnrolled(f"nobody called {identity} is enrolled in {where}{meant}")
    return code
