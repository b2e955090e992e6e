"""Distances of pairs of templates: of one template each of different people, and of two of the same person."""

import numpy as np
import pyarrow as pa

from engine.evaluation.raw import PAIRS
from engine.evaluation.truth import LabelledImages, Probes
from engine.matching.members import nearest_of_each
from engine.matching.scoring import SearchableGallery

# People whose templates are compared in pairs, and templates of each that are compared with each other.
MOST_PEOPLE, MOST_OF_EACH = 1000, 5


def pairs_of_people(called: str, vectors: np.ndarray, people: LabelledImages, rows: np.ndarray) -> pa.Table:
    """Pairs of one template of each of up to 1,000 people, and pairs of each person's own.

    Args:
        called: what the templates are called in the table.
        vectors: of templates (m, d).
        people: whose the images are.
        rows: int (n,), the template of each image; -1 where there is none.
    """
    random = np.random.default_rng(0)
    there = np.flatnonzero((rows >= 0) & (people.codes >= 0))
    mixed = random.permutation(there)
    first = mixed[np.unique(people.codes[mixed], return_index=True)[1]]
    first = np.sort(random.permutation(first)[:MOST_PEOPLE])
    names = np.array(people.names, dtype=object)
    tables = [_impostors(called, vectors[rows[first]], names[people.codes[first]])]
    order = there[np.argsort(people.codes[there], kind="stable")]
    same = [
        (own[a], own[b])
        for own in np.split(order, np.flatnonzero(np.diff(people.codes[order])) + 1)
        for a in range(min(len(own), MOST_OF_EACH))
        for b in range(a)
    ]
    if same:
        one, two = np.array(same).T
        distances = np.linalg.norm(vectors[rows[one]] - vectors[rows[two]], axis=1)
        tables.append(_table(called, names[people.codes[one]], names[people.codes[two]], True, distances))
    return pa.concat_tables(tables)


def pairs_with_probes(called: str, enrolled: SearchableGallery, names: list[str], probes: Probes) -> pa.Table:
    """Pairs of one enrolled template of each of up to 1,000 people, and of mated probes with their own nearest template.

    Args:
        called: what the templates are called in the table.
        enrolled: the gallery's templates.
        names: of its identities, by their numbers.
        probes: searched for.
    """
    members, index = enrolled.members, enrolled.index
    chosen = np.sort(np.random.default_rng(0).permutation(members.identities)[:MOST_PEOPLE])
    labels = np.array(names, dtype=object)
    tables = [_impostors(called, index.vectors(members.chosen_rows(chosen, np.zeros_like(chosen))), labels[chosen])]
    number = {name: code for code, name in enumerate(names)}
    mated = [at for at, who in enumerate(probes.identities) if who in number and probes.rows[at] >= 0]
    if mated:
        codes = np.array([number[str(probes.identities[at])] for at in mated])
        distances = nearest_of_each(index, members, codes[:, None], probes.vectors[probes.rows[mated]]).distances[:, 0]
        tables.append(_table(called, labels[codes], labels[codes], True, distances))
    return pa.concat_tables(tables)


def _impostors(called: str, vectors: np.ndarray, names: np.ndarray) -> pa.Table:
    one, two = np.triu_indices(len(vectors), 1)
    squares = np.maximum(2 - 2 * (vectors.astype(np.float64) @ vectors.T.astype(np.float64)), 0)
    return _table(called, names[one], names[two], False, np.sqrt(squares[one, two]))


def _table(called: str, one: np.ndarray, two: np.ndarray, mated: bool, distances: np.ndarray) -> pa.Table:
    columns = [
        pa.array([called] * len(distances), pa.string()),
        pa.array(one, pa.string()),
        pa.array(two, pa.string()),
        pa.array(np.full(len(distances), mated)),
        pa.array(distances, pa.float32()),
    ]
    return pa.table(columns, schema=PAIRS)
