"""A whole training run: photographs in, an encoder out."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from engine.embedding.photographs import Photograph
from engine.errors import TrainingError
from engine.faces.chip import Chip
from engine.files.atomic_files import own_folder, refusing, unfinished
from engine.files.outputs import check_outputs, require_local
from engine.tables.sheets import sheet_file
from engine.templates.problems import Problem, problems_path
from engine.training.batches import require_several
from engine.training.checkpoint import Epoch, has_checkpoint
from engine.training.chips import cut_chips
from engine.training.fit import Recipe, Told, fit
from engine.training.networks import Network, save
from engine.training.pictures.styles import styled_chips
from engine.training.validation import split_identities, validation_of


@dataclass(frozen=True)
class Run:
    """What a run made: `epochs`, of which `best` is in the file; `trained` and `validated` chips; `problems` of photographs."""

    epochs: tuple[Epoch, ...]
    best: Epoch
    trained: int
    validated: int
    problems: tuple[Problem, ...]


def check_train_output(out: Path, inputs: Iterable[Path], overwrite: bool) -> None:
    """Refuse, before any work, an output that is an input, or exists, or cannot be written; and what is written beside it.

    Raises:
        OutputError: which, and what to pass.
        TrainingError: it has another ending than `.keras`.
    """
    if out.suffix != ".keras":
        raise TrainingError(f"{out}: an encoder is written as .keras; expected a name that ends so")
    check_outputs(out, inputs, overwrite, [out.with_suffix(".json"), _epochs_path(out), problems_path(out)])


def train_to_file(
    photographs: Sequence[Photograph],
    network: Network,
    recipe: Recipe,
    out: Path,
    *,
    faces: str = "largest",
    share: float = 0.2,
    chips: Path | None = None,
    styles: Mapping[str, np.ndarray] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cut: Callable[[int], None] | None = None,
    told: Told | None = None,
    seen: Callable[[Epoch], None] | None = None,
) -> Run:
    """Train a network on photographs, and write it where `--encoder OUT` finds it, a JSON file and the epochs as CSV beside it.

    While it runs, `OUT.training` holds its checkpoint and the chips, beside it, or in the current folder where it goes to object
    storage; it goes when the run ends well.

    Args:
        photographs: each with an identity.
        network: what to train.
        recipe: how to.
        out: the `.keras` file.
        faces: as in `Embedder`.
        share: of the identities, that are validated with and not trained on.
        chips: a folder of this machine where chips are kept for further runs, instead.
        styles: pictures, uint8 RGB (height, width, 3), by their names, whose styles chips are given (`engine.training.pictures`).
        resume: whether to go on with an interrupted run to the same output.
        overwrite: whether what stands at `out` may be replaced, and an interrupted run forgotten.
        cut: told how many more photographs are cut.
        told: as in `fit`.
        seen: as in `fit`.

    Raises:
        OutputError: the output exists or cannot be written.
        TrainingError: as `fit`, or an interrupted run lies there and neither `resume` nor `overwrite` says what to do; or styles
            for a network that takes no pictures.
    """
    check_train_output(out, (), overwrite)
    if chips is not None:
        require_local(chips, "what --chips names")
    styled = None
    if styles is not None:
        if not isinstance(network.chip, Chip):
            raise TrainingError(f"--style-augment goes with photographs; a {network.chip.modality} has no style")
        styled = styled_chips(styles, network.chip.size)
    folder = unfinished(out, "training")
    if folder.exists() and not (resume or overwrite):
        raise TrainingError(f"an interrupted run lies in {folder}; pass --resume to go on, or --overwrite to start anew")
    with refusing(out):
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        own_folder(folder)
        if chips is not None:
            chips.mkdir(0o700, parents=True, exist_ok=True)
    try:
        made = cut_chips(photographs, network.chip, faces, chips or folder, cut)
        require_several(made.names)
        rows, aside = split_identities(made.names, share, recipe.seed)
        validation = validation_of(made.names, aside, recipe.seed)
        trained = fit(
            network,
            made.pixels,
            made.names,
            rows,
            validation,
            recipe,
            folder,
            of=f"{made.digest} {share:g}",
            styled=styled,
            resume=resume,
            told=told,
            seen=seen,
        )
    except TrainingError:
        if not has_checkpoint(folder):  # there is nothing to go on from
            shutil.rmtree(folder)
        raise
    save(network, out)
    _write_epochs(_epochs_path(out), trained.epochs)
    shutil.rmtree(folder)
    return Run(trained.epochs, trained.best, len(rows), len(aside), made.problems)


def _epochs_path(out: Path) -> Path:
    return out.with_suffix(".epochs.csv")


def _write_epochs(path: Path, epochs: Sequence[Epoch]) -> None:
    with sheet_file(path, [field.name for field in fields(Epoch)]) as sheet:
        for epoch in epochs:
            sheet.write(astuple(epoch))
