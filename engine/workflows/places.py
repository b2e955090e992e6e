"""The kinds of places where galleries lie, by their addresses: a folder, a bucket of object storage, Milvus.

`place_of` reads an address, once. Whatever depends on the kind of place is in its class, so that nothing else asks which it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Unpack

from engine.errors import GalleryError, IndexUnsupported
from engine.files.atomic_files import check_output, finish, tidy
from engine.files.object_storage import exists, is_remote, local, staged, upload_folder, uri
from engine.gallery.build import BuildOptions
from engine.gallery.folder import FolderBackend, only_read
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import Fault
from engine.maintenance.integrity import check as check_folder
from engine.milvus.connection.address import LITE, Address, is_milvus, parse
from engine.storage.catalogue import NAME as CATALOGUE
from engine.storage.catalogue import read_catalogue
from engine.templates.enrolment import Source
from indexes.base import Progress


class Place(ABC):
    """Where a gallery lies, or is to lie: `where`, as the user wrote it."""

    # Whether a writer may have to wait for another, and whether several processes may open it at once.
    waits = True
    shared = True
    # What the user is told to do so that the bytes of removed templates are erased.
    erased_by = "onek compact erases their bytes"

    def __init__(self, where: str | Path) -> None:
        self.where = where

    @property
    def path(self) -> Path:
        """The address as a path, for folders and object storage."""
        return Path(self.where)

    @property
    def beside(self) -> Path:
        """The path from which the names of files beside the gallery are made."""
        return self.path

    @abstractmethod
    def open(self) -> Gallery:
        """Open the gallery for reading. Raises `GalleryError` where there is none, or it is damaged."""

    @abstractmethod
    def open_for_changes(self) -> Gallery:
        """Open the gallery for changes. Raises `GalleryError` as `open`, and where nothing changes."""

    @abstractmethod
    def build(
        self, templates: Source, *, overwrite: bool, factory: str | None, milvus: str | None, **options: Unpack[BuildOptions]
    ) -> Gallery:
        """Build one here, and open it; as `engine.workflows.locations.build_gallery`."""

    @abstractmethod
    def check(self, progress: Progress | None) -> list[Fault]:
        """Everything that is wrong with the gallery. Raises `GalleryError` where there is none."""


class OfFiles(Place):
    """Where a gallery is a folder of files."""

    @abstractmethod
    def folder(self, command: str) -> Path:
        """The folder, for a command that changes files in it. Raises `GalleryError` where that is not at hand."""

    @abstractmethod
    def making(self, overwrite: bool) -> AbstractContextManager[Path]:
        """Give a folder to build a gallery in; when the block ends without an error, the gallery is in this place."""

    @abstractmethod
    def copied(self) -> Path:
        """The folder, or a copy of it that is only read."""

    def check(self, progress: Progress | None) -> list[Fault]:
        return check_folder(self.copied(), progress)


class InFolder(OfFiles):
    """A folder of this machine."""

    def open(self) -> Gallery:
        tidy(self.path)
        return Gallery.open(self.path)

    def open_for_changes(self) -> Gallery:
        return self.open()

    def build(
        self, templates: Source, *, overwrite: bool, factory: str | None, milvus: str | None, **options: Unpack[BuildOptions]
    ) -> Gallery:
        _refuse_placement(milvus, self.where)
        return Gallery.build(templates, self.path, overwrite=overwrite, factory=factory, **options)

    def folder(self, command: str) -> Path:  # noqa: ARG002 - any command may
        return self.path

    def copied(self) -> Path:
        return self.path

    def making(self, overwrite: bool) -> AbstractContextManager[Path]:  # noqa: ARG002 - whoever makes the gallery there asks
        return nullcontext(self.path)


class InStorage(OfFiles):
    """Object storage, `s3://` or `gs://`: a gallery is made here and put there, and read in a copy."""

    def open(self) -> Gallery:
        return Gallery(FolderBackend(self.copied(), uri(self.where)))

    def open_for_changes(self) -> Gallery:
        raise only_read(uri(self.where))

    def build(
        self, templates: Source, *, overwrite: bool, factory: str | None, milvus: str | None, **options: Unpack[BuildOptions]
    ) -> Gallery:
        _refuse_placement(milvus, self.where)
        with self.making(overwrite) as folder:
            Gallery.build(templates, folder, factory=factory, **options)
        return self.open()

    def folder(self, command: str) -> Path:
        raise _no_folder(command, uri(self.where))

    def copied(self) -> Path:
        return local(self.path)

    @contextmanager
    def making(self, overwrite: bool) -> Iterator[Path]:
        check_output(self.path, overwrite)
        if exists(self.path):
            read_catalogue(local(Path(self.where, CATALOGUE)).parent)  # only a gallery is ever replaced, never other objects
        with staged(self.path) as folder:
            yield folder
            upload_folder(folder, self.path, last=CATALOGUE)
            finish(self.path)


class InMilvus(Place):
    """Milvus: `milvus://HOST:PORT/NAME`, `milvus+tls://HOST:PORT/NAME`, or `milvus-lite:PATH.db/NAME` inside this process."""

    waits = False

    def __init__(self, where: str | Path) -> None:
        super().__init__(where)
        embedded = str(where).startswith(LITE)
        self.shared = not embedded
        self.erased_by = "Milvus erases their bytes when it compacts"
        if embedded:
            self.erased_by = "their bytes stay in milvus-lite's files until the gallery is built anew"

    @property
    def address(self) -> Address:
        """The address, parsed. Raises `GalleryError` where it is none."""
        return parse(str(self.where))

    @property
    def beside(self) -> Path:
        return Path(self.address.name)

    def open(self) -> Gallery:
        from engine.milvus.backend import MilvusBackend
        from engine.milvus.connection.client import MilvusConnection

        return Gallery(MilvusBackend(MilvusConnection(self.address)))

    def open_for_changes(self) -> Gallery:
        return self.open()

    def build(
        self, templates: Source, *, overwrite: bool, factory: str | None, milvus: str | None, **options: Unpack[BuildOptions]
    ) -> Gallery:
        if factory is not None:
            raise IndexUnsupported(f"--factory {factory}: {self.where} has Milvus's indexes, not FAISS's; take --index")
        from engine.milvus.building.build import build

        return build(templates, self.address, overwrite=overwrite, milvus=milvus, **options)

    def check(self, progress: Progress | None) -> list[Fault]:
        from engine.milvus.integrity import check

        return check(self.address, progress)


# Which class an address belongs to; any other address is a folder.
KINDS: tuple[tuple[Callable[[str | Path], bool], type[Place]], ...] = ((is_milvus, InMilvus), (is_remote, InStorage))


def place_of(where: str | Path) -> Place:
    """The place that an address names. Raises `StorageError` where it names a kind of object storage, and nothing in it."""
    return next((kind(where) for names, kind in KINDS if names(where)), InFolder(where))


def place_of_files(where: str | Path, command: str) -> OfFiles:
    """The same, for a `command` of galleries that are files. Raises `GalleryError` where the one there is not."""
    place = place_of(where)
    if not isinstance(place, OfFiles):
        raise _no_folder(command, where)
    return place


def _refuse_placement(milvus: str | None, where: str | Path) -> None:
    if milvus is not None:
        raise GalleryError(f"--milvus {milvus} goes with a gallery in Milvus; found {uri(where)}")


def _no_folder(command: str, where: str | Path) -> GalleryError:
    return GalleryError(f"onek {command} works on galleries in folders; found {where}")
