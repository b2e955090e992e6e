"""Changes of a gallery in Milvus: enrol, remove, rename, and what is learnt anew after them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.calibration.calibration import LEAST_IDENTITIES, Calibration
from engine.common.concurrency import batched
from engine.errors import GalleryError, TemplatesError
from engine.gallery.strangers import require_not_enrolled
from engine.milvus import catalogue as catalogues
from engine.milvus.building.held import Held, hold, write_measured
from engine.milvus.calibration import calibrated, measured
from engine.milvus.collection import UNMEASURED, longest_text, put, rows_of
from engine.milvus.connection.client import Row, key_of, one_of
from engine.milvus.snapshot import PROBES, MilvusSnapshot, measured_size
from engine.storage.changes import EnrolmentResult, nobody_called, not_enrolled, somebody_called, spelt_as_enrolled, undisputed
from engine.storage.sealing import PART, SMALL
from engine.templates.model import Templates
from engine.templates.names import spellings
from engine.templates.provenance import Provenance
from indexes.base import Progress


class MilvusChange:
    """A gallery on which a change is being made, as it was seen at its beginning; implements `engine.gallery.backend.Change`."""

    def __init__(self, seen: MilvusSnapshot, progress: Progress | None = None) -> None:
        self._seen = seen
        self._client = seen.client
        self._path = seen.client.address
        self._progress = progress

    @property
    def provenance(self) -> Provenance:
        return self._seen.provenance

    def seen(self) -> MilvusSnapshot:
        return self._seen

    def enroll(self, templates: Templates, on_duplicate: str) -> EnrolmentResult:
        for column, text in longest_text(templates.table):
            raise TemplatesError(f"{self._path}: the {column} {text[:40]}... has {len(text.encode())} bytes; Milvus keeps 65,535")
        keys = [key_of(template_id) for template_id in templates.table["template_id"].to_pylist()]
        there = list(self._rows("key", keys, "template_id", "person", "identity"))
        known = {row["key"]: row["person"] for row in there}
        table = spelt_as_enrolled(templates.table, self._enrolled)
        table = undisputed(table, {row["template_id"]: row["identity"] for row in there}, on_duplicate)
        people_of = [key_of(name) for name in table["identity"].to_pylist()]
        counted = dict.fromkeys(people_of, False)
        enrolled = set()
        for row in self._rows("person", people_of, "person", "counted"):
            enrolled.add(row["person"])
            counted[row["person"]] |= row["counted"]
        first = np.zeros(len(people_of), bool)
        first[np.unique(people_of, return_index=True)[1]] = True
        first &= np.array([person not in enrolled for person in people_of], bool)
        self._put(rows_of(table, None, np.array([counted[person] for person in people_of], bool), first))
        self._settle(enrolled | set(known.values()))
        self._measure()
        if not self._follow():
            self._densities(keys)
        skipped = len(templates) - len(table)
        return EnrolmentResult(len(table), len(known) - skipped, skipped)

    def remove(self, identities: list[str], templates: list[str]) -> int:
        """Milvus erases the bytes when it compacts."""
        spelt = {name: {key_of(each) for each in spellings(name)} for name in identities}
        people, keys = [key for each in spelt.values() for key in each], [key_of(name) for name in templates]
        leaving = {row["key"]: row["person"] for row in self._rows("key", keys, "person")}
        unknown = [name for name, key in zip(templates, keys, strict=True) if key not in leaving]
        theirs = list(self._rows("person", people, "person"))
        present = {row["person"] for row in theirs}
        unknown = [name for name, theirs in spelt.items() if not theirs & present] + unknown
        if unknown:
            raise not_enrolled(unknown, self._path)
        touched = set(leaving.values()) - present
        leaving |= {row["key"]: row["person"] for row in theirs}
        self._measure()
        if len(leaving) >= self._seen.size.templates:
            raise GalleryError(f"nobody would be left in {self._path}; drop the collections instead")
        ordered = sorted(leaving)
        for start in range(0, len(ordered), 1000):
            self._client.call("delete", self._seen.collection, filter=one_of("key", ordered[start : start + 1000]))
        self._settle(touched)
        self._measure()
        self._follow()
        return len(leaving)

    def rename(self, old: str, new: str, merge: bool) -> int:
        mine, theirs = ([key_of(each) for each in spellings(name)] for name in (old, new))
        rows = list(self._rows("person", mine, *self._seen.catalogue.whole))
        if not rows:
            raise nobody_called(old, self._path)
        if old == new and {row["identity"] for row in rows} == {new}:
            return len(rows)
        others = [key for key in theirs if key not in mine]
        if not merge and others and self._client.count(self._seen.collection, one_of("person", others)):
            raise somebody_called(new, self._path)
        self._put([{**row, "identity": new, "person": key_of(new)} for row in rows])
        self._settle({key_of(new)})
        return len(rows)

    def calibrate(self, strangers: Templates | None = None) -> Calibration:
        """Learn anew how strangers score, and keep it. Raises as `Gallery.calibrate`."""
        seen = self._seen
        if strangers is not None:
            require_not_enrolled(strangers, seen.provenance, str(self._path), self._enrolled)
        if seen.size.templates <= SMALL:
            made = self._hold().calibrated(strangers, self._progress)
        else:
            made = calibrated(self._client, seen.catalogue, seen.shortlister, seen.size, strangers, self._progress)
        catalogues.with_calibration(self._client, seen.catalogue, made)
        return made

    def _hold(self) -> Held:
        """All of it here, with densities that were measured anew and are kept."""
        held = hold(self._client, self._seen.catalogue, self._seen.size.templates, self._progress)
        write_measured(self._client, self._seen.catalogue, held, self._progress)
        return held

    def _measure(self) -> None:
        """Count its templates and identities anew."""
        self._seen = replace(self._seen, size=measured_size(self._client, self._seen.collection))

    def _follow(self) -> bool:
        """Calibrate anew a small gallery that has become another, what was learnt from strangers excepted; all densities are
        measured then. Whether it has.
        """
        calibration, scoring, now = self._seen.calibration, self._seen.scoring, self._seen.size.identities
        if now < max(LEAST_IDENTITIES, scoring.least_identities + 1) or self._seen.size.templates > SMALL:
            return False
        if calibration is not None and abs(now - calibration.identities) < max(1, PART * calibration.identities):
            return False
        if calibration is None or calibration.source == "gallery":
            self.calibrate()
        else:
            self._hold()
        return True

    def _enrolled(self, names: pa.Array) -> set[str]:
        """Which of some names somebody enrolled has."""
        return {row["identity"] for row in self._rows("person", [key_of(name) for name in names.to_pylist()], "identity")}

    def _settle(self, people: set[str]) -> None:
        """Mark exactly one template of each of some identities as the one that stands for it, where they have any."""
        wrong: list[Row] = []
        firsts: dict[str, list[str]] = {}
        for row in self._rows("person", sorted(people), "person", "first"):
            firsts.setdefault(row["person"], [])
            if row["first"]:
                firsts[row["person"]].append(row["key"])
        off = [person for person, keys in firsts.items() if len(keys) != 1]
        for person in off:
            rows = list(self._rows("person", [person], *self._seen.catalogue.whole))
            wrong += [{**row, "first": at == 0} for at, row in enumerate(rows) if row["first"] != (at == 0)]
        put(self._client, self._seen.collection, wrong)

    def _densities(self, keys: Sequence[str]) -> None:
        """Measure those of templates that nobody measured yet, now that all of them are there."""
        if not self._seen.scoring.scaled:
            return
        rows = [row for row in self._rows("key", keys, *self._seen.catalogue.whole) if row["density"] == UNMEASURED]
        done = 0
        for part in batched(rows, PROBES):
            put(self._client, self._seen.collection, measured(part, self._seen.shortlister, self._seen.size))
            done += len(part)
            if self._progress:
                self._progress("densities", done, len(rows))

    def _rows(self, field: str, keys: Sequence[str], *wanted: str) -> Iterator[Row]:
        """The rows that have one of some keys in a field, with the fields that are wanted."""
        return self._client.rows_in(self._seen.collection, field, keys, wanted)

    def _put(self, rows: Sequence[Row]) -> None:
        kept = ("key", *self._seen.catalogue.whole)
        rows = [{name: row[name] for name in kept} for row in rows]
        put(self._client, self._seen.collection, rows, self._progress)
