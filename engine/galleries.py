"""Galleries by what they are called: a folder, a place in Milvus, or in object storage."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Union, Unpack

from engine.catalogue import NAME as CATALOGUE
from engine.check import Fault
from engine.check import check as check_folder
from engine.enrolment import Source
from engine.errors import GalleryError, IndexUnsupported
from engine.files import check_output
from engine.gallery import BuildOptions, Gallery
from engine.milvus.address import is_milvus, parse
from engine.opened import OpenGallery
from engine.places import is_remote, local, upload_folder, uri
from engine.view import open_view
from indexes.base import Progress

if TYPE_CHECKING:
    from engine.milvus.gallery import MilvusGallery

AnyGallery = Union[Gallery, "MilvusGallery"]


def open_gallery(where: str | Path) -> "AnyGallery | OpenGallery":
    """Open a gallery for reading: as `living_gallery`, or one in object storage, which is brought here.

    Raises:
        GalleryError: there is none, it is damaged, or Milvus does not answer.
        StorageError: object storage does not answer, or refuses.
    """
    if not is_remote(where):
        return living_gallery(where)
    folder = local(Path(where))
    return OpenGallery(folder, open_view(folder), uri(where))


def living_gallery(where: str | Path) -> AnyGallery:
    """Open the gallery in a folder, or at `milvus://HOST:PORT/NAME`, `milvus+tls://HOST:PORT/NAME`, `milvus-lite:PATH.db/NAME`.

    Raises:
        GalleryError: there is none, it is damaged, Milvus does not answer, or it lies in object storage, where nothing changes.
    """
    if is_remote(where):
        raise GalleryError(
            f"{uri(where)} lies in object storage, where a gallery is only read; change a copy in a folder, or keep it in Milvus"
        )
    if is_milvus(where):
        from engine.milvus.gallery import MilvusGallery

        return MilvusGallery.open(parse(str(where)))
    return Gallery.open(where)


def build_gallery(
    templates: Source,
    where: str | Path,
    *,
    overwrite: bool = False,
    factory: str | None = None,
    **options: Unpack[BuildOptions],
) -> "AnyGallery | OpenGallery":
    """Build a gallery in a folder, in Milvus or for object storage, and open it; arguments as of `Gallery.build`.

    Raises:
        IndexUnsupported: a FAISS string for Milvus, which has indexes of its own.
        OnekError: as `Gallery.build`.
    """
    if is_milvus(where):
        if factory is not None:
            raise IndexUnsupported(f"--factory {factory}: {where} has Milvus's indexes, not FAISS's; take --index")
        from engine.milvus.building import build

        return build(templates, parse(str(where)), overwrite=overwrite, **options)
    if not is_remote(where):
        return Gallery.build(templates, where, overwrite=overwrite, factory=factory, **options)
    check_output(Path(where), overwrite)
    with tempfile.TemporaryDirectory(prefix="onek-") as folder:
        Gallery.build(templates, Path(folder, "gallery"), factory=factory, **options)
        upload_folder(Path(folder, "gallery"), Path(where), last=CATALOGUE)
    return open_gallery(where)


def check_gallery(where: str | Path, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery. Raises `GalleryError` where there is none."""
    if is_milvus(where):
        from engine.milvus.checking import check

        return check(parse(str(where)), progress)
    return check_folder(local(Path(where)), progress)


def beside(where: str | Path) -> Path:
    """What files that go with a gallery are called after: the folder, or in Milvus the gallery's name, in the current folder."""
    return Path(parse(str(where)).name) if is_milvus(where) else Path(where)


def in_folder(where: str | Path, command: str) -> Path:
    """The folder of a gallery, for what only one in a folder can do. Raises `GalleryError` where it lies elsewhere."""
    if is_milvus(where) or is_remote(where):
        raise GalleryError(f"onek {command} works on galleries in folders; found {uri(where)}")
    return Path(where)
