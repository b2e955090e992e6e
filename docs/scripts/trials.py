"""Make what the pages in docs/trials begin with: photographs and vectors of people and things that do not exist.

python docs/scripts/trials.py TRIAL FOLDER
"""

import csv
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data.drawn_people import Shot, draw_files

_STAFF = ["ada", "ben", "cleo", "dan", "eva", "finn", "gina", "hugo", "ida", "jon", "kian", "lea"]
_SEEDS = (0, 14, 29, 1, 19, 13, 3, 36, 33, 35, 39, 10)


def door(folder: Path) -> None:
    """Twelve people with two photographs each; one of them, a stranger and somebody new at the door."""
    staff = [
        Shot(folder / f"staff/{name}/{shot + 1}.jpg", seed, shot)
        for name, seed in zip(_STAFF, _SEEDS, strict=True)
        for shot in (0, 1)
    ]
    guests = [("kian.jpg", _SEEDS[_STAFF.index("kian")]), ("stranger.jpg", 1000), ("nora.jpg", 20)]
    draw_files([*staff, *(Shot(folder / name, seed, 2) for name, seed in guests)], nuisance=0.3)


def archive(folder: Path) -> None:
    """What immich exports of 300 faces of 100 people, whose names nobody wrote down."""
    vectors, _ = _people(100, each=3, seed=7)
    order = np.random.default_rng(8).permutation(len(vectors))
    with (folder / "immich.csv").open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["faceId", "name", "originalPath", "embedding"])
        sheet.writerows([f"f{at:03}", "", f"2024/{at:03}.jpg", json.dumps(vectors[row].tolist())] for at, row in enumerate(order))


def register(folder: Path) -> None:
    """A register of 200 people, three of whom are in it twice, under another name."""
    vectors, names = _people(200, each=2, seed=1)
    again, _ = _people(3, each=2, seed=1)
    again += np.random.default_rng(2).normal(size=again.shape) * 0.2
    names += [name for name in ("Mia K.", "J. Otto", "rosa-2") for _ in range(2)]
    _write(folder / "register.parquet", np.concatenate([vectors, again]), names)


def wildlife(folder: Path) -> None:
    """Flanks of 60 zebras, two photographs each, as somebody cut them out; and what a camera trap took of three, one unknown."""
    for zebra in range(60):
        for shot in range(2):
            _flank(folder / f"zebras/z{zebra:02}/{shot}.png", zebra, shot)
    for at, zebra in enumerate((7, 31, 99)):
        _flank(folder / f"trap/{at}.png", zebra, 2)


def products(folder: Path) -> None:
    """Vectors of 120 products in a catalogue, by some network; three photographs of customers, and a product that is new."""
    vectors, names = _people(120, each=2, seed=3, name="sku-{:04}")
    np.save(folder / "catalogue.npy", vectors.astype(np.float32))
    (folder / "catalogue.txt").write_text("\n".join(names) + "\n")
    asked = np.concatenate([vectors[[10, 80]], _people(1, each=1, seed=99)[0]])
    np.save(folder / "asked.npy", (asked + np.random.default_rng(4).normal(size=asked.shape) * 0.2).astype(np.float32))
    np.save(folder / "new.npy", _people(1, each=2, seed=98)[0].astype(np.float32))


def elsewhere(folder: Path) -> None:
    """Encodings as programs with face_recognition keep them, and an export of Qdrant's of the same people."""
    vectors, names = _people(80, each=2, seed=5)
    (folder / "encodings.pkl").write_bytes(pickle.dumps({"encodings": list(vectors[::2]), "names": names[::2]}))
    points = [
        {"id": row, "payload": {"person": name}, "vector": vector.tolist()}
        for row, (name, vector) in enumerate(zip(names[1::2], vectors[1::2], strict=True))
    ]
    (folder / "points.json").write_text(json.dumps({"result": {"points": points}}))


def evaluation(folder: Path) -> None:
    """Templates of 150 people, two each, and their ages in two groups."""
    vectors, names = _people(150, each=2, seed=6)
    _write(folder / "people.parquet", vectors, names)
    rows = [f"{name},{'old' if number % 2 else 'young'}" for number, name in enumerate(dict.fromkeys(names))]
    (folder / "groups.csv").write_text("identity,age\n" + "\n".join(rows) + "\n")


TRIALS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (door, archive, register, wildlife, products, elsewhere, evaluation)
}


def _people(count: int, *, each: int, seed: int, name: str = "person {:03}") -> tuple[np.ndarray, list[str]]:
    """Vectors of `count` people or things, `each` of them, (count x each, 64), and their names."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count, 64))
    vectors = centres.repeat(each, axis=0) + 0.35 * np.random.default_rng(seed + 1000).normal(size=(count * each, 64))
    return vectors, [name.format(number) for number in range(count) for _ in range(each)]


def _flank(path: Path, zebra: int, shot: int) -> None:
    """Stripes that are a zebra's own, in other light each time."""
    own = cv2.resize(np.random.default_rng(zebra).normal(size=(9, 9)), (112, 112), interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng([zebra, shot])
    taken = 128 + random.uniform(50, 90) * np.tanh(3 * own) + random.normal(size=own.shape) * 12 + random.uniform(-20, 20)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(taken, 0, 255).astype(np.uint8))


def _write(path: Path, vectors: np.ndarray, names: list[str]) -> None:
    pq.write_table(pa.table({"vector": vectors.astype(np.float32).tolist(), "identity": names}), path)


if __name__ == "__main__":
    TRIALS[sys.argv[1]](Path(sys.argv[2]))
