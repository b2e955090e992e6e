"""The interface that `Gallery` needs of the place where its templates are stored: a folder, or Milvus.

A new place needs a class that implements `Backend`, one that implements `Change`, and a subclass of `Snapshot`. Thresholds,
decisions, templates of photographs, and what is refused before a change belong to `Gallery`, and are the same everywhere.
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
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from indexes.base import Progress


@dataclass(frozen=True)
class Capabilities:
    """What a place supports. `changes`: people may be enrolled there, and leave. `files`: a gallery is a folder of files, with
    all of its templates at hand, so that it can be compacted, copied and audited.
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
        """Rename an identity, or merge it into another; how many templates it had.

        Raises:
            GalleryError: nobody is called `old`, or somebody is called `new` and `merge` is false.
        """


class Backend(Protocol):
    """One gallery in the place where it is stored. Any number of threads may use it at once."""

    @property
    def path(self) -> Path | str:
        """Its name in messages: a folder's path, or an address."""

    @property
    def address(self) -> str:
        """What `engine.workflows.locations.open_gallery` opens it by, in another process as well."""

    @property
    def capabilities(self) -> Capabilities:
        """What this place supports."""

    def snapshot(self) -> Snapshot:
        """The snapshot read last; read anew if this process has changed the gallery since."""

    def refresh(self) -> bool:
        """Read the gallery anew, with the changes of every process. Whether anything had changed."""

    def patience(self, wait: float | None) -> float:
        """How many seconds a change waits for another writer: `wait`, or this place's default. Asked before any work.

        Raises:
            GalleryError: there is nobody to wait for, or nothing can be changed here.
        """

    def changing(self, templates: int, wait: float, progress: Progress | None = None) -> AbstractContextManager[Change]:
        """Hold the gallery for a change of up to so many `templates`. Every later question to this object, from any thread, sees
        the change. `progress` is told how far it has come, where it takes longer than a moment.

        Raises:
            GalleryBusy: somebody else was writing for `wait` seconds.
            GalleryReplaced: another gallery took its place meanwhile, and has none of it.
            GalleryError: nothing can be changed here.
        """

    def calibrate(self, strangers: Templates | None, progress: Progress | None) -> Calibration:
        """Learn anew how strangers score, and keep it; arguments and errors as of `Gallery.calibrate`."""

    def info(self) -> Info:
        """What the gallery holds."""

    def check(self, progress: Progress | None = None) -> list[Fault]:
        """Everything that is wrong with it."""

    def close(self) -> None:
        """Let go of what is held open."""
