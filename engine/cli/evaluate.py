"""The commands `onek evaluate` and `onek report`: parse, call, print."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import Fpir, Overwrite, OwnEncoder

Groups = Annotated[
    Path | None,
    typer.Option("--groups", metavar="FILE", help="A list with identity (or probe) and any other columns: errors by group."),
]
PhotosBelow = Annotated[
    Path | None, typer.Option("--photos", metavar="FOLDER", help="Where photographs lie, if not where their paths say.")
]
Scores = Annotated[
    list[str],
    typer.Option(
        "--score", metavar="plain|local", help="Give it several times. Default: the gallery's own, and plain beside it."
    ),
]


def evaluate_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="A gallery and its probes; or labelled templates, of one encoder or of several on the same photographs.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The report. A second run there says what changed.")],
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A list of probe and identity (empty: a stranger). Default: the probes' own identities."
        ),
    ] = None,
    splits: Annotated[
        int | None,
        typer.Option(min=1, help="Of labelled templates: how often they are split into enrolled and strangers. Default: 10."),
    ] = None,
    fpir: Fpir = None,
    scores: Scores = [],  # noqa: B006
    groups: Groups = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Show the faces of the worst mistakes. The page holds photographs of people then.")
    ] = False,
    photos: PhotosBelow = None,
    encoder: OwnEncoder = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how often people are missed and strangers named.

    At this size and for these groups; the report is a page to read.
    """
    from engine.cli.console import err, tell
    from engine.errors import MetricsError
    from engine.reports.evaluation.folder import PAGE
    from engine.reports.evaluation.words import answers
    from engine.templates.parquet import is_template_file
    from engine.workflows.measuring.evaluate_files import Asked, evaluate_gallery, evaluate_labelled

    asked = Asked(0.01 if fpir is None else fpir, groups, pictures, photos, _command())
    if all(is_template_file(Path(each)) for each in inputs):
        if truth is not None or encoder is not None:
            raise MetricsError("--truth and --encoder go with a gallery and its probes; labelled templates say whose they are")
        files = [Path(each) for each in inputs]
        made = evaluate_labelled(
            files, out, asked, splits=10 if splits is None else splits, scores=scores, overwrite=overwrite, said=err.print
        )
    elif len(inputs) < 2:
        raise MetricsError(f"{inputs[0]}: expected a gallery and its probes, or labelled templates (T.parquet)")
    else:
        if splits is not None:
            raise MetricsError(f"--splits {splits} goes with labelled templates; a gallery says who is enrolled")
        probes = [Path(each) for each in inputs[1:]]
        made = evaluate_gallery(
            inputs[0], probes, out, asked, truth=truth, scores=scores, encoder=encoder, overwrite=overwrite, said=err.print
        )
    for label, text in answers(made):
        tell(f"{label}: {text}")
    tell(f"report in {out / PAGE}", answers=[list(each) for each in answers(made)], page=str(out / PAGE))


def report_command(
    results: Annotated[
        Path, typer.Argument(metavar="R.parquet", help="What onek identify wrote; or searches.parquet of onek evaluate.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="SHEET.html|FOLDER", help="The page; of searches, the folder.")],
    photos: PhotosBelow = None,
    fpir: Fpir = None,
    groups: Groups = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a contact sheet of results, face by face.

    Or write the report of searches anew, for another rate or other groups.
    """
    from engine.cli.console import tell
    from engine.errors import OutputError
    from engine.evaluation.raw import is_searches
    from engine.files.outputs import check_outputs
    from engine.reports.evaluation.folder import PAGE, write_text
    from engine.reports.evaluation.words import answers
    from engine.reports.sheets.results import contact_sheet, read_results
    from engine.workflows.measuring.evaluate_files import Asked, report_again

    if is_searches(results):
        if photos is not None:
            raise OutputError("--photos goes with results of onek identify; onek evaluate --pictures shows mistakes of searches")
        made = report_again(results, out, Asked(0.01 if fpir is None else fpir, groups, command=_command()), overwrite=overwrite)
        for label, text in answers(made):
            tell(f"{label}: {text}")
        tell(f"report in {out / PAGE}", answers=[list(each) for each in answers(made)], page=str(out / PAGE))
        return
    if fpir is not None or groups is not None:
        raise OutputError("--fpir and --groups go with searches of onek evaluate; results were decided when they were made")
    if out.suffix.lower() != ".html":
        raise OutputError(f"{out}: expected a name that ends in .html, for a contact sheet")
    check_outputs(out, [results, *([photos] if photos else [])], overwrite)
    table = read_results(results)
    write_text(out, contact_sheet(table, photos, results.name))
    more = "" if photos else "; --photos says where photographs lie"
    tell(f"{table.num_rows:,} probe faces in {out}{more}", probes=table.num_rows, page=str(out))


def _command() -> str:
    """The command line, as it was given."""
    return shlex.join(["onek", *sys.argv[1:]])
