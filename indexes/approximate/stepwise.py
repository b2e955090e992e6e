"""FAISS's training in steps, so that whoever waits sees it move; the index is the very one that a single call makes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from indexes.base import Progress
from indexes.late import faiss
from indexes.threads import faiss_threads


def train(index: Any, sample: np.ndarray, progress: Progress | None) -> None:
    """Train a FAISS index behind a transform that is trained already, on a sample (m, d): the centres of its lists iteration by
    iteration, if it has lists, then all codes at once.
    """
    lists = faiss.try_extract_index_ivf(index)
    steps = 1 if lists is None else lists.cp.niter + 1
    for done, _ in enumerate(() if lists is None else _centred(lists, turned(index, sample)), 1):
        if progress:
            progress("training", done, steps)
    # Centres that are there are left alone. Codes are learnt part by part, each in no time, and FAISS's threads would wait for
    # each other after every one: on a busy machine forty seconds for half of one.
    with faiss_threads(1):
        index.train(sample)
    if progress:
        progress("training", steps, steps)


def turned(index: Any, vectors: np.ndarray) -> np.ndarray:
    """Vectors (m, d) as an index behind transforms has them."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    for place in range(index.chain.size()):
        vectors = index.chain.at(place).apply(vectors)
    return vectors


def _centred(lists: Any, sample: np.ndarray) -> Iterator[None]:
    """Each iteration of the centres of lists: k-means of FAISS's that goes on where it was."""
    clustering = faiss.Clustering(lists.d, lists.nlist, lists.cp)
    clustering.niter = 1
    for _ in range(lists.cp.niter):
        clustering.train(sample, lists.quantizer)
        yield
