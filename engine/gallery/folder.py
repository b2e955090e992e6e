"""A gallery that is open: its templates, and the questions that it answers."""

from pathlib import Path
from typing import Self

import pyarrow as pa

from engine.answers.newest import Newest
from engine.gallery.recogniser import Recogniser
from engine.matching.scoring import Enrolled
from engine.storage.summary import GalleryInfo, describe
from engine.storage.view import View, open_view
from indexes.base import SearchableIndex


class OpenGallery(Recogniser):
    """The enrolled templates of K identities, as they were when somebody last looked."""

    path: Path

    def __init__(self, path: Path, view: View) -> None:
        super().__init__()
        self.path = path
        self._newest = Newest(view, lambda before: open_view(path, before, before.address))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a gallery for reading.

        Raises:
            GalleryError: it is none, is damaged, or was written by a newer onek.
        """
        path = Path(path)
        return cls(path, open_view(path))

    @property
    def address(self) -> str:
        return self._newest.last.address

    def snapshot(self) -> View:
        return self._newest.current()

    def refresh(self) -> bool:
        """See what was enrolled and removed since, by any process; whether there was anything.

        Raises:
            GalleryError: as `open`.
        """
        before = self._newest.last
        return self._newest.looked() is not before

    @property
    def index(self) -> SearchableIndex:
        """What searches the templates."""
        return self.enrolled.index

    @property
    def identities(self) -> list[str]:
        """The enrolled identities, in order of their names."""
        return sorted(self.identity_names.to_pylist())

    @property
    def enrolled(self) -> Enrolled:
        """The enrolled templates as they are searched and scored."""
        return self.snapshot().enrolled

    @property
    def identity_names(self) -> pa.Array:
        """The name of each identity that `enrolled` numbers."""
        return self.snapshot().identities

    @property
    def template_ids(self) -> pa.ChunkedArray:
        """The id of each row of `enrolled`."""
        return self.snapshot().template_ids

    def sources(self) -> pa.ChunkedArray:
        """Where each row of `enrolled` came from; nulls where nobody said. Read from disk."""
        return self.snapshot().sources()

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        return describe(self.path, self.snapshot())
