"""A gallery in a folder: one writer at a time, any number of readers, files that only they and we touch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.answers.newest import Newest
from engine.calibration.calibration import Calibration, RowNames, calibrate, calibrate_on_strangers
from engine.errors import GalleryError
from engine.gallery.backend import Capabilities
from engine.gallery.strangers import require_not_enrolled
from engine.maintenance.backup import backup
from engine.maintenance.erasure import erase
from engine.maintenance.integrity import Fault, check
from engine.matching.by_name import by_name
from engine.storage.catalogue import put
from engine.storage.changes import EnrolmentResult, enroll, remove, rename
from engine.storage.folder_snapshot import FolderSnapshot, open_snapshot
from engine.storage.sealing import due, removed_vectors, reseal, seal_recent
from engine.storage.summary import GalleryInfo, describe
from engine.storage.writer_lock import WAIT, Writer
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from indexes.base import Progress


class FolderBackend:
    """A gallery in a folder; implements `engine.gallery.backend.Backend`."""

    def __init__(self, path: Path, copy_of: str | None = None) -> None:
        """Open it. `copy_of`: where the gallery itself lies, if the folder is a copy, which is only read.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        view = open_snapshot(path, address=copy_of)
        self.path = path
        self.capabilities = Capabilities(changes=copy_of is None, files=True)
        self._newest = Newest(view, lambda before: open_snapshot(path, before, before.address))
        self._writer = Writer(path)
        # The version that whoever writes through this object knows of: its own last change, or what was seen after another's.
        self._known = view.version

    @property
    def address(self) -> str:
        return self._newest.last.address

    def snapshot(self) -> FolderSnapshot:
        return self._newest.current()

    def refresh(self) -> bool:
        before = self._newest.last
        return self._newest.looked() is not before

    def patience(self, wait: float | None) -> float:
        self._require_changeable()
        return WAIT if wait is None else wait

    @contextmanager
    def changing(self, templates: int, wait: float, progress: Progress | None = None) -> Iterator["FolderChange"]:
        """As `Backend.changing`; seals the recent templates afterwards, if that is due."""
        with self._holding(wait):
            yield FolderChange(self._newest, self._writer)
            self._changed(templates)
            if due(self._newest.last, self._newest.since) and due(self.snapshot()):
                seal_recent(self.snapshot(), self._writer, progress)
                self._sealed()

    def calibrate(self, strangers: Templates | None, progress: Progress | None) -> Calibration:
        self._require_changeable()
        while True:
            seen = self.snapshot()
            made = self._calibrated(seen, strangers, progress)
            with self._holding(WAIT) as now:
                if (now.catalogue.id, now.scoring) == (seen.catalogue.id, seen.scoring):
                    with self._writer.changing() as database:
                        put(database, "calibration", made.to_json())
                    self._changed(1)
                    return made
            # Another gallery has taken its place: what was learnt says nothing of that one.

    def _calibrated(self, seen: FolderSnapshot, strangers: Templates | None, progress: Progress | None) -> Calibration:
        names, people = RowNames(seen.template_ids), by_name(seen.enrolled, seen.identities, seen.template_ids)
        if strangers is None:
            return calibrate(people, names, progress)
        require_not_enrolled(strangers, seen.provenance, str(self.path), seen.enrolled_among)
        theirs = RowNames(strangers.table["template_id"])
        return calibrate_on_strangers(people, strangers.vectors, names, theirs, progress, strangers.qualities)

    def compact(self, progress: Progress | None, wait: float) -> int:
        """Seal all that is enrolled anew, calibrate, and erase what was removed from every file; how many templates that were."""
        self._require_changeable()
        with self._writer.holding(wait):
            seen = self._newest.looked()
            removed = removed_vectors(seen)
            reseal(seen, self._writer, progress)
            erase(self._writer, removed)
            self._sealed()
            return seen.awaiting_erasure

    def backup(self, out: Path, overwrite: bool) -> None:
        """Copy the gallery as it is at one moment, while others read and write."""
        backup(self.path, out, overwrite=overwrite)

    def info(self) -> GalleryInfo:
        return describe(self.path, self.snapshot())

    def check(self, progress: Progress | None = None) -> list[Fault]:
        return check(self.path, progress)

    def close(self) -> None:
        """Let go of the catalogue after changes; the gallery may be used on. The end of the process does it at the latest."""
        self._writer.close()

    @contextmanager
    def _holding(self, wait: float) -> Iterator[FolderSnapshot]:
        """Hold the lock; give the newest snapshot, after bringing a gallery of a former format to the present one."""
        self._require_changeable()
        with self._writer.holding(wait):
            if self._writer.version() != self._known:
                self._known = self._newest.looked().version
            if not self._newest.last.catalogue.segments[0].indexed:
                reseal(self._newest.last, self._writer)
                self._sealed()
            yield self._newest.last

    def _require_changeable(self) -> None:
        if not self.capabilities.changes:
            raise only_read(self.address)

    def _changed(self, by: int) -> None:
        """Note a change, while the lock is held, so that the next call of any thread sees it."""
        self._known = self._writer.version()
        self._newest.changed(max(by, 1))

    def _sealed(self) -> None:
        """As `_changed`, after the segment was replaced: the next enrolment needs the new one, so it is read at once."""
        self._changed(1)
        self.snapshot()


class FolderChange:
    """A gallery whose lock is held; implements `engine.gallery.backend.Change`."""

    def __init__(self, newest: Newest[FolderSnapshot], writer: Writer) -> None:
        self._newest = newest
        self._writer = writer

    @property
    def provenance(self) -> Provenance:
        return self._newest.last.provenance

    def seen(self) -> FolderSnapshot:
        return self._newest.current()

    def enroll(self, templates: Templates, on_duplicate: str) -> EnrolmentResult:
        # The segment alone is looked at, and not what joined since.
        last = self._newest.last
        return enroll(last, last.ids, self._writer, templates, on_duplicate)

    def remove(self, identities: list[str], templates: list[str]) -> int:
        seen = self.seen()
        return remove(seen, seen.ids, self._writer, identities, templates)

    def rename(self, old: str, new: str, merge: bool) -> int:
        return rename(self.seen(), self._writer, old, new, merge)


def only_read(address: str) -> GalleryError:
    """The error for a change of a gallery in object storage, of which there is only a copy here."""
    return GalleryError(
        f"{address} lies in object storage, where a gallery is only read; change a copy in a folder, or keep it in Milvus"
    )
