"""A gallery whose templates live in Milvus: every verb of a gallery in a folder, and the same decisions."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.calibration import LEAST_IDENTITIES, Calibration
from engine.changes import DUPLICATES
from engine.changes import Enrolled as Enrolment
from engine.enrolment import enrolment
from engine.errors import GalleryError, TemplatesError
from engine.head import SHORTLIST, Head, reordered
from engine.milvus import catalogue as catalogues
from engine.milvus.address import Address
from engine.milvus.calibrating import calibrated, measured, remeasure
from engine.milvus.client import LONG, Client, Row, key_of, one_of
from engine.milvus.collection import UNMEASURED, WHOLE, longest_text, put, rows_of, vectors_in
from engine.milvus.info import MilvusInfo, describe
from engine.milvus.part import Shortlister, Size
from engine.provenance import require_same
from engine.recogniser import Found, People, Recogniser
from engine.scores import LOCAL, Candidates, Scoring
from engine.sealing import PART, SMALL
from engine.streams import batched, map_ahead
from engine.templates import Templates
from indexes.base import Progress

if TYPE_CHECKING:
    from engine.images import LeftOut

# Probes of one search.
_PROBES = 1024


class MilvusGallery(Recogniser):
    """The enrolled templates of K identities, in Milvus. Open one with `MilvusGallery.open`.

    Every call sees what any process enrolled or removed before it. Changes that were cut off may be made again: they do no harm
    twice. One writer at a time keeps the count of identities exact; `engine.milvus.check` says where it is not.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.path: Address = client.address
        self._client = client
        self._look()

    @classmethod
    def open(cls, address: Address) -> "MilvusGallery":
        """Open a gallery.

        Raises:
            GalleryError: Milvus does not answer, or there is no whole gallery of ours.
        """
        return cls(Client(address))

    @property
    def connection(self) -> Client:
        """What it talks to Milvus through."""
        return self._client

    @property
    def catalogue(self) -> catalogues.Catalogue:
        """What it knows of itself."""
        return self._catalogue

    def _look(self) -> None:
        self._catalogue = catalogues.read(self._client)
        self.provenance = self._catalogue.provenance
        self._collection = self._catalogue.collection
        self._client.call("load_collection", self._collection, seconds=LONG)
        self._shortlister = Shortlister(self._client, self._catalogue)
        self._measure()

    def _measure(self) -> None:
        self._size = Size(self._client.count(self._collection), self._client.count(self._collection, "first == true"))

    def refresh(self) -> bool:
        """See what was enrolled, removed and calibrated since, by any process; whether there was anything."""
        before = (self._catalogue.version, self._size)
        self._look()
        return before != (self._catalogue.version, self._size)

    def __len__(self) -> int:
        return self._size.templates

    @property
    def identity_count(self) -> int:
        return self._size.identities

    @property
    def scoring(self) -> Scoring:
        return self._catalogue.scoring

    @property
    def calibration(self) -> Calibration | None:
        return self._catalogue.calibration

    def info(self) -> MilvusInfo:
        """What the gallery holds."""
        return describe(self._client, self._catalogue, self._size)

    def find(self, probes: np.ndarray, top: int, head: Head | None) -> Found:
        before = self._collection
        try:
            return self._found(probes, top, head)
        except GalleryError:
            self._look()
            if self._collection == before:
                raise
        # Somebody has put another gallery in its place.
        return self._found(probes, top, head)

    def _found(self, probes: np.ndarray, top: int, head: Head | None) -> Found:
        wanted = top if head is None else max(top, SHORTLIST)
        # Milvus looks for the next probes while the engine scores these.
        starts = range(0, max(len(probes), 1), _PROBES)
        found = list(map_ahead(lambda start: self._find(probes[start : start + _PROBES], wanted, top, head), starts))
        if len(found) == 1:
            return found[0]
        fewest = min(each.candidates.rows.shape[1] for each in found)
        rows, distances, scores = (
            np.concatenate([getattr(each.candidates, name)[:, :fewest] for each in found])
            for name in ("rows", "distances", "scores")
        )
        identities, template_ids = (
            pa.concat_arrays([_first_columns(getattr(each, name), each.candidates.rows.shape, fewest) for each in found])
            for name in ("identities", "template_ids")
        )
        return Found(Candidates(rows, distances, scores), identities, template_ids, self._size.identities)

    def _find(self, probes: np.ndarray, wanted: int, top: int, head: Head | None) -> Found:
        part = self._shortlister.shortlist(probes, max(wanted, self.scoring.shortlist), self._size)
        found = part.enrolled.scored(probes, part.nearest, wanted)
        if head is not None:
            found = reordered(found, head, probes, part.enrolled.index, top)
        rows = found.rows.ravel()
        codes = part.enrolled.members.codes[rows]
        return Found(found, part.identities.take(pa.array(codes)), part.template_ids.take(pa.array(rows)), self._size.identities)

    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        rows = list(self._client.rows_in(self._collection, "person", [key_of(identity)], ("template_id", "vector")))
        if not rows:
            raise GalleryError(f"nobody called {identity} is enrolled in {self.path}.")
        return [row["template_id"] for row in rows], vectors_in(rows, self.provenance.dim)

    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        counts: dict[str, int] = {}
        for row in self._client.rows(self._collection, "", ("identity",)):
            counts[row["identity"]] = counts.get(row["identity"], 0) + 1
        yield from sorted(counts.items())

    def calibrate(self, strangers: Templates | None = None, progress: Progress | None = None) -> Calibration:
        """As `Gallery.calibrate`: Milvus is searched for a sample of the enrolled, each left out exactly, or for strangers.

        Densities of a gallery of up to 200,000 templates are measured anew first, among all who are enrolled now.
        """
        if strangers is not None:
            require_same(self.provenance, strangers.provenance, str(self.path), "the strangers")
            self._refuse_enrolled(strangers)
        if self.scoring.score == LOCAL and self._size.templates <= SMALL:
            remeasure(self._client, self._collection, self._shortlister, self._size, progress)
        made = calibrated(self._client, self._catalogue, self._shortlister, self._size, strangers, progress)
        catalogues.with_calibration(self._client, made)
        self.refresh()
        return made

    def enroll(
        self,
        people: People,
        *,
        identity: str | None = None,
        faces: str | None = None,
        on_duplicate: str = "replace",
        sources: bool = True,
        left_out: "Callable[[LeftOut], None] | None" = None,
        wait: float = 0,
    ) -> Enrolment:
        """As `Gallery.enroll`: durable when it returns, and seen by the next search of anybody.

        A gallery of up to 200,000 templates whose K has changed by a quarter is calibrated anew. There is nobody to
        `wait` for: Milvus orders its writers.
        """
        _refuse_waiting(self.path, wait)
        if on_duplicate not in DUPLICATES:
            raise GalleryError(f"--on-duplicate {on_duplicate}: expected {', '.join(DUPLICATES)}")
        templates, problems = self._embed(people, identity, faces, sources, left_out)
        if problems and not len(templates):
            return Enrolment(0, 0, 0, tuple(problems))
        self._check(templates)
        keys = [key_of(template_id) for template_id in templates.table["template_id"].to_pylist()]
        known = {row["key"]: row["person"] for row in self._client.rows_in(self._collection, "key", keys, ("person",))}
        if known and on_duplicate == "error":
            such = templates.table["template_id"][next(at for at, key in enumerate(keys) if key in known)]
            raise TemplatesError(f"{len(known)} template ids are enrolled already, such as {such}; say --on-duplicate")
        table = templates.table
        if on_duplicate == "skip":
            table = table.filter(pa.array([key not in known for key in keys]))
        people_of = [key_of(name) for name in table["identity"].to_pylist()]
        counted = dict.fromkeys(people_of, False)
        enrolled = set()
        for row in self._client.rows_in(self._collection, "person", people_of, ("person", "counted")):
            enrolled.add(row["person"])
            counted[row["person"]] |= row["counted"]
        first = np.zeros(len(people_of), bool)
        first[np.unique(people_of, return_index=True)[1]] = True
        first &= np.array([person not in enrolled for person in people_of], bool)
        rows = rows_of(table, None, np.array([counted[person] for person in people_of], bool), first)
        put(self._client, self._collection, rows)
        self._settle(enrolled | set(known.values()))
        self._measure()
        self._densities(keys)
        self._follow()
        skipped = len(templates) - len(table)
        return Enrolment(len(table), len(known) - skipped, skipped, tuple(problems))

    def remove(self, identities: Sequence[str] = (), *, templates: Sequence[str] = (), wait: float = 0) -> int:
        """As `Gallery.remove`; Milvus erases the bytes when it compacts."""
        _refuse_waiting(self.path, wait)
        people, keys = [key_of(name) for name in identities], [key_of(name) for name in templates]
        leaving = {row["key"]: row["person"] for row in self._client.rows_in(self._collection, "key", keys, ("person",))}
        unknown = [name for name, key in zip(templates, keys, strict=True) if key not in leaving]
        theirs = list(self._client.rows_in(self._collection, "person", people, ("person",)))
        present = {row["person"] for row in theirs}
        unknown = [name for name, key in zip(identities, people, strict=True) if key not in present] + unknown
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise GalleryError(f"{unknown[0]} is not enrolled in {self.path}{more}; nothing was removed")
        touched = set(leaving.values()) - present
        leaving |= {row["key"]: row["person"] for row in theirs}
        self._measure()
        if len(leaving) >= self._size.templates:
            raise GalleryError(f"nobody would be left in {self.path}; drop the collections instead")
        ordered = sorted(leaving)
        for start in range(0, len(ordered), 1000):
            self._client.call("delete", self._collection, filter=one_of("key", ordered[start : start + 1000]))
        self._settle(touched)
        self._measure()
        self._follow()
        return len(leaving)

    def rename(self, old: str, new: str, *, merge: bool = False, wait: float = 0) -> int:
        """As `Gallery.rename`."""
        _refuse_waiting(self.path, wait)
        rows = list(self._client.rows_in(self._collection, "person", [key_of(old)], WHOLE))
        if not rows:
            raise GalleryError(f"nobody called {old} is enrolled in {self.path}")
        if not new:
            raise GalleryError("an identity cannot have an empty name")
        if old == new:
            return len(rows)
        if not merge and self._client.count(self._collection, one_of("person", [key_of(new)])):
            raise GalleryError(f"{new} is enrolled in {self.path} already; pass --merge to make one identity of both")
        put(self._client, self._collection, [{**row, "identity": new, "person": key_of(new)} for row in rows])
        self._settle({key_of(new)})
        self._measure()
        return len(rows)

    def close(self) -> None:
        """Let go of Milvus; the gallery is of no use then."""
        self._client.close()

    def _check(self, templates: Templates) -> None:
        require_same(self.provenance, templates.provenance, str(self.path), "the templates to enrol")
        incoming = enrolment(templates)
        for _ in incoming:
            pass
        incoming.require_each_once(pa.chunked_array(templates.table["template_id"]))
        for column, text in longest_text(templates.table):
            raise TemplatesError(f"{self.path}: the {column} {text[:40]}... has {len(text.encode())} bytes; Milvus keeps 65,535")

    def _follow(self) -> None:
        """Calibrate anew a small gallery that has become another; what was learnt from strangers stays."""
        calibration, now = self.calibration, self._size.identities
        if now < max(LEAST_IDENTITIES, self.scoring.least_identities + 1) or self._size.templates > SMALL:
            return
        if calibration is None or abs(now - calibration.identities) >= max(1, PART * calibration.identities):
            if calibration is None or calibration.source == "gallery":
                self.calibrate()
            elif self.scoring.score == LOCAL:
                remeasure(self._client, self._collection, self._shortlister, self._size)

    def _settle(self, people: set[str]) -> None:
        """Have exactly one template stand for each of some identities that have any."""
        wrong: list[Row] = []
        firsts: dict[str, list[str]] = {}
        for row in self._client.rows_in(self._collection, "person", sorted(people), ("person", "first")):
            firsts.setdefault(row["person"], [])
            if row["first"]:
                firsts[row["person"]].append(row["key"])
        off = [person for person, keys in firsts.items() if len(keys) != 1]
        for person in off:
            rows = list(self._client.rows_in(self._collection, "person", [person], WHOLE))
            wrong += [{**row, "first": at == 0} for at, row in enumerate(rows) if row["first"] != (at == 0)]
        put(self._client, self._collection, wrong)

    def _densities(self, keys: Sequence[str]) -> None:
        """Measure those of templates that nobody measured yet, now that all of them are there."""
        if self.scoring.score != LOCAL:
            return
        rows = [row for row in self._client.rows_in(self._collection, "key", keys, WHOLE) if row["density"] == UNMEASURED]
        for part in batched(rows, _PROBES):
            put(self._client, self._collection, measured(part, self._shortlister, self._size))

    def _refuse_enrolled(self, strangers: Templates) -> None:
        names = pc.unique(strangers.table["identity"].drop_null()).to_pylist()
        of = {key_of(name): name for name in names}
        for row in self._client.rows_in(self._collection, "person", list(of), ("person",)):
            name = of[row["person"]]
            raise GalleryError(f"templates of the strangers are of enrolled identities, such as {name}; leave them out")


def _first_columns(names: pa.Array, shape: tuple[int, int], columns: int) -> pa.Array:
    kept = np.arange(shape[0] * shape[1]).reshape(shape)[:, :columns].ravel()
    return names.take(pa.array(kept))


def _refuse_waiting(where: object, wait: float) -> None:
    if wait:
        raise GalleryError(f"{where}: Milvus orders its writers, so that there is nobody to wait {wait:g} s for; leave wait out")
