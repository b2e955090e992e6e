"""Templates of other tools, and tables in folders: `import` and `export`. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import Overwrite

# A test holds them to `engine.exchange.TOOLS`, which is loaded when it is needed.
_TOOLS = "deepface, face_recognition, insightface, compreface, immich, qdrant, milvus, huggingface, parquet"


def import_command(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help=f"Whose they are: {_TOOLS}.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="What the tool wrote, or exported.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="T.parquet", help="The template file to write.")],
    names: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="Whose the vectors are: a list with one name for each, in order."),
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of vectors. Default: as the tool calls it.")
    ] = None,
    identities: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that says whose they are. Default: as the tool calls it.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read templates that another tool made.

    Nothing in a pickle is run; what is more than lists, texts and numbers is refused.
    """
    from engine.cli.console import count, tell
    from engine.exchange import import_templates

    made = import_templates(tool, files, out, names=names, vectors=vectors, identities=identities, overwrite=overwrite)
    unnamed = f"; nobody has named {made.unnamed:,}" if made.unnamed else ""
    without = f"; {count(made.without_vector, 'row')} without a vector left out" if made.without_vector else ""
    tell(
        f"{count(made.templates, 'template')} of {count(made.identities, 'identity', 'identities')} in {out}{unnamed}{without}",
        templates=made.templates,
        identities=made.identities,
        unnamed=made.unnamed,
        without_vector=made.without_vector,
        templates_file=str(out),
    )


def export_command(
    table: Annotated[Path, typer.Argument(metavar="FILE.parquet", help="Templates, results, or another table.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to make.")],
    by: Annotated[str, typer.Option(metavar="COLUMN", help="Each value of it is a folder, as in identity=kian.")] = "identity",
    overwrite: Overwrite = False,
) -> None:
    """Write a Parquet file as a folder of partitions (Hive).

    DuckDB, pandas, polars and Spark read it; onek import parquet reads it back.
    """
    from engine.cli.console import count, tell
    from engine.exchange import export_folder

    partitions = export_folder(table, out, by, overwrite=overwrite)
    tell(f"{count(partitions, 'partition')} by {by} in {out}", partitions=partitions, by=by, folder=str(out))
