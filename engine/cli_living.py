"""The commands of a living gallery: `enroll`, `remove`, `rename`, `list`, `compact`. Parse, call, print."""

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer

# Exit status.
PROBLEMS = 3
Gallery_ = Annotated[str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery.")]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for another writer.")]

Sources = Annotated[bool, typer.Option("--source/--no-source", help="Whether the photographs' paths are kept.")]


def enroll_command(
    people: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS|T.parquet...", help="Photographs as for embed, or template files.")
    ],
    gallery: Gallery_,
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="NAME", help="Whose they are. Default: as the photographs' names say.")
    ] = None,
    faces: Annotated[
        str | None, typer.Option(metavar="largest|none", help="none: the photographs are face crops. Default: as the gallery.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="PATH", help="The gallery's encoder, where that is a file: none is loaded unasked.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FOLDER|FILE", help="The same for its weights.")] = None,
    projection: Annotated[Path | None, typer.Option(metavar="P.npz", help="The same for the projection behind it.")] = None,
    on_duplicate: Annotated[
        str, typer.Option(metavar="replace|skip|error", help="What becomes of a template id that is enrolled already.")
    ] = "replace",
    sources: Annotated[
        bool, typer.Option("--source/--no-source", help="Whether the gallery keeps the photographs' paths.")
    ] = True,
    wait: Wait = 10.0,
) -> None:
    """Enrol people: durable when the command ends, seen by every search from then on."""
    from engine.errors import PhotographsError
    from engine.galleries import beside, living_gallery
    from engine.problems import write_problems
    from engine.templates import Templates, is_template_file, read_templates
    from engine.terminal import out as console
    from engine.terminal import thousands, told_what_is_left_out

    opened = living_gallery(gallery)
    given = read_templates(*people) if all(is_template_file(path) for path in people) else people
    if encoder or weights or projection:
        if isinstance(given, Templates):
            raise PhotographsError("--encoder, --weights and --projection go with photographs; these are templates already")
        opened.embedder(faces, encoder=encoder, weights=weights, projection=projection)
    with told_what_is_left_out() as left_out:
        done = opened.enroll(
            given,
            identity=identity,
            faces=faces,
            on_duplicate=on_duplicate,
            sources=sources,
            left_out=left_out,
            wait=wait,
        )
    problems = ""
    if done.problems:
        problems = f"; {len(done.problems)} photographs gave none, reasons in {write_problems(beside(gallery), done.problems)}"
    console.print(
        f"{thousands(done.templates)} templates enrolled ({thousands(done.replaced)} in the place of others), "
        f"{thousands(done.skipped)} skipped; {gallery} has {thousands(len(opened))}{problems}"
    )
    if problems:
        raise typer.Exit(PROBLEMS)


def remove_command(
    gallery: Gallery_,
    identities: Annotated[list[str] | None, typer.Argument(metavar="IDENTITY...", help="Who leaves.")] = None,
    template: Annotated[list[str] | None, typer.Option("--template", metavar="ID", help="A template that leaves.")] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A text file with one identity a line.")
    ] = None,
    wait: Wait = 10.0,
) -> None:
    """Remove identities or templates: no search returns them from then on. What erases their bytes is said."""
    from engine.errors import GalleryError
    from engine.galleries import erased_by, living_gallery
    from engine.places import local
    from engine.terminal import out as console
    from engine.terminal import thousands

    names = list(identities or [])
    if from_file is not None:
        listed = local(from_file)
        if not listed.is_file():
            raise GalleryError(f"{from_file}: no such file; expected a text file with one identity a line")
        names += [line for line in listed.read_text(encoding="utf-8").splitlines() if line]
    if not names and not template:
        raise GalleryError("nobody was named; expected identities, --template or --from")
    opened = living_gallery(gallery)
    count = opened.remove(names, templates=template or [], wait=wait)
    console.print(f"{thousands(count)} templates removed; {gallery} has {thousands(len(opened))}; {erased_by(gallery)}")


def rename_command(
    old: Annotated[str, typer.Argument(metavar="OLD")],
    new: Annotated[str, typer.Argument(metavar="NEW")],
    gallery: Gallery_,
    merge: Annotated[bool, typer.Option("--merge", help="Make one identity of both where NEW is enrolled already.")] = False,
    wait: Wait = 10.0,
) -> None:
    """Call an identity otherwise."""
    from engine.galleries import living_gallery
    from engine.terminal import out as console
    from engine.terminal import thousands

    count = living_gallery(gallery).rename(old, new, merge=merge, wait=wait)
    console.print(f"{thousands(count)} templates of {old} are {new}'s")


def list_command(gallery: Annotated[str, typer.Argument(metavar="GALLERY")]) -> None:
    """List the identities and how many templates each has, as CSV."""
    from engine.galleries import open_gallery
    from engine.harmless import harmless

    opened = open_gallery(gallery)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["identity", "templates"])
    rows.writerows((harmless(name), count) for name, count in opened.templates_by_identity())


def compact_command(gallery: Annotated[str, typer.Argument(metavar="GALLERY")], wait: Wait = 10.0) -> None:
    """Seal all that is enrolled anew, calibrate, and erase what was removed from every file; verified."""
    from engine.galleries import in_folder
    from engine.gallery import Gallery
    from engine.terminal import out as console
    from engine.terminal import stages, thousands

    opened = Gallery.open(in_folder(gallery, "compact"))
    before = opened.info().awaiting_erasure
    with stages() as told:
        opened.compact(told, wait=wait)
    console.print(
        f"{thousands(len(opened))} templates in {gallery}; {thousands(before)} removed ones erased and looked for in vain"
    )
