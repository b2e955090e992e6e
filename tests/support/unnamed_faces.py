"""Faces of people who do not exist, as onek's own encoder would have made their templates."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.grouping.groups import Groups
from engine.templates.measured.impostors import measured
from engine.templates.model import Templates, batch
from engine.templates.provenance import Provenance

_ALIGNMENT = "yunet 2023mar, 5-point similarity, v1"
# Two faces of one person have a cosine of 1 / (1 + spread²), 0.65; those of two people one of 0, give or take 0.09, as SFace's.
_SPREAD = 0.73
SFACE = Provenance("sface", "0" * 64, 128, alignment=_ALIGNMENT)
assert measured("sface", flip=False, alignment=_ALIGNMENT) is not None


def faces_of(
    counts: Sequence[int],
    *,
    made: Provenance = SFACE,
    photographs: Sequence[str] | None = None,
    qualities: Sequence[float] | None = None,
    first: int = 0,
    seed: int = 0,
) -> Templates:
    """Of person i, `counts[i]` faces, with ids such as `p003/1#0` that say whose they are; each of a photograph of its own."""
    vectors, ids = [], []
    for person, count in enumerate(counts, first):
        drawn = np.random.default_rng((seed, person))
        centre = drawn.standard_normal(made.dim)
        faces = centre / np.linalg.norm(centre) + drawn.normal(0, _SPREAD / np.sqrt(made.dim), (count, made.dim))
        vectors += list((faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32))
        ids += [f"p{person:03}/{image}#0" for image in range(count)]
    if photographs is not None:
        ids = list(photographs)
    rows = batch(made, ids, None, np.stack(vectors), sources=[f"{each}.jpg" for each in ids], qualities=qualities)
    return Templates(pa.Table.from_batches([rows]), made)


def row_of(groups: Groups, template_id: str) -> int:
    return groups.table["template_id"].to_pylist().index(template_id)


def number_of(groups: Groups, template_id: str) -> int:
    """The group of a face, 0 for none."""
    return int(groups.numbers[row_of(groups, template_id)])


def persons(groups: Groups) -> dict[int, set[str]]:
    """Whose faces each group holds, by the ids that `faces_of` gives."""
    ids = groups.table["template_id"].to_pylist()
    return {number: {ids[row].partition("/")[0] for row in rows.tolist()} for number, rows in groups.members.items()}
