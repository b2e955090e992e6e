"""The kinds of index by name, and how a saved index is loaded."""

from pathlib import Path

import numpy as np

from indexes.approximate.faiss_factory import Factory
from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.base import StoredIndex
from indexes.errors import IndexFileError
from indexes.exact.flat import Flat
from indexes.files import checked_index

KINDS: dict[str, type[StoredIndex]] = {kind.kind: kind for kind in (Flat, FlatCodes, Ivf, IvfSq8, Factory)}


def load_index(path: Path, vectors: np.ndarray) -> StoredIndex:
    """Load the index that `save` wrote to `path`; `vectors` (n, d) are those that it was built of.

    Raises:
        IndexFileError: the file is damaged, of a newer format, of a kind that is not known, or belongs to other vectors.
    """
    with checked_index(path) as (kind, settings, arrays):
        if kind not in KINDS:
            raise IndexFileError(f"{path}: an index of kind {kind}; this onek knows {', '.join(KINDS)}")
        try:
            return KINDS[kind].restored(settings, arrays, vectors)
        except IndexFileError as error:
            raise IndexFileError(f"{path}: {error}") from error
        except (KeyError, TypeError, RuntimeError) as error:
            raise IndexFileError(f"{path}: no index can be made of it: {str(error).splitlines()[0]}") from error
