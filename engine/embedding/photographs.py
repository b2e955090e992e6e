"""Which photographs there are, and whose they are."""

import difflib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.errors import ListError, ListGuess, NameRefused, PhotographsError
from engine.faces.images import IMAGES, FileKind, ImageBytes, LeftOut, find_files, summary
from engine.files.object_storage import beside, exists, is_folder, is_remote, local, uri
from engine.tables.lists import IDENTITY, MAYBE_IDENTITY, PATH, Column, read_list
from engine.templates.names import Labelling, doubts, each_of, name_of, names_in

LIST_ENDINGS = (".csv", ".parquet")
RULES = ("folder", "stem", "none")
# What is said of them.
BY_FOLDER = "each sub-folder is an identity (--labels folder)"
BY_OWN_FOLDER = "each photograph's folder is an identity (--labels folder)"
BY_STEM = "each file's name is an identity (--labels stem)"
BY_NOBODY = "nobody said whose they are (--labels none)"
_AS_SAID = "all of one identity, as was said (--identity)"
# Rows of a list whose names are made at a time.
_PART = 4096


@dataclass(frozen=True)
class Photograph:
    """One image: a file, or an RGB picture in memory, uint8 (height, width, 3). A recording or a volume is one too, where an
    encoder takes such.

    `source` is its path as the user gave it; `identity` is None where nobody said whose it is.
    """

    source: str
    image: Path | np.ndarray | ImageBytes
    identity: str | None


@dataclass(frozen=True)
class LabelledPhotographs:
    """Photographs, and the `rules` by which it was found whose they are, in words, each once."""

    photographs: tuple[Photograph, ...]
    rules: tuple[str, ...]

    @cached_property
    def labelling(self) -> Labelling:
        """How the labels were found, in words, and doubts about them."""
        whose = [photograph.identity for photograph in self.photographs]
        doubtful = () if self.rules == (_AS_SAID,) else tuple(doubts(whose))
        return Labelling(self.rules, len(whose), len(set(whose) - {None}), doubtful)

    def of(self, identity: str) -> "LabelledPhotographs":
        """The same photographs, all of one identity, as somebody said: beyond doubt."""
        named = (replace(photograph, identity=identity) for photograph in self.photographs)
        return LabelledPhotographs(tuple(named), (_AS_SAID,))


def find_photographs(
    inputs: str | Path | Sequence[Path],
    labels: str | None = None,
    left_out: Callable[[LeftOut], None] | None = None,
    kind: FileKind = IMAGES,
) -> list[Photograph]:
    """As `label_photographs`, without the rules."""
    return list(label_photographs(inputs, labels, left_out, kind).photographs)


def label_photographs(
    inputs: str | Path | Sequence[Path],
    labels: str | None = None,
    left_out: Callable[[LeftOut], None] | None = None,
    kind: FileKind = IMAGES,
) -> LabelledPhotographs:
    """List the photographs of folders, single files, and CSV or Parquet lists with the columns `path` and `identity`.

    Args:
        inputs: what the user named, in order. Folders are searched recursively.
        labels: `folder` (the first folder below the one given is the identity; of several folders given that hold images
            directly, the folder itself), `stem` (`kian.jpg` is kian), `none`, or the path of a CSV or Parquet file with
            `path` and `identity`. None finds the rule from the shape of each folder: images in sub-folders are labelled
            by folder, images directly in it by stem.
        left_out: is told what in a folder is not taken for a photograph (see `find_files`).
        kind: which files of a folder are meant; recordings and volumes are labelled as photographs are.

    An empty identity in a list says that nobody knows whose the photograph is.

    Raises:
        PhotographsError: an input is missing, holds no images, or cannot be labelled by the rule.
        NameRefused: a file, a folder or a list gives a name that nobody can have.
        ListError: a list cannot be read, or says two things of one photograph.
    """
    table = None
    if labels is not None and labels not in RULES:
        table = _read_label_file(labels)
    inputs = [Path(item) for item in each_of(inputs)]
    several_folders = sum(map(is_folder, inputs)) > 1
    photographs: list[Photograph] = []
    rules: dict[str, None] = {}
    for item in inputs:
        if is_folder(item):
            found, rule = _of_folder(item, kind, labels if table is None else "none", several_folders, left_out)
        elif item.suffix.lower() in LIST_ENDINGS and local(item).is_file():
            found, rule = _of_list(item, labels if table is None else "none")
        elif exists(item):
            found, rule = _of_file(item, labels if table is None else "none")
        else:
            raise PhotographsError(f"{item}: no such file or folder")
        photographs += found
        rules[rule] = None
    if not photographs:
        raise PhotographsError("no photographs were named; name a folder, image files, or a CSV or Parquet list")
    _refuse_twice(photographs)
    if table is not None:
        photographs, rules = [_labelled(photograph, table) for photograph in photographs], {f"as {labels} says": None}
    return LabelledPhotographs(tuple(_named(photographs)), tuple(rules))


def _named(photographs: list[Photograph]) -> list[Photograph]:
    """The same, with identities that are names (see `engine.templates.names`)."""
    texts = [photograph.identity for photograph in photographs]
    try:
        names = names_in(pa.array(texts, pa.string()), "the photographs").to_pylist()
    except NameRefused:
        for photograph in photographs:
            name_of(photograph.identity or "nobody", f"{photograph.source}: its identity")
        raise
    return [replace(photograph, identity=name) for photograph, name in zip(photographs, names, strict=True)]


def _refuse_twice(photographs: list[Photograph]) -> None:
    seen: set[str] = set()
    for photograph in photographs:
        if photograph.source in seen:
            raise PhotographsError(f"{photograph.source} is named twice; name each photograph once")
        seen.add(photograph.source)


def _of_folder(
    folder: Path, kind: FileKind, labels: str | None, several_folders: bool, left_out: Callable[[LeftOut], None] | None
) -> tuple[list[Photograph], str]:
    left: list[LeftOut] = []
    images = find_files(folder, kind, left.append)
    if not images:
        besides = f"; {summary(left)}" if left else ""
        raise PhotographsError(f"{folder}: no {kind.plural} in this folder or below it (looked for {kind.names}){besides}")
    if left_out is not None:
        for each in left:
            left_out(each)
    identity, rule = _rule(folder, images, labels, several_folders)
    return [_photograph(path, identity(path)) for path in images], rule


def _rule(folder: Path, images: list[Path], labels: str | None, several: bool) -> tuple[Callable[[Path], str | None], str]:
    """The function from an image's path to its identity for one folder, and what it is called."""
    nested = [len(path.relative_to(folder).parts) > 1 for path in images]
    if labels == "none":
        return lambda _: None, BY_NOBODY
    if labels == "stem" or (labels is None and not any(nested) and not several):
        return lambda path: path.stem, BY_STEM
    if not any(nested):
        own_name = folder.absolute().name
        return lambda _: own_name, BY_OWN_FOLDER
    if all(nested):
        return lambda path: path.relative_to(folder).parts[0], BY_FOLDER
    stray = images[nested.index(False)]
    raise PhotographsError(
        f"{folder} holds images both directly ({stray.name}) and in sub-folders, so it is unclear whose they are; "
        "pass labels='stem', labels='none' or a CSV file, or move them into one folder per identity"
    )


def _of_file(path: Path, labels: str | None) -> tuple[list[Photograph], str]:
    known: dict[str, tuple[str | None, str]] = {"folder": (path.absolute().parent.name, BY_OWN_FOLDER), "none": (None, BY_NOBODY)}
    identity, rule = known.get(labels or "stem", (path.stem, BY_STEM))
    return [_photograph(path, identity)], rule


def _of_list(path: Path, labels: str | None) -> tuple[list[Photograph], str]:
    """A list's relative paths start at the folder that the list lies in; its identities stand unless a rule was asked for."""
    photographs = []
    for source, identity in _read_list(path, MAYBE_IDENTITY if labels is None else None).items():
        image = beside(path, source)
        by_rule = {"none": None, "stem": image.stem, "folder": image.absolute().parent.name}
        photographs.append(Photograph(source=source, image=image, identity=by_rule.get(labels or "", identity)))
    rule = {"none": BY_NOBODY, "stem": BY_STEM, "folder": BY_OWN_FOLDER}.get(labels or "", f"as {path} says")
    return photographs, rule


def _read_label_file(labels: str) -> dict[str, str | None]:
    path = Path(labels)
    if path.suffix.lower() not in LIST_ENDINGS:
        hint = difflib.get_close_matches(labels, RULES, n=1)
        meant = f" (did you mean {hint[0]}?)" if hint else ""
        raise PhotographsError(f"labels={labels!r}: expected {', '.join(RULES)}, or a CSV or Parquet file{meant}")
    table: dict[str, str | None] = {}
    for source, identity in _read_list(path, IDENTITY).items():
        for key in {source, os.path.abspath(path.parent / source)}:  # noqa: PTH100 - Path keeps a/../b
            table[key] = identity
    return table


def _labelled(photograph: Photograph, table: dict[str, str | None]) -> Photograph:
    for key in (photograph.source, os.path.abspath(photograph.source)):  # noqa: PTH100 - as above
        if key in table:
            return replace(photograph, identity=table[key])
    raise PhotographsError(f"the label file has no row for {photograph.source}; add one, or leave the photograph out")


def _read_list(path: Path, identity: Column | None) -> dict[str, str | None]:
    """The identity of each path of a list, None where the list says none, in its order.

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
    names = names_in(pa.array([row.values.get(IDENTITY.name, "") for row in listed.rows], pa.string()), str(uri(path)))
    # A list may have millions of rows: Python has the names of a part of them at a time.
    parts = (names.slice(start, _PART).to_pylist() for start in range(0, len(names), _PART))
    found: dict[str, tuple[str, str | None, str]] = {}
    folder = str(path.parent)
    for row, whose in zip(listed.rows, chain.from_iterable(parts), strict=True):
        source = row.values[PATH.name]
        if not source:
            raise ListError(f"{uri(path)}: {row.place} has no path")
        # As texts: paths of a million rows would take longer to make than all else.
        key = source if is_remote(source) else os.path.abspath(os.path.join(folder, source))  # noqa: PTH100, PTH118
        _, said, place = found.setdefault(key, (source, whose, row.place))
        if said != whose:
            raise ListError(f"{uri(path)}: {source} is {said or 'nobody'} in {place} and {whose or 'nobody'} in {row.place}")
    return {source: whose for source, whose, _ in found.values()}


def _photograph(path: Path, identity: str | None) -> Photograph:
    return Photograph(source=_text(uri(path)), image=path, identity=None if identity is None else _text(identity))


def _text(name: str) -> str:
    """A file name as valid Unicode: bytes that are none are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
