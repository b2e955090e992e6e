"""The commands that change who is enrolled: `enroll`, `remove`, `rename`, `compact`. Parse, call, print."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.completion import complete_people
from engine.cli.options import PROBLEMS, OwnEncoder, OwnProjection, OwnWeights, Quality, Wait
from engine.cli.thresholds import default_line, tell_threshold
from engine.templates.quality import LEAST

if TYPE_CHECKING:
    from engine.workflows.places import Place

Gallery_ = Annotated[str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery.")]


def require_waiting(place: "Place", wait: float | None) -> None:
    """Refuse to wait for another writer where nobody does: Milvus orders its writers. Raises `GalleryError`."""
    from engine.errors import GalleryError

    if wait is not None and not place.waits:
        raise GalleryError(
            f"--wait {wait:g} goes with galleries in folders; Milvus, where {place.where} is, orders its writers itself"
        )


def enroll_command(
    people: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS|T.parquet...", help="Photographs as for embed, or template files.")
    ],
    gallery: Gallery_,
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="NAME", help="Whose they are. Default: as the photographs' names say.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="Whose the vectors are: a list with one name for each, in order."),
    ] = None,
    faces: Annotated[
        str | None, typer.Option(metavar="largest|none", help="none: the photographs are face crops. Default: as the gallery.")
    ] = None,
    encoder: OwnEncoder = None,
    weights: OwnWeights = None,
    projection: OwnProjection = None,
    on_duplicate: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="What becomes of a template id that is enrolled already: replace, skip, error, or own, which replaces the "
            "identity's own and refuses another's.",
        ),
    ] = "own",
    on_match: Annotated[
        str,
        typer.Option(metavar="warn|refuse|ignore", help="What becomes of a face that the gallery takes for somebody else's."),
    ] = "warn",
    sources: Annotated[
        bool, typer.Option("--source/--no-source", help="Whether the gallery keeps the photographs' paths.")
    ] = True,
    quality: Quality = LEAST,
    wait: Wait = None,
) -> None:
    """Enrol people in a gallery.

    Durable when the command ends, seen by every search from then on.
    """
    from engine.cli.console import announce_enrolled, count, stages, tell, told_what_is_left_out
    from engine.errors import PhotographsError, TemplatesError
    from engine.templates.model import Templates
    from engine.templates.parquet import is_template_file, read_templates
    from engine.templates.problems import add_problems, require_problems
    from engine.workflows.named_vectors import named_templates
    from engine.workflows.places import place_of

    place = place_of(gallery)
    require_waiting(place, wait)
    opened = place.open_for_changes()
    of_templates = all(is_template_file(path, opened.provenance.modality) for path in people)
    if of_templates and faces is not None:
        raise PhotographsError(f"--faces {faces} goes with photographs; those to enrol are templates already")
    if names is not None and not of_templates:
        raise TemplatesError(f"--names {names} goes with files of vectors; --labels of onek embed says whose photographs are")
    require_problems(place.beside)
    given: Templates | list[Path] = people
    if of_templates:
        given = read_templates(*people) if names is None else named_templates(people, names)
    if encoder or weights or projection:
        if of_templates:
            raise PhotographsError("--encoder, --weights and --projection go with photographs; these are templates already")
        opened.embedder(faces, encoder=encoder, weights=weights, projection=projection)
    before = default_line(opened)
    with told_what_is_left_out() as left_out, stages() as told:
        done = opened.enroll(
            given,
            identity=identity,
            faces=faces,
            on_duplicate=on_duplicate,
            on_match=on_match,
            sources=sources,
            quality=quality,
            left_out=left_out,
            wait=wait,
            progress=told,
        )
    problems = ""
    if done.problems:
        reasons = add_problems(place.beside, done.problems)
        problems = f"; {len(done.problems):,} gave none, reasons in {reasons}"
    announce_enrolled(done, looked=on_match != "ignore")
    tell(
        f"{count(done.templates, 'template')} enrolled ({done.replaced:,} in the place of others), "
        f"{done.skipped:,} skipped; {gallery} has {len(opened):,}{problems}",
        gallery=gallery,
        enrolled=done.templates,
        replaced=done.replaced,
        skipped=done.skipped,
        templates=len(opened),
        problems=[asdict(each) for each in done.problems],
        unseen_faces=done.unseen.faces,
    )
    tell_threshold(opened, before)
    if problems:
        raise typer.Exit(PROBLEMS)


def remove_command(
    gallery: Gallery_,
    identities: Annotated[
        list[str] | None, typer.Argument(metavar="IDENTITY...", help="Who leaves.", autocompletion=complete_people)
    ] = None,
    template: Annotated[list[str] | None, typer.Option("--template", metavar="ID", help="A template that leaves.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A file with one identity a line, or a CSV or Parquet list of them."),
    ] = None,
    wait: Wait = None,
) -> None:
    """Remove identities or templates from a gallery.

    No search returns them from then on. What erases their bytes is said.
    """
    from engine.cli.console import count as counted
    from engine.cli.console import tell
    from engine.errors import GalleryError
    from engine.tables.lists import read_names
    from engine.workflows.places import place_of

    names = list(identities or [])
    if from_file is not None:
        names += read_names(from_file)
    if not names and not template:
        raise GalleryError("nobody was named; expected identities, --template or --from")
    place = place_of(gallery)
    require_waiting(place, wait)
    opened = place.open_for_changes()
    before = default_line(opened)
    count = opened.remove(names, templates=template or [], wait=wait)
    tell(
        f"{counted(count, 'template')} removed; {gallery} has {len(opened):,}; {place.erased_by}",
        gallery=gallery,
        removed=count,
        templates=len(opened),
    )
    tell_threshold(opened, before)


def rename_command(
    old: Annotated[str, typer.Argument(metavar="OLD", autocompletion=complete_people)],
    new: Annotated[str, typer.Argument(metavar="NEW")],
    gallery: Gallery_,
    merge: Annotated[bool, typer.Option("--merge", help="Make one identity of both where NEW is enrolled already.")] = False,
    wait: Wait = None,
) -> None:
    """Call an identity otherwise."""
    from engine.cli.console import count as counted
    from engine.cli.console import tell
    from engine.workflows.places import place_of

    place = place_of(gallery)
    require_waiting(place, wait)
    opened = place.open_for_changes()
    before = default_line(opened)
    count = opened.rename(old, new, merge=merge, wait=wait)
    are = "is" if count == 1 else "are"
    tell(f"{counted(count, 'template')} of {old} {are} {new}'s", gallery=gallery, old=old, new=new, renamed=count)
    if merge:
        tell_threshold(opened, before)


def compact_command(gallery: Annotated[str, typer.Argument(metavar="GALLERY")], wait: Wait = None) -> None:
    """Erase what was removed, and seal all that is enrolled.

    What was removed is looked for in every file afterwards; the gallery is calibrated anew.
    """
    from engine.cli.console import count, stages, tell
    from engine.gallery.gallery import Gallery
    from engine.workflows.locations import in_folder

    opened = Gallery.open(in_folder(gallery, "compact"))
    before = default_line(opened)
    with stages() as told:
        removed = opened.compact(told, wait=wait)
    tell(
        f"{count(len(opened), 'template')} in {gallery}; {count(removed, 'removed one')} erased and looked for in vain",
        gallery=gallery,
        templates=len(opened),
        erased=removed,
    )
    tell_threshold(opened, before)
