"""The faces that are to be grouped, in an order of their own, and what is known of them: which are one person, which are two.

Faces are sorted by their ids, so that the groups do not depend on the order of the files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import GroupingError, TemplatesError
from engine.files.content_ids import picture_of
from engine.templates.model import Templates

Pairs = Iterable[tuple[str, str]]
# Faces of a lower quality found no groups: they join one, or stay alone.
LEAST_QUALITY = 0.01


@dataclass(frozen=True)
class Faces:
    """Faces by id: `templates` in the order of their ids, each id once; `repeated` came again and were left out.

    `good` bool (n,): whether a face is good enough to found a group.
    """

    templates: Templates
    ids: list[str]
    repeated: int
    good: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, template_id: str, where: str) -> int:
        """The row of a face. Raises `GroupingError` where there is none of that id; names `where` it was asked for."""
        at = int(np.searchsorted(self._array, template_id))
        if at == len(self.ids) or self.ids[at] != template_id:
            raise GroupingError(f"{where}: there is no face with the template id {template_id!r}")
        return at

    @property
    def _array(self) -> np.ndarray:
        return np.asarray(self.ids, object)

    def pairs(self, pairs: Pairs, where: str) -> np.ndarray:
        """Pairs of template ids as rows, int64 (m, 2). Raises `GroupingError` as `row`, or where a face is paired with itself."""
        place = {template_id: row for row, template_id in enumerate(self.ids)}
        rows = []
        for one, two in pairs:
            for each in (one, two):
                if each not in place:
                    raise GroupingError(f"{where}: there is no face with the template id {each!r}")
            if one == two:
                raise GroupingError(f"{where}: {one!r} is named twice; expected two faces")
            rows.append((place[one], place[two]))
        return np.array(rows, np.int64).reshape(-1, 2)

    def of_one_photograph(self) -> np.ndarray:
        """Pairs of rows, int64 (m, 2), that are faces of one photograph: each face with every other."""
        return _pairs_within(self._photographs())

    def _photographs(self) -> list[str | None]:
        """What each face's photograph is called; None where nothing says so."""
        sources = self.templates.table["source"].to_pylist()
        numbers = self.templates.table["face"].to_pylist()
        named = []
        for template_id, source, number in zip(self.ids, sources, numbers, strict=True):
            picture, _, face = template_id.rpartition("#")
            named.append(picture_of(template_id) if picture and face.isdigit() else source if number is not None else None)
        return named


def read_faces(templates: Templates) -> Faces:
    """Faces of templates, however these are ordered.

    Raises:
        TemplatesError: one id stands for two different templates; names it.
    """
    table = templates.table
    order = pc.sort_indices(table["template_id"]).to_numpy()
    table = table.take(pa.array(order)).combine_chunks()
    ids = table["template_id"].to_pylist()
    again = np.array([False, *(one == two for one, two in pairwise(ids))], bool)[: len(ids)]
    vectors = Templates(table, templates.provenance).vectors
    for row in np.flatnonzero(again):
        if not np.array_equal(vectors[row], vectors[row - 1]):
            raise TemplatesError(f"the template id {ids[row]!r} stands for two different templates; expected each id once")
    kept = np.flatnonzero(~again)
    table = table.take(pa.array(kept))
    return Faces(
        Templates(table, templates.provenance), [ids[row] for row in kept], int(again.sum()), qualities(table) >= LEAST_QUALITY
    )


def qualities(table: pa.Table) -> np.ndarray:
    """What each face is worth, float32 (n,): the share of ordinary photographs that are worse; 1 where nobody knows it."""
    return table["quality"].combine_chunks().fill_null(1.0).to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class Units:
    """Faces that are one person for certain are one unit: `unit_of` int64 (n,), `count` of them, numbered by their first face.

    `apart` int64 (m, 2): pairs of units that are two people.
    """

    unit_of: np.ndarray
    count: int
    apart: np.ndarray


def units_of(faces: Faces, together: np.ndarray, apart: np.ndarray, photographs: np.ndarray) -> Units:
    """Units of faces: pairs of rows that are `together`, and those of one vector.

    Args:
        faces: n faces.
        together: int64 (m, 2), pairs of rows that somebody said are one person.
        apart: int64 (m, 2), pairs that somebody said are two.
        photographs: int64 (m, 2), pairs that are two because one photograph shows both.

    Raises:
        GroupingError: the corrections contradict each other, or a photograph; names two faces.
    """
    said = _components(len(faces), together)
    for pairs, why in ((apart, "to be two"), (photographs, "faces of one photograph")):
        both = pairs[said[pairs[:, 0]] == said[pairs[:, 1]]] if len(pairs) else pairs
        if len(both):
            one, two = (faces.ids[row] for row in both[0])
            cure = "; a photograph that shows somebody twice wants --same-photo" if pairs is photographs else ""
            raise GroupingError(f"{one} and {two} are said to be one person, and are {why}: take one of the two back{cure}")
    alike = _identical(faces.templates.vectors)
    unit_of = _components(len(faces), np.concatenate([together, alike]))
    for one, two in apart[unit_of[apart[:, 0]] == unit_of[apart[:, 1]]] if len(apart) else ():
        raise GroupingError(f"{faces.ids[one]} and {faces.ids[two]} are said to be two people, but their templates are the same")
    pairs = unit_of[np.concatenate([apart, photographs])]
    return Units(unit_of, int(unit_of.max(initial=-1)) + 1, pairs[pairs[:, 0] != pairs[:, 1]])


def chained(members: Sequence[np.ndarray]) -> np.ndarray:
    """Pairs of rows, int64 (m, 2), that hold each list of rows (k,) together."""
    links = [np.stack([each[:-1], each[1:]], axis=1) for each in members if len(each) > 1]
    return np.concatenate(links) if links else np.empty((0, 2), np.int64)


def numbered(vectors: np.ndarray) -> np.ndarray:
    """A number for each vector (n, d), the same for the same bits, int64 (n,)."""
    raw = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.shape[1] * vectors.itemsize))).ravel()
    return np.unique(raw, return_inverse=True)[1]


def _identical(vectors: np.ndarray) -> np.ndarray:
    """Pairs of rows whose vectors are the same to the last bit, enough to hold all such together."""
    _, first, inverse = np.unique(numbered(vectors), return_index=True, return_inverse=True)
    rows = np.arange(len(vectors))
    return np.stack([first[inverse], rows], axis=1)[first[inverse] != rows]


def _components(count: int, pairs: np.ndarray) -> np.ndarray:
    """The connected component of each row, numbered by their first rows, int64 (count,)."""
    from scipy.sparse import coo_array  # imported late: scipy.sparse is slow to load
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _pairs_within(names: Sequence[str | None]) -> np.ndarray:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            rows.setdefault(name, []).append(row)
    pairs = [np.stack([one, two], axis=1) for each in rows.values() if len(each) > 1 for one, two in [_upper(each)]]
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def _upper(rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    one, two = np.triu_indices(len(rows), 1)
    return np.asarray(rows)[one], np.asarray(rows)[two]
