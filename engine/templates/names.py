"""Names of identities: one spelling for one name, and what can be no name. Everything that takes a name takes it from here.

A name is Unicode in its composed form (NFC), without blanks around it, never blank, and without control characters: "Zoe" and a
combining diaeresis, which is how some systems spell a folder, is the Zoë that somebody types.
"""

import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import NameRefused

Each = TypeVar("Each")

_FORBIDDEN = r"[\p{Cc}\p{Zl}\p{Zp}]"


def name_of(text: str, what: str = "an identity") -> str:
    """The name that a text spells. `what` has it, in the message.

    Raises:
        NameRefused: it is blank, or holds control characters.
    """
    (name,) = names_in(pa.array([_unicode(text)], pa.string()), what).to_pylist()
    if name is None:
        raise NameRefused(f"{what} cannot have a blank name; found {text!r}")
    return str(name)


def names_in(column: pa.Array | pa.ChunkedArray, what: str) -> pa.Array | pa.ChunkedArray:
    """The names that a column of texts (n,) spells; null where a text is null or blank, which says nobody.

    Raises:
        NameRefused: one holds control characters; names `what` and the row.
    """
    names = pc.utf8_normalize(pc.utf8_trim_whitespace(column.cast(pa.string())), form="NFC")
    forbidden = pc.match_substring_regex(names, _FORBIDDEN)
    if pc.any(forbidden).as_py():
        row = pc.index(forbidden, True).as_py()
        where = f", row {row}" if len(names) > 1 else ""
        raise NameRefused(f"{what}{where}: the name {names[row].as_py()!r} holds control characters; give it another")
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def each_of(given: str | Path | Iterable[Each]) -> list[Each]:
    """What a call was given, one or several: a string is one name or path, never its letters."""
    return [cast(Each, given)] if isinstance(given, str | Path) else list(given)


def spellings(name: str) -> list[str]:
    """The ways in which a gallery may spell a name, first the present one: an older onek enrolled names as it found them."""
    own = name.strip()
    return list(dict.fromkeys([unicodedata.normalize("NFC", own), name, unicodedata.normalize("NFD", own)]))


def enrolled_as(name: str, enrolled: Collection[str]) -> list[str]:
    """Those of `enrolled` that somebody means by a name. One that is enrolled just so, and could not be today, is meant alone."""
    if name in enrolled and name != name.strip():
        return [name]
    return [each for each in spellings(name) if each in enrolled]


def _unicode(text: str) -> str:
    """A text that came as bytes which are no Unicode has them as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
