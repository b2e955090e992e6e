"""The galleries of a service, by name: opened once, and refreshed so often that every change is seen within a second."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from engine.answers.snapshot import Snapshot
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
    """

    def __init__(self, name: str, where: str, encoder: ProbeEncoder) -> None:
        place = place_of(where)
        self.name = name
        self.gallery = Gallery(place.open().backend, encoder)
        beside = place.path if isinstance(place, InFolder) else Path(name)
        self.events = beside.with_name(f"{beside.name}.events.sqlite")
        self.trouble: str | None = None
        self._listed: tuple[Snapshot, list[tuple[str, int]]] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it still lies where it was opened; of one elsewhere, that is not looked at."""
        return not self.gallery.capabilities.files or (Path(self.gallery.path) / CATALOGUE).is_file()

    def refresh(self) -> bool:
        """See what others changed; whether there was anything. A gallery that cannot be read is asked as it was before."""
        try:
            changed = self.gallery.refresh()
        except (OnekError, OSError) as error:
            if self.trouble is None:
                _log.warning("gallery %s: %s", self.name, error)
            self.trouble = str(error)
            return False
        self.trouble = None
        return changed

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
        self._thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def get(self, name: str) -> Served | None:
        """The one of this name."""
        return self._served.get(name)

    def watch(self, changed: Callable[[Served], None]) -> None:
        """Look again, and again, on a thread."""

        def look() -> None:
            while not self._ended.wait(LOOK):
                for served in self:
                    if served.refresh():
                        changed(served)

        self._thread = threading.Thread(target=look, name="galleries", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the looking, and let go of what is open."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
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
