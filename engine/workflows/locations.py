"""Galleries by their addresses: a folder, object storage, or Milvus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from engine.files.outputs import refuse_inputs
from engine.gallery.build import BuildOptions
from engine.gallery.gallery import Gallery
from engine.maintenance.backup import backup
from engine.maintenance.integrity import Fault
from engine.templates.enrolment import Source
from engine.workflows.places import place_of, place_of_files
from indexes.base import Progress


def open_gallery(where: str | Path) -> Gallery:
    """Open a gallery for reading: as `open_for_changes`, or one in object storage, which is brought here.

    Raises:
        GalleryError: there is none, it is damaged, or Milvus does not answer.
        StorageError: object storage does not answer, or refuses.
    """
    return place_of(where).open()


def open_for_changes(where: str | Path) -> Gallery:
    """Open the gallery in a folder, or at `milvus://HOST:PORT/NAME`, `milvus+tls://HOST:PORT/NAME`, `milvus-lite:PATH.db/NAME`.

    Raises:
        GalleryError: there is none, it is damaged, Milvus does not answer, or it lies in object storage, where nothing changes.
    """
    return place_of(where).open_for_changes()


def build_gallery(
    templates: Source,
    where: str | Path,
    *,
    overwrite: bool = False,
    factory: str | None = None,
    milvus: str | None = None,
    **options: Unpack[BuildOptions],
) -> Gallery:
    """Build a gallery in a folder, in Milvus or for object storage, and open it; arguments as of `Gallery.build`, and `milvus` as
    `engine.milvus.building.placement.placement` reads it.

    Raises:
        IndexUnsupported: a FAISS string for Milvus, which has indexes of its own.
        OnekError: as `Gallery.build`.
    """
    return place_of(where).build(templates, overwrite=overwrite, factory=factory, milvus=milvus, **options)


def merge_galleries(
    galleries: Sequence[str | Path],
    out: str | Path,
    *,
    on_duplicate: str = "error",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Gallery:
    """As `Gallery.merge`, of galleries in folders or object storage, into either.

    Raises:
        GalleryError: one is in Milvus.
        OnekError: as `Gallery.merge`.
    """
    target = place_of_files(out, "merge")
    refuse_inputs([Path(out)], map(Path, galleries))
    folders = [place_of_files(each, "merge").copied() for each in galleries]
    with target.making(overwrite) as folder:
        Gallery.merge(folders, folder, on_duplicate=on_duplicate, overwrite=overwrite, progress=progress)
    return target.open()


def backup_gallery(where: str | Path, out: str | Path, *, overwrite: bool = False) -> None:
    """As `engine.maintenance.backup.backup`, from a folder or object storage to either.

    Raises:
        GalleryError: one is in Milvus.
        OnekError: as `engine.maintenance.backup.backup`.
    """
    target = place_of_files(out, "backup")
    refuse_inputs([Path(out)], [Path(where)])
    source = place_of_files(where, "backup").copied()
    with target.making(overwrite) as folder:
        backup(source, folder, overwrite=overwrite)


def check_gallery(where: str | Path, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery. Raises `GalleryError` where there is none."""
    return place_of(where).check(progress)


def in_folder(where: str | Path, command: str) -> Path:
    """The folder of a gallery, for what changes files in it. Raises `GalleryError` where it lies elsewhere."""
    return place_of_files(where, command).folder(command)


def open_files(where: str | Path, command: str) -> Gallery:
    """Open a gallery whose files are at hand, for analyses that read every template.

    Raises:
        GalleryError: it is in Milvus; or as `open_gallery`.
        StorageError: as `open_gallery`.
    """
    return place_of_files(where, command).open()
