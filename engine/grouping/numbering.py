"""From faces that belong together to numbered, named and scored groups; a group that there was before keeps its number."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.grouping.earlier_groups import EarlierGroups
from engine.grouping.faces import Faces
from engine.grouping.groups import LOW_QUALITY, Cut, Groups, groups_schema
from engine.grouping.method.linkage import pair_scores


def numbered_groups(faces: Faces, before: EarlierGroups, labels: np.ndarray, places: np.ndarray, cut: Cut) -> Groups:
    """The groups of labelled faces, -1 for none: numbered, named, scored, and in the order of their ids."""
    numbers, last = _numbers(labels, before)
    names = {number: name for number, name in zip(before.groups.tolist(), before.names, strict=True) if name and number}
    scores = leave_one_out(places, numbers)
    made = faces.templates.provenance
    poor = ~faces.good & (numbers == 0)
    added: dict[str, Sequence[object]] = {
        "group": [number or None for number in numbers.tolist()],
        "score": [None if np.isnan(score) else score for score in scores.tolist()],
        "corrected": before.corrected,
        "bound": [None if number < 0 else number for number in before.bound.tolist()],
        "note": [LOW_QUALITY if each else None for each in poor.tolist()],
    }
    columns = groups_schema(made)
    table = faces.templates.table
    given = {name: table[name] for name in ("template_id", "source", "face", "box", "quality", "detection", "reasons", "vector")}
    given["identity"] = pa.array([names.get(number) for number in numbers.tolist()], pa.string())
    arrays = [given[each.name] if each.name in given else pa.array(added[each.name], each.type) for each in columns]
    return Groups(pa.table(arrays, schema=columns), made, cut, before.apart, before.same_photo, last, faces.repeated)


def _numbers(labels: np.ndarray, before: EarlierGroups) -> tuple[np.ndarray, int]:
    """The number of each face's group, 0 for none, and the largest ever given. Groups keep the number that most of them had."""
    sizes = np.bincount(labels[labels >= 0], minlength=int(labels.max(initial=-1)) + 1)
    named = np.array([name is not None for name in before.names], bool)
    grouped = (labels >= 0) & ((sizes[labels] > 1) | (before.groups > 0) & named)
    given: dict[int, int] = {}
    both = np.flatnonzero(grouped & (before.groups > 0))
    pairs, counts = np.unique(np.stack([before.groups[both], labels[both]]), axis=1, return_counts=True)
    with_name = set(before.groups[named].tolist())
    taken: set[int] = set()
    order = sorted(range(len(counts)), key=lambda at: (int(pairs[0, at]) not in with_name, -int(counts[at]), int(pairs[0, at])))
    for number, label in ((int(pairs[0, at]), int(pairs[1, at])) for at in order):
        if label not in given and number not in taken:
            given[label] = number
            taken.add(number)
    found, first = np.unique(labels[grouped], return_index=True)
    new = [(-int(sizes[label]), int(at), int(label)) for label, at in zip(found, first, strict=True) if int(label) not in given]
    last = before.last
    for _, _, label in sorted(new):
        last += 1
        given[label] = last
    numbers = np.zeros(len(labels), np.int64)
    for row in np.flatnonzero(grouped):
        numbers[row] = given[int(labels[row])]
    return numbers, last


def leave_one_out(places: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """How alike each face and the rest of its group are, float32 (n,); NaN for faces that are alone."""
    scores = np.full(len(numbers), np.nan, np.float32)
    found, group = np.unique(numbers, return_inverse=True)
    sums = np.zeros((len(found), places.shape[1]))
    np.add.at(sums, group, places)
    counts = np.bincount(group, minlength=len(found))
    rows = np.flatnonzero((numbers > 0) & (counts[group] > 1))
    if len(rows):
        rest = sums[group[rows]] - places[rows]
        scores[rows] = pair_scores(places[rows], np.ones(len(rows)), rest, counts[group[rows]] - 1)
    return scores
