"""Our index files of every kind, with layouts, sizes and numbers changed, and the hash of what they hold then."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attacks.case import Attack, Place, vectors
from benchmarks.durability.whole_files import STRINGS
from indexes.approximate.faiss_factory import Factory
from indexes.files import read_index, write_index
from indexes.registry import KINDS, load_index

_COUNT = 1100


class Indexes(Attack):
    """Each of our kinds, and strings of FAISS that between them hold all that an index file may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.vectors = vectors(_COUNT)
        made = {kind: KINDS[kind].build(self.vectors) for kind in KINDS if kind != Factory.kind}
        made |= {string: Factory.build(self.vectors, factory=string) for string in STRINGS}
        self.files = {name: folder / f"{number}.index" for number, name in enumerate(made)}
        for name, file in self.files.items():
            made[name].save(file)

    def lay(self, place: Place, chance: random.Random) -> str:
        name = chance.choice(list(self.files))
        kind, settings, arrays = read_index(self.files[name])
        for _ in range(chance.randint(1, 3)):
            twist(settings, arrays, chance)
        write_index(place.work / "x.index", chance.choice([kind] * 8 + list(KINDS)), settings, arrays)
        return name

    def ask(self, place: Place, chance: random.Random) -> None:
        index = load_index(place.work / "x.index", self.vectors)
        index.search(self.vectors[:3], chance.choice([1, 3, 200]))
        if chance.random() < 0.3:
            index.extend(np.concatenate([self.vectors, self.vectors[:4]]))
            index.search(self.vectors[:3], 3)


def twist(settings: dict[str, Any], arrays: dict[str, np.ndarray], chance: random.Random) -> None:
    """Change one thing of an index file, which stays whole."""
    name = chance.choice(sorted(arrays)) if arrays else None
    what = chance.randrange(8) if name is not None else 7
    if name is None or what == 7:
        _twist_settings(settings, chance)
        return
    array = arrays[name].copy()
    if what == 0:
        del arrays[name]
        return
    if what == 1 and array.size:
        array.ravel()[chance.randrange(array.size)] = chance.choice([0, 1, 2, 255 if array.dtype == np.uint8 else 1 << 30])
    elif what == 2:
        array = array[: chance.randrange(len(array) + 1)]
    elif what == 3:
        array = np.concatenate([array] * chance.choice([2, 3, 9]))
    elif what == 4:
        array = array.reshape(-1)
    elif what == 5:
        array = array.astype(chance.choice(["<f4", "<i4", "<i8", "|u1"]))
    elif array.dtype.kind == "f" and array.size:
        array.ravel()[chance.randrange(array.size)] = chance.choice([np.nan, np.inf, -np.inf, 3e38, -1e7])
    else:
        array = np.full_like(array, chance.choice([0, 1, 127]))
    arrays[name] = array


def _twist_settings(settings: dict[str, Any], chance: random.Random) -> None:
    key = chance.choice(sorted(settings) or ["layout"])
    settings[key] = chance.choice([None, -1, 1 << 70, [], {}, "Flat", [["IndexFlat"] * 3], ["IndexPreTransform", ["IndexIVFPQ"]]])
    if isinstance(settings.get("effort"), dict):
        settings["effort"][chance.choice(["visits", "shortlist"])] = chance.choice([0, -1, 1 << 62, 1.5, "x"])
