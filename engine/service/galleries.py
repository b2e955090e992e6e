"""The galleries of a service, by name: opened once, and refreshed so often that every change is seen within a second."""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.answers.snapshot import Snapshot
from engine.common.late import pc
from engine.embedding.probe_encoder import ProbeEncoder
from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.storage.catalogue import NAME as CATALOGUE
from engine.storage.folder_snapshot import FolderSnapshot
from engine.workflows.places import InFolder, place_of

LOOK = 0.4
"""Seconds between two looks at what other processes changed."""

_log = logging.getLogger("onek.service")


class Served:
    """One gallery of the service, called `name`.

    `events` is the path of the file of its events: beside a folder; of a gallery that lies elsewhere, where the service runs.
    `seen` is how it was at the last `refresh`, and `changed` when one last found a change, by the clock of `time.monotonic`.
    """

    def __init__(self, name: str, where: str, encoder: ProbeEncoder) -> None:
        place = place_of(where)
        self.name = name
        self.gallery = Gallery(place.open().backend, encoder)
        beside = place.path if isinstance(place, InFolder) else Path(name)
        self.events = beside.with_name(f"{beside.name}.events.sqlite")
        self.trouble: str | None = None
        self.seen = self.gallery.snapshot()
        self.changed = -math.inf
        self._before: Snapshot | None = None
        self._listed: tuple[Snapshot, list[tuple[str, int]]] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it still lies where it was opened; of one elsewhere, that is not looked at."""
        return not self.gallery.capabilities.files or (Path(self.gallery.path) / CATALOGUE).is_file()

    def refresh(self) -> None:
        """See what was changed, by this process or others. A gallery that cannot be read is asked as it was before."""
        try:
            changed = self.gallery.refresh()
            before, self.seen = self.seen, self.gallery.snapshot()
        except (OnekError, OSError) as error:
            if self.trouble is None:
                _log.warning("gallery %s: %s", self.name, error)
            self.trouble = str(error)
            return
        self.trouble = None
        # This process may have seen a change since, when it made one of its own.
        if changed or (isinstance(before, FolderSnapshot) and before is not self.seen):
            self.changed = time.monotonic()
            if self._before is None:
                self._before = before

    def before(self) -> Snapshot | None:
        """What was seen before the changes that nobody has asked after yet; None where there are none."""
        if (before := self._before) is not None:
            self._before = None
        return before

    def listed(self) -> list[tuple[str, int]]:
        """Every identity, in the order of their names, and how many templates it has."""
        seen = self.gallery.snapshot()
        if self._listed is None or self._listed[0] is not seen:
            self._listed = (seen, list(seen.templates_by_identity()))
        return self._listed[1]

    def enrolled_among(self, names: list[str]) -> set[str]:
        """Which of some names somebody enrolled has."""
        seen = self.gallery.snapshot()
        if isinstance(seen, FolderSnapshot):
            return set(seen.enrolled_among(pa.array(names, pa.string())))
        return set(names) & {name for name, _ in seen.templates_by_identity()}

    def left_among(self, names: Collection[str]) -> set[str]:
        """Which of some names nobody enrolled has."""
        return set(names) - self.enrolled_among(list(names)) if names else set()

    def moved(self, names: Collection[str], before: Snapshot) -> dict[str, str]:
        """What identities are called now that had some names in `before`: of whom templates are enrolled, the very same under the
        same ids, as one other identity's.
        """
        seen = self.gallery.snapshot()
        if not names or not isinstance(before, FolderSnapshot) or not isinstance(seen, FolderSnapshot):
            return {}
        named = pc.is_in(before.identities, value_set=pa.array(names, pa.string())).to_numpy(zero_copy_only=False)
        then = np.flatnonzero(named[before.enrolled.members.codes])
        ids = before.template_ids.take(pa.array(then)).combine_chunks()
        at = pc.index_in(seen.template_ids, value_set=ids).combine_chunks()
        rows = np.flatnonzero(at.is_valid().to_numpy(zero_copy_only=False))
        then = then[at.drop_null().to_numpy()]
        same = (before.enrolled.index.vectors(then) == seen.enrolled.index.vectors(rows)).all(axis=1)
        called: dict[str, set[str]] = {}
        for old, new in zip(_names(before, then[same]), _names(seen, rows[same]), strict=True):
            called.setdefault(old, set()).add(new)
        return {old: new.pop() for old, new in called.items() if len(new) == 1}


def _names(seen: FolderSnapshot, rows: np.ndarray) -> list[str]:
    """Whose some rows are."""
    names: list[str] = seen.identities.take(pa.array(seen.enrolled.members.codes[rows])).to_pylist()
    return names


class Galleries:
    """All of them. `watch` begins to look for changes, and tells `changed` of each gallery that did; `close` ends it."""

    def __init__(self, named: list[str]) -> None:
        """Open them.

        Raises:
            GalleryError: there is none, two have one name, or one is damaged.
        """
        encoder = ProbeEncoder("the gallery")
        self._served: dict[str, Served] = {}
        for name, where in found_galleries(named):
            if name in self._served:
                raise GalleryError(f"two galleries are called {name}; name folders that are called differently")
            try:
                self._served[name] = Served(name, where, encoder)
            except OSError as error:
                raise GalleryError(f"{error.filename or where}: {error.strerror or error}; the gallery cannot be read") from error
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def get(self, name: str) -> Served | None:
        """The one of this name."""
        return self._served.get(name)

    def watch(self, changed: Callable[[Served, Snapshot], None]) -> None:
        """Look again, and again, on a thread; on another, which may take its time, `changed` is told what was seen before."""

        def look(served: Served) -> None:
            served.refresh()

        def tell(served: Served) -> None:
            if (before := served.before()) is not None:
                changed(served, before)

        self._threads = [
            threading.Thread(target=self._again, args=(each,), name="galleries", daemon=True) for each in (look, tell)
        ]
        for thread in self._threads:
            thread.start()

    def _again(self, work: Callable[[Served], None]) -> None:
        while not self._ended.wait(LOOK):
            for served in self:
                work(served)

    def close(self) -> None:
        """End the looking, and let go of what is open."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for served in self:
            served.gallery.close()


def found_galleries(named: list[str]) -> list[tuple[str, str]]:
    """What galleries are called and where they lie: those named, and those that lie in a folder that is none itself.

    Raises:
        GalleryError: a folder is no gallery and has none in it, or may not be read.
    """
    found = []
    for where in named:
        try:
            found += _found(where)
        except OSError as error:
            of = error.filename or where
            raise GalleryError(
                f"{of}: {error.strerror or error}; expected galleries that this user may enter and read"
            ) from error
    return found


def _found(where: str) -> list[tuple[str, str]]:
    place = place_of(where)
    folder = Path(where)
    if isinstance(place, InFolder) and folder.is_dir() and not (folder / CATALOGUE).is_file():
        inside = sorted(each for each in folder.iterdir() if (each / CATALOGUE).is_file())
        if not inside:
            raise GalleryError(f"{folder} is no gallery, and there is none in it; onek build-index makes one")
        return [(each.name, str(each)) for each in inside]
    return [(place.beside.absolute().name if isinstance(place, InFolder) else place.beside.name, where)]
