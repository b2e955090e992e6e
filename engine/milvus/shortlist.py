"""What a search brings back from Milvus: a small gallery, on which the engine decides as on any other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine.errors import GalleryError
from engine.matching.members import Members
from engine.matching.nearest_identities import NearestIdentities, first_of_each, with_further, without_identity
from engine.matching.scoring import Scoring, SearchableGallery
from engine.milvus.catalogue import MilvusCatalogue
from engine.milvus.collection import UNMEASURED, qualities_in, search_settings, vectors_in
from engine.milvus.connection.client import MOST_HITS, MilvusConnection, Row
from indexes.base import distances_to
from indexes.exact.flat import Flat


@dataclass(frozen=True)
class Size:
    """How many templates and identities a collection has."""

    templates: int
    identities: int


@dataclass(frozen=True)
class NearTemplates:
    """The templates (m,) of a collection that some probes were near to: `enrolled`, the `nearest` identities of each probe among
    them, and what they are called. `people` (m,): the keys of their identities.
    """

    enrolled: SearchableGallery
    nearest: NearestIdentities
    identities: pa.Array
    template_ids: pa.Array
    people: list[str]

    def codes_of(self, people: Sequence[str]) -> np.ndarray:
        """The numbers that identities have here, by their keys, which must be among `people`."""
        number = dict(zip(self.people, self.enrolled.members.codes.tolist(), strict=True))
        return np.array([number[key] for key in people])


class Shortlister:
    """Finds what a collection has near to probes."""

    def __init__(self, client: MilvusConnection, catalogue: MilvusCatalogue) -> None:
        self._client = client
        self._catalogue = catalogue
        self.scoring = catalogue.scoring

    def shortlist(self, probes: np.ndarray, top: int, size: Size, without: Sequence[str] | None = None) -> NearTemplates:
        """The nearest identities of each probe (n, d), by exact distances, as many as listing `top` takes, and what scoring them
        takes.

        Args:
            probes: float32, of unit length.
            top: identities, or all there are if those are fewer.
            size: of the collection.
            without: keys of identities, one a probe, whose templates come too, whether they are near or not.

        Raises:
            GalleryError: Milvus found too few, or does not answer.
        """
        scoring = self._catalogue.scoring
        seen = _Seen()
        one = without is not None
        first, *longer = (min(length, size.identities) for length in scoring.searches(min(top, size.identities - one), one))
        nearest = self._search(seen, probes, first, size)
        for length in longer:
            further = self._search(seen, probes, length, size)
            nearest = with_further(nearest, further, Members(seen.codes))
        more = set(without or ())
        if scoring.fuse != 1:
            more |= {seen.rows[row]["person"] for row in np.unique(nearest.rows)}
        if more:
            known = {row["key"] for row in seen.rows}
            others = self._client.rows_in(self._catalogue.collection, "person", sorted(more), self._catalogue.entity)
            seen.rows += [row for row in others if row["key"] not in known]
        if scoring.scaled and (unmeasured := [row for row in seen.rows if row["density"] == UNMEASURED]):
            # Somebody else enrolled them a moment ago.
            people = [row["person"] for row in unmeasured]
            measured = self.densities(vectors_in(unmeasured, probes.shape[1]), people, size)
            for row, (near, following) in zip(unmeasured, measured.tolist(), strict=True):
                row.update(density=near, following=following)
        return self._part(seen, nearest, scoring)

    def densities(self, vectors: np.ndarray, people: Sequence[str], size: Size) -> np.ndarray:
        """As `engine.matching.densities.densities`, float32 (n, 2), of vectors (n, d) of identities whose keys are `people`."""
        neighbours = self._catalogue.scoring.neighbours
        seen = _Seen()
        nearest = self._search(seen, vectors, neighbours + 2, size, "counted == true")
        codes, number = _numbered([row["person"] for row in seen.rows])
        own = np.array([number.get(person, -1) for person in people])
        squares = without_identity(nearest, Members(codes), own).distances ** 2
        return np.column_stack([squares[:, :neighbours].mean(axis=1), squares[:, min(neighbours, squares.shape[1] - 1)]])

    def _search(self, seen: "_Seen", probes: np.ndarray, wanted: int, size: Size, where: str = "") -> NearestIdentities:
        """The `wanted` nearest identities of each probe among the rows that a filter picks, however deep they lie: as rows of
        `seen`, which they are added to.
        """
        most, greatest = min(size.templates, MOST_HITS), self._catalogue.kind.most
        each = size.templates / max(size.identities, 1)
        k = min((wanted if each == 1 else int(1.5 * wanted * each) + 4) * self._catalogue.kind.refine, most)
        effort = self._catalogue.effort
        pending, fewest = np.arange(len(probes)), wanted
        rows, distances = np.empty((len(probes), wanted), np.int64), np.empty((len(probes), wanted), np.float32)
        while len(pending):
            # An index that looks into a part of its lists gives no more than these hold.
            effort = None if effort is None else min(greatest, max(effort, k))
            found, exact = self._hits(seen, probes[pending], k, effort, where)
            first = first_of_each(np.where(found >= 0, seen.codes[found], -1)) & (found >= 0)
            have = first.sum(axis=1)
            everything = ((found >= 0).sum(axis=1) < k) & (effort is None or effort == greatest)
            done = (have >= wanted) | everything | (k == most)
            keep = first & (np.cumsum(first, axis=1) <= wanted)
            for at in np.flatnonzero(done):
                count = min(int(have[at]), wanted)
                rows[pending[at], :count] = found[at, keep[at]]
                distances[pending[at], :count] = exact[at, keep[at]]
                fewest = min(fewest, count)
            pending, k = pending[~done], min(4 * k, most)
            effort = None if effort is None else 4 * effort
        if fewest < min(wanted, self.scoring.shortlist):
            raise GalleryError(
                f"{self._client.address}: Milvus found {fewest} identities for a probe, {wanted} are needed; "
                "build it anew with --recall 0.999 or --index flat"
            )
        return NearestIdentities(np.ascontiguousarray(rows[:, :fewest]), np.ascontiguousarray(distances[:, :fewest]))

    def _hits(self, seen: "_Seen", probes: np.ndarray, k: int, effort: int | None, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Up to k hits of each probe as rows of `seen`, int64 (n, k), and their exact distances, nearest first; -1 and infinity
        behind the last.
        """
        hits = self._client.call(
            "search",
            self._catalogue.collection,
            data=list(probes),
            limit=k,
            filter=where,
            output_fields=list(self._catalogue.entity),
            anns_field="vector",
            search_params=search_settings(self._catalogue.kind, effort),
        )
        found = seen.take(hits, k)
        exact = distances_to(probes, vectors_in(seen.rows, probes.shape[1]), found)
        order = np.argsort(exact, axis=1, kind="stable")
        return np.take_along_axis(found, order, 1), np.take_along_axis(exact, order, 1)

    def _part(self, seen: "_Seen", nearest: NearestIdentities, scoring: Scoring) -> NearTemplates:
        people = [row["person"] for row in seen.rows]
        codes, number = _numbered(people)
        vectors = vectors_in(seen.rows, self._catalogue.provenance.dim)
        names: list[str] = [""] * len(number)
        among = np.zeros(len(number), bool)
        for row, code in zip(seen.rows, codes, strict=True):
            names[code] = row["identity"]
            among[code] |= row["counted"]
        enrolled = SearchableGallery(Flat(vectors), Members(codes), scoring, quality=qualities_in(seen.rows))
        if scoring.scaled:
            density = np.array([(row["density"], row["following"]) for row in seen.rows], np.float32).reshape(-1, 2)
            enrolled = replace(enrolled, density=np.where(density == UNMEASURED, np.nan, density), among=among)
        ids = pa.array([row["template_id"] for row in seen.rows], pa.string())
        return NearTemplates(enrolled, nearest, pa.array(names, pa.string()), ids, people)


class _Seen:
    """Rows that came back, each once."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._at: dict[str, int] = {}

    @property
    def codes(self) -> np.ndarray:
        """Whose the rows are, int64 (m,)."""
        return _numbered([row["person"] for row in self.rows])[0]

    def take(self, hits: Sequence[Sequence[Row]], k: int) -> np.ndarray:
        """Where the hits of each probe are among the rows, int64 (n, k); -1 behind the last."""
        found = np.full((len(hits), k), -1, np.int64)
        for probe, of_probe in enumerate(hits):
            for rank, hit in enumerate(of_probe):
                key = hit["key"]
                at = self._at.get(key)
                if at is None:
                    at = self._at[key] = len(self.rows)
                    self.rows.append({"key": key, **hit["entity"]})
                found[probe, rank] = at
        return found


def _numbered(people: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers without gaps for keys (m,), and which key has which."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(person, len(number)) for person in people], np.int64), number
