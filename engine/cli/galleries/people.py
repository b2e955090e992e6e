"""The commands about people who are enrolled: `list`, `show`, `erase`. Parse, call, print."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.completion import complete_people
from engine.cli.options import Wait
from engine.cli.thresholds import default_line, tell_threshold


def list_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    match: Annotated[str | None, typer.Option("--match", metavar="PATTERN", help="Those alone whose names fit, as 'k*'.")] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="Those alone with so many templates.")] = 1,
    sort: Annotated[str, typer.Option("--sort", metavar="name|templates", help="templates: those with most first.")] = "name",
    only_count: Annotated[bool, typer.Option("--count", help="Say alone how many they are.")] = False,
) -> None:
    """List the identities, and how many templates each has.

    As CSV.
    """
    from engine.cli.console import answer, for_programs
    from engine.cli.console import count as counted
    from engine.errors import OnekError
    from engine.files.escaping import shown
    from engine.tables.sheets import Sheet
    from engine.workflows.locations import open_gallery

    if sort not in ("name", "templates"):
        raise OnekError(f"--sort {sort}: expected name or templates")
    people = [
        (name, count)
        for name, count in open_gallery(gallery).templates_by_identity()
        if count >= least and (match is None or fnmatchcase(name, match))
    ]
    if sort == "templates":
        people.sort(key=lambda each: -each[1])
    templates = sum(count for _, count in people)
    if only_count:
        line = f"{counted(len(people), 'identity', 'identities')}, {counted(templates, 'template')}"
        answer(line, gallery=gallery, count=len(people), templates=templates)
        return
    if for_programs():
        listed = [{"identity": name, "templates": count} for name, count in people]
        answer("", gallery=gallery, count=len(people), templates=templates, identities=listed)
        return
    sheet = Sheet(sys.stdout, ["identity", "templates"])
    # Names may hold what a terminal obeys; whoever reads a pipe wants them as they are.
    said = shown if sys.stdout.isatty() else str
    for name, count in people:
        sheet.write((said(name), count))


def show_command(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who.", autocompletion=complete_people)],
    gallery: Annotated[str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery.")],
) -> None:
    """Say all that a gallery stores about one person.

    With --json the numbers of the templates too. Dates of single templates and corrections are not kept, so there are none.
    """
    from engine.cli.console import answer, columns, count, for_programs
    from engine.maintenance.person import stored_about
    from engine.workflows.locations import open_gallery

    opened = open_gallery(gallery)
    stored, info = stored_about(opened.snapshot(), person), opened.info()
    fields: dict[str, Any] = {
        "identity": person,
        "gallery": gallery,
        "gallery_created": info.created,
        "encoder": opened.provenance.encoder,
        "templates": stored.templates,
        "awaiting_erasure": stored.awaiting_erasure,
    }
    by = f", by {opened.provenance.encoder}" if opened.provenance.encoder else ""
    answer(
        f"{person}: {count(len(stored.templates), 'template')} of {info.dim} numbers each{by}, in {gallery}, "
        f"which was built {info.created}",
        **fields,
    )
    if for_programs():
        return
    rows = [("template", "picture", "face", "enrolled as")]
    for each in stored.templates:
        face = "" if each["face"] is None else str(each["face"])
        rows.append((each["template_id"], each["source"] or "", face, each["enrolled_as"] or person))
    for line in columns(rows):
        answer(line)
    if stored.awaiting_erasure:
        answer(f"{count(stored.awaiting_erasure, 'removed template')} more until onek compact erases them")


def erase_command(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who is forgotten.")],
    places: Annotated[list[str], typer.Argument(metavar="PLACE...", help="Galleries, template files and results files.")],
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="R.json", help="Write what was erased, when, and how that was verified.")
    ] = None,
    wait: Wait = None,
) -> None:
    """Erase a person from galleries and files, and verify it.

    In a gallery: remove, compact, and look for the templates' bytes in every file. Photographs and backups are yours to delete.
    Where a place fails, the others are done all the same, and the receipt says so.
    """
    import json
    from datetime import UTC, datetime

    from engine.cli.console import err, tell
    from engine.errors import OnekError
    from engine.files.atomic_files import whole_file
    from engine.files.outputs import check_outputs
    from engine.maintenance.forgetting import require_ours

    if receipt is not None:
        check_outputs(receipt, [Path(place) for place in places], overwrite=False)
    for place in places:
        if _kind(place) == "file":
            require_ours(Path(place))
    done: list[dict[str, Any]] = []
    failures: list[OnekError] = []
    for place in places:
        try:
            done.append(_ERASE[_kind(place)](person, place, wait))
        except OnekError as failure:
            failures.append(failure)
            done.append({"place": place, "kind": _kind(place), "erased": None, "verified": None, "failed": str(failure)})
            if len(places) > 1:
                err.print(f"{place}: not erased: {failure}")
    told = {"identity": person, "erased_at": datetime.now(UTC).isoformat(timespec="seconds"), "places": done}
    if receipt is not None:
        with whole_file(receipt) as temporary:
            temporary.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        tell(f"the receipt is {receipt}")
    if failures:
        if len(places) > 1:
            failures[0].args = (f"{len(failures)} of {len(places)} places failed; the first: {failures[0]}",)
        raise failures[0]
    tell("photographs, backups and copies of these files are not looked at", **told)


def _kind(place: str) -> str:
    from engine.workflows.places import InMilvus, place_of

    if Path(place).is_dir():
        return "gallery"
    return "gallery in Milvus" if isinstance(place_of(place), InMilvus) else "file"


def _erase_in_file(person: str, place: str, _: float | None) -> dict[str, Any]:
    from engine.cli.console import count, tell
    from engine.maintenance.forgetting import forget_in_file

    rows = forget_in_file(Path(place), person)
    tell(f"{place}: {count(rows, 'row')} of {person} erased, and looked for in vain")
    return {"place": place, "kind": "file", "erased": rows, "verified": "the file was read again; no row has the name"}


def _erase_in_milvus(person: str, place: str, _: float | None) -> dict[str, Any]:
    from engine.cli.console import count, tell
    from engine.errors import GalleryError
    from engine.workflows.locations import open_for_changes
    from engine.workflows.places import place_of

    opened = open_for_changes(place)
    before = default_line(opened)
    removed = opened.remove([person])
    opened.refresh()
    if person in opened:
        raise GalleryError(f"{place} still answers that {person} is enrolled; say onek erase again")
    erased_by = place_of(place).erased_by
    tell(f"{place}: {count(removed, 'template')} of {person} removed, and asked for in vain; {erased_by}")
    tell_threshold(opened, before)
    how = f"the gallery was asked again and has nobody of that name; {erased_by}"
    return {"place": place, "kind": "gallery in Milvus", "erased": removed, "verified": how}


def _erase_in_gallery(person: str, place: str, wait: float | None) -> dict[str, Any]:
    from engine.cli.console import count, stages, tell
    from engine.gallery.gallery import Gallery
    from engine.maintenance.forgetting import look_for_bytes
    from engine.workflows.locations import in_folder

    folder = in_folder(place, "erase")
    opened = Gallery.open(folder)
    before = default_line(opened)
    _, vectors = opened.snapshot().templates_of(person)
    removed = opened.remove([person], wait=wait)
    with stages() as told:
        opened.compact(told, wait=wait)
    looked = look_for_bytes(folder, vectors)
    tell(f"{place}: {count(removed, 'template')} of {person} erased, and looked for in {count(len(looked), 'file')} in vain")
    tell_threshold(opened, before)
    how = "the gallery was sealed anew without them; its catalogue, and then each other file, was searched for each vector"
    return {"place": place, "kind": "gallery", "erased": removed, "verified": how, "files": looked}


_ERASE = {"file": _erase_in_file, "gallery": _erase_in_gallery, "gallery in Milvus": _erase_in_milvus}
