"""The commands `onek calibrate` and `onek audit`, and what is printed of a calibration: parse, call, print."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.thresholds import default_line, tell_threshold

if TYPE_CHECKING:
    from engine.storage.summary import CalibrationInfo


def calibrate_command(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY")],
    strangers: Annotated[
        Path | None,
        typer.Option(metavar="T.parquet", help="Templates of people who are not enrolled. Default: enrolled people play them."),
    ] = None,
) -> None:
    """Learn anew how strangers score in a gallery, and keep it there."""
    from engine.cli.console import stages
    from engine.templates.parquet import read_templates
    from engine.workflows.locations import living_gallery

    opened = living_gallery(gallery)
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """List who is likely enrolled under two names, images that likely show somebody else than they say, people whose pictures lie
    far from their own mean, and templates that are worth little.
    """
    from engine.cli.console import out as console
    from engine.cli.console import stages
    from engine.files.outputs import check_outputs
    from engine.inspection.label_audit import LITTLE_WORTH, SCATTERED, TWO_NAMES, WRONG_IMAGE, audit, write_audit
    from engine.workflows.locations import open_files

    check_outputs(out, [Path(gallery)], overwrite)
    with stages() as told:
        findings = audit(open_files(gallery, "audit"), most, told)
    write_audit(out, findings)
    found = Counter(finding.kind for finding in findings)
    likely = sum(finding.likely for finding in findings)
    console.print(
        f"{found[TWO_NAMES]} pairs of identities, {found[WRONG_IMAGE]} images, {found[SCATTERED]} scattered people and "
        f"{found[LITTLE_WORTH]} templates of little worth in {out}, worst first; {likely} are more likely wrong than not"
    )


def print_calibration(info: "CalibrationInfo | None", score: str) -> None:
    """Thresholds for the usual rates, how sure they are, and whom they were learnt without."""
    from engine.cli.console import out as console

    if info is None:
        console.print("not calibrated: fewer than 10 identities say nothing of strangers")
        return
    who = "strangers given" if info.source == "strangers" else "enrolled people, each as if never enrolled"
    console.print(f"calibrated at {info.identities:,} identities by {info.searches:,} searches of {who}:")
    for rate in info.rates:
        how = "with the encoder's impostors"
        if rate.interval is not None:
            how = "sampled" if rate.from_sample else "fitted tail"
            how += f"; truly {rate.interval.low:.2g} to {rate.interval.high:.2g}"
        console.print(f"  --fpir {rate.fpir:<6g} {score} score {rate.threshold:.4f}  ({how})")
    if info.left_out:
        nearest = min(pair.distance for pair in info.left_out)
        console.print(
            f"left out: {len(info.left_out)} pairs that may be one person under two names, the nearest {nearest:.3f} apart; "
            "onek audit lists such pairs"
        )
