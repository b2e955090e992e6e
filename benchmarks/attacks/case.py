"""What an attack is: files that somebody lays out, and what its victim does with them."""

import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.durability.isolated import BYTES
from engine.errors import OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.templates.model import Templates

DIM = 16


@dataclass(frozen=True)
class Place:
    """`work`: the folder in which a case lies; `canary`: one beside it that nothing of a case may open or change."""

    work: Path
    canary: Path


class Attack(ABC):
    """One kind of attack. What all its cases share is made once, in `folder`. A case may add `most` bytes to the memory."""

    most: ClassVar[int] = BYTES

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def lay(self, place: Place, chance: random.Random) -> str:
        """Write the files of one case, and say of which sort it is."""

    @abstractmethod
    def ask(self, place: Place, chance: random.Random) -> None:
        """What the victim does with them. Raises `OnekError` where it is refused."""


class OfGallery(Attack):
    """An attack by a gallery that was handed over: with an exact index or an approximate one, and changes since."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name, index, score in (("plain", None, "plain"), ("local", None, None), ("lists", "IVF4,SQ8", "plain")):
            gallery = Gallery.build(people(0, 120 if index else 40), folder / name, factory=index, score=score)
            gallery.enroll(people(200, 203))
            gallery.remove(["id5"])
            gallery.rename("id6", "six")
            gallery.close()

    def copied(self, place: Place, chance: random.Random) -> Path:
        """A whole gallery of the victim's to be."""
        name = chance.choice(["plain", "plain", "local", "lists"])
        return Path(shutil.copytree(self.folder / name, place.work / "g"))

    def ask(self, place: Place, chance: random.Random) -> None:
        path = place.work / "g"
        ask_all([*readings(path), *chance.sample(changes(path), 2)])


def readings(path: Path) -> list[Callable[[], object]]:
    """What the owner of a gallery asks it."""
    return [
        lambda: Gallery.open(path).identify(vectors(3), threshold=0.5),
        lambda: Gallery.open(path).info(),
        lambda: check(path),
    ]


def changes(path: Path) -> list[Callable[[], object]]:
    """What the owner of a gallery makes of it."""

    def change() -> None:
        gallery = Gallery.open(path)
        gallery.enroll(people(300, 301))
        gallery.remove(["id300"])
        gallery.close()

    return [
        change,
        lambda: Gallery.open(path).compact(),
        lambda: Gallery.open(path).backup(path.with_name("copy"), overwrite=True),
        lambda: Gallery.merge([path], path.with_name("merged"), overwrite=True),
    ]


def ask_all(questions: list[Callable[[], object]]) -> None:
    """Ask all, whatever the others gave. Raises the first error, once all are known to be one line."""
    errors = []
    for question in questions:
        try:
            question()
        except OnekError as error:
            errors.append(error)
    for each in errors:
        if "\n" in str(each):
            raise each
    if errors:
        raise errors[0]


def vectors(count: int) -> np.ndarray:
    """Unit vectors float32 (count, DIM), the same for the same count."""
    made = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    return np.ascontiguousarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def people(first: int, last: int) -> Templates:
    """One template each of `id{first}` and so on."""
    names = [f"id{number}" for number in range(first, last)]
    made = np.random.default_rng(first).normal(size=(last - first, DIM))
    return Templates.from_vectors(made, names, [f"{name}#0" for name in names])
