"""Names of identities: one spelling for one name, and what can be no name. Everything that takes a name takes it from here.

A name is Unicode in its composed form (NFC), without blanks around it, never blank, and without control characters: "Zoe" and a
combining diaeresis, which is how some systems spell a folder, is the Zoë that somebody types.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import digits
from typing import TypeVar, cast

import pyarrow as pa

from engine.common.late import pc
from engine.errors import NameRefused, WrongType, require_text
from engine.files.budgets import MOST_TEXT

Each = TypeVar("Each")

_FORBIDDEN = r"[\p{Cc}\p{Zl}\p{Zp}]"


def name_of(text: str, what: str = "an identity") -> str:
    """The name that a text spells. `what` has it, in the message.

    Raises:
        NameRefused: it is blank, or holds control characters.
    """
    require_text(what, text)
    (name,) = names_in(pa.array([_unicode(text)], pa.string()), what).to_pylist()
    if name is None:
        raise NameRefused(f"{what} cannot have a blank name; found {text!r}")
    return str(name)


def names_in(column: pa.Array | pa.ChunkedArray, what: str) -> pa.Array | pa.ChunkedArray:
    """The names that a column of texts (n,) spells; null where a text is null or blank, which says nobody.

    Raises:
        NameRefused: one holds control characters, or is longer than any file that we read back may have it; names `what` and the
            row.
    """
    column = short(column, what)
    names = pc.utf8_normalize(pc.utf8_trim_whitespace(column.cast(pa.string())), form="NFC")
    forbidden = pc.match_substring_regex(names, _FORBIDDEN)
    if pc.any(forbidden).as_py():
        row = pc.index(forbidden, True).as_py()
        where = f", row {row}" if len(names) > 1 else ""
        raise NameRefused(f"{what}{where}: the name {names[row].as_py()!r} holds control characters; give it another")
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def short(column: pa.Array | pa.ChunkedArray, what: str) -> pa.Array | pa.ChunkedArray:
    """A column of texts (n,), none of which is longer than those that are read back from a file.

    Raises:
        NameRefused: one is; names `what` and the row.
    """
    lengths = pc.binary_length(column.cast(pa.string()))
    if (longest := pc.max(lengths).as_py() or 0) > MOST_TEXT:
        row = pc.index(lengths, longest).as_py()
        where = f", row {row}" if len(column) > 1 else ""
        raise NameRefused(f"{what}{where}: a text of {longest:,} bytes; at most {MOST_TEXT:,} are taken")
    return column


def each_of(given: str | Path | Iterable[Each]) -> list[Each]:
    """What a call was given, one or several: a string is one name or path, never its letters."""
    if isinstance(given, str | Path):
        return [cast(Each, given)]
    if not isinstance(given, Iterable):
        raise WrongType(f"found {given!r:.60} (a {type(given).__name__}); expected a text, or a list of them")
    return list(given)


def spellings(name: str) -> list[str]:
    """The ways in which a gallery may spell a name, first the present one: an older onek enrolled names as it found them."""
    own = _unicode(name).strip()
    return list(dict.fromkeys([unicodedata.normalize("NFC", own), name, unicodedata.normalize("NFD", own)]))


def enrolled_as(name: str, enrolled: Collection[str]) -> list[str]:
    """Those of `enrolled` that somebody means by a name. One that is enrolled just so, and could not be today, is meant alone."""
    if name in enrolled and name != name.strip():
        return [name]
    return [each for each in spellings(name) if each in enrolled]


def texts(values: Iterable[object]) -> pa.Array:
    """A column of texts and nulls, from a program that may hold halves of characters, or bytes of a file's name."""
    return pa.array([_unicode(each) if isinstance(each, str) else each for each in values], pa.string())


def _unicode(text: str) -> str:
    """A text that came as bytes which are no Unicode has them as escapes; so has one with half a character."""
    try:
        spelt = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        spelt = text.encode("utf-8", "surrogatepass")
    return spelt.decode("utf-8", "backslashreplace")


# From so many images on a folder is large enough to be judged by its shape, and this share of it is nearly all, or most.
LARGE = 20
_NEARLY, _MOST = 0.9, 0.5
# What cameras, telephones and people who put photographs in order call folders and files.
_NOBODY = re.compile(
    r"(19|20)\d\d([-_. ]?[01]?\d([-_. ]?[0-3]?\d)?)?([-_ ].*)?"  # 2023, 2023-05, 20230501_120000
    r"|dcim|\d{3}[a-z_]{5}|camera( roll)?|photos?|images?|pictures?|album|train|test|val"
    r"|(img|dsc[nf]?|pxl|mvimg|vid|p|wp|sam|image|photo|scan|screenshot|whatsapp image|signal)[-_ ]?\d[-_\d ]*.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Labelling:
    """By which `rules`, in words, how many `images` were taken to be of how many `identities`; `str` of it says so in one line.

    `doubts`: what looks wrong with that, a sentence each.
    """

    rules: tuple[str, ...] = ()
    images: int = 0
    identities: int = 0
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        images = "1 image" if self.images == 1 else f"{self.images:,} images"
        identities = "1 identity" if self.identities == 1 else f"{self.identities:,} identities"
        return f"{images} of {identities}: {'; '.join(self.rules)}"


UNLABELLED = Labelling()


def doubts(identities: Iterable[str | None], what: str = "images") -> Iterator[str]:
    """What looks wrong with the identities of images (n,), a sentence each; nothing where all is well."""
    counts = Counter(name for name in identities if name is not None)
    total = counts.total()
    nobody = [name for name in counts if _NOBODY.fullmatch(name)]
    if nobody and len(nobody) >= _MOST * len(counts):
        yield f"{len(nobody):,} of {len(counts):,} identities are called as cameras or calendars call things, as {nobody[0]} is"
    if total < LARGE:
        return
    if whole := one_person(counts, what):
        yield whole
    elif len(counts) == total and (alike := _differ_by_number(list(counts))):
        yield (
            f"{total:,} {what} are taken for {total:,} people whose names differ by a number, such as {alike[0]} and {alike[1]}; "
            "several of one person belong in a folder of theirs"
        )


def one_person(counts: Counter[str], what: str) -> str | None:
    """That nearly all of many `what` are of one identity, if that is so."""
    total = counts.total()
    if total < LARGE:
        return None
    largest, most = counts.most_common(1)[0]
    return f"{most:,} of {total:,} {what} are taken for one person, {largest}" if most >= _NEARLY * total else None


def _differ_by_number(names: Sequence[str]) -> Sequence[str]:
    """Two names that are alike but for a number at the end, where that is so of most of them."""
    roots = Counter(map(_root, names))
    if sum(count for root, count in roots.items() if root and count > 1) < _MOST * len(names):
        return ()
    root = next(root for root, count in roots.items() if root and count > 1)
    return [name for name in names if _root(name) == root][:2]


def _root(name: str) -> str:
    """A name without the number at its end: `kian` of `kian_2`, `kian (2)` and `kian2`."""
    numbered = name.removesuffix(")")
    root = numbered.rstrip(digits)
    return name if root == numbered else root.removesuffix("(").rstrip("-_ .")
