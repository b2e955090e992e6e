"""What a place for galleries answers: all that `Gallery` asks of the folder, or of Milvus, where its templates lie.

Whoever adds a place writes a class that keeps `Backend`, one that keeps `Change`, and a snapshot. Thresholds, decisions,
templates of photographs, and what is refused before a change are the gallery's own, and the same everywhere.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.answers.snapshot import Snapshot
from engine.answers.summary import Info
from engine.calibration.calibration import Calibration
from engine.maintenance.integrity import Fault
from engine.storage.changes import EnrolmentResult
from engine.templates.parquet import Templates
from engine.templates.provenance import Provenance
from indexes.base import Progress


@dataclass(frozen=True)
class Capabilities:
    """What a place can. `changes`: people may be enrolled there, and leave. `files`: a gallery is a folder of files, with all of
    its templates at hand, so that it can be compacted, copied and audited.
    """

    changes: bool
    files: bool


class Change(Protocol):
    """A gallery on which a change is being made. Each verb is durable when it returns, and all of it happens or nothing."""

    @property
    def provenance(self) -> Provenance:
        """How the templates there are made, now that nobody else changes it."""

    def seen(self) -> Snapshot:
        """The gallery as it is now."""

    def enroll(self, templates: Templates, on_duplicate: str) -> EnrolmentResult:
        """Enrol templates that passed `require_joinable`; `on_duplicate` is one of `engine.storage.changes.DUPLICATES`.

        Raises:
            TemplatesError: a template id is enrolled, and `on_duplicate` does not allow that; nothing was enrolled.
        """

    def remove(self, identities: list[str], templates: list[str]) -> int:
        """Remove identities, and templates by their ids; how many templates that were.

        Raises:
            GalleryError: one is not enrolled, or nobody would be left; nothing was removed.
        """

    def rename(self, old: str, new: str, merge: bool) -> int:
        """Call an identity otherwise, or make one of two; how many templates it had.

        Raises:
            GalleryError: nobody is called `old`, or somebody is called `new` and `merge` is false.
        """


class Backend(Protocol):
    """A gallery in its place, for any number of threads at once."""

    @property
    def path(self) -> Path | str:
        """What it is called in messages: a folder's path, or an address."""

    @property
    def address(self) -> str:
        """What `engine.workflows.locations.open_gallery` opens it by, in another process as well."""

    @property
    def capabilities(self) -> Capabilities:
        """What this place can."""

    def snapshot(self) -> Snapshot:
        """The gallery as somebody saw it last, or as it is now, where this process has changed something since."""

    def refresh(self) -> bool:
        """See what was enrolled, removed, calibrated and replaced since, by any process; whether there was anything."""

    def patience(self, wait: float | None) -> float:
        """The seconds that a writer waits for another, where the user says `wait`, or nothing. Asked before any work.

        Raises:
            GalleryError: there is nobody to wait for, or nothing can be changed here.
        """

    def changing(self, templates: int, wait: float, progress: Progress | None = None) -> AbstractContextManager[Change]:
        """Around a change that brings or takes up to so many templates. Whatever is asked of this object after it, by any thread,
        is answered as after the change. `progress` is told how far it has come, where it takes longer than a moment.

        Raises:
            GalleryBusy: somebody else was writing for `wait` seconds.
            GalleryReplaced: another gallery took its place meanwhile, and has none of it.
            GalleryError: nothing can be changed here.
        """

    def calibrate(self, strangers: Templates | None, progress: Progress | None) -> Calibration:
        """Learn anew how strangers score, and keep it; arguments and errors as of `Gallery.calibrate`."""

    def info(self) -> Info:
        """What the gallery holds, as a dataclass of this place's own."""

    def check(self, progress: Progress | None = None) -> list[Fault]:
        """Everything that is wrong with it."""

    def close(self) -> None:
        """Let go of what is held open."""
