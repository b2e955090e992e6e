"""The file of a tail: of vectors that joined an index with lists after it was saved, what `InvertedLists.encoded` made of each.

It has no centres and no codebooks, which are those of the index, so that it is as small as what joined.
"""

from pathlib import Path

import numpy as np

from indexes.errors import IndexFileError
from indexes.files import read_index, write_index


def save_tail(path: Path, kind: str, first: int, arrays: dict[str, np.ndarray]) -> None:
    """Write what `InvertedLists.encoded` made of the vectors behind the `first` ones of an index of `kind`."""
    write_index(path, _called(kind), {"first": first}, arrays)


def load_tail(path: Path, kind: str, first: int) -> dict[str, np.ndarray]:
    """Read what `save_tail` wrote for an index of `kind` with `first` vectors. The arrays may be anybody's, and
    `InvertedLists.append` checks them.

    Raises:
        IndexFileError: the file is damaged, of a newer format, or belongs to another index.
    """
    found, settings, arrays = read_index(path)
    if found != _called(kind) or settings != {"first": first}:
        raise IndexFileError(
            f"{path}: an index of kind {found[:60]} ({str(settings)[:60]}); expected one of kind {_called(kind)} behind {first} "
            "vectors"
        )
    return arrays


def _called(kind: str) -> str:
    return f"tail of {kind}"
