"""Galleries by what they are called: a folder, or a place in Milvus."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Union

from engine.check import Fault
from engine.check import check as check_folder
from engine.enrolment import Source
from engine.errors import GalleryError, IndexUnsupported
from engine.gallery import Gallery
from engine.milvus.address import is_milvus, parse
from indexes.base import Progress
from indexes.plan import RECALL, Plan

if TYPE_CHECKING:
    from engine.milvus.gallery import MilvusGallery

AnyGallery = Union[Gallery, "MilvusGallery"]


def open_gallery(where: str | Path) -> AnyGallery:
    """Open the gallery in a folder, or at `milvus://HOST:PORT/NAME`, `milvus+tls://HOST:PORT/NAME`, `milvus-lite:PATH.db/NAME`.

    Raises:
        GalleryError: there is none, it is damaged, or Milvus does not answer.
    """
    if is_milvus(where):
        from engine.milvus.gallery import MilvusGallery

        return MilvusGallery.open(parse(str(where)))
    return Gallery.open(where)


def build_gallery(
    templates: Source,
    where: str | Path,
    *,
    overwrite: bool = False,
    index: str | None = None,
    factory: str | None = None,
    memory: int | None = None,
    recall: float = RECALL,
    score: str | None = None,
    fuse: int = 1,
    planned: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> AnyGallery:
    """Build a gallery in a folder or in Milvus, and open it; arguments as of `Gallery.build`.

    Raises:
        IndexUnsupported: a FAISS string for Milvus, which has indexes of its own.
        OnekError: as `Gallery.build`.
    """
    if not is_milvus(where):
        return Gallery.build(
            templates,
            where,
            overwrite=overwrite,
            index=index,
            factory=factory,
            memory=memory,
            recall=recall,
            score=score,
            fuse=fuse,
            planned=planned,
            progress=progress,
        )
    if factory is not None:
        raise IndexUnsupported(f"--factory {factory}: {where} has Milvus's indexes, not FAISS's; take --index")
    from engine.milvus.building import build

    return build(
        templates,
        parse(str(where)),
        overwrite=overwrite,
        index=index,
        memory=memory,
        recall=recall,
        score=score,
        fuse=fuse,
        planned=planned,
        progress=progress,
    )


def check_gallery(where: str | Path, progress: Progress | None = None) -> list[Fault]:
    """Everything that is wrong with a gallery. Raises `GalleryError` where there is none."""
    if is_milvus(where):
        from engine.milvus.checking import check

        return check(parse(str(where)), progress)
    return check_folder(Path(where), progress)


def beside(where: str | Path) -> Path:
    """What files that go with a gallery are called after: the folder, or in Milvus the gallery's name, in the current folder."""
    return Path(parse(str(where)).name) if is_milvus(where) else Path(where)


def in_folder(where: str | Path, command: str) -> Path:
    """The folder of a gallery, for what Milvus does in its own way. Raises `GalleryError` where it lies in Milvus."""
    if is_milvus(where):
        raise GalleryError(f"onek {command} works on galleries in folders; {where} lies in Milvus, which has its own means")
    return Path(where)
