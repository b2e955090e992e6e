"""Damaged files, by the thousand: every reader gives an answer or one of our errors, quickly and in bounded memory."""

import contextlib
import hashlib
import io
import json
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.accuracy.verification import read_pairs
from benchmarks.data.lfw import read_lfw_pairs
from engine.embedding.photographs import find_photographs
from engine.encoders.custom import read_card
from engine.encoders.registry import network_files
from engine.errors import OnekError
from engine.faces.images import decode
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.tables.lists import read_names
from engine.templates.model import Templates
from engine.templates.parquet import read_templates
from indexes.approximate.faiss_factory import Factory
from indexes.files import VectorWriter, open_vectors
from indexes.registry import KINDS, load_index

# Longest that one file may take, and most that reading may add to the memory, in seconds and bytes.
SECONDS, BYTES = 20.0, 1 << 30
_DIM = 16
# Vectors of an index, and strings of FAISS that between them hold all that an index file may.
_WIDE = 1100
STRINGS = ("HNSW4", "OPQ4,IVF8_HNSW4,SQ8", "IVF8,Flat", "IVF8,PQ4x4,RFlat", "PQ4x4,Refine(SQfp16)", "PCA8,IVF8,PQ4x4fsr")
# Pillow's names of the formats in which it writes pictures of each mode.
_IMAGES = {
    "RGB": ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA"),
    "L": ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA"),
    "P": ("PNG", "BMP", "TIFF", "GIF", "TGA"),
    "CMYK": ("JPEG", "TIFF"),
}
# What is written over a place: values that lengths and offsets do not expect.
_EXTREMES = [
    value.to_bytes(size, "little", signed=True)
    for size in (4, 8)
    for value in (-1, 0, 1 << 30, (1 << (8 * size - 1)) - 1, -(1 << (8 * size - 1)))
]


@dataclass(frozen=True)
class Reader:
    """Who reads: `seeds` writes whole files into a folder and names those that are to be damaged; `read` is given the folder, and
    the file of it that was damaged.
    """

    seeds: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], object]


@dataclass(frozen=True)
class Fuzzed:
    """`files` damaged ones were read; `refused` of them with an error of ours; bytes of memory that it added at most."""

    reader: str
    files: int
    refused: int
    memory: int


_place = st.one_of(
    st.integers(0, 200), st.integers(-600, -1), st.floats(0, 1, exclude_max=True)
)  # headers lie at the beginning, Parquet's at the end
_mutation = st.one_of(
    st.tuples(st.just("flip"), _place, st.integers(0, 7)),
    st.tuples(st.just("write"), _place, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("write"), _place, st.sampled_from(_EXTREMES)),
    st.tuples(st.just("cut"), _place, st.just(0)),
    st.tuples(st.just("insert"), _place, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("repeat"), _place, st.integers(1, 4096)),
    st.tuples(st.just("erase"), _place, st.integers(1, 4096)),
)
mutations = st.lists(_mutation, min_size=1, max_size=5)


def mutated(data: bytes, changes: list[tuple[str, int | float, int | bytes]]) -> bytes:
    """`data` with some places changed."""
    held = bytearray(data)
    for what, place, value in changes:
        at = int(place * len(held)) if isinstance(place, float) else place % max(len(held), 1)
        if what == "flip" and held and isinstance(value, int):
            held[at] ^= 1 << value
        elif what == "cut":
            del held[at:]
        elif isinstance(value, bytes):
            held[at : at + (len(value) if what == "write" else 0)] = value
        elif what == "repeat":
            held[at:at] = held[at : at + value]
        elif what == "erase":
            del held[at : at + value]
    return bytes(held)


def fuzz(name: str, count: int, folder: Path, start: int = 0) -> Fuzzed:
    """Let a reader of `READERS` read `count` damaged files below `folder`.

    Raises:
        AssertionError: it failed with another error than ours, or took too long or too much memory; the smallest case found.
    """
    reader = READERS[name]
    whole, broken = folder / "whole", folder / "broken"
    whole.mkdir(parents=True)
    files = reader.seeds(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            reader.read(whole, file)
    tally = {"files": 0, "refused": 0}
    before = _memory()

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(files) - 1), mutations)
    def one(number: int, changes: list[tuple[str, int | float, int | bytes]]) -> None:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        file = broken / files[number].relative_to(whole)
        file.write_bytes(mutated(file.read_bytes(), changes))
        began = time.perf_counter()
        try:
            reader.read(broken, file)
        except OnekError:
            tally["refused"] += 1
        tally["files"] += 1
        took = time.perf_counter() - began
        if took > SECONDS:
            raise AssertionError(f"{file.name} took {took:.1f} s to read")

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one()
    added = _memory() - before
    if added > BYTES:
        raise AssertionError(f"{name}: reading damaged files took {added >> 20} MiB more than before")
    return Fuzzed(name, tally["files"], tally["refused"], added)


def fuzz_apart(name: str, count: int, folder: Path, start: int = 0) -> Fuzzed:
    """As `fuzz`, in a process of its own, so that the crash of a library is seen as well.

    Raises:
        OnekError: the reader failed, or the process died; says how.
    """
    job = [sys.executable, "-m", __name__, name, str(count), str(folder), str(start)]
    done = subprocess.run(job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnekError(f"{name} failed ({done.returncode}): {done.stderr.strip()[-1500:]}")
    return Fuzzed(*json.loads(done.stdout.splitlines()[-1]))


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _images(folder: Path) -> list[Path]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8))
    paths = []
    for mode, kinds in _IMAGES.items():
        for kind in kinds:
            paths.append(folder / f"{mode}.{kind.lower()}")
            picture.convert(mode).save(paths[-1], kind)
    for kind in ("PNG", "WEBP", "TIFF"):
        paths.append(folder / f"moves.{kind.lower()}")
        picture.save(paths[-1], kind, save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    return paths


def _people() -> Templates:
    vectors = np.random.default_rng(0).normal(size=(60, _DIM))
    return Templates.from_vectors(vectors, [f"id{number}" for number in range(60)], [f"id{number}#0" for number in range(60)])


def _templates(folder: Path) -> list[Path]:
    pq.write_table(_people().table, folder / "ours.parquet")
    return [folder / "ours.parquet"]


def _foreign(folder: Path) -> list[Path]:
    vectors = np.random.default_rng(0).normal(size=(20, _DIM)).astype(np.float32)
    table = pa.table({"embedding": vectors.astype(float).tolist(), "identity": [f"id{number}" for number in range(20)]})
    pq.write_table(table, folder / "theirs.parquet")
    np.save(folder / "theirs.npy", vectors)
    np.savez(folder / "theirs.npz", vector=vectors, identity=np.array([f"id{number}" for number in range(20)]))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel().astype(np.float16)), _DIM)
    names = pa.array([f"id{number % 5}".encode() for number in range(20)]).dictionary_encode()
    odd = pa.table({"vector": fixed, "identity": names, "template_id": range(20), "source": ["a.jpg", None] * 10})
    pq.write_table(odd, folder / "odd.parquet", row_group_size=7)
    np.savez_compressed(folder / "odd.npz", embedding=vectors.astype(">f8"), identity=np.array([b"kian"] * 20))
    return [folder / name for name in ("theirs.parquet", "theirs.npy", "theirs.npz", "odd.parquet", "odd.npz")]


def _lists(folder: Path) -> list[Path]:
    text = 'path,identity\na.jpg,kian\nb.jpg,"you, nes"\n'
    (folder / "list.csv").write_text(text)
    (folder / "marked.csv").write_bytes(text.encode("utf-8-sig"))
    (folder / "wide.csv").write_bytes(text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"))
    (folder / "other.csv").write_text("\r".join(["File Name;Person;width", "a.jpg;kian;3", 'b.jpg;"you; nes";4', ""]))
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "identity": ["kian", None]}), folder / "list.parquet")
    return [folder / name for name in ("list.csv", "marked.csv", "wide.csv", "other.csv", "list.parquet")]


def _names(folder: Path) -> list[Path]:
    (folder / "names.txt").write_text('kian\n"you, nes"\n\nZo\u00eb \n', encoding="utf-8")
    (folder / "wide.txt").write_text("kian\r\nZo\u00eb\r\n", encoding="utf-16")
    (folder / "table.txt").write_text("identity,templates\nkian,3\n'=cmd(),1\n")
    pq.write_table(pa.table({"identity": pa.array(["kian", "dan"]).dictionary_encode()}), folder / "names.parquet")
    return [folder / name for name in ("names.txt", "wide.txt", "table.txt", "names.parquet")]


def _pairs(folder: Path) -> list[Path]:
    (folder / "pairs.csv").write_text("a,b,same\nx/1.jpg,x/2.jpg,1\nx/1.jpg,y/1.jpg,0\n")
    (folder / "lfw.txt").write_text("10\t300\nA_B\t1\t2\nA_B\t1\tC\t3\n")
    return [folder / "pairs.csv", folder / "lfw.txt"]


def _card(folder: Path) -> list[Path]:
    points = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]
    (folder / "net.onnx").write_bytes(b"a network")
    (folder / "net.json").write_text(json.dumps({"size": 112, "points": points, "dim": 512, "threshold": 1.1}))
    return [folder / "net.json"]


def _gallery(folder: Path) -> Path:
    gallery = Gallery.build(_people(), folder / "g")
    gallery.enroll(Templates.from_vectors(np.random.default_rng(1).normal(size=(3, _DIM)), ["new"] * 3, ["n0", "n1", "n2"]))
    gallery.remove(["id5"])
    gallery.rename("id6", "six")
    gallery.close()
    return folder / "g"


def _ask(folder: Path) -> None:
    """Everything that a reader of a gallery does; each answer or error stands for itself."""
    errors = []
    probes = np.random.default_rng(2).normal(size=(4, _DIM))
    for question in (
        lambda: Gallery.open(folder).identify(probes, threshold=0.5),
        lambda: Gallery.open(folder).identify(probes),
        lambda: Gallery.open(folder).info(),
        lambda: Gallery.open(folder).sources(),
        lambda: check(folder),
    ):
        try:
            question()
        except OnekError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _change(folder: Path) -> None:
    gallery = Gallery.open(folder)
    gallery.enroll(Templates.from_vectors(np.random.default_rng(3).normal(size=(1, _DIM)), ["newest"], ["n3"]))
    gallery.remove(["newest"])
    gallery.close()


def _indexes(folder: Path) -> list[Path]:
    vectors = _wide().vectors
    with VectorWriter(folder / "vectors.npy", _DIM) as writer:
        writer.write(vectors)
    made = [KINDS[kind].build(vectors) for kind in KINDS if kind != Factory.kind]
    made += [Factory.build(vectors, factory=string) for string in STRINGS]
    paths = [folder / f"{number}.index" for number in range(len(made))]
    for index, path in zip(made, paths, strict=True):
        index.save(path)
    return paths


def _wide() -> Templates:
    """As many as lists and codes are learnt from."""
    return Templates.from_vectors(np.random.default_rng(0).normal(size=(_WIDE, _DIM)))


def _read_index(folder: Path, file: Path) -> None:
    _hash_anew(file)
    vectors = open_vectors(folder / "vectors.npy")
    index = load_index(file, vectors)
    probes = vectors[:4]
    index.search(probes, 3)
    index.extend(np.concatenate([vectors, probes]))
    index.search(probes, 3)


def _hash_anew(file: Path) -> None:
    """Let an index file have the hash of what it holds, as whoever means harm would."""
    parts = file.read_bytes().split(b"\n", 2)
    try:
        header = json.loads(parts[1])
        header.pop("sha256", None)
        said = json.dumps(header, sort_keys=True).encode()
    except (IndexError, ValueError, AttributeError, RecursionError):
        return
    header["sha256"] = hashlib.sha256(said + b"".join(parts[2:])).hexdigest()
    file.write_bytes(b"\n".join([parts[0], json.dumps(header).encode(), *parts[2:]]))


READERS = {
    "images": Reader(_images, lambda _, file: decode(file)),
    "templates": Reader(_templates, lambda _, file: read_templates(file)),
    "foreign": Reader(_foreign, lambda _, file: read_templates(file)),
    "names": Reader(_names, lambda _, file: read_names(file)),
    "pairs": Reader(_pairs, lambda _, file: read_pairs(file) if file.suffix == ".csv" else read_lfw_pairs(file)),
    "lists": Reader(_lists, lambda folder, file: find_photographs([file], str(folder / "list.csv"))),
    "encoder": Reader(_card, lambda folder, _: read_card(network_files(str(folder / "net.onnx")))),
    "index": Reader(_indexes, _read_index),
    "segment": Reader(lambda folder: sorted(_gallery(folder).glob("segment-*")), lambda folder, _: _ask(folder / "g")),
    "catalogue": Reader(lambda folder: [_gallery(folder) / "catalogue.sqlite"], lambda folder, _: _ask(folder / "g")),
    "changes": Reader(lambda folder: sorted(_gallery(folder).glob("*.*")), lambda folder, _: _change(folder / "g")),
}


if __name__ == "__main__":
    found = fuzz(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(astuple(found)) + "\n")
