"""Read the published OpenFace nn4.small2 weights: a folder with one CSV file per tensor."""

import hashlib
import os
from pathlib import Path

import numpy as np

from engine.errors import EncoderError
from engine.files.atomic_files import whole_file

Layers = dict[str, tuple[int, ...]]
"""From the name of a tensor (its file's name without `.csv`) to its shape; convolutions are (out, in, height, width)."""


def read_weights(folder: Path, expected: Layers) -> tuple[dict[str, np.ndarray], str]:
    """Read every expected tensor, through a copy as one `.npz` file in the user's cache.

    Returns:
        The tensors, float32, in the published layout, and the SHA-256 of the CSV files they came from.

    Raises:
        EncoderError: the folder is missing, tensors are missing (all of them are named), or one has another size.
    """
    if not folder.is_dir():
        raise EncoderError(f"openface: {folder} is no folder; weights=... names the folder of the published CSV files")
    missing = [name for name in expected if not (folder / f"{name}.csv").is_file()]
    if missing:
        raise EncoderError(
            f"openface: {len(missing)} of {len(expected)} tensors are missing in {folder}: {', '.join(sorted(missing))}; "
            "get the whole set of CSV files"
        )
    digest = _hash(folder, expected)
    cached = cache_folder() / f"openface-{digest[:16]}.npz"
    if not cached.is_file():
        tensors = {name: read_tensor(folder, name, shape) for name, shape in expected.items()}
        cached.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(cached) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **tensors)
    with np.load(cached, allow_pickle=False) as archive:
        return {name: archive[name] for name in expected}, digest


def read_tensor(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One tensor of the set.

    Raises:
        EncoderError: it is not made of numbers, or of another count of them.
    """
    path = folder / f"{name}.csv"
    try:
        values = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=1)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: not a table of numbers: {error}") from error
    if values.size != np.prod(shape):
        raise EncoderError(f"{path}: found {values.size} numbers, expected {int(np.prod(shape))} for the shape {shape}")
    return values.reshape(shape)


def cache_folder() -> Path:
    """Where converted weights are kept: `$XDG_CACHE_HOME/onek`, or `~/.cache/onek`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onek"


def _hash(folder: Path, expected: Layers) -> str:
    digest = hashlib.sha256()
    for name in sorted(expected):
        digest.update(name.encode() + b"\0" + hashlib.sha256((folder / f"{name}.csv").read_bytes()).digest())
    return digest.hexdigest()
