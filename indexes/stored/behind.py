"""More entries for inverted lists of fast-scan codes, from plain arrays: no vector is encoded, and no list is copied."""

from typing import Any

import numpy as np

from indexes.late import faiss
from indexes.stored.codes import BLOCK

# Where FAISS keeps the codes of a block's vectors: the j-th byte has those of vector `_PLACES[j]` and of the sixteenth after it.
_PLACES = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])
# Codes that are laid out at a time: what that takes beside them is a few megabytes.
_TOGETHER = BLOCK << 10


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
    had = np.array([inverted.list_size(which) for which in range(index.nlist)], np.int64)
    # The blocks that get entries, those of one list behind those of another; the first of a list may have some already.
    whole = had // BLOCK
    blocks = np.where(counts, -(-(had + counts) // BLOCK) - whole, 0)
    start, first = np.cumsum(blocks) - blocks, np.cumsum(counts) - counts
    of = lists[order]
    place = BLOCK * (start - whole)[of] + had[of] + np.arange(len(of)) - first[of]
    laid = np.zeros((BLOCK * int(blocks.sum()), codes.shape[1]), np.uint8)
    laid[place] = codes[order]
    parts = [_in_blocks(laid[at : at + _TOGETHER]) for at in range(0, len(laid), _TOGETHER)]
    packed, size, rows = np.concatenate(parts), inverted.block_size, index.ntotal + order
    for which in np.flatnonzero(counts).tolist():
        now = int(had[which] + counts[which])
        inverted.resize(which, now)  # new blocks are all zeros
        faiss.rev_swig_ptr(inverted.get_ids(which), now)[had[which] :] = rows[first[which] : first[which] + counts[which]]
        held = faiss.rev_swig_ptr(inverted.get_codes(which), int(whole[which] + blocks[which]) * size)
        held[size * whole[which] :] |= packed[size * start[which] : size * (start[which] + blocks[which])]
    index.ntotal += len(lists)


def _in_blocks(codes: np.ndarray) -> np.ndarray:
    """Codes (BLOCK m, bytes) as FAISS's blocks have them, flat: of each byte first all low halves, then all high ones."""
    by_byte = codes.reshape(-1, BLOCK, codes.shape[1]).transpose(0, 2, 1)
    halves = np.stack([by_byte & 15, by_byte >> 4], axis=2)
    return (halves[..., _PLACES] | halves[..., _PLACES + BLOCK // 2] << 4).reshape(-1)
