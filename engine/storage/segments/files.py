"""The files of a segment: where they lie, how they get there whole, and how they go."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.errors import GalleryError, TemplatesError
from engine.files.atomic_files import UNREADABLE, keep_private, refusing, sync_file
from engine.storage.catalogue import Segment
from indexes.errors import IndexFileError

Read = TypeVar("Read")
_log = logging.getLogger(__name__)
MEND = "say onek check --repair, or restore the gallery from a backup"


@dataclass(frozen=True)
class SegmentFiles:
    """Where a segment's files lie, or would lie."""

    rows: Path
    vectors: Path
    index: Path
    density: Path
    labels: Path

    def __iter__(self) -> Iterator[Path]:
        yield from (self.rows, self.vectors, self.index, self.density, self.labels)

    @property
    def made(self) -> list[Path]:
        """All but the rows, which these can be made from anew."""
        return list(self)[1:]


def segment_files(folder: Path, name: str) -> SegmentFiles:
    """The files that a segment of this name has in a gallery's folder."""
    endings = ("parquet", "vectors.npy", "index", "density.npy", "labels")
    return SegmentFiles(*(folder / f"{name}.{ending}" for ending in endings))


def recorded_files(folder: Path, segment: Segment) -> list[tuple[Path, int, str]]:
    """The files that a segment has, with the size and the SHA-256 that were recorded of each."""
    recorded = (
        (segment.rows_bytes, segment.rows_sha256),
        (segment.vectors_bytes, segment.vectors_sha256),
        (segment.index_bytes, segment.index_sha256),
        (segment.density_bytes, segment.density_sha256),
        (segment.labels_bytes, segment.labels_sha256),
    )
    files = zip(segment_files(folder, segment.name), recorded, strict=True)
    return [(path, size, digest) for path, (size, digest) in files if size and digest]


def following(name: str) -> str:
    """The name of the segment that follows one."""
    return f"segment-{int(name.split('-')[1]) + 1:06d}"


@contextmanager
def added_segment(folder: Path, name: str) -> Iterator[None]:
    """Around `seal` in a gallery that lives: what it writes is on the disk when the block ends; of a failed one nothing stays.

    Raises:
        OutputError: the system refused a write.
    """
    with refusing(folder):
        try:
            yield
            for file in segment_files(folder, name):
                if file.exists():
                    keep_private(file)
                    sync_file(file)
            sync_file(folder)
        except BaseException:
            drop_segment(folder, name)
            raise


def drop_segment(folder: Path, name: str) -> None:
    """Remove the files of a segment that no catalogue names; what cannot be removed, the next writer removes."""
    for file in folder.glob(f"{name}.*"):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.info("%s stays: %s", file, error)


def or_damaged(read: Callable[[], Read]) -> Read:
    """What was read of a segment's files. Raises `GalleryError`, which says what to do, where they are not what was sealed."""
    try:
        return read()
    except (*UNREADABLE, IndexFileError, TemplatesError) as error:
        raise GalleryError(f"{error}; {MEND}") from error
