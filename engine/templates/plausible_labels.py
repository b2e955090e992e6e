"""Whose photographs were taken to be, in words, and what looks wrong with that: what people seldom are called, and folders that
seldom are one person's.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
_NUMBER = re.compile(r"[-_ .]*\(?\d+\)?$")


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
    roots = Counter(_NUMBER.sub("", name) for name in names)
    if sum(count for root, count in roots.items() if root and count > 1) < _MOST * len(names):
        return ()
    root = next(root for root, count in roots.items() if root and count > 1)
    return [name for name in names if _NUMBER.sub("", name) == root][:2]
