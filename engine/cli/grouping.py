"""The command `onek group`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Overwrite
from engine.statistics.rates import read_rate

if TYPE_CHECKING:
    from engine.grouping.groups import Groups

# Suggestions that are told; the file beside the output holds more.
_TOLD = 3


def group_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Template files, or one of groups that were made before.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="GROUPS.parquet", help="The groups to write.")] = None,
    wrong: Annotated[
        float | None,
        typer.Option(
            "--wrong",
            metavar="RATE",
            parser=read_rate,
            help="The share of groups that may hold two people, such as 1%. Default: what puts most faces right.",
        ),
    ] = None,
    same_photo: Annotated[
        bool, typer.Option("--same-photo", help="A photograph may show somebody twice, as a collage does.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="GROUPS.parquet", help="Let the faces join these groups, which keep numbers and names."),
    ] = None,
    name: Annotated[
        tuple[str, str] | None,
        typer.Option("--name", metavar="GROUP|FACE NAME", help="Call a group, or a face that is alone; '' takes a name back."),
    ] = None,
    join: Annotated[tuple[str, str] | None, typer.Option("--join", metavar="GROUP GROUP", help="They are one person.")] = None,
    apart: Annotated[
        tuple[str, str] | None,
        typer.Option("--apart", metavar="FACE FACE", help="Template ids: they are two people; the second leaves their group."),
    ] = None,
    reject: Annotated[
        str | None, typer.Option("--reject", metavar="FACE", help="A template id: it belongs to nobody, for good.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FOLDER", help="Contact sheets in HTML, a hundred groups a page.")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", "-g", metavar="GALLERY", help="Say which of its people groups probably are.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Put faces that nobody has named into groups.

    Corrections (--name, --join, --apart, --reject) and --into change the groups file that they are about, or write --out.
    """
    from engine.cli.console import tell
    from engine.errors import GroupingError
    from engine.grouping.groups_file import is_groups_file, write_groups

    edits = bool(name or join or apart or reject)
    before = [path for path in files if is_groups_file(path)]
    if before and len(files) > 1:
        raise GroupingError(f"{before[0]} holds groups; expected it alone, or new faces with --into {before[0]}")
    if edits and not before:
        raise GroupingError(f"--name, --join, --apart and --reject correct groups; {files[0]} holds none, which onek group makes")
    if edits and (into is not None or wrong is not None or same_photo):
        raise GroupingError("corrections go without --into, --wrong and --same-photo: first one, then the other")
    if into is not None and (wrong is not None or same_photo or before):
        raise GroupingError("--into takes new templates, and keeps to the groups' own rule, without --wrong and --same-photo")
    written = out or (into if into is not None else files[0] if edits else None)
    if written is None and not (before and (sheet or gallery) and wrong is None and not same_photo):
        raise GroupingError("expected --out GROUPS.parquet, the file to write")
    people, pairs = _beside(written or files[0])
    _check_outputs(files, into, out, written, sheet, gallery, overwrite)
    if edits:
        groups = _corrected(files[0], name, join, apart, reject)
    elif written is None:
        groups = _read(files[0])
    else:
        groups = _made(files, into, wrong, same_photo, bool(before))
    if written is not None:
        write_groups(written, groups)
        tell(f"{_line(groups)}, in {written}", **_counts(groups), groups_file=str(written))
    if written is not None and not edits:
        _tell(groups, pairs)
    if sheet is not None:
        _draw(groups, sheet)
    if gallery is not None:
        _recognise(groups, gallery, people)


def _beside(written: Path) -> tuple[Path, Path]:
    """Which files go with groups: who they probably are, and pairs to look at."""
    return written.with_suffix(".people.csv"), written.with_suffix(".pairs.csv")


def _check_outputs(
    files: list[Path],
    into: Path | None,
    out: Path | None,
    written: Path | None,
    sheet: Path | None,
    gallery: str | None,
    overwrite: bool,
) -> None:
    from engine.files.outputs import check_outputs

    people, pairs = _beside(written or files[0])
    besides = [each for each, wanted in ((people, gallery is not None), (pairs, written is not None)) if wanted]
    read = [*files, *([into] if into else [])]
    if out is not None:
        check_outputs(out, read, overwrite, besides)
    if sheet is not None:
        check_outputs(sheet, read, overwrite)


def _read(path: Path) -> "Groups":
    from engine.grouping.groups_file import read_groups

    return read_groups(path)


def _made(files: list[Path], into: Path | None, wrong: float | None, same_photo: bool, again: bool) -> "Groups":
    from dataclasses import replace

    from engine.cli.console import err, stages
    from engine.grouping.grouping import add_templates, group_templates, regroup
    from engine.grouping.method.suited import doubt_about
    from engine.templates.parquet import read_templates

    if again:
        groups = _read(files[0])
        with stages() as told:
            return regroup(replace(groups, same_photo=groups.same_photo or same_photo), wrong=wrong, progress=told)
    templates = read_templates(*files)
    if doubt := doubt_about(templates.provenance):
        err.print(f"warning: {doubt}")
    with stages() as told:
        if into is not None:
            return add_templates(_read(into), templates, told)
        return group_templates(templates, wrong=wrong, same_photo=same_photo, progress=told)


def _corrected(
    path: Path,
    name: tuple[str, str] | None,
    join: tuple[str, str] | None,
    apart: tuple[str, str] | None,
    reject: str | None,
) -> "Groups":
    from engine.grouping.corrections import join_groups, name_group, part_faces, reject_face

    groups = _read(path)
    if apart is not None:
        groups = part_faces(groups, *apart)
    if reject is not None:
        groups = reject_face(groups, reject)
    if join is not None:
        groups = join_groups(groups, *join)
    if name is not None:
        groups = name_group(groups, *name)
    return groups


def _line(groups: "Groups") -> str:
    from engine.cli.console import count, thousands

    again = f", {thousands(groups.repeated)} given twice and counted once" if groups.repeated else ""
    low = groups.table["note"].to_pylist().count("low quality")
    poor = f", {thousands(low)} of them of low quality" if low else ""
    named = sum(bool(name) for name in groups.names.values())
    return (
        f"{count(len(groups), 'face')}{again}: {count(len(groups.members), 'group')}, {thousands(named)} named; "
        f"{count(groups.alone, 'face is', 'faces are')} alone{poor}"
    )


def _counts(groups: "Groups") -> dict[str, int]:
    named = sum(bool(name) for name in groups.names.values())
    return {"faces": len(groups), "groups": len(groups.members), "named": named, "alone": groups.alone}


def _tell(groups: "Groups", pairs: Path) -> None:
    from engine.cli.console import count, tell
    from engine.grouping.suggestions import ONE_PERSON, suggest, write_suggestions

    cut = groups.cut
    by = {
        "decoys": "by people who do not exist, grouped with them",
        "impostors": f"by the encoder's impostors, since about {cut.people} people are few",
    }
    if cut.rule in by:
        expected = f"{cut.expected_wrong:.1f} of {count(cut.groups, 'group')} are expected to hold two people"
        tell(f"cut at {cut.height:.3f}: {expected}, {by[cut.rule]}")
    suggestions = suggest(groups)
    write_suggestions(pairs, suggestions)
    tell(
        f"{count(len(suggestions), 'pair')} to look at in {pairs}, the one that is worth most first",
        suggestions=len(suggestions),
        pairs_file=str(pairs),
    )
    for each in suggestions[:_TOLD]:
        sides = f"{each.group or each.face} and {each.other or each.other_face}" if each.kind == ONE_PERSON else str(each.group)
        tell(f"  {each.kind} {sides} ({each.chance:.0%})")


def _draw(groups: "Groups", sheet: Path) -> None:
    from engine.cli.console import count, progress, tell
    from engine.reports.sheets.groups import write_group_sheets

    with progress("sheets", len(groups.members)) as more:
        pages = write_group_sheets(sheet, groups, more)
    tell(f"{count(pages, 'page')} in {sheet}: open {sheet / 'groups-001.html'}", pages=pages)


def _recognise(groups: "Groups", gallery: str, people: Path) -> None:
    from engine.cli.console import count, tell
    from engine.workflows.known_people import known_people, write_known
    from engine.workflows.locations import open_gallery

    known = known_people(groups, open_gallery(gallery))
    write_known(people, known)
    sure = [each for each in known if each.decision == "identified"]
    tell(
        f"{len(sure):,} of {count(len(known), 'unnamed group')} taken for people of {gallery}, in {people}",
        recognised=len(sure),
        people_file=str(people),
    )
    for each in sure[:_TOLD]:
        alarms = "" if each.expected_false_alarms is None else f", expected false alarms {each.expected_false_alarms:.2g}"
        tell(f"  --name {each.group} {each.identity!r} ({count(each.faces, 'face')}{alarms})")
