"""Files of what training made: arrays, and a description of them in JSON."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_json
from engine.errors import TemplatesError, TrainingError
from engine.files.atomic_files import whole_file
from engine.files.budgets import refuse_bomb
from engine.files.object_storage import local

# zipfile raises NotImplementedError of a compression that it does not know.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError, TemplatesError),
)


def write_learnt(path: Path, said: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as `.npz`, with what they say of themselves as JSON. Raises `OutputError` where it cannot be written."""
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, said=np.frombuffer(json.dumps(said).encode(), np.uint8), **arrays)


def read_learnt(path: Path, names: tuple[str, ...]) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """What a file says of itself, and its arrays, float32 and finite.

    Raises:
        TrainingError: it is missing, or something else.
    """
    path = local(path)
    if not path.is_file():
        raise TrainingError(f"{path}: no such file")
    try:
        refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            said = from_json(archive["said"].tobytes())
            arrays = {name: np.ascontiguousarray(archive[name], np.float32) for name in names}
    except _UNREADABLE as error:
        raise TrainingError(f"{path}: nothing that onek has learnt: {error}") from error
    if not isinstance(said, dict) or not all(np.isfinite(array).all() for array in arrays.values()):
        raise TrainingError(f"{path}: nothing that onek has learnt: it holds values that are no numbers")
    return said, arrays
