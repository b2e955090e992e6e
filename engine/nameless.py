"""Templates that do not say which photographs they were made of."""

from secrets import token_hex

import pyarrow as pa


def new_key() -> str:
    """What begins the template ids of one run, and of no other."""
    return f"template-{token_hex(8)}"


def without_sources(rows: pa.Table, key: str, first: int = 0) -> pa.Table:
    """The same templates without their photographs' paths, which their ids were made of too: they are called `KEY:NUMBER`, from
    `first` on.
    """
    ids = pa.array([f"{key}:{number}" for number in range(first, first + len(rows))], pa.string())
    for name, values in (("template_id", ids), ("source", pa.nulls(len(rows), pa.string()))):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), values)
    return rows
