"""The commands `onek calibrate` and `onek audit`. Parse, call, print."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Overwrite
from engine.cli.thresholds import default_line, print_calibration, tell_threshold

if TYPE_CHECKING:
    pass


def calibrate_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    strangers: Annotated[
        Path | None,
        typer.Option(metavar="T.parquet", help="Templates of people who are not enrolled. Default: enrolled people play them."),
    ] = None,
) -> None:
    """Learn anew how strangers score, and keep it there."""
    from engine.cli.console import stages
    from engine.templates.parquet import read_templates
    from engine.workflows.locations import open_for_changes

    opened = open_for_changes(gallery)
    before = default_line(opened)
    with stages() as told:
        opened.calibrate(None if strangers is None else read_templates(strangers), told)
    info = opened.info()
    print_calibration(info.calibration, info.score)
    tell_threshold(opened, before)


def audit_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="AUDIT.csv", help="The list to write, worst first.")],
    most: Annotated[int, typer.Option(min=1, help="How many of each kind to list.")] = 100,
    overwrite: Overwrite = False,
) -> None:
    """List likely mistakes in who is enrolled as whom.

    Who is likely enrolled under two names, images that likely show somebody else than they say, people whose pictures lie far
    from their own mean, and templates that are worth little.
    """
    from engine.cli.console import count, stages, tell
    from engine.files.outputs import check_outputs
    from engine.inspection.label_audit import LITTLE_WORTH, SCATTERED, TWO_GROUPS, TWO_NAMES, WRONG_IMAGE, audit, write_audit
    from engine.workflows.locations import open_files

    check_outputs(out, [Path(gallery)], overwrite)
    with stages() as told:
        findings = audit(open_files(gallery, "audit"), most, told)
    write_audit(out, findings)
    found = Counter(finding.kind for finding in findings)
    likely = sum(finding.likely for finding in findings)
    tell(
        f"{count(found[TWO_NAMES], 'pair')} of identities, {count(found[WRONG_IMAGE], 'image')}, "
        f"{count(found[TWO_GROUPS], 'identity', 'identities')} of two groups, "
        f"{count(found[SCATTERED], 'scattered person', 'scattered people')} and "
        f"{count(found[LITTLE_WORTH], 'template')} of little worth in {out}, worst first; "
        f"{likely} are more likely wrong than not",
        audit_file=str(out),
        pairs=found[TWO_NAMES],
        images=found[WRONG_IMAGE],
        two_groups=found[TWO_GROUPS],
        scattered=found[SCATTERED],
        little_worth=found[LITTLE_WORTH],
        likely=likely,
    )
