"""Which photographs there are, and whose they are."""

import difflib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import ListError, ListGuess, PhotographsError
from engine.image_formats import NAMES
from engine.images import LeftOut, find_images, summary
from engine.lists import IDENTITY, MAYBE_IDENTITY, PATH, Column, read_list
from engine.places import exists, is_folder, is_remote, local, uri

LIST_ENDINGS = (".csv", ".parquet")
RULES = ("folder", "stem", "none")


@dataclass(frozen=True)
class Photograph:
    """One image: a file, or an RGB picture in memory, uint8 (height, width, 3).

    `source` is its path as the user gave it; `identity` is None where nobody said whose it is.
    """

    source: str
    image: Path | np.ndarray
    identity: str | None


def find_photographs(
    inputs: Sequence[Path], labels: str | None = None, left_out: Callable[[LeftOut], None] | None = None
) -> list[Photograph]:
    """List the photographs of folders, single files, and CSV or Parquet lists with the columns `path` and `identity`.

    Args:
        inputs: what the user named, in order. Folders are searched recursively.
        labels: `folder` (the first folder below the one given is the identity; of several folders given that hold images
            directly, the folder itself), `stem` (`kian.jpg` is kian), `none`, or the path of a CSV or Parquet file with
            `path` and `identity`. None finds the rule from the shape of each folder: images in sub-folders are labelled
            by folder, images directly in it by stem.
        left_out: is told what in a folder is not taken for a photograph (see `find_images`).

    Raises:
        PhotographsError: an input is missing, holds no images, or cannot be labelled by the rule.
        ListError: a list cannot be read, or says two things of one photograph.
    """
    table = None
    if labels is not None and labels not in RULES:
        table = _read_label_file(labels)
    inputs = [Path(item) for item in inputs]
    several_folders = sum(map(_is_folder, inputs)) > 1
    photographs: list[Photograph] = []
    for item in inputs:
        if _is_folder(item):
            photographs += _of_folder(item, labels if table is None else "none", several_folders, left_out)
        elif item.suffix.lower() in LIST_ENDINGS and local(item).is_file():
            photographs += _of_list(item, labels if table is None else "none")
        elif exists(item) if is_remote(item) else item.exists():
            identity = {"folder": item.absolute().parent.name, "none": None}.get(labels or "stem", item.stem)
            photographs.append(_photograph(item, None if table is not None else identity))
        else:
            raise PhotographsError(f"{item}: no such file or folder")
    if not photographs:
        raise PhotographsError("no photographs were named; name a folder, image files, or a CSV or Parquet list")
    _refuse_twice(photographs)
    return photographs if table is None else [_labelled(photograph, table) for photograph in photographs]


def _is_folder(item: Path) -> bool:
    return is_folder(item) if is_remote(item) else item.is_dir()


def _refuse_twice(photographs: list[Photograph]) -> None:
    seen: set[str] = set()
    for photograph in photographs:
        if photograph.source in seen:
            raise PhotographsError(f"{photograph.source} is named twice; name each photograph once")
        seen.add(photograph.source)


def _of_folder(
    folder: Path, labels: str | None, several_folders: bool, left_out: Callable[[LeftOut], None] | None
) -> list[Photograph]:
    left: list[LeftOut] = []
    images = find_images(folder, left.append)
    if not images:
        besides = f"; {summary(left)}" if left else ""
        raise PhotographsError(f"{folder}: no images in this folder or below it (looked for {NAMES}){besides}")
    if left_out is not None:
        for each in left:
            left_out(each)
    identity = _rule(folder, images, labels, several_folders)
    return [_photograph(path, identity(path)) for path in images]


def _rule(folder: Path, images: list[Path], labels: str | None, several: bool) -> Callable[[Path], str | None]:
    """The function from an image's path to its identity for one folder."""
    nested = [len(path.relative_to(folder).parts) > 1 for path in images]
    if labels == "none":
        return lambda _: None
    if labels == "stem" or (labels is None and not any(nested) and not several):
        return lambda path: path.stem
    if not any(nested):
        own_name = folder.absolute().name
        return lambda _: own_name
    if all(nested):
        return lambda path: path.relative_to(folder).parts[0]
    stray = images[nested.index(False)]
    raise PhotographsError(
        f"{folder} holds images both directly ({stray.name}) and in sub-folders, so it is unclear whose they are; "
        "pass --labels stem, none or a CSV file, or move them into one folder per identity"
    )


def _of_list(path: Path, labels: str | None) -> list[Photograph]:
    """A list's relative paths start at the folder that the list lies in; its identities stand unless a rule was asked for."""
    photographs = []
    for source, identity in _read_list(path, MAYBE_IDENTITY if labels is None else None).items():
        image = Path(source) if is_remote(source) else path.parent / source
        by_rule = {"none": None, "stem": image.stem, "folder": image.absolute().parent.name}
        photographs.append(Photograph(source=source, image=image, identity=by_rule.get(labels or "", identity or None)))
    return photographs


def _read_label_file(labels: str) -> dict[str, str]:
    path = Path(labels)
    if path.suffix.lower() not in LIST_ENDINGS:
        hint = difflib.get_close_matches(labels, RULES, n=1)
        meant = f" (did you mean {hint[0]}?)" if hint else ""
        raise PhotographsError(f"--labels {labels}: expected {', '.join(RULES)}, or a CSV or Parquet file{meant}")
    table = {}
    for source, identity in _read_list(path, IDENTITY).items():
        for key in {source, str((path.parent / source).absolute())}:
            table[key] = identity
    return table


def _labelled(photograph: Photograph, table: dict[str, str]) -> Photograph:
    identity = table.get(photograph.source) or table.get(str(Path(photograph.source).absolute()))
    if identity is None:
        raise PhotographsError(f"the label file has no row for {photograph.source}; add one, or leave the photograph out")
    return replace(photograph, identity=identity)


def _read_list(path: Path, identity: Column | None) -> dict[str, str]:
    """The identity of each path of a list, empty where the list says none, in its order.

    Raises:
        ListError: it cannot be read, a row has no path, or two rows say different things of one photograph; names the lines.
    """
    listed = read_list(path, [PATH] if identity is None else [PATH, identity])
    if not listed.rows:
        raise ListError(f"{uri(path)}: the list is empty; expected one row per photograph")
    if identity is not None and len(listed.headings) > 1 and identity.name not in listed.rows[0].values:
        warnings.warn(
            f"{uri(path)}: of the columns {', '.join(listed.headings)} none is {', '.join((identity.name, *identity.also))}: "
            "whose the photographs are is not said",
            ListGuess,
            stacklevel=2,
        )
    found: dict[str, tuple[str, str, str]] = {}
    for row in listed.rows:
        source, whose = row.values[PATH.name], row.values.get(IDENTITY.name, "")
        if not source:
            raise ListError(f"{uri(path)}: {row.place} has no path")
        key = source if is_remote(source) else os.path.abspath(path.parent / source)  # noqa: PTH100 - Path keeps a/../b
        _, said, place = found.setdefault(key, (source, whose, row.place))
        if said != whose:
            raise ListError(f"{uri(path)}: {source} is {said or 'nobody'} in {place} and {whose or 'nobody'} in {row.place}")
    return {source: whose for source, whose, _ in found.values()}


def _photograph(path: Path, identity: str | None) -> Photograph:
    return Photograph(source=_text(uri(path)), image=path, identity=None if identity is None else _text(identity))


def _text(name: str) -> str:
    """A file name as valid Unicode: bytes that are none are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
