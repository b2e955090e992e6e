"""The commands that take care of galleries: `check`, `backup`, `merge`. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import PROBLEMS, Overwrite, Wait
from engine.cli.thresholds import tell_default


def check_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    mend: Annotated[bool, typer.Option("--repair", help="Make vectors, index and densities anew if the rows are whole.")] = False,
    wait: Wait = None,
) -> None:
    """Look at every byte, count and vector of a gallery.

    Exit status 3 if something is wrong, which is listed.
    """
    from engine.cli.console import answer, stages
    from engine.errors import GalleryError
    from engine.maintenance.repair import repair
    from engine.storage.writer_lock import WAIT
    from engine.workflows.locations import check_gallery, in_folder

    if wait is not None and not mend:
        raise GalleryError(f"--wait {wait:g} goes with --repair; a check writes nothing, so it waits for nobody")
    with stages() as told:
        faults = (
            repair(in_folder(gallery, "check --repair"), told, wait=WAIT if wait is None else wait)
            if mend
            else check_gallery(gallery, told)
        )
    listed = [str(fault) for fault in faults]
    for line in listed:
        answer(line)
    if faults and mend:
        answer(f"{gallery}: mended from its rows", gallery=gallery, faults=listed, mended=True)
    elif faults:
        answer(f"{gallery} is not whole", gallery=gallery, faults=listed, mended=False)
        raise typer.Exit(PROBLEMS)
    else:
        answer(f"{gallery} is whole", gallery=gallery, faults=[], mended=False)


def backup_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    out: Annotated[Path, typer.Argument(metavar="DEST", help="The gallery (a folder, or s3://) to create.")],
    overwrite: Overwrite = False,
) -> None:
    """Copy a gallery while others read and write.

    What never changes is linked where it can be.
    """
    from engine.cli.console import tell
    from engine.workflows.locations import backup_gallery

    backup_gallery(gallery, out, overwrite=overwrite)
    tell(f"{gallery} copied to {out}", gallery=gallery, copy=str(out))


def merge_command(
    galleries: Annotated[list[str], typer.Argument(metavar="GALLERY...", help="Galleries whose templates one encoder made.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="GALLERY", help="The gallery (a folder, or s3://) to create.")],
    on_duplicate: Annotated[
        str, typer.Option(metavar="error|skip", help="A template id that comes in two: skip keeps the first gallery's.")
    ] = "error",
    overwrite: Overwrite = False,
) -> None:
    """Build one gallery of several.

    An identity of the same name is the same person.
    """
    from engine.cli.console import count, stages, tell
    from engine.workflows.locations import merge_galleries

    with stages() as told:
        made = merge_galleries(galleries, out, on_duplicate=on_duplicate, overwrite=overwrite, progress=told)
    people = count(made.identity_count, "identity", "identities")
    tell(
        f"{count(len(made), 'template')} of {people} in {out}",
        gallery=str(out),
        templates=len(made),
        identities=made.identity_count,
    )
    tell_default(made)
