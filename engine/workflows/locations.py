"""Galleries by what they are called: a folder, a place in Milvus, or in object storage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from engine.errors import GalleryError, IndexUnsupported
from engine.files.atomic_files import check_output, finish, tidy
from engine.files.object_storage import exists, is_remote, local, staged, upload_folder, uri
from engine.files.outputs import refuse_inputs
from engine.gallery.build import BuildOptions
from engine.gallery.folder import FolderBackend, only_read
from engine.gallery.gallery import Gallery
from engine.maintenance.backup import backup
from engine.maintenance.integrity import Fault
from engine.maintenance.integrity import check as check_folder
from engine.milvus.connection.address import LITE, is_milvus, parse
from engine.storage.catalogue import NAME as CATALOGUE
from engine.storage.catalogue import read_catalogue
from engine.templates.enrolment import Source
from indexes.base import Progress


def open_gallery(where: str | Path) -> Gallery:
    """Open a gallery for reading: as `living_gallery`, or one in object storage, which is brought here.

    Raises:
        GalleryError: there is none, it is damaged, or Milvus does not answer.
        StorageError: object storage does not answer, or refuses.
    """
    if not is_remote(where):
        return living_gallery(where)
    return _opened(where)


def living_gallery(where: str | Path) -> Gallery:
    """Open the gallery in a folder, or at `milvus://HOST:PORT/NAME`, `milvus+tls://HOST:PORT/NAME`, `milvus-lite:PATH.db/NAME`.

    Raises:
        GalleryError: there is none, it is damaged, Milvus does not answer, or it lies in object storage, where nothing changes.
    """
    if is_remote(where):
        raise only_read(uri(where))
    if is_milvus(where):
        from engine.milvus.backend import MilvusBackend
        from engine.milvus.connection.client import Client

        return Gallery(MilvusBackend(Client(parse(str(where)))))
    tidy(Path(where))
    return Gallery.open(where)


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
    if is_milvus(where):
        if factory is not None:
            raise IndexUnsupported(f"--factory {factory}: {where} has Milvus's indexes, not FAISS's; take --index")
        from engine.milvus.building.build import build

        return build(templates, parse(str(where)), overwrite=overwrite, milvus=milvus, **options)
    if milvus is not None:
        raise GalleryError(f"--milvus {milvus} goes with a gallery in Milvus; found {uri(where)}")
    if not is_remote(where):
        return Gallery.build(templates, where, overwrite=overwrite, factory=factory, **options)
    with _going_to(where, overwrite) as folder:
        Gallery.build(templates, folder, factory=factory, **options)
    return open_gallery(where)


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
    _refuse_milvus(out, "merge")
    refuse_inputs([Path(out)], map(Path, galleries))
    folders = [_folder_of(each, "merge") for each in galleries]
    with _going_to(out, overwrite) as folder:
        Gallery.merge(folders, folder, on_duplicate=on_duplicate, overwrite=overwrite, progress=progress)
    return open_gallery(out)


def backup_gallery(where: str | Path, out: str | Path, *, overwrite: bool = False) -> None:
    """As `engine.maintenance.backup.backup`, from a folder or object storage to either.

    Raises:
        GalleryError: one is in Milvus.
        OnekError: as `engine.maintenance.backup.backup`.
    """
    _refuse_milvus(out, "backup")
    refuse_inputs([Path(out)], [Path(where)])
    source = _folder_of(where, "backup")
    with _going_to(out, overwrite) as folder:
        backup(source, folder, overwrite=overwrite)


@contextmanager
def _going_to(where: str | Path, overwrite: bool) -> Iterator[Path]:
    """The folder to make a gallery in; where it belongs into object storage, it goes there when the block ends well."""
    if not is_remote(where):
        yield Path(where)
        return
    check_output(Path(where), overwrite)
    if exists(Path(where)):
        read_catalogue(local(Path(where, CATALOGUE)).parent)  # only a gallery is ever replaced, never other objects
    with staged(Path(where)) as folder:
        yield folder
        upload_folder(folder, Path(where), last=CATALOGUE)
        finish(Path(where))


def check_gallery(where: str | Path, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery. Raises `GalleryError` where there is none."""
    if is_milvus(where):
        from engine.milvus.integrity import check

        return check(parse(str(where)), progress)
    return check_folder(local(Path(where)), progress)


def beside(where: str | Path) -> Path:
    """What files that go with a gallery are called after: the folder, or in Milvus the gallery's name, in the current folder."""
    return Path(parse(str(where)).name) if is_milvus(where) else Path(where)


def in_folder(where: str | Path, command: str) -> Path:
    """The folder of a gallery, for what changes files in it. Raises `GalleryError` where it lies elsewhere."""
    _refuse_milvus(where, command)
    if is_remote(where):
        raise GalleryError(f"onek {command} works on galleries in folders; found {uri(where)}")
    return Path(where)


def open_files(where: str | Path, command: str) -> Gallery:
    """Open a gallery for what reads every template of it.

    Raises:
        GalleryError: it is in Milvus; or as `open_gallery`.
        StorageError: as `open_gallery`.
    """
    _refuse_milvus(where, command)
    return _opened(where)


def _opened(where: str | Path) -> Gallery:
    return Gallery(FolderBackend(local(Path(where)), uri(where) if is_remote(where) else None))


def _folder_of(where: str | Path, command: str) -> Path:
    """The folder of a gallery that is only read; a copy, where it lies in object storage."""
    _refuse_milvus(where, command)
    return local(Path(where))


def erased_by(where: str | Path) -> str:
    """What takes the bytes of removed templates out of a gallery's files, in words."""
    if str(where).startswith(LITE):
        return "their bytes stay in milvus-lite's files until the gallery is built anew"
    return "Milvus erases their bytes when it compacts" if is_milvus(where) else "onek compact erases their bytes"


def _refuse_milvus(where: str | Path, command: str) -> None:
    if is_milvus(where):
        raise GalleryError(f"onek {command} works on galleries in folders; found {where}")
