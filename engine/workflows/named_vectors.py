"""Vectors without identities, and a list with one name for each of them, in the same order."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from engine.errors import TemplatesError
from engine.tables.lists import read_names
from engine.templates.enrolment import TemplateStream, enrolment
from engine.templates.model import Templates
from engine.templates.names import names_in


def named(files: Sequence[Path], names: Path) -> TemplateStream:
    """Templates of vector files, with the identities that a list gives.

    Raises:
        ListError: the list cannot be read.
        NameRefused: a name in it is none.
        TemplatesError: it has another number of names than the files have vectors, or a file says whose they are already.
    """
    listed = names_in(pa.array(read_names(names), pa.string()), f"--names {names}")
    found = enrolment(files)
    if len(listed) != found.count:
        raise TemplatesError(f"--names {names} has {len(listed)} names for {found.count} vectors; expected one for each")
    return TemplateStream(found.made, found.count, _named(found.parts, listed), (*found.files, names))


def named_templates(files: Sequence[Path], names: Path) -> Templates:
    """As `named`, in memory."""
    found = named(files, names)
    return Templates(pa.concat_tables([part.table for part in found]), found.made)


def _named(parts: Iterator[tuple[str, Templates]], names: pa.Array) -> Iterator[tuple[str, Templates]]:
    start = 0
    for file, part in parts:
        column = part.table.schema.get_field_index("identity")
        if part.table["identity"].null_count < len(part):
            raise TemplatesError(f"{file} says whose its vectors are; leave --names out, or its identities")
        table = part.table.set_column(column, part.table.schema.field(column), names.slice(start, len(part)))
        yield file, Templates(table, part.provenance)
        start += len(part)
