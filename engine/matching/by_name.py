"""People in the order of their names, and their templates in that of their ids: whoever is drawn from them by chance is the same
person, and the same template, wherever a gallery lies and in whatever order it was enrolled.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.matching.nearest_identities import Members
from engine.matching.scoring import LOCAL, Enrolled


def by_name(enrolled: Enrolled, identities: pa.Array, template_ids: pa.ChunkedArray) -> Enrolled:
    """The same rows, whose identities are numbered in the order of their names.

    Args:
        enrolled: n templates of K identities.
        identities: (K,), the names of those that it numbers.
        template_ids: (n,), of its rows.
    """
    order = pc.sort_indices(identities).to_numpy()
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    codes = number[enrolled.members.codes]
    several = np.flatnonzero(enrolled.members.counts[enrolled.members.codes] > 1)
    rank = np.zeros(len(codes), np.int64)
    rank[several[pc.sort_indices(template_ids.take(pa.array(several))).to_numpy()]] = np.arange(len(several))
    among = enrolled.counted[order] if enrolled.scoring.score == LOCAL else None
    return replace(enrolled, members=Members(codes, rank), among=among)
