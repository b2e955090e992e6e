"""Files of what training made: arrays, and what they say of themselves."""

import zipfile
from pathlib import Path

import numpy as np

from engine.common.dataclass_json import from_json
from engine.errors import TemplatesError, TrainingError
from engine.files.budgets import refuse_bomb
from engine.files.object_storage import local

# zipfile raises NotImplementedError of a compression that it does not know.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError, TemplatesError),
)


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
