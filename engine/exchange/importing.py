"""Templates of other tools on their way into a template file."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from engine.errors import EncoderMismatch, TemplatesError
from engine.exchange.columns import Columns, columns_of, found_column, pieces, texts_in, vectors_in
from engine.exchange.parquet_folders import own_templates, parquet_columns, parquet_files
from engine.exchange.tools import Tool, tool_of
from engine.files.atomic_files import whole_file
from engine.files.outputs import check_outputs
from engine.tables.lists import Column, read_names
from engine.templates.foreign_vectors import NUMPY_ENDINGS, ForeignBatch, batch_of_columns, foreign_batches
from engine.templates.model import Templates
from engine.templates.names import names_in
from engine.templates.parquet import ROW_GROUP, TemplateWriter, of_foreign

_FOLDER = re.compile(r"[/\\]")


@dataclass(frozen=True)
class Imported:
    """What an import made: templates, of how many identities, how many nobody has named; and how many rows had no vector, as of
    pictures in which a tool found no face.
    """

    templates: int
    identities: int
    unnamed: int
    without_vector: int


def import_templates(
    tool: str,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    names: str | Path | None = None,
    vectors: str | None = None,
    identities: str | None = None,
    overwrite: bool = False,
) -> Imported:
    """Write what another tool keeps of faces as a template file.

    Args:
        tool: a name of `engine.exchange.TOOLS`.
        inputs: its files, or folders of Parquet.
        out: the template file to write.
        names: a list of whose they are, one for each, in order.
        vectors: the column of vectors, where it goes by another name than the tool's.
        identities: the same for the column that says whose they are.
        overwrite: whether a file that stands there may be replaced.

    Raises:
        TemplatesError: no such tool, or a file that cannot be read, holds what needs code to be read, or vectors that are none.
        EncoderMismatch: the inputs have vectors of several lengths, or of several encoders.
        ListError: a list cannot be read.
        NameRefused: somebody's name can be nobody's.
        OutputError: `out` exists and `overwrite` is false, or cannot be written.
    """
    out, paths = Path(out), [Path(each) for each in inputs]
    check_outputs(out, [*paths, *([Path(names)] if names is not None else [])], overwrite)
    without: list[int] = []
    parts = foreign_templates(tool, paths, vectors=vectors, identities=identities, without_vector=without.append)
    if names is not None:
        parts = _named(parts, names_in(pa.array(read_names(Path(names)), pa.string()), f"--names {names}"), names)
    first = next(parts, None)
    if first is None:
        raise TemplatesError("there is no vector in what was named; expected at least one")
    people: set[str | None] = set()
    unnamed = 0
    with whole_file(out) as temporary, TemplateWriter(temporary, first.provenance) as writer:
        for part in _chained(first, parts):
            for rows in part.table.to_batches():
                writer.write(rows)
            people.update(part.table["identity"].unique().to_pylist())
            unnamed += part.table["identity"].null_count
    return Imported(writer.rows, len(people - {None}), unnamed, sum(without))


def foreign_templates(
    tool: str,
    inputs: Iterable[Path],
    *,
    vectors: str | None = None,
    identities: str | None = None,
    without_vector: Callable[[int], object] | None = None,
) -> Iterator[Templates]:
    """The templates of another tool's files, a batch at a time; arguments and errors as of `import_templates`.

    `without_vector` is told how many rows are left out since they have none.
    """
    known = tool_of(tool)
    if vectors is not None:
        known = replace(known, vector=Column(vectors))
    if identities is not None:
        known = replace(known, identity=Column(identities), by_folder=False)
    made, first = None, 0
    for file, folder in [(file, path) for path in inputs for file in _files(path, known)]:
        for part in _of_file(file, folder, known, first, without_vector or _unheard):
            made = made or part.provenance
            if (part.provenance.dim, part.provenance.fingerprint) != (made.dim, made.fingerprint):
                raise EncoderMismatch(f"{file} was made by {part.provenance}, what came before it by {made}; import them apart")
            first += len(part)
            yield part


def _files(path: Path, tool: Tool) -> list[Path]:
    if path.is_dir() and ".parquet" in tool.endings:
        return parquet_files(path)
    if not path.is_file():
        raise TemplatesError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected {' or '.join(tool.endings)}")
    if path.suffix.lower() not in tool.endings:
        raise TemplatesError(f"{path}: of {tool.name} {', '.join(tool.endings)} are read; found {path.suffix or 'no ending'}")
    return [path]


def _unheard(_: int) -> None:
    """Nobody asked."""


def _of_file(file: Path, folder: Path, tool: Tool, first: int, without_vector: Callable[[int], object]) -> Iterator[Templates]:
    if file.suffix.lower() == ".parquet" and (own := own_templates(file, folder)) is not None:
        yield from own
        return
    for part in _foreign(file, folder, tool, without_vector):
        yield of_foreign(part, file, first=first + part.start)


def _foreign(file: Path, folder: Path, tool: Tool, without_vector: Callable[[int], object]) -> Iterator[ForeignBatch]:
    ending = file.suffix.lower()
    if ending in NUMPY_ENDINGS:
        yield from foreign_batches(file, ROW_GROUP)
        return
    if ending == ".parquet":
        parts = parquet_columns(file, folder, tool)
    else:
        parts = pieces(_arrow(file, columns_of(file, tool), tool), ROW_GROUP)
    dim = None
    for start, given in parts:
        columns = given
        if missing := given["vector"].null_count:
            without_vector(missing)
            columns = {name: column.filter(given["vector"].is_valid()) for name, column in given.items()}
        if not len(columns["vector"]):
            continue
        if tool.by_folder and "source" in columns:
            columns = {**columns, "identity": pa.array(map(_folder_of, columns["source"].to_pylist()), pa.string())}
        batch = batch_of_columns(file, columns, "vector", start, dim)
        dim = batch.vectors.shape[1]
        yield batch


def _arrow(file: Path, columns: Columns, tool: Tool) -> dict[str, pa.Array]:
    found = {
        wanted: name
        for wanted, column in (
            ("vector", tool.vector),
            ("identity", tool.identity),
            ("template_id", tool.template_id),
            ("source", tool.source),
        )
        if (name := found_column(file, column, list(columns)))
    }
    return {
        wanted: vectors_in(file, columns[name]) if wanted == "vector" else texts_in(file, name, columns[name])
        for wanted, name in found.items()
    }


def _folder_of(source: str | None) -> str | None:
    """Whose a picture is that lies in somebody's folder: `people/kian/1.jpg` is kian's, on any system."""
    parts = _FOLDER.split(source or "")
    return parts[-2] if len(parts) > 1 else None


def _named(parts: Iterator[Templates], names: pa.Array, said: str | Path) -> Iterator[Templates]:
    start = 0
    for part in parts:
        if part.table["identity"].null_count < len(part):
            raise TemplatesError(f"what is imported says whose it is; leave --names {said} out")
        mine = names.slice(start, len(part))
        start += len(part)
        if start > len(names):
            raise TemplatesError(f"--names {said} has {len(names)} names, and there are more vectors; expected one for each")
        at = part.table.schema.get_field_index("identity")
        yield Templates(part.table.set_column(at, part.table.schema.field(at), mine), part.provenance)
    if start < len(names):
        raise TemplatesError(f"--names {said} has {len(names)} names for {start} vectors; expected one for each")


def _chained(first: Templates, others: Iterator[Templates]) -> Iterator[Templates]:
    yield first
    yield from others
