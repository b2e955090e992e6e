"""Paths in object storage: `s3://BUCKET/KEY` and `gs://BUCKET/KEY`, through pyarrow.

`Path("s3://bucket/key")` is `s3:/bucket/key`, which no command means otherwise: such a path is taken for what it was. What is
read is brought to a temporary folder first, except photographs, which are read one by one; what is written appears when it is
whole.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from engine.errors import StorageError

# Seconds that connecting, and an answer, may take.
_CONNECT, _REQUEST = 10, 60
# How many times something is copied anew that somebody replaces in the meantime.
_LOOKS = 5
_REMOTE, _NOWHERE = re.compile(r"(s3|gs):/+(?=[^/])"), re.compile(r"(s3|gs):/*")
# What `Path` makes of an address: one slash in place of two.
_PATH = re.compile(r"(?<![\w./-])(s3|gs):/(?=[^/\s])")
# From paths of copies, and of what is being made here, to the addresses that they stand for.
_known_as: dict[str, str] = {}
_VARIABLES = {"s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}
_DENIED = re.compile(r"ACCESS_DENIED|credential|SIGNATURE|INVALID_ACCESS_KEY|OAuth2|Forbidden|403", re.IGNORECASE)


def is_remote(path: str | Path) -> bool:
    """Whether a path lies in object storage. Raises `StorageError` where it names a kind of storage, and nothing in it."""
    if nowhere := _NOWHERE.fullmatch(str(path)):
        raise StorageError(f"{nowhere[1]}:// names no bucket; expected {nowhere[1]}://BUCKET/KEY")
    return _REMOTE.match(str(path)) is not None


def uri(path: str | Path) -> str:
    """A path as the user wrote it: `s3://BUCKET/KEY`."""
    return _REMOTE.sub(r"\1://", str(path), count=1)


def as_given(text: str) -> str:
    """A message with the addresses of objects as the user wrote them, not with paths of copies, or what `Path` makes of them."""
    for here, there in list(_known_as.items()):
        text = text.replace(here, there)
    return _PATH.sub(r"\1://", text)


def exists(path: Path) -> bool:
    """Whether there is a file or folder of this name; in object storage, an object, or one below it. Raises `StorageError`."""
    return _info(path).type.name != "NotFound" if is_remote(path) else path.exists()


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; in object storage, whether there are objects below it. Raises `StorageError`."""
    return _info(path).type.name == "Directory" if is_remote(path) else path.is_dir()


def beside(path: Path, name: str) -> Path:
    """What a file calls `name`: relative to the folder that it lies in, unless that is a whole path or an address."""
    return Path(name) if is_remote(name) else path.parent / name


def below(path: Path) -> list[Path]:
    """The objects below a name, in the order of their names. Raises `StorageError`."""
    return [each for each, _, _ in _listed(path)]


def read(path: Path) -> bytes:
    """An object's bytes.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: the store does not answer, or refuses.
    """
    store, key = _at(path)
    with _refusing(path), store.open_input_stream(key) as stream:
        return bytes(stream.read())


def local(path: Path) -> Path:
    """A path that can be read here: the same, or a copy of the object, or of all objects below that name.

    What was copied is not copied again in this process while it stays what it was.

    Raises:
        StorageError: the store does not answer, or refuses, or somebody changes what is copied all the while. Of what is not
            there, the path itself comes back.
    """
    if not is_remote(path):
        return path
    for _ in range(_LOOKS):
        if not (marks := _marks(path)):
            _require_bucket(path)
            return path
        with suppress(FileNotFoundError):
            return _copied(path, marks)
    raise StorageError(f"{uri(path)} changed {_LOOKS} times while it was read; try again when nobody writes there")


def require_writable(path: Path) -> None:
    """See that something can be written beside an object: an empty object is written, and deleted again.

    Raises:
        StorageError: there is no such bucket, the credentials do not do, or the store does not answer.
    """
    tried = path.with_name(f".{path.name}.{uuid4().hex}.tried")
    store, key = _at(tried)
    with _refusing(path), store.open_output_stream(key):
        pass
    remove(tried)


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A path to make something at that goes to `path`, which messages name instead. It is temporary, and goes with the block."""
    with tempfile.TemporaryDirectory(prefix="onek-") as folder:
        here = Path(folder, path.name)
        _known_as[str(here)] = uri(path)
        try:
            yield here
        finally:
            del _known_as[str(here)]


def upload(file: Path, path: Path) -> None:
    """Put a file's bytes under a name. The object appears when it is whole. Raises `StorageError`."""
    store, key = _at(path)
    with _refusing(path), file.open("rb") as source, store.open_output_stream(key) as stream:
        while part := source.read(1 << 24):
            stream.write(part)


def upload_folder(folder: Path, path: Path, last: str) -> None:
    """Put the files of a folder below a name, the one called `last` behind all others; what else lay there goes then.

    Raises:
        StorageError: the store does not answer, or refuses.
    """
    files = [file for file in folder.rglob("*") if file.is_file()]
    there = {file: path / file.relative_to(folder) for file in files}
    old = below(path) if exists(path) else []
    for file in sorted(files, key=lambda each: (each.name == last, each)):
        upload(file, there[file])
    for each in set(old) - set(there.values()):
        remove(each)


def remove(path: Path) -> None:
    """Delete an object; nothing happens where there is none. Raises `StorageError`."""
    store, key = _at(path)
    with suppress(FileNotFoundError), _refusing(path):
        store.delete_file(key)


_Marks = tuple[tuple[Path, int, int], ...]


def _marks(path: Path) -> _Marks:
    """The objects at or below a name, each with its time and size, in which later versions differ; empty where there are none."""
    info = _info(path)
    if info.type.name == "Directory":
        return _listed(path)
    return ((path, info.mtime_ns, info.size),) if info.type.name == "File" else ()


def _listed(path: Path) -> _Marks:
    """The objects below a name, in the order of their names, each with its time and size."""
    from pyarrow.fs import FileSelector, FileType

    store, key = _at(path)
    with _refusing(path):
        found = store.get_file_info(FileSelector(key, recursive=True))
    scheme = uri(path).partition("://")[0]
    files = sorted((each for each in found if each.type == FileType.File), key=lambda info: info.path)
    return tuple((Path(f"{scheme}://{each.path}"), each.mtime_ns, each.size) for each in files)


@cache
def _copied(path: Path, marks: _Marks) -> Path:
    from pyarrow.fs import LocalFileSystem, copy_files

    folder = Path(tempfile.mkdtemp(dir=_copies()))
    _known_as[f"{folder}/"] = uri(path).partition("://")[0] + "://"
    for each, _, _ in marks:
        store, key = _at(each)
        if ".." in Path(key).parts:
            raise StorageError(f"{uri(each)}: a key with .. in it would be copied outside of its folder; give it another name")
        to = folder / key
        to.parent.mkdir(parents=True, exist_ok=True)
        with _refusing(each):
            copy_files(key, str(to), source_filesystem=store, destination_filesystem=LocalFileSystem())
    if _marks(path) != marks:
        shutil.rmtree(folder)
        raise FileNotFoundError(str(path))
    return folder / _at(path)[1]


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """The folder of all copies, which is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="onek-")


def _copies() -> str:
    return _folder().name


def _require_bucket(path: Path) -> None:
    """Raises `StorageError` where not even the bucket is there."""
    store, key = _at(path)
    bucket = key.partition("/")[0]
    with _refusing(path):
        found = store.get_file_info(bucket)
    if found.type.name == "NotFound":
        raise StorageError(f"{uri(path)}: there is no bucket {bucket}; create it, or name another")


def _info(path: Path) -> Any:
    store, key = _at(path)
    with _refusing(path):
        return store.get_file_info(key)


def _at(path: Path) -> tuple[Any, str]:
    scheme, _, key = uri(path).partition("://")
    return _store(scheme, os.environ.get("AWS_ENDPOINT_URL")), key.rstrip("/")


@cache
def _store(scheme: str, endpoint: str | None) -> Any:
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_REQUEST))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return fs.S3FileSystem(endpoint_override=endpoint, region=region, connect_timeout=_CONNECT, request_timeout=_REQUEST)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Raise a store's errors as `StorageError`; but for `FileNotFoundError`, which stays."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        said = " ".join(str(error).split())
        if _DENIED.search(said):
            variables = _VARIABLES[uri(path)[:2]]
            raise StorageError(f"{uri(path)}: credentials are missing or refused; set {variables} ({said[:200]})") from error
        if "NO_SUCH_BUCKET" in said or "NoSuchBucket" in said:
            raise StorageError(f"{uri(path)}: there is no such bucket; create it, or name another") from error
        raise StorageError(f"{uri(path)}: the store does not answer as it should: {said[:300]}") from error
