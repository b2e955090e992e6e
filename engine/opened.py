"""A gallery that is open: its templates, and the questions that it answers."""

from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Self

import numpy as np
import pyarrow as pa

from engine.calibration import Calibration
from engine.head import SHORTLIST, Head, reordered
from engine.info import GalleryInfo, describe
from engine.recogniser import Found, Recogniser
from engine.scores import Enrolled, Scoring
from engine.verification import code_of
from engine.view import View, open_view, sources_of
from indexes.base import Index


class OpenGallery(Recogniser):
    """The enrolled templates of K identities, as they were when somebody last looked."""

    path: Path

    def __init__(self, path: Path, view: View, address: str | None = None) -> None:
        super().__init__()
        self.path = path
        self._address = address
        self.provenance = view.catalogue.provenance
        self._seen = view
        # A search must not see rows join an index half-way.
        self._searching = RLock()

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
        return self._address or str(self.path)

    def refresh(self) -> bool:
        """See what was enrolled and removed since, by any process; whether there was anything.

        Raises:
            GalleryError: as `open`.
        """
        with self._searching:
            before = self._seen
            self._seen = open_view(self.path, before)
            return self._seen is not before

    @property
    def _view(self) -> View:
        return self._seen

    def __len__(self) -> int:
        return self.enrolled.index.count

    @property
    def identity_count(self) -> int:
        return self.enrolled.members.identities

    @property
    def scoring(self) -> Scoring:
        return self.enrolled.scoring

    @property
    def index(self) -> Index:
        """What searches the templates."""
        return self.enrolled.index

    @property
    def identities(self) -> list[str]:
        """The enrolled identities, in order of their names."""
        return sorted(self.identity_names.to_pylist())

    @property
    def enrolled(self) -> Enrolled:
        """The enrolled templates as they are searched and scored."""
        return self._view.enrolled

    @property
    def calibration(self) -> Calibration | None:
        return self._view.catalogue.calibration

    @property
    def identity_names(self) -> pa.Array:
        """The name of each identity that `enrolled` numbers."""
        return self._view.identities

    @property
    def template_ids(self) -> pa.ChunkedArray:
        """The id of each row of `enrolled`."""
        return self._view.template_ids

    def sources(self) -> pa.ChunkedArray:
        """Where each row of `enrolled` came from; nulls where nobody said. Read from disk."""
        return sources_of(self._view, self.path)

    def info(self) -> GalleryInfo:
        """What the gallery holds."""
        return describe(self.path, self._view)

    def find(self, probes: np.ndarray, top: int, head: Head | None) -> Found:
        with self._searching:
            view = self._view
            found = view.enrolled.candidates(probes, top if head is None else max(top, SHORTLIST))
            if head is not None:
                found = reordered(found, head, probes, view.enrolled.index, top)
        rows = found.rows.ravel()
        members = view.enrolled.members
        return Found(
            found,
            view.identities.take(pa.array(members.codes[rows])),
            view.template_ids.take(pa.array(rows)).combine_chunks(),
            members.identities,
        )

    def templates_of(self, identity: str) -> tuple[list[str], np.ndarray]:
        code = code_of(self.identity_names, identity, self.path)
        rows = self.enrolled.members.rows(np.array([code]))[0]
        return [self.template_ids[int(row)].as_py() for row in rows], self.index.vectors(rows)

    def templates_by_identity(self) -> Iterator[tuple[str, int]]:
        yield from sorted(zip(self.identity_names.to_pylist(), self.enrolled.members.counts.tolist(), strict=True))
