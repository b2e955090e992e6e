"""A gallery whose templates live in Milvus: every verb of a gallery in a folder, and the same decisions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from engine.answers.already_enrolled import NOT_LOOKED, matches_of
from engine.answers.newest import Newest
from engine.calibration.calibration import LEAST_IDENTITIES, Calibration
from engine.common.concurrency import batched
from engine.errors import GalleryError, TemplatesError
from engine.gallery.recogniser import People, Recogniser
from engine.matching.scoring import LOCAL
from engine.milvus import catalogue as catalogues
from engine.milvus.building.held import hold, write_measured
from engine.milvus.calibration import calibrated, measured
from engine.milvus.collection import UNMEASURED, WHOLE, longest_text, put, rows_of
from engine.milvus.connection.address import Address
from engine.milvus.connection.client import Client, Row, key_of, one_of
from engine.milvus.info import MilvusInfo, describe
from engine.milvus.snapshot import PROBES, MilvusSnapshot, look, measured_size
from engine.storage.changes import Enrolled as Enrolment
from engine.storage.changes import require_words, spelt_as_enrolled, undisputed
from engine.storage.sealing import PART, SMALL
from engine.templates.enrolment import require_joinable
from engine.templates.names import each_of, name_of, spellings
from engine.templates.parquet import Templates
from engine.templates.provenance import require_same
from indexes.base import Progress

if TYPE_CHECKING:
    from engine.faces.images import LeftOut


class MilvusGallery(Recogniser):
    """The enrolled templates of K identities, in Milvus. Open one with `MilvusGallery.open`.

    Every call sees what any process enrolled or removed before it. Changes that were cut off may be made again: they do no harm
    twice. One writer at a time keeps the count of identities exact; `engine.milvus.check` says where it is not.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.path: Address = client.address
        self._client = client
        self._newest = Newest(look(client), lambda _: look(client))

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
        return self.snapshot().catalogue

    def snapshot(self) -> MilvusSnapshot:
        return self._newest.current()

    def refresh(self) -> bool:
        """See what was enrolled, removed and calibrated since, by any process; whether there was anything."""
        before, now = self._newest.last, self._newest.looked()
        return (before.edition, before.size) != (now.edition, now.size)

    def info(self) -> MilvusInfo:
        """What the gallery holds."""
        seen = self.snapshot()
        return describe(self._client, seen.catalogue, seen.size)

    def calibrate(self, strangers: Templates | None = None, progress: Progress | None = None) -> Calibration:
        """As `Gallery.calibrate`: Milvus is searched for a sample of the enrolled, each left out exactly, or for strangers.

        Densities of a gallery of up to 200,000 templates are measured anew first, among all who are enrolled now.
        """
        with self._writing() as seen:
            if strangers is not None:
                require_same(seen.provenance, strangers.provenance, str(self.path), "the strangers")
                self._refuse_enrolled(seen, strangers)
            return self._calibrate(seen, strangers, progress)

    def _calibrate(
        self, seen: MilvusSnapshot, strangers: Templates | None = None, progress: Progress | None = None
    ) -> Calibration:
        if seen.size.templates <= SMALL:
            held = hold(self._client, seen.catalogue, seen.size.templates, progress)
            write_measured(self._client, seen.catalogue, held, progress)
            made = held.calibrated(strangers, progress)
        else:
            made = calibrated(self._client, seen.catalogue, seen.shortlister, seen.size, strangers, progress)
        catalogues.with_calibration(self._client, seen.catalogue, made)
        return made

    def enroll(
        self,
        people: People,
        *,
        identity: str | None = None,
        faces: str | None = None,
        on_duplicate: str = "own",
        on_match: str = "warn",
        sources: bool = True,
        left_out: "Callable[[LeftOut], None] | None" = None,
        wait: float = 0,
        progress: Progress | None = None,
    ) -> Enrolment:
        """As `Gallery.enroll`: durable when it returns, and seen by the next search of anybody.

        A gallery of up to 200,000 templates whose K has changed by a quarter is calibrated anew. There is nobody to
        `wait` for: Milvus orders its writers.
        """
        _refuse_waiting(self.path, wait)
        require_words(on_duplicate, on_match)
        joining = self._joining(people, identity, faces, sources, left_out)
        if joining.problems and not len(joining.templates):
            return Enrolment(0, 0, 0).of(joining, NOT_LOOKED)
        with self._writing() as seen:
            self._check(seen, joining.templates)
            matches = matches_of(seen, joining.templates, on_match)
            done = self._enroll(seen, joining.templates, on_duplicate, progress)
        return done.of(joining, matches)

    def _enroll(self, seen: MilvusSnapshot, templates: Templates, on_duplicate: str, progress: Progress | None) -> Enrolment:
        keys = [key_of(template_id) for template_id in templates.table["template_id"].to_pylist()]
        fields = ("template_id", "person", "identity")
        there = list(self._client.rows_in(seen.collection, "key", keys, fields))
        known = {row["key"]: row["person"] for row in there}
        table = spelt_as_enrolled(templates.table, lambda names: self._enrolled(seen, names.to_pylist()))
        table = undisputed(table, {row["template_id"]: row["identity"] for row in there}, on_duplicate)
        people_of = [key_of(name) for name in table["identity"].to_pylist()]
        counted = dict.fromkeys(people_of, False)
        enrolled = set()
        for row in self._client.rows_in(seen.collection, "person", people_of, ("person", "counted")):
            enrolled.add(row["person"])
            counted[row["person"]] |= row["counted"]
        first = np.zeros(len(people_of), bool)
        first[np.unique(people_of, return_index=True)[1]] = True
        first &= np.array([person not in enrolled for person in people_of], bool)
        rows = rows_of(table, None, np.array([counted[person] for person in people_of], bool), first)
        put(self._client, seen.collection, rows, progress)
        self._settle(seen, enrolled | set(known.values()))
        seen = self._measured(seen)
        if not self._follow(seen, progress):
            self._densities(seen, keys, progress)
        skipped = len(templates) - len(table)
        return Enrolment(len(table), len(known) - skipped, skipped)

    def remove(self, identities: str | Sequence[str] = (), *, templates: str | Sequence[str] = (), wait: float = 0) -> int:
        """As `Gallery.remove`; Milvus erases the bytes when it compacts."""
        _refuse_waiting(self.path, wait)
        names, ids = each_of(identities), each_of(templates)
        with self._writing() as seen:
            return self._remove(seen, names, ids)

    def _remove(self, seen: MilvusSnapshot, names: list[str], templates: list[str]) -> int:
        spelt = {name: {key_of(each) for each in spellings(name)} for name in names}
        people, keys = [key for each in spelt.values() for key in each], [key_of(name) for name in templates]
        leaving = {row["key"]: row["person"] for row in self._client.rows_in(seen.collection, "key", keys, ("person",))}
        unknown = [name for name, key in zip(templates, keys, strict=True) if key not in leaving]
        theirs = list(self._client.rows_in(seen.collection, "person", people, ("person",)))
        present = {row["person"] for row in theirs}
        unknown = [name for name, theirs in spelt.items() if not theirs & present] + unknown
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise GalleryError(f"{unknown[0]} is not enrolled in {self.path}{more}; nothing was removed")
        touched = set(leaving.values()) - present
        leaving |= {row["key"]: row["person"] for row in theirs}
        if len(leaving) >= self._measured(seen).size.templates:
            raise GalleryError(f"nobody would be left in {self.path}; drop the collections instead")
        ordered = sorted(leaving)
        for start in range(0, len(ordered), 1000):
            self._client.call("delete", seen.collection, filter=one_of("key", ordered[start : start + 1000]))
        self._settle(seen, touched)
        self._follow(self._measured(seen))
        return len(leaving)

    def rename(self, old: str, new: str, *, merge: bool = False, wait: float = 0) -> int:
        """As `Gallery.rename`."""
        _refuse_waiting(self.path, wait)
        new = name_of(new, "the new name")
        with self._writing() as seen:
            return self._rename(seen, old, new, merge)

    def _rename(self, seen: MilvusSnapshot, old: str, new: str, merge: bool) -> int:
        mine, theirs = ([key_of(each) for each in spellings(name)] for name in (old, new))
        rows = list(self._client.rows_in(seen.collection, "person", mine, WHOLE))
        if not rows:
            raise GalleryError(f"nobody called {old} is enrolled in {self.path}")
        if old == new and {row["identity"] for row in rows} == {new}:
            return len(rows)
        others = [key for key in theirs if key not in mine]
        if not merge and others and self._client.count(seen.collection, one_of("person", others)):
            raise GalleryError(f"{new} is enrolled in {self.path} already; pass --merge to make one identity of both")
        put(self._client, seen.collection, [{**row, "identity": new, "person": key_of(new)} for row in rows])
        self._settle(seen, {key_of(new)})
        return len(rows)

    def close(self) -> None:
        """Let go of Milvus; the gallery is of no use then."""
        self._client.close()

    @contextmanager
    def _writing(self) -> Iterator[MilvusSnapshot]:
        """Around a change: of the gallery as it is now. What was changed is seen by the next call of any thread.

        Raises:
            GalleryReplaced: another gallery took its place meanwhile, and has none of it.
        """
        seen = self._newest.looked()
        try:
            with seen.unreplaced():
                yield seen
        finally:
            self._newest.changed(1)
        seen.require_there()

    def _measured(self, seen: MilvusSnapshot) -> MilvusSnapshot:
        """The same, as large as it is now."""
        return replace(seen, size=measured_size(self._client, seen.collection))

    def _check(self, seen: MilvusSnapshot, templates: Templates) -> None:
        require_joinable(templates, seen.provenance, str(self.path))
        for column, text in longest_text(templates.table):
            raise TemplatesError(f"{self.path}: the {column} {text[:40]}... has {len(text.encode())} bytes; Milvus keeps 65,535")

    def _follow(self, seen: MilvusSnapshot, progress: Progress | None = None) -> bool:
        """Calibrate anew a small gallery that has become another, what was learnt from strangers excepted; all densities are
        measured then. Whether it has.
        """
        calibration, now = seen.calibration, seen.size.identities
        if now < max(LEAST_IDENTITIES, seen.scoring.least_identities + 1) or seen.size.templates > SMALL:
            return False
        if calibration is not None and abs(now - calibration.identities) < max(1, PART * calibration.identities):
            return False
        if calibration is None or calibration.source == "gallery":
            self._calibrate(seen, None, progress)
        else:
            held = hold(self._client, seen.catalogue, seen.size.templates, progress)
            write_measured(self._client, seen.catalogue, held, progress)
        return True

    def _enrolled(self, seen: MilvusSnapshot, names: Sequence[str]) -> set[str]:
        """Those of some names that somebody has."""
        keys = [key_of(name) for name in names]
        return {row["identity"] for row in self._client.rows_in(seen.collection, "person", keys, ("identity",))}

    def _settle(self, seen: MilvusSnapshot, people: set[str]) -> None:
        """Have exactly one template stand for each of some identities that have any."""
        wrong: list[Row] = []
        firsts: dict[str, list[str]] = {}
        for row in self._client.rows_in(seen.collection, "person", sorted(people), ("person", "first")):
            firsts.setdefault(row["person"], [])
            if row["first"]:
                firsts[row["person"]].append(row["key"])
        off = [person for person, keys in firsts.items() if len(keys) != 1]
        for person in off:
            rows = list(self._client.rows_in(seen.collection, "person", [person], WHOLE))
            wrong += [{**row, "first": at == 0} for at, row in enumerate(rows) if row["first"] != (at == 0)]
        put(self._client, seen.collection, wrong)

    def _densities(self, seen: MilvusSnapshot, keys: Sequence[str], progress: Progress | None) -> None:
        """Measure those of templates that nobody measured yet, now that all of them are there."""
        if seen.scoring.score != LOCAL:
            return
        rows = [row for row in self._client.rows_in(seen.collection, "key", keys, WHOLE) if row["density"] == UNMEASURED]
        done = 0
        for part in batched(rows, PROBES):
            put(self._client, seen.collection, measured(part, seen.shortlister, seen.size))
            done += len(part)
            if progress:
                progress("densities", done, len(rows))

    def _refuse_enrolled(self, seen: MilvusSnapshot, strangers: Templates) -> None:
        names = pc.unique(strangers.table["identity"].drop_null()).to_pylist()
        of = {key_of(name): name for name in names}
        for row in self._client.rows_in(seen.collection, "person", list(of), ("person",)):
            name = of[row["person"]]
            raise GalleryError(f"templates of the strangers are of enrolled identities, such as {name}; leave them out")


def _refuse_waiting(where: object, wait: float) -> None:
    if wait:
        raise GalleryError(f"{where}: Milvus orders its writers, so that there is nobody to wait {wait:g} s for; leave wait out")
