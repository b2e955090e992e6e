"""More entries for inverted lists of fast-scan codes, from plain arrays: no vector is encoded, and no list is copied."""

from typing import Any

import numpy as np

from indexes.late import faiss
from indexes.stored.codes import BLOCK

# Where FAISS keeps the codes of a block's vectors: the j-th byte has those of vector `_PLACES[j]` and of the sixteenth after it.
_PLACES = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])


def entered(index: Any, lists: np.ndarray, codes: np.ndarray) -> None:
    """Put entries behind those that the lists of a FAISS index have, as its own `add` does: it numbers them on.

    Args:
        index: an `IndexIVFPQFastScan` with blocks of `BLOCK`, which nobody searches meanwhile.
        lists: int32 (n,), the list of each entry, all of them there.
        codes: uint8 (n, bytes), as the index's product quantiser computes them: two parts a byte.
    """
    inverted = faiss.downcast_InvertedLists(index.invlists)
    order = np.argsort(lists, kind="stable")
    counts = np.bincount(lists, minlength=index.nlist)
    first = np.cumsum(counts) - counts
    for which in np.flatnonzero(counts).tolist():
        rows = order[first[which] : first[which] + counts[which]]
        had = int(inverted.list_size(which))
        now = had + len(rows)
        whole, blocks = had // BLOCK, -(-now // BLOCK)
        laid = np.zeros((BLOCK * (blocks - whole), codes.shape[1]), np.uint8)
        laid[had - BLOCK * whole : now - BLOCK * whole] = codes[rows]
        inverted.resize(which, now)  # new blocks are all zeros
        faiss.rev_swig_ptr(inverted.get_ids(which), now)[had:] = index.ntotal + rows
        held = faiss.rev_swig_ptr(inverted.get_codes(which), blocks * inverted.block_size)
        held[whole * inverted.block_size :] |= _in_blocks(laid)
    index.ntotal += len(lists)


def _in_blocks(codes: np.ndarray) -> np.ndarray:
    """Codes (BLOCK m, bytes) as FAISS's blocks have them, flat: of each byte first all low halves, then all high ones."""
    by_byte = codes.reshape(-1, BLOCK, codes.shape[1]).transpose(0, 2, 1)
    halves = np.stack([by_byte & 15, by_byte >> 4], axis=2)
    return (halves[..., _PLACES] | halves[..., _PLACES + BLOCK // 2] << 4).reshape(-1)
