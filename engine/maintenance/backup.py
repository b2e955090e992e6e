"""A copy of a gallery, made while others read and write; and several galleries made one."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from engine.common.late import pc
from engine.errors import GalleryError
from engine.files.atomic_files import whole_folder
from engine.files.outputs import check_outputs, require_local
from engine.storage.catalogue import NAME, Segment, put, read_catalogue, reading, refusing
from engine.storage.catalogue.digest import write_new
from engine.storage.catalogue.reader import segments_of
from engine.storage.folder_snapshot import FolderSnapshot, open_snapshot
from engine.storage.sealing import stored
from engine.storage.segments import recorded_files
from engine.templates.enrolment import TemplateStream
from engine.templates.model import Templates
from engine.templates.provenance import require_same

DUPLICATES = ("error", "skip")
# A writer may take a segment away between the copy of the catalogue and that of its files.
_LOOKS = 5


def backup(folder: Path, out: Path, *, overwrite: bool = False) -> None:
    """Copy a gallery as it is at one moment. Files that never change are linked where the file system can, else copied.

    Raises:
        OutputError: `out` exists and `overwrite` is false, or cannot be written.
        GalleryError: there is no gallery, it is damaged, or `out` is no gallery that might be replaced.
    """
    require_local(out, "where a gallery is copied to")
    check_outputs(out, [folder], overwrite)
    read_catalogue(folder)
    if out.exists():
        read_catalogue(out)  # only a gallery is ever replaced, never another folder
    with whole_folder(out) as copy:
        for look in range(_LOOKS):
            segments = _copy_catalogue(folder, copy)
            try:
                for segment in segments:
                    for file, _, _ in recorded_files(folder, segment):
                        _link(file, copy / file.name)
                break
            except FileNotFoundError as error:
                for file in copy.iterdir():
                    file.unlink()
                if look == _LOOKS - 1:
                    raise GalleryError(f"{error.filename} is missing; say onek check {folder}") from error


def templates_of_galleries(folders: Sequence[Path], on_duplicate: str = "error") -> TemplateStream:
    """All templates of several galleries, to build one of; an identity of the same name is the same person.

    Args:
        folders: galleries whose templates one encoder made.
        on_duplicate: what becomes of a template id that comes in two: `error`, or `skip`, so that the first gallery's stays.

    Raises:
        GalleryError: one is none, is damaged, or no such `on_duplicate`.
        EncoderMismatch: different encoders made them; names both.
    """
    if on_duplicate not in DUPLICATES:
        raise GalleryError(f"on_duplicate={on_duplicate!r}: expected {' or '.join(DUPLICATES)}")
    if not folders:
        raise GalleryError("no gallery was named; expected at least one")
    views = [open_snapshot(folder) for folder in folders]
    first = views[0].catalogue.provenance
    for folder, view in zip(folders, views, strict=True):
        require_same(first, view.catalogue.provenance, str(folders[0]), str(folder))
    count = sum(view.enrolled.index.count for view in views)
    return TemplateStream(first, count, _parts(folders, views, skip=on_duplicate == "skip"), tuple(folders))


def _parts(folders: Sequence[Path], views: list[FolderSnapshot], skip: bool) -> Iterator[tuple[str, Templates]]:
    known: list[pa.Array] = []
    for folder, view in zip(folders, views, strict=True):
        for part in stored(view, folder):
            ids = part.table["template_id"]
            if skip and known:
                there = pc.is_in(ids, value_set=pa.chunked_array(known))
                part = Templates(part.table.filter(pc.invert(there)), part.provenance)
            if len(part):
                yield str(folder), part
        known.extend(view.template_ids.chunks)


def _copy_catalogue(folder: Path, copy: Path) -> tuple[Segment, ...]:
    """Copy a catalogue; the segments that it names."""
    with reading(folder) as source, refusing(copy), closing(sqlite3.connect(":memory:", isolation_level=None)) as target:
        source.backup(target)
        # Another gallery than the first: what either does from now on, the other does not.
        put(target, "id", uuid4().hex)
        write_new(copy, NAME, target)
        return segments_of(target)


def _link(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, copy)
