"""Number identities in the order of their names, and order their templates by template id. A random sample is then of the same
people and templates wherever a gallery is stored, and in whatever order they were enrolled.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.common.late import pc
from engine.matching.members import Members
from engine.matching.scoring import SearchableGallery


def by_name(enrolled: SearchableGallery, identities: pa.Array, template_ids: pa.ChunkedArray) -> SearchableGallery:
    """The same rows, with identities numbered in the order of their names.

    Args:
        enrolled: n templates of K identities.
        identities: (K,), the name of each identity number.
        template_ids: (n,), the template id of each row.
    """
    order = pc.sort_indices(identities).to_numpy()
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    codes = number[enrolled.members.codes]
    several = np.flatnonzero(enrolled.members.counts[enrolled.members.codes] > 1)
    rank = np.zeros(len(codes), np.int64)
    rank[several[pc.sort_indices(template_ids.take(pa.array(several))).to_numpy()]] = np.arange(len(several))
    among = enrolled.counted[order] if enrolled.scoring.scaled else None
    return replace(enrolled, members=Members(codes, rank), among=among)
