"""What a training run that was interrupted goes on from: one file, whole or absent."""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_plain
from engine.errors import TrainingError
from engine.files.atomic_files import whole_file

_FILE = "checkpoint.npz"


@dataclass(frozen=True)
class Epoch:
    """`loss` and `active` share, means over the epoch's steps, `images_per_second`; TPIR at FPIR 1 %, rank-1 and the equal error
    rate on people who are not trained on. Number 0 is before the first step.
    """

    number: int
    loss: float
    active: float
    images_per_second: float
    tpir: float = 0.0
    rank1: float = 0.0
    eer: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """`run` says of what, and how; `state` is all that the next step depends on, `best` the weights of the best epoch."""

    run: dict[str, str]
    epochs: tuple[Epoch, ...]
    state: list[np.ndarray]
    best: list[np.ndarray]


def has_checkpoint(folder: Path) -> bool:
    """Whether a run in this folder can go on."""
    return (folder / _FILE).exists()


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write it in the place of an earlier one. Raises `OutputError` where it cannot be written."""
    said = json.dumps({"run": checkpoint.run, "epochs": [asdict(epoch) for epoch in checkpoint.epochs]})
    arrays = {f"state{number:04d}": value for number, value in enumerate(checkpoint.state)}
    arrays |= {f"best{number:04d}": value for number, value in enumerate(checkpoint.best)}
    with whole_file(folder / _FILE) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, said=np.frombuffer(said.encode(), np.uint8), **arrays)


def read_checkpoint(folder: Path, run: dict[str, str]) -> Checkpoint | None:
    """The checkpoint in a folder; None where there is none yet.

    Raises:
        TrainingError: it is of another run, or damaged; names both.
    """
    file = folder / _FILE
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as archive:
            said = json.loads(archive["said"].tobytes())
            names = sorted(archive.files)
            state = [archive[name] for name in names if name.startswith("state")]
            best = [archive[name] for name in names if name.startswith("best")]
        epochs = tuple(from_plain(Epoch, epoch) for epoch in said["epochs"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{file}: a damaged checkpoint: {error}; start anew with --overwrite") from error
    for what, ours in run.items():
        if (theirs := said["run"].get(what)) != ours:
            raise TrainingError(
                f"{file} is of another {what}: {str(theirs)[:200]}, this run has {ours[:200]}; start anew with --overwrite"
            )
    return Checkpoint(said["run"], epochs, state, best)
