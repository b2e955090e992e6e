"""Templates that do not say which photographs they were made of."""

import pyarrow as pa

from engine.common.late import pc
from engine.files import content_ids as ids
from engine.templates.model import vectors_of


def without_sources(rows: pa.Table) -> pa.Table:
    """The same templates without their photographs' paths.

    Ids are made of content, which says nothing of a path; those of an older onek began with the path, and are made anew, of the
    vectors.
    """
    sources, called = rows["source"], rows["template_id"].combine_chunks()
    pairs = zip(sources.to_pylist(), called.to_pylist(), strict=True)
    begins = [source is not None and name.startswith(source) for source, name in pairs]
    if any(begins):
        called = pc.if_else(pa.array(begins), pa.array(ids.of_vectors(vectors_of(rows)), pa.string()), called)
    for name, values in (("template_id", called), ("source", pa.nulls(len(rows), pa.string()))):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), values)
    return rows
