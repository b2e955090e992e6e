"""The commands that learn: `train`, `train-projection`, `train-head`, and `project`. Parse, call, print."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.options import PROBLEMS, Overwrite


def train_command(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS...", help="As for embed; each with an identity.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="ENCODER.keras", help="The encoder to write.")],
    network: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="A fresh one: small, openface; signal; volume. Default: small, for photographs."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME|PATH", help="Go on with an encoder: dlib-resnet or a .keras file."),
    ] = None,
    window: Annotated[
        int | None, typer.Option(metavar="N", help="Samples of a signal's window (default: 512), or a volume's side (32).")
    ] = None,
    sampling: Annotated[
        float | None,
        typer.Option(metavar="HZ|MM", help="Bring signals to this rate (default: the first one's), volumes to such voxels."),
    ] = None,
    no_up: Annotated[bool, typer.Option("--no-up", help="Volumes have no up: turn and flip them too.")] = False,
    loss: Annotated[str, typer.Option(metavar="NAME", help="triplet, arcface or pairs.")] = "triplet",
    mining: Annotated[
        str | None,
        typer.Option(
            metavar="RULE", help="Which triplets of a batch: random, semi-hard or hard; not of arcface. Default: semi-hard."
        ),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(min=0, help="Of the triplet loss alone, in squared distance. Default: 0.2.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most.")] = 30,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps an epoch. Default: about one pass over the pictures.")] = None,
    identities: Annotated[int, typer.Option(min=2, help="Identities in a batch.")] = 24,
    each: Annotated[int, typer.Option(min=2, help="Pictures of each of them.")] = 4,
    rate: Annotated[float | None, typer.Option(metavar="RATE", help="Adam's. Default: 0.001; with --from 0.00003.")] = None,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better one before it stops.")] = 8,
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Of the identities, that are not trained on.")] = 0.2,
    augment: Annotated[
        bool,
        typer.Option(help="Change chips: mirror, shift, light, blur, JPEG; or arrays."),
    ] = True,
    style_augment: Annotated[
        Path | None,
        typer.Option("--style-augment", metavar="FOLDER", help="Give half of the chips something of the styles of its pictures."),
    ] = None,
    faces: Annotated[str, typer.Option(metavar="largest|none", help="none: the photographs are face crops.")] = "largest",
    labels: Annotated[str | None, typer.Option(metavar="folder|stem|FILE", help="As for embed.")] = None,
    chips: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep the aligned chips there, for further runs.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same run.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run to the same output.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output, forget an interrupted run.")] = False,
) -> None:
    """Train an encoder on photographs of known people.

    Or on signals, or on volumes. After each epoch it is said how well it knows people that it is not trained on.
    """
    from engine.cli.console import count, tell, told_what_is_left_out, training
    from engine.embedding.intake import KINDS
    from engine.embedding.photographs import find_photographs
    from engine.encoders import modality_of
    from engine.errors import TrainingError
    from engine.style.pictures import read_styles
    from engine.templates.problems import write_problems
    from engine.templates.provenance import PICTURE
    from engine.training.arrays.shown import shown_by
    from engine.training.checkpoint import Epoch
    from engine.training.fit import Recipe
    from engine.training.networks import OF_ARRAYS, SMALL, begun, fresh, fresh_of_arrays, has_gpu
    from engine.workflows.train_encoder import check_train_output, train_to_file

    check_train_output(out, [*photos, *(Path(each) for each in (labels, begin, style_augment) if each)], overwrite)
    if network is not None and begin is not None:
        raise TrainingError(f"--network {network} and --from {begin} were both given; expected one of them")
    if network not in OF_ARRAYS and (window or sampling or no_up):
        raise TrainingError(f"--window, --sampling and --no-up go with --network {' or '.join(OF_ARRAYS)}")
    modality = modality_of(begin) if begin is not None else network if network in OF_ARRAYS else PICTURE
    usual = 1e-3 if begin is None else 3e-5
    recipe = Recipe(
        loss=loss,
        mining=mining,
        margin=margin,
        epochs=epochs,
        steps=steps,
        identities=identities,
        each=each,
        rate=usual if rate is None else rate,
        patience=patience,
        augment=augment,
        seed=seed,
    )
    recipe.check()
    styles = None if style_augment is None else read_styles(style_augment)
    with told_what_is_left_out() as left_out:
        photographs = find_photographs(photos, labels, left_out, KINDS[modality])
    if begin is not None:
        model = begun(begin)
    elif modality != PICTURE:
        shown = shown_by(photographs, modality, window, sampling)
        model = fresh_of_arrays(shown, seed, mixed=has_gpu(), no_up=no_up)
    else:
        model = fresh(network or SMALL, seed, mixed=has_gpu())

    told_epochs: list[dict[str, Any]] = []

    def say(epoch: Epoch) -> None:
        learnt = (
            f"loss {epoch.loss:.4f}, active {epoch.active:.0%}, {epoch.images_per_second:.0f} images/s; " if epoch.number else ""
        )
        told_epochs.append(asdict(epoch))
        tell(f"epoch {epoch.number}: {learnt}TPIR at FPIR 1 % {epoch.tpir:.1%}, rank-1 {epoch.rank1:.1%}, EER {epoch.eer:.2%}")

    with training(len(photographs)) as (cut, told):
        made = train_to_file(
            photographs,
            model,
            recipe,
            out,
            faces=faces,
            share=validation,
            chips=chips,
            styles=styles,
            resume=resume,
            overwrite=overwrite,
            cut=cut,
            told=told,
            seen=say,
        )
    problems = ""
    if made.problems:
        reasons = write_problems(out, made.problems)
        problems = f"; {count(len(made.problems), KINDS[modality].noun)} gave nothing to see, reasons in {reasons}"
    tell(
        f"{out}: epoch {made.best.number} of {len(made.epochs) - 1}, trained on {count(made.trained, KINDS[modality].noun)}, "
        f"validated with {made.validated:,} of other people{problems}",
        encoder_file=str(out),
        best=made.best.number,
        epochs=told_epochs,
        trained=made.trained,
        validated=made.validated,
        problems=len(made.problems),
    )
    if made.problems:
        raise typer.Exit(PROBLEMS)


TemplateFiles = Annotated[list[Path], typer.Argument(metavar="T.parquet...", help="Labelled templates of one encoder.")]


def train_projection_command(
    templates: TemplateFiles,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="P.npz", help="The projection to write.")],
    kind: Annotated[str, typer.Option(metavar="lda|wccn|pca", help="What it is.")] = "lda",
    dim: Annotated[int | None, typer.Option(min=1, help="Dimensions of the result. Default: as many as there are.")] = None,
    shrinkage: Annotated[float, typer.Option(help="Of the covariance within identities, 0 to 1.")] = 0.1,
    overwrite: Overwrite = False,
) -> None:
    """Learn a linear map of templates.

    On dlib-resnet's none helped; see docs/benchmarks.md.
    """
    from engine.cli.console import tell
    from engine.files.outputs import check_outputs
    from engine.templates.parquet import read_templates
    from engine.training.projections import train_projection

    check_outputs(out, templates, overwrite)
    made = train_projection(read_templates(*templates), kind, dim, shrinkage)
    made.save(out)
    before, after = made.matrix.shape
    tell(f"{out}: {kind}, {before} to {after} dimensions", projection_file=str(out), kind=kind, dim_before=before, dim=after)


def train_head_command(
    templates: TemplateFiles,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="H.npz", help="The head to write.")],
    form: Annotated[str, typer.Option(metavar="absolute|chi2", help="How two templates are compared.")] = "chi2",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Learn a verifier from pairs of templates, for --head.

    Local scores do better: see docs/benchmarks.md.
    """
    from engine.cli.console import count, tell
    from engine.files.outputs import check_outputs
    from engine.templates.parquet import read_templates
    from engine.training.pair_verifier import train_pair_verifier

    check_outputs(out, templates, overwrite)
    made = train_pair_verifier(read_templates(*templates), form, seed)
    made.save(out)
    weights, below = len(made.weights), int((made.weights < 0).sum())
    tell(
        f"{out}: {form}, {count(weights, 'weight')}, {below} of them below 0",
        head_file=str(out),
        form=form,
        weights=weights,
        weights_below_0=below,
    )


def project_command(
    templates: Annotated[Path, typer.Argument(metavar="T.parquet", help="Templates of the encoder that it was learnt for.")],
    projection: Annotated[Path, typer.Option("--projection", metavar="P.npz", help="What onek train-projection made.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="U.parquet", help="The template file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Apply a projection to templates that are made already."""
    from engine.cli.console import count, tell
    from engine.encoders.projection import project, read_projection
    from engine.files.atomic_files import whole_file
    from engine.files.outputs import check_outputs
    from engine.templates.parquet import TemplateWriter, stream_templates

    check_outputs(out, [templates, projection], overwrite)
    learnt = read_projection(projection)
    with whole_file(out) as temporary, TemplateWriter(temporary, learnt.provenance_at(projection)) as writer:
        for part in stream_templates(templates):
            for rows in project(part, learnt, projection).table.to_batches():
                writer.write(rows)
    dim = learnt.matrix.shape[1]
    tell(
        f"{count(writer.rows, 'template')} of {dim} dimensions in {out}",
        templates_file=str(out),
        templates=writer.rows,
        dim=dim,
    )
