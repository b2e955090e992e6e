"""A gallery whose templates live in Milvus: every verb of a gallery in a folder, and the same decisions."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.answers.newest import Newest
from engine.calibration.calibration import Calibration
from engine.errors import GalleryError
from engine.gallery.backend import Capabilities
from engine.maintenance.integrity import Fault
from engine.milvus.changes import MilvusChange
from engine.milvus.connection.client import MilvusConnection
from engine.milvus.info import MilvusInfo, describe
from engine.milvus.integrity import check
from engine.milvus.snapshot import MilvusSnapshot, look
from engine.templates.model import Templates
from indexes.base import Progress


class MilvusBackend:
    """The enrolled templates of K identities, in Milvus; implements `engine.gallery.backend.Backend`.

    Every call sees what any process enrolled or removed before it. Changes that were cut off may be made again: they do no harm
    twice. One writer at a time keeps the count of identities exact; `engine.milvus.integrity` says where it is not.
    """

    capabilities = Capabilities(changes=True, files=False)

    def __init__(self, client: MilvusConnection) -> None:
        """Open it.

        Raises:
            GalleryError: Milvus does not answer, or there is no whole gallery of ours.
        """
        self.path = str(client.address)
        self._client = client
        self._newest = Newest(look(client), lambda _: look(client))

    @property
    def address(self) -> str:
        return self.path

    def snapshot(self) -> MilvusSnapshot:
        return self._newest.current()

    def refresh(self) -> bool:
        before, now = self._newest.last, self._newest.looked()
        return (before.edition, before.size) != (now.edition, now.size)

    def patience(self, wait: float | None) -> float:
        if wait:
            raise GalleryError(
                f"{self.path}: Milvus orders its writers, so that there is nobody to wait {wait:g} s for; leave wait out"
            )
        return 0

    @contextmanager
    def changing(self, templates: int, wait: float, progress: Progress | None = None) -> Iterator[MilvusChange]:  # noqa: ARG002
        """As `Backend.changing`. A gallery of up to 200,000 templates whose K has changed by a quarter is calibrated anew.

        Raises:
            GalleryReplaced: another gallery took its place meanwhile, and has none of it.
        """
        seen = self._newest.looked()
        try:
            with seen.unreplaced():
                yield MilvusChange(seen, progress)
        finally:
            self._newest.changed(1)
        seen.require_there()

    def calibrate(self, strangers: Templates | None, progress: Progress | None) -> Calibration:
        """Milvus is searched for a sample of the enrolled, each left out exactly, or for strangers.

        Densities of a gallery of up to 200,000 templates are measured anew first, among those who are enrolled now.
        """
        with self.changing(0, 0, progress) as change:
            return change.calibrate(strangers)

    def info(self) -> MilvusInfo:
        return describe(self.snapshot())

    def check(self, progress: Progress | None = None) -> list[Fault]:
        return check(self._client.address, progress)

    def close(self) -> None:
        """Let go of Milvus; the gallery is of no use then."""
        self._client.close()
