"""Templates of strangers that a gallery is to be calibrated on: made as its own, and of nobody who is enrolled."""

from collections.abc import Callable, Iterable

import pyarrow as pa

from engine.common.late import pc
from engine.errors import GalleryError
from engine.templates.model import Templates
from engine.templates.provenance import Provenance, require_same


def require_not_enrolled(
    strangers: Templates, made: Provenance, where: str, enrolled: Callable[[pa.Array], Iterable[str]]
) -> None:
    """Refuse templates that cannot serve to calibrate a gallery: made by another encoder, or of people who are enrolled.

    Args:
        strangers: their templates; with identities, or without.
        made: how the gallery's templates are made.
        where: what the gallery is called.
        enrolled: which of some names somebody enrolled has.

    Raises:
        EncoderMismatch: another encoder made them; names both.
        GalleryError: some are of people who are enrolled; says how many, and names one.
    """
    require_same(made, strangers.provenance, where, "the strangers")
    names = strangers.table["identity"]
    known = pc.is_in(names, value_set=pa.array(enrolled(pc.unique(names.drop_null())), pa.string()), skip_nulls=True)
    if count := pc.sum(known).as_py() or 0:
        raise GalleryError(
            f"{count} templates of the strangers are of enrolled identities, such as {names.filter(known)[0]}; leave them out"
        )
