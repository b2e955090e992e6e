"""Templates that say what they are worth."""

from collections.abc import Sequence

import pyarrow as pa

from engine.templates.model import Templates


def worth(templates: Templates, qualities: Sequence[float | None], reasons: Sequence[str | None] | None = None) -> Templates:
    """The same templates with these qualities, and reasons."""
    table = templates.table
    for name, values in (("quality", qualities), ("reasons", reasons or [None] * len(templates))):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return Templates(table, templates.provenance)
