"""Templates that are made already, through a projection."""

from pathlib import Path

import pyarrow as pa

from engine.encoders.projection import Projection
from engine.errors import EncoderMismatch
from engine.templates.parquet import Templates, batch


def project(templates: Templates, projection: Projection, path: Path) -> Templates:
    """The same templates, projected by what lies in the file `path`.

    Raises:
        EncoderMismatch: they are of another encoder than those that it was learnt from; names both.
    """
    theirs = templates.provenance
    if theirs.dim != projection.made.dim or theirs.fingerprint != projection.made.fingerprint:
        raise EncoderMismatch(f"the projection was learnt from templates of {projection.made}; these are of {theirs}")
    names = ("template_id", "identity", "source", "face", "box", "quality")
    columns = [templates.table[name].to_pylist() for name in names]
    made = projection.provenance_at(path)
    rows = batch(made, columns[0], columns[1], projection(templates.vectors), *columns[2:])
    return Templates(pa.Table.from_batches([rows]), made)
